"""Reads workbooks (xlsx, xls, ods): every cell as a person reads it, as text."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastexcel
import pyarrow as pa
import pyarrow.compute as pc

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.source.options import SourceOptions
from jwo_catalog_pipeline.catalog.source.shaping import Read
from jwo_catalog_pipeline.catalog.source.workbook_errors import error_cells
from jwo_catalog_pipeline.table_file import PIECE_ROWS

_MIDNIGHTS = (" 00:00:00", "T00:00:00")  # of a date without a time, in Excel's formats and in ods
_SHOWN = 10  # sheets in a message


def read_workbook(path: Path, source: SourceOptions, name: str) -> Read:
    """Read one sheet: numbers as in the cell, whole ones without `.0`, dates as ISO text, errors as `#N/A`.

    Raises:
        SourceFileError: it has a password, is damaged, or it is not clear which sheet holds the table.
    """
    try:
        workbook = fastexcel.read_excel(path)
    except (fastexcel.FastExcelError, OSError, ValueError) as error:
        raise _unreadable(path, name, error) from None
    sheet = source.sheet or _only_table(workbook, source.header_row, name)
    if sheet not in workbook.sheet_names:
        raise SourceFileError(
            f"{name} has no sheet {sheet!r}; it has {_listed(workbook.sheet_names)}",
            "set source.sheet in the field mapping to one of them",
        )
    where = f"{name}, sheet {sheet!r}"
    cells, height = _cells(workbook, sheet, where)
    # The reader leaves errors empty. To find them takes as long as the reading, so not where no cell is empty.
    empty = any(column.null_count for column in cells.slice(source.header_row).columns)
    errors = error_cells(path, workbook.sheet_names.index(sheet)) if empty else {}
    if errors:
        cells = _with_errors(cells, errors)
    number = source.header_row
    if len(cells) < number:
        raise SourceFileError(
            f"{where} ends at row {len(cells)}, and source.header_row is {number}",
            "set source.header_row in the field mapping to the row that holds the names",
        )
    names = [value or "" for value in cells.slice(number - 1, 1).to_pylist()[0].values()]
    if not any(text.strip() for text in names):
        raise SourceFileError(
            f"{where}, row {number} is blank",
            "set source.header_row in the field mapping to the row that holds the names",
        )
    notes = [f"read from the sheet {sheet!r}"] if len(workbook.sheet_names) > 1 else []
    if errors:
        first = ", ".join(f"{_column(column)}{row}" for row, column in sorted(errors)[:5])
        notes.append(f"cells that hold an error such as {next(iter(errors.values()))}: {len(errors):,} ({first})")

    def records() -> Iterator[pa.Table]:
        for first in range(number, len(cells), PIECE_ROWS):
            piece = cells.slice(first, PIECE_ROWS)
            yield pa.table([_plain(column) for column in piece.columns], names=piece.column_names)

    return Read(names, where, records, lambda: height - number, notes=notes)


def _cells(workbook: fastexcel.ExcelReader, sheet: str, where: str) -> tuple[pa.Table, int]:
    """Every cell from the first row on, by the place of its column, and how many rows the workbook says it has."""
    try:
        # Without dtypes it would guess them from the first rows.
        loaded = workbook.load_sheet(sheet, header_row=None, skip_rows=0, dtypes="string")
        batch: Any = loaded.to_arrow()
    except fastexcel.FastExcelError as error:
        raise SourceFileError(f"{where} cannot be read: {_sentence(error)}", "save the workbook again") from None
    columns = [column.cast(pa.large_string()) for column in batch.columns]
    return pa.table(columns, names=[f"c{number}" for number in range(len(columns))]), int(loaded.total_height)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Empty text is null; a date has no time."""
    for midnight in _MIDNIGHTS:
        dates = pc.ends_with(column, midnight)
        if pc.any(dates).as_py():
            column = pc.if_else(dates, pc.replace_substring(column, midnight, ""), column)
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.large_string()), column)


def _with_errors(cells: pa.Table, errors: dict[tuple[int, int], str]) -> pa.Table:
    """The text of errors, which the reader leaves empty: an empty cell would be a missing value."""
    columns = cells.columns
    for place in {column for _, column in errors if column <= len(columns)}:
        values = columns[place - 1].to_pylist()
        for (row, column), text in errors.items():
            if column == place and row <= len(values) and not values[row - 1]:
                values[row - 1] = text
        columns[place - 1] = pa.chunked_array([pa.array(values, pa.large_string())])
    return pa.table(columns, names=cells.column_names)


def _only_table(workbook: fastexcel.ExcelReader, header_row: int, name: str) -> str:
    """The only visible sheet that holds a table: two columns or more, and a row below its header."""
    if len(workbook.sheet_names) == 1:
        return str(workbook.sheet_names[0])
    tables = [sheet for sheet in workbook.sheet_names if _is_table(workbook, sheet, header_row, name)]
    if len(tables) == 1:
        return str(tables[0])
    sheets = _listed(tables or workbook.sheet_names)
    found = f"several sheets of {name} hold tables" if tables else f"no sheet of {name} holds a table"
    raise SourceFileError(f"{found}: {sheets}", "set source.sheet in the field mapping to the one with the items")


def _is_table(workbook: fastexcel.ExcelReader, sheet: str, header_row: int, name: str) -> bool:
    try:
        loaded = workbook.load_sheet(sheet, header_row=None, skip_rows=0, dtypes="string")
        if loaded.visible != "visible":
            return False
        batch: Any = loaded.to_arrow()
    except fastexcel.FastExcelError:
        return False  # a chart
    filled = [column for column in batch.columns if column.null_count < len(column)]
    return len(filled) > 1 and batch.num_rows > header_row


def _unreadable(path: Path, name: str, error: Exception) -> SourceFileError:
    text = _sentence(error)
    if "password" in text.lower() or "encrypt" in text.lower() or _is_encrypted(path):
        return SourceFileError(f"{name} has a password", "save a copy without one")
    return SourceFileError(
        f"{name} cannot be read as a workbook: it is cut off or damaged ({text})",
        "open it in a spreadsheet program and save it again as .xlsx, or export it again",
    )


def _is_encrypted(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(1 << 20)
    return not zipfile.is_zipfile(path) and "EncryptedPackage".encode("utf-16-le") in head


def _sentence(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error)).split(" Context:")[0][:200]


def _listed(sheets: list[str]) -> str:
    more = f" and {len(sheets) - _SHOWN} more" if len(sheets) > _SHOWN else ""
    return ", ".join(repr(sheet) for sheet in sheets[:_SHOWN]) + more


def _column(number: int) -> str:
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
