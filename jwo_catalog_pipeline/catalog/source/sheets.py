"""Finds the sheet of a workbook that holds the items.

Belongs here: which sheets a workbook has, and which of them is most like a table of items.
Does not belong here: reading the rows (see `reading.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastexcel

from jwo_catalog_pipeline.catalog.source.json_lists import kinds_of
from jwo_catalog_pipeline.catalog.source.layout import ROWS, Header, Row, find_header


@dataclass(frozen=True)
class Sheet:
    """A sheet that holds a table.

    Attributes:
        name: As the workbook calls it.
        header: The row of the names.
        rows: How many rows are below it.
        kinds: What of an item its columns are called: code, barcode, price, name.
        hidden: Whether a person sees it only after asking for it.
    """

    name: str
    header: Header
    rows: int
    kinds: frozenset[str]
    hidden: bool


def find_sheets(path: Path) -> tuple[list[Sheet], int]:
    """The sheets that hold a table, the one that is most like items first; and how many sheets there are.

    Raises:
        fastexcel.FastExcelError: the file is no workbook, is damaged, or has a password.
    """
    workbook = fastexcel.read_excel(path)
    sheets = [sheet for name in workbook.sheet_names if (sheet := _sheet(workbook, name))]
    ordered = sorted(sheets, key=lambda one: (one.hidden, -len(one.kinds), -one.rows))
    return ordered, len(workbook.sheet_names)


def _sheet(workbook: fastexcel.ExcelReader, name: str) -> Sheet | None:
    try:
        loaded = workbook.load_sheet(name, header_row=None, skip_rows=0, n_rows=ROWS, dtypes="string")
        batch: Any = loaded.to_arrow()
    except fastexcel.FastExcelError:
        return None  # a chart
    columns = [column.to_pylist() for column in batch.columns]
    cells = zip(*columns, strict=True)
    rows = [Row(number, [cell or "" for cell in row]) for number, row in enumerate(cells, 1)]
    rows = [row for row in rows if row.filled]
    if len(rows) < 2 or max(len(row.filled) for row in rows) < 2:
        return None
    header = find_header(rows)
    names = next(row.filled for row in rows if row.number == header.number)
    below = max(loaded.total_height - header.number, 0)
    return Sheet(name, header, below, kinds_of(names), loaded.visible != "visible")
