"""A table that grows with the export: a Parquet file on this machine, read and written in pieces.

It is the handle that goes from step to step. Where it comes from and goes to (S3) is `defs/io_manager.py`'s to know,
and what its columns mean is its maker's.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# zstd: a third of snappy's size on catalogs, at the same speed.
COMPRESSION = "zstd"
PIECE_ROWS = 122_880  # rows that are in memory together: some 25 MB of a catalog, and what DuckDB stores together
HASHED_ROWS = 65_536  # at a time: a few MB
_BLOCK = 1 << 20  # bytes
_PANDAS = b"pandas"  # where pandas, and this module, keep a table's attributes


@dataclass(frozen=True)
class TableFile:
    """A table in a Parquet file.

    Attributes:
        path: the file; it is written once, and does not change.
    """

    path: Path

    @cached_property
    def _footer(self) -> pq.FileMetaData:
        return pq.read_metadata(self.path)

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns with their types."""
        return self._footer.schema.to_arrow_schema().remove_metadata()

    @property
    def columns(self) -> list[str]:
        return list(self.schema.names)

    @property
    def rows(self) -> int:
        return int(self._footer.num_rows)

    @cached_property
    def groups(self) -> list[int]:
        """How many rows each part has that is read by itself."""
        return [self._footer.row_group(number).num_rows for number in range(self._footer.num_row_groups)]

    def has_values(self, column: str) -> bool:
        """Whether some row has a value in a column, as far as the file says; else nothing need be read."""
        place = self.columns.index(column)
        parts = (self._footer.row_group(number).column(place) for number in range(self._footer.num_row_groups))
        return any(not part.is_stats_set or part.statistics.null_count != part.num_values for part in parts)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.path.stat().st_size

    @cached_property
    def attrs(self) -> dict[str, Any]:
        """What its maker has noted about the whole table; pandas keeps it as `DataFrame.attrs`."""
        return _attributes(self._footer)

    def pieces(self, columns: Sequence[str] | None = None, rows: int = PIECE_ROWS) -> Iterator[pa.Table]:
        """The rows in their order, so many at a time; nothing where there are none."""
        with pq.ParquetFile(self.path, metadata=self._footer) as file:
            for batch in file.iter_batches(rows, columns=None if columns is None else list(columns)):
                yield pa.Table.from_batches([batch]).replace_schema_metadata()

    def slice(self, first: int, rows: int, columns: Sequence[str] | None = None) -> pa.Table:
        """So many rows from a place on; only the row groups that hold them are read."""
        with pq.ParquetFile(self.path, metadata=self._footer) as file:
            groups, before, start = list[int](), 0, 0
            for number, length in enumerate(self.groups):
                past = before + length
                if past > first and before < first + rows:
                    start = before if not groups else start
                    groups.append(number)
                before = past
            table = file.read_row_groups(groups, columns=None if columns is None else list(columns))
        return table.slice(first - start, rows).replace_schema_metadata()

    def head(self, rows: int) -> pd.DataFrame:
        """The first rows."""
        return as_frame(self.slice(0, rows))

    def frame(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """All rows in memory, with `attrs`: for small tables, and for people."""
        return read_frame(self.path, columns)

    def digest(self) -> str:
        """SHA-256 of the columns and of the rows as they were written, in hex.

        The same rows written in the same way have the same digest, whatever `attrs` say.
        """
        hashed = hashlib.sha256(str(self.schema).encode())
        with self.path.open("rb") as file:
            file.seek(-8, io.SEEK_END)
            left = file.tell() - int.from_bytes(file.read(4), "little")  # all but the footer
            file.seek(0)
            while left and (block := file.read(min(left, _BLOCK))):
                hashed.update(block)
                left -= len(block)
        return hashed.hexdigest()


def rows_with(table: TableFile, column: str, values: Iterable[Any]) -> pd.DataFrame:
    """The rows that have one of these values in a column, in their order; only these are in memory together."""
    wanted = pa.array(values, table.schema.field(column).type)
    found = [piece.filter(pc.is_in(piece[column], value_set=wanted)) for piece in table.pieces()]
    return as_frame(pa.concat_tables([table.schema.empty_table(), *found]))


def read_frame(source: Path | BinaryIO, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """All rows of a Parquet file in memory, with what is noted about the table as `attrs`."""
    with pq.ParquetFile(source) as file:
        frame = as_frame(file.read(columns=None if columns is None else list(columns)))
        frame.attrs = dict[Any, Any](_attributes(file.metadata))
    return frame


def _attributes(footer: pq.FileMetaData) -> dict[str, Any]:
    noted = json.loads((footer.metadata or {}).get(_PANDAS, b"{}"))
    return dict(noted.get("attributes") or {})


def as_frame(table: pa.Table) -> pd.DataFrame:
    """A table in pandas; in one piece each column, for pandas picks rows out of columns in many pieces slowly."""
    frame: pd.DataFrame = table.replace_schema_metadata().combine_chunks().to_pandas()
    # Columns of which every value is missing have no type of text by themselves.
    texts = [name for name, kind in zip(table.column_names, table.schema.types, strict=True) if is_text(kind)]
    return frame.astype(dict.fromkeys(texts, "str"))


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


@dataclass
class TableWriter:
    """Writes a table piece by piece; `attrs` may be filled until it is closed.

    The file appears under its name when it is whole; after an error there is none.

    Attributes:
        path: the file to write.
        schema: the columns with their types.
        attrs: what is noted about the whole table; JSON.
        group_rows: how many rows are read together; few make small slices cheap.
        rows: how many rows were written so far.
    """

    path: Path
    schema: pa.Schema
    attrs: dict[str, Any] = field(default_factory=dict)
    group_rows: int = PIECE_ROWS
    rows: int = 0

    def __post_init__(self) -> None:
        self._partial = self.path.with_name(f"{self.path.name}.partial")
        self._writer = pq.ParquetWriter(
            self._partial,
            self.schema.remove_metadata(),
            compression=COMPRESSION,
            # In small parts they take longer to write, and four times as long to read.
            use_dictionary=self.group_rows >= PIECE_ROWS,
        )

    def write(self, piece: pa.Table | pd.DataFrame) -> None:
        """Add rows; the columns are brought to the schema's order and types."""
        table = as_arrow(piece).select(self.schema.names).cast(self.schema.remove_metadata())
        if len(table):
            self._writer.write_table(table, row_group_size=self.group_rows)
            self.rows += len(table)

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is not None:
            self._writer.close()
            self._partial.unlink(missing_ok=True)
            return
        nothing = self.schema.empty_table().to_pandas()
        nothing.attrs = self.attrs
        noted = pa.Table.from_pandas(nothing, preserve_index=False).schema.metadata[_PANDAS]
        self._writer.add_key_value_metadata({_PANDAS: noted})
        self._writer.close()
        self._partial.replace(self.path)

    @property
    def table(self) -> TableFile:
        """The table, once it is written."""
        return TableFile(self.path)


def write_table(
    path: Path, pieces: Iterable[pa.Table | pd.DataFrame], schema: pa.Schema, attrs: Mapping[Any, Any] | None = None
) -> TableFile:
    """Write pieces of one schema as a table."""
    with TableWriter(path, schema, dict(attrs or {})) as writer:
        for piece in pieces:
            writer.write(piece)
    return writer.table


def table_of(frame: pd.DataFrame | pa.Table, path: Path) -> TableFile:
    """Write what is in memory as a table, with a frame's `attrs`."""
    table = as_arrow(frame)
    return write_table(path, [table], table.schema, dict(frame.attrs) if isinstance(frame, pd.DataFrame) else None)


def as_arrow(table: pd.DataFrame | pa.Table) -> pa.Table:
    """A table as Arrow has it, without its index."""
    return table if isinstance(table, pa.Table) else pa.Table.from_pandas(table, preserve_index=False)


def hash_pieces(hashed: Any, pieces: Iterable[pa.Table], schema: pa.Schema) -> None:
    """Feed a table to a `hashlib` object: names, types and values. How it is cut into pieces makes no difference."""
    with pa.ipc.new_stream(pa.PythonFile(_HashSink(hashed), "w"), schema.remove_metadata()) as stream:
        for piece in of_equal_length(pieces, HASHED_ROWS):
            # Two parts, because Arrow copies only then, and a slice is written with bytes of its neighbours.
            stream.write_table(pa.concat_tables([piece.slice(0, 1), piece.slice(1)]).combine_chunks())


def hash_table(hashed: Any, table: pd.DataFrame | pa.Table) -> None:
    """Feed a table in memory to a `hashlib` object; see `hash_pieces`."""
    arrow = as_arrow(table).replace_schema_metadata()
    hash_pieces(hashed, [arrow], arrow.schema)


def of_equal_length(pieces: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The same rows in pieces of `rows`, but for the last one."""
    waiting: list[pa.Table] = []
    count = 0
    for piece in pieces:
        waiting.append(piece.replace_schema_metadata())
        count += len(piece)
        if count >= rows:
            together, first = pa.concat_tables(waiting), 0
            while count - first >= rows:
                yield together.slice(first, rows)
                first += rows
            waiting, count = [together.slice(first)], count - first
    if count:
        yield pa.concat_tables(waiting)


class _HashSink(io.RawIOBase):
    def __init__(self, hashed: Any) -> None:
        self._hashed = hashed

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self._hashed.update(content)
        return len(content)
