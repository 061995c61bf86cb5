"""What every reader gives, and what is the same for all: names for all columns, no rows or columns without content.

Belongs here: what is the same for every format.
Does not belong here: reading a format (see `csv_files.py`, `json_files.py`, `parquet_files.py`, `workbooks.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
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
    """A file that can be read: what a reader has found out before it gives the rows.

    Attributes:
        names: of the columns, as they stand in the file.
        name: what messages call the file.
        pieces: gives the records as text, empty text is null, with a column for each name; from the first one whenever
            it is called.
        counted: gives the number of records, found in another way than `pieces` finds them.
        exact: as `pieces`, and slower: where the two numbers differ, or `pieces` raises `Refused`, this one is right.
            None: then the file is damaged.
        notes: what a person should know of it, in sentences; `remarks` come last.
        format: one of `FORMATS`.
    """

    names: Sequence[str]
    name: str
    pieces: Callable[[], Iterator[pa.Table]]
    counted: Callable[[], int]
    exact: Callable[[], Iterator[pa.Table]] | None = None
    notes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    format: str = ""


class Refused(Exception):
    """The quick reader cannot read a file."""


@dataclass(frozen=True)
class Labels:
    """What the columns of a file are called in the table.

    Attributes:
        by_place: the name of each column of the file; None: it is left out.
        unnamed: the places of the columns that have no name in the file, from 0.
        notes: what is noted about them, in sentences.
    """

    by_place: tuple[str | None, ...]
    unnamed: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def kept(self) -> list[str]:
        return [label for label in self.by_place if label is not None]


def labelled(names: Sequence[str], name: str, empty: Collection[int] = ()) -> Labels:
    """A name for each column.

    A column without name and content is left out; one that has content is called `column_6` by its place. A name that
    comes twice (upper and lower case do not count, as in SQL) gets `_2`. All this is noted.

    Args:
        names: as they stand in the file.
        name: what messages call the file.
        empty: the places of columns that hold nothing, from 0.

    Raises:
        SourceFileError: a column has a name that the pipeline needs, or one with a zero byte.
    """
    labels: list[str | None] = []
    unnamed, left_out, repeated = [], [], []
    taken = {label.casefold() for label in names if label.strip()} | {FILE_COLUMN}
    seen: set[str] = set()
    for number, label in enumerate(names, start=1):
        if "\0" in label:
            raise SourceFileError(
                f"{name}: the name of column {number} holds a zero byte: the file is damaged, or is no text",
                "export it again",
            )
        wanted = label
        if not label.strip():
            if number - 1 in empty:
                left_out.append(str(number))
                labels.append(None)
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
        labels.append(wanted)
    notes = []
    if left_out:
        notes.append(f"columns without name and content are left out: {_listed(left_out)}")
    if unnamed:
        notes.append(f"columns without a name are called by their place: {_listed(unnamed)}")
    if repeated:
        notes.append(f"names that come twice have a number: {_listed(repeated)}")
    without = tuple(place for place, label in enumerate(names) if not label.strip())
    return Labels(tuple(labels), without, tuple(notes))


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


def is_blank(column: pa.ChunkedArray) -> bool:
    """Whether a column holds nothing but white space."""
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
