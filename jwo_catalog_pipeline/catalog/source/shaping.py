"""Makes a table of text of what a reader gives: names for all columns, and no rows or columns without content.

Belongs here: what is the same for every format.
Does not belong here: reading a format (see `csv_files.py`, `json_files.py`, `parquet_files.py`, `workbooks.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.rules.rules import SOURCE_ROW
from jwo_catalog_pipeline.catalog.source.options import FILE_COLUMN

_SHOWN = 5  # names in a note


@dataclass
class Read:
    """What a reader gives: a table of text, empty text is null; what a person should know of it; and the format."""

    table: pa.Table
    notes: list[str] = field(default_factory=list)
    format: str = ""


def shaped(columns: Sequence[pa.ChunkedArray], names: Sequence[str], name: str, notes: Sequence[str] = ()) -> Read:
    """A table with a name for each column, without columns and rows that hold nothing.

    A column without name and content is left out; one that has content is called `column_6` by its place. A name that
    comes twice (upper and lower case do not count, as in SQL) gets `_2`. All this is noted.

    Args:
        columns: text, a column each; empty text is null.
        names: as they stand in the file.
        name: what messages call the file.
        notes: what the reader has noted.

    Raises:
        SourceFileError: a column has a name that the pipeline needs.
    """
    found = Read(pa.table([]), list(notes))
    kept: list[pa.ChunkedArray] = []
    labels: list[str] = []
    unnamed, left_out, repeated = [], [], []
    taken = {label.casefold() for label in names if label.strip()} | {FILE_COLUMN}
    seen: set[str] = set()
    for number, (column, label) in enumerate(zip(columns, names, strict=True), start=1):
        wanted = label
        if not label.strip():
            if _is_blank(column):
                left_out.append(str(number))
                continue
            wanted = _free(f"column_{number}", taken | seen)
            unnamed.append(wanted)
        elif label.casefold() == SOURCE_ROW:
            raise SourceFileError(
                f"{name}: column {number} is called {label!r}, a name that the pipeline needs", "rename it"
            )
        elif label.casefold() in seen or label.casefold() == FILE_COLUMN:
            wanted = _free(label, taken | seen)
            repeated.append(f"{label!r} is {wanted!r}")
        seen.add(wanted.casefold())
        kept.append(column)
        labels.append(wanted)
    if left_out:
        found.notes.append(f"columns without name and content are left out: {_listed(left_out)}")
    if unnamed:
        found.notes.append(f"columns without a name are called by their place: {_listed(unnamed)}")
    if repeated:
        found.notes.append(f"names that come twice have a number: {_listed(repeated)}")
    table = pa.table(kept, names=labels)
    found.table, blank = without_blank_rows(table)
    if blank:
        found.notes.append(f"rows without content are left out: {blank:,}")
    return found


def without_blank_rows(table: pa.Table) -> tuple[pa.Table, int]:
    """The rows that hold anything but white space, and how many others there were."""
    candidates: np.ndarray | None = None  # the rows in which every column so far is blank
    for column in table.columns:
        part = column if candidates is None else column.take(pa.array(candidates))
        blank = np.flatnonzero(_blank(part))
        candidates = blank if candidates is None else candidates[blank]
        if not len(candidates):
            return table, 0
    if candidates is None:
        return table, 0
    keep = np.ones(len(table), dtype=bool)
    keep[candidates] = False
    return table.filter(pa.array(keep)), len(candidates)


def _blank(column: pa.ChunkedArray) -> np.ndarray:
    nothing = pc.equal(pc.utf8_trim_whitespace(column), "")
    return np.asarray(pc.fill_null(nothing, True).to_numpy())


def _is_blank(column: pa.ChunkedArray) -> bool:
    return column.null_count == len(column) or bool(_blank(column).all())


def _free(label: str, taken: set[str]) -> str:
    number = 2
    wanted = label if label.casefold() not in taken else f"{label}_{number}"
    while wanted.casefold() in taken:
        number += 1
        wanted = f"{label}_{number}"
    return wanted


def _listed(values: Sequence[str]) -> str:
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return ", ".join(values[:_SHOWN]) + more
