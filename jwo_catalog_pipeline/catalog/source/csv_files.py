"""Reads CSV: every field as text, every record counted twice, by DuckDB and from the bytes."""

from __future__ import annotations

import csv
import glob
import re
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.source.csv_dialect import (
    Dialect,
    Header,
    as_yaml,
    better_delimiter,
    diagnose,
    unclosed,
    unequal,
)
from jwo_catalog_pipeline.catalog.source.options import SourceOptions, is_tab_separated
from jwo_catalog_pipeline.catalog.source.shaping import Read, Refused
from jwo_catalog_pipeline.catalog.source.text_files import check_utf8
from jwo_catalog_pipeline.engine import pieces
from jwo_catalog_pipeline.table_file import PIECE_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 16 << 20  # bytes
_RECORD_BYTES = 8 << 20  # Python reads a file with a longer record
_BUFFER_BYTES = 32 << 20  # that DuckDB reads at a time; by itself it would take 16 times `_RECORD_BYTES`
_SEP = re.compile(rb"\"?sep=(.)\"?[ \t,;]*(\r\n|\n|\r)", re.IGNORECASE)


@contextmanager
def read_csv(
    db: duckdb.DuckDBPyConnection, path: Path, source: SourceOptions, name: str, folder: Path | None = None
) -> Iterator[Read]:
    """Read a plain UTF-8 file.

    Args:
        db: a connection of its own.
        path: the file.
        source: how it is written.
        name: what messages call it.
        folder: for a copy of the file, where one is needed.

    Raises:
        SourceFileError: it has no header, or a record that does not fit it; the message names the line.
    """
    notes: list[str] = []
    said, skipped = _sep_line(path)
    delimiter = source.delimiter or said or ("\t" if is_tab_separated(name) else ",")
    if said and not source.delimiter:
        notes.append(f"the first line says that the delimiter is {said!r}")
    dialect = Dialect(delimiter, source.quote, source.escape or source.quote)
    header = _header(path, dialect, max(source.header_row, 2 if skipped else 1), name)
    with _from(path, header.start, folder) as body:
        yield Read(
            header.names,
            name,
            lambda: _with_duckdb(db, body, header, dialect, name, path),
            lambda: _counted(body, dialect) - 1,
            lambda: _with_python(body, header, dialect, name),
            notes,
        )


def _sep_line(path: Path) -> tuple[str, bool]:
    """What a first line `sep=;`, which Excel understands, says; and whether there is one."""
    with path.open("rb") as file:
        found = _SEP.match(file.readline(100))
    return (found.group(1).decode("ascii", "replace"), True) if found else ("", False)


def _header(path: Path, dialect: Dialect, line: int, name: str) -> Header:
    """The names in the record that begins on a line.

    Raises:
        SourceFileError: there is none, or it is blank.
    """
    with path.open("rb") as file:
        start = _offset(file, line)
        if start is None:
            raise SourceFileError(
                f"{name} has fewer than {line} lines, and source.header_row is {line}", "set source.header_row right"
            )
    with path.open(encoding="utf-8", newline="") as file:
        file.seek(start)
        try:
            names = next(dialect.reader(file), [])
        except UnicodeDecodeError:
            check_utf8(path, name)
            raise
        except csv.Error as error:
            raise SourceFileError(
                f"{name}, line {line}: the header cannot be read ({error})", _HEADER_REMEDY
            ) from error
    if not any(text.strip() for text in names):
        where = "the first line must hold the column names, or source.header_row say which line does"
        raise SourceFileError(f"{name}, line {line} is blank", where)
    return Header(names, line, start)


_HEADER_REMEDY = "set source.header_row in the field mapping to the line that holds the names"


def _offset(file: Any, line: int) -> int | None:
    """Where a line begins, in bytes; None where there are not so many."""
    for _ in range(line - 1):
        if not file.readline():
            return None
    start = file.tell()
    return start if file.read(1) else None


@contextmanager
def _from(path: Path, start: int, folder: Path | None) -> Iterator[Path]:
    """The file from a line on: DuckDB can skip lines only as it understands them."""
    if start == 0:
        yield path
        return
    with TemporaryDirectory(prefix="jwo-source-", dir=folder) as copies:
        rest = Path(copies, "rest")
        with path.open("rb") as file, rest.open("wb") as out:
            file.seek(start)
            while piece := file.read(_PIECE):
                out.write(piece)
        yield rest


def _with_duckdb(
    db: duckdb.DuckDBPyConnection, body: Path, header: Header, dialect: Dialect, name: str, path: Path
) -> Iterator[pa.Table]:
    """The records below the header.

    Raises:
        SourceFileError: a record does not fit the header.
        Refused: DuckDB cannot read what Python can.
    """
    # The header is among the records: as a header, DuckDB loses one with line breaks, and all rows after it.
    beginning = True
    try:
        for batch in _records(db, body, header, dialect):
            piece = pa.Table.from_batches([batch])
            if beginning and not _is_header(piece, header):
                raise Refused
            yield piece.slice(1) if beginning else piece
            beginning = False
    except (duckdb.InvalidInputException, duckdb.ConversionException) as error:
        if diagnosis := diagnose(path, header, dialect, name):
            raise diagnosis from error
        raise Refused from error
    if beginning:
        raise Refused
    _check_delimiter(header, dialect, name)


def _check_delimiter(header: Header, dialect: Dialect, name: str) -> None:
    if len(header.names) == 1 and (better := better_delimiter(header, dialect)):
        raise SourceFileError(
            f"{name}: the header has one column, {header.names[0]!r}",
            f"set source.options.delimiter in the field mapping to {as_yaml(better)}",
        )


def _records(db: duckdb.DuckDBPyConnection, body: Path, header: Header, dialect: Dialect) -> Iterator[pa.RecordBatch]:
    return pieces(
        db,
        # Nothing is guessed: what a column holds must not depend on the first rows of today's file.
        "SELECT * FROM read_csv($path, columns = $columns, delim = $delimiter, quote = $quote, escape = $escape, "
        "header = false, auto_detect = false, strict_mode = true, null_padding = false, nullstr = '', "
        "compression = 'none', max_line_size = $size, buffer_size = $buffer)",
        {
            "path": glob.escape(str(body)),
            "columns": {f"c{number}": "VARCHAR" for number in range(len(header.names))},
            "delimiter": dialect.delimiter,
            "quote": dialect.quote,
            "escape": dialect.escape,
            "size": _RECORD_BYTES,
            "buffer": _BUFFER_BYTES,
        },
    )


def _is_header(table: pa.Table, header: Header) -> bool:
    if not len(table):
        return False
    first = [value or "" for value in table.slice(0, 1).to_pylist()[0].values()]
    return first == header.names


def _counted(body: Path, dialect: Dialect) -> int:
    """How many records the bytes hold: line ends outside quotes, without blank lines.

    Quick, and right where quotes stand around whole fields only; `_with_python` decides where it is not.
    """
    quote = dialect.quote.encode() if dialect.escape == dialect.quote else b""
    count, inside, before = 0, False, 0x0A
    with body.open("rb") as file:
        while piece := file.read(_PIECE):
            data = np.frombuffer(piece, dtype=np.uint8)
            ends = np.flatnonzero((data == 0x0A) | (data == 0x0D))
            if len(quote) == 1 and quote in piece:
                places = np.flatnonzero(data == quote[0])
                within = (np.searchsorted(places, ends) + inside) % 2 == 1
                ends = ends[~within]
                inside = bool((len(places) + inside) % 2)
            earlier = np.where(ends > 0, data[ends - 1], before)
            count += int(((earlier != 0x0A) & (earlier != 0x0D)).sum())
            before = int(data[-1])
    return count + (before not in (0x0A, 0x0D))


def _with_python(body: Path, header: Header, dialect: Dialect, name: str) -> Iterator[pa.Table]:
    """The same records with Python's reader, which is slower.

    Raises:
        SourceFileError: a record does not fit the header.
    """
    width = len(header.names)
    rows: list[list[str]] = []
    with body.open(encoding="utf-8", newline="") as file:
        reader = dialect.reader(file)
        line = header.line
        try:
            next(reader, None)
            line = header.line + reader.line_num
            for fields in reader:
                if fields and len(fields) != width:
                    raise unequal(name, line, fields, width)
                if fields:
                    rows.append(fields)
                if len(rows) == PIECE_ROWS:
                    yield _as_table(rows, width)
                    rows = []
                line = header.line + reader.line_num
        except csv.Error as error:
            raise unclosed(name, line, error) from error
    yield _as_table(rows, width)
    _check_delimiter(header, dialect, name)


def _as_table(rows: list[list[str]], width: int) -> pa.Table:
    columns = ([row[number] or None for row in rows] for number in range(width))
    return pa.table({f"c{number}": pa.array(column, pa.large_string()) for number, column in enumerate(columns)})
