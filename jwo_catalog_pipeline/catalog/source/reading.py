"""Reads an export into a table of text, exactly as exported.

Belongs here: which reader a file needs, and several files as one export.
Does not belong here: a format (see the modules beside this one), what the columns mean (see `mapping/`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.rules.rules import SOURCE_ROW
from jwo_catalog_pipeline.catalog.source.csv_files import read_csv
from jwo_catalog_pipeline.catalog.source.fill_down import FillingDown
from jwo_catalog_pipeline.catalog.source.json_files import read_json
from jwo_catalog_pipeline.catalog.source.options import (
    FILE_COLUMN,
    FORMATS,
    WORKBOOKS,
    ExportFile,
    SourceOptions,
    format_of,
)
from jwo_catalog_pipeline.catalog.source.packed import is_workbook, unpacked
from jwo_catalog_pipeline.catalog.source.parquet_files import read_parquet
from jwo_catalog_pipeline.catalog.source.shaping import Read, labelled
from jwo_catalog_pipeline.catalog.source.signatures import NAMED, kind_of, text_kind
from jwo_catalog_pipeline.catalog.source.storing import Stored, Tally, store, take_records
from jwo_catalog_pipeline.catalog.source.text_files import actual_encoding, is_utf8, plain_utf8
from jwo_catalog_pipeline.catalog.source.workbooks import read_workbook
from jwo_catalog_pipeline.engine import connect
from jwo_catalog_pipeline.table_file import TableFile, TableWriter, write_table
from jwo_catalog_pipeline.wording import plural
from jwo_catalog_pipeline.work_folder import work_folder

# Attributes of the table: what a person should know of it, in sentences; each file with its number of rows; and the
# format, one of `FORMATS`.
NOTES, FILES, FORMAT = "notes", "files", "format"
_HEAD = 64 << 10  # bytes that show what a text is


def read_source(path: Path, source: SourceOptions, name: str) -> pd.DataFrame:
    """Read a small table of one file into memory; see `read_export`."""
    with work_folder() as folder:
        return read_export([ExportFile(path, name)], source, folder / "source.parquet").frame()


def read_export(
    files: Sequence[ExportFile], source: SourceOptions, path: Path, attrs: Mapping[str, Any] | None = None
) -> TableFile:
    """Read an export into a table of text, a piece at a time.

    Args:
        files: One, or several with the same columns, in the order of their rows. gzip, zstd and a zip with one file
            are recognised by content, as are workbooks, Parquet and JSON where `source` does not say the format.
        source: How to read them.
        path: The file to write; beside it is room for what is needed on the way.
        attrs: What else to note about the table.

    Returns:
        `source_row` (int64; 1 is the first record; the header and what has no content do not count), then the export's
        columns in its order, all text; empty is missing. Rows in the order of the file. Numbers of JSON,
        Parquet and workbooks become text without a needless `.0`, nested values become JSON text. The attribute
        `NOTES` holds sentences, `FILES` the name and the number of rows of each file, `FORMAT` the format.

    Raises:
        SourceFileError: a file is missing, empty, cut off, not in its format, or the files differ in their columns; or
            the number of rows read is not the number of records that the file holds.
    """
    with TemporaryDirectory(prefix="jwo-source-", dir=path.parent) as inside:
        folder = Path(inside)
        if len(files) == 1:
            with _opened(files[0], source, folder) as read:
                if not labelled(read.names, read.name).unnamed:
                    return _stored_at_once(read, files[0], source, path, attrs or {})
                stored = [store(read, folder / "0.parquet")]
        else:
            stored = list(_stored(files, source, folder))
        first = stored[0].labels.kept
        for file, one in zip(files[1:], stored[1:], strict=True):
            _check_same_columns(files[0].name, first, file.name, one.labels.kept)
        several = len(files) > 1
        notes = [
            f"{_base(file.name)}: {note}" if several else note
            for file, one in zip(files, stored, strict=True)
            for note in one.notes
        ]
        counts = [[_base(file.name), one.table.rows] for file, one in zip(files, stored, strict=True)]
        noted = {**(attrs or {}), NOTES: notes, FILES: counts, FORMAT: stored[0].format}
        together = (piece.select(first) for one in stored for piece in one.pieces())
        return write_table(path, _finished(together, first, source, files[0].name), _schema(first), noted)


def _stored(files: Sequence[ExportFile], source: SourceOptions, folder: Path) -> Iterator[Stored]:
    for number, file in enumerate(files):
        with _opened(file, source, folder) as read:
            yield store(read, folder / f"{number}.parquet")


def _stored_at_once(
    read: Read, file: ExportFile, source: SourceOptions, path: Path, attrs: Mapping[str, Any]
) -> TableFile:
    """The table of a file of which all columns have names: nothing can turn out that changes it."""
    columns = labelled(read.names, read.name).kept

    def write(pieces: Iterator[pa.Table], tally: Tally) -> None:
        named = (piece.rename_columns(columns) for piece in pieces)
        with TableWriter(path, _schema(columns)) as writer:
            for piece in _finished(named, columns, source, file.name):
                writer.write(piece)
            files = [[_base(file.name), tally.rows]]
            writer.attrs = {**attrs, NOTES: tally.notes(read), FILES: files, FORMAT: read.format}

    take_records(read, write)
    return TableFile(path)


def _finished(
    pieces: Iterator[pa.Table], columns: Sequence[str], source: SourceOptions, name: str
) -> Iterator[pa.Table]:
    """The rows of all files, with their numbers, and with blank cells filled where that is wanted."""
    filling = FillingDown(columns, source.fill_down, name) if source.fill_down else None
    number = 1
    for piece in pieces:
        rows = filling.filled(piece) if filling else piece
        yield rows.add_column(0, SOURCE_ROW, pa.array(np.arange(number, number + len(rows), dtype="int64")))
        number += len(rows)


def _schema(columns: Sequence[str]) -> pa.Schema:
    return pa.schema([(SOURCE_ROW, pa.int64()), *((name, pa.large_string()) for name in columns)])


def with_source_file(piece: pa.Table, source: TableFile) -> pa.Table:
    """Rows of an export with the column `source_file`, the name of the file that each row came from."""
    if FILE_COLUMN in piece.column_names or FILES not in source.attrs:
        return piece
    names, rows = zip(*source.attrs[FILES], strict=True)
    places = np.searchsorted(np.cumsum(rows), piece[SOURCE_ROW].to_numpy(), side="left")
    return piece.append_column(FILE_COLUMN, pa.array(names, pa.large_string()).take(pa.array(places)))


@contextmanager
def _opened(file: ExportFile, source: SourceOptions, folder: Path) -> Iterator[Read]:
    """A file with the reader that it needs."""
    with unpacked(file.path, file.name, folder) as (plain, name), connect(folder) as db:
        said = _said(name) or _said(file.name)
        found = _found_format(plain, said, source)
        _check_format(found, source, said, name)
        format_ = source.format or found or said or format_of(name)
        with _reader(db, format_, plain, source, name, folder) as read:
            read.format = format_
            if not source.format and found and found != said and not {found, said} <= set(WORKBOOKS):
                read.notes.insert(0, f"by its content the file is {found}")
            if name != file.name:
                read.notes.insert(0, f"read from {name.removeprefix(file.name + '/')} in the zip file")
            yield read


@contextmanager
def _reader(
    db: duckdb.DuckDBPyConnection, format_: str, path: Path, source: SourceOptions, name: str, folder: Path
) -> Iterator[Read]:
    if format_ in WORKBOOKS:
        yield read_workbook(path, source, name)
        return
    if format_ == "parquet":
        yield read_parquet(db, path, name)
        return
    with plain_utf8(path, source.encoding, name, folder) as plain:
        if format_ == "csv":
            with read_csv(db, plain, source, name, folder) as read:
                yield _with_encoding(read, path, source)
        else:
            yield _with_encoding(read_json(db, plain, format_, source.records, name), path, source)


def _with_encoding(read: Read, path: Path, source: SourceOptions) -> Read:
    actual = actual_encoding(path, source.encoding)
    if actual != source.encoding and not is_utf8(actual):
        read.remarks.append(f"the text is {actual}, as its first bytes say")
    return read


def _found_format(path: Path, said: str, source: SourceOptions) -> str:
    """What the content says: one of `FORMATS`, a kind that cannot be read, or "" for text that is a table."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    kind = kind_of(head)
    if kind == "zip":
        return "xlsx" if is_workbook(path) or said in WORKBOOKS else ""
    if kind:
        return kind
    text = head.decode(actual_encoding(path, source.encoding), "ignore")
    return text_kind(text, said)


def _check_format(found: str, source: SourceOptions, said: str, name: str) -> None:
    """Refuse what cannot be read, and what the mapping file takes for something else.

    Raises:
        SourceFileError: with the remedy that fits what the file is.
    """
    if found in NAMED:
        raise SourceFileError(
            f"{name} is {NAMED[found]}, whatever its name says",
            "export it as CSV or as a workbook (.xlsx)"
            + ("; or open it in a spreadsheet program and save it as .xlsx" if found in ("html", "xml") else ""),
        )
    said = source.format or said
    if source.format and found and found != said and not {found, said} <= set(WORKBOOKS):
        raise SourceFileError(
            f"{name} is {_SHOWN.get(found, found)}, and source.format is {said}",
            f"set source.format in the field mapping to {found}, or leave it out",
        )
    if found not in FORMATS and said in (*WORKBOOKS, "parquet"):
        what = "text" if said in WORKBOOKS else "no Parquet file"
        raise SourceFileError(
            f"{name} is {what}, and not {_SHOWN[said]}: it is cut off or damaged, or was saved as something else",
            "export it again; if it is text with delimiters, set source.format in the field mapping to csv",
        )


_SHOWN = {
    "xlsx": "a workbook",
    "xls": "a workbook",
    "ods": "a workbook",
    "parquet": "a Parquet file",
    "json": "a JSON document",
    "jsonl": "JSON Lines, an object on each line",
}


def _said(name: str) -> str:
    """The format that the name says; "" for none."""
    try:
        return format_of(name)
    except SourceFileError:
        return ""


def _check_same_columns(one: str, columns: Sequence[str], other: str, others: Sequence[str]) -> None:
    lacking, more = [c for c in columns if c not in others], [c for c in others if c not in columns]
    if not (lacking or more):
        return
    parts = [f"{other} lacks {_columns(lacking)}"] * bool(lacking) + [f"{other} has {_columns(more)}"] * bool(more)
    raise SourceFileError(
        f"the files of the export differ in their columns: beside {one}, {' and '.join(parts)}",
        "name files of one kind by the glob, or export them again with the same columns",
    )


def _columns(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"the {plural(len(names), 'column').partition(' ')[2]} {', '.join(map(repr, names[:5]))}{more}"


def _base(name: str) -> str:
    return name.rpartition("/")[2]
