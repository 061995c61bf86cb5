"""Takes the records of a file from its reader, and sees that all of them arrive.

Belongs here: leaving out blank rows, comparing the number of records with an independent count, and whose rows are
right where the two differ.
Does not belong here: reading a format (see the readers), several files as one export (see `reading.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.source.shaping import Labels, Read, Refused, is_blank, labelled, without_blank_rows
from jwo_catalog_pipeline.table_file import TableFile, TableWriter


@dataclass
class Tally:
    """What was seen of a file's records so far.

    Attributes:
        unnamed: The places of columns without a name, from 0.
        records: How many there are.
        rows: How many of these hold anything.
        empty: The places of `unnamed` that have held nothing.
    """

    unnamed: tuple[int, ...]
    records: int = 0
    rows: int = 0
    empty: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.empty = set(self.unnamed)

    def with_content(self, pieces: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The rows that hold anything; all are counted."""
        for piece in pieces:
            rows, _ = without_blank_rows(piece)
            self.records += len(piece)
            self.rows += len(rows)
            self.empty -= {place for place in self.empty if not is_blank(rows.column(place))}
            yield rows

    def notes(self, read: Read) -> list[str]:
        """What a person should know of the file, in sentences."""
        blank = self.records - self.rows
        named = labelled(read.names, read.name, self.empty).notes
        return [*read.notes, *named, *[f"rows without content are left out: {blank:,}"] * (blank > 0), *read.remarks]


def take_records(read: Read, write: Callable[[Iterator[pa.Table], Tally], None]) -> Tally:
    """Write the rows of a file, columns by their place, and compare their number with an independent count.

    Args:
        read: The file.
        write: Writes all rows that it is given; it may be called again, and then begins anew.

    Raises:
        SourceFileError: the file is damaged, or the numbers differ.
    """
    unnamed = labelled(read.names, read.name).unnamed

    def taken(pieces: Iterator[pa.Table]) -> Tally:
        tally = Tally(unnamed)
        write(tally.with_content(pieces), tally)
        return tally

    if read.exact is None:
        return taken(_all_records(read))
    try:
        tally = taken(read.pieces())
    except Refused:
        return taken(read.exact())
    if tally.records == read.counted():
        return tally
    judge = Tally(unnamed)
    for _ in judge.with_content(read.exact()):
        pass
    return tally if tally.rows == judge.rows else taken(read.exact())


def _all_records(read: Read) -> Iterator[pa.Table]:
    """The records of a file; an error at their end, before the table is whole, where they are not all."""
    records = 0
    for piece in read.pieces():
        records += len(piece)
        yield piece
    if records != (counted := read.counted()):
        raise SourceFileError(
            f"{read.name}: {records:,} records were read, and the file holds {counted:,}",
            "export it again; if the numbers differ again, report it with the file",
        )


@dataclass(frozen=True)
class Stored:
    """A file's rows in a table of their own.

    Attributes:
        labels: What its columns are called.
        notes: What a person should know of it, in sentences.
        table: Columns by their place in the file.
        format: One of `FORMATS`.
    """

    labels: Labels
    notes: list[str]
    table: TableFile
    format: str

    def pieces(self) -> Iterator[pa.Table]:
        """The rows, their columns by name."""
        kept = [f"c{place}" for place, label in enumerate(self.labels.by_place) if label is not None]
        for piece in self.table.pieces(kept):
            yield piece.rename_columns(self.labels.kept)


def store(read: Read, path: Path) -> Stored:
    """Write the rows of a file as a table; see `take_records`."""

    def write(pieces: Iterator[pa.Table], _: Tally) -> None:
        schema = pa.schema([(f"c{place}", pa.large_string()) for place in range(len(read.names))])
        with TableWriter(path, schema) as writer:
            for piece in pieces:
                writer.write(piece.rename_columns(schema.names))

    tally = take_records(read, write)
    labels = labelled(read.names, read.name, tally.empty)
    return Stored(labels, tally.notes(read), TableFile(path), read.format)
