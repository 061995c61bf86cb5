"""Reads an export into a table of text, exactly as exported.

Belongs here: which reader a file needs, and several files as one export.
Does not belong here: a format (see the modules beside this one), what the columns mean (see `mapping/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.rules.rules import SOURCE_ROW
from jwo_catalog_pipeline.catalog.source.csv_files import read_csv
from jwo_catalog_pipeline.catalog.source.fill_down import filled_down
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
from jwo_catalog_pipeline.catalog.source.shaping import Read
from jwo_catalog_pipeline.catalog.source.signatures import NAMED, kind_of, text_kind
from jwo_catalog_pipeline.catalog.source.text_files import actual_encoding, is_utf8, plain_utf8
from jwo_catalog_pipeline.catalog.source.workbooks import read_workbook
from jwo_catalog_pipeline.wording import plural

# Attributes of the table: what a person should know of it, in sentences; each file with its number of rows; and the
# format, one of `FORMATS`.
NOTES, FILES, FORMAT = "notes", "files", "format"
_HEAD = 64 << 10  # bytes that show what a text is


def read_source(path: Path, source: SourceOptions, name: str) -> pd.DataFrame:
    """Read an export of one file; see `read_export`."""
    return read_export([ExportFile(path, name)], source)


def read_export(files: Sequence[ExportFile], source: SourceOptions) -> pd.DataFrame:
    """Read an export into text.

    Args:
        files: One, or several with the same columns, in the order of their rows. gzip, zstd and a zip with one file
            are recognised by content, as are workbooks, Parquet and JSON where `source` does not say the format.
        source: How to read them.

    Returns:
        `source_row` (int64; 1 is the first record; the header and what has no content do not count), then the export's
        columns in its order, all `str`; empty is missing (NaN). Rows in the order of the file. Numbers of JSON,
        Parquet and workbooks become text without a needless `.0`, nested values become JSON text. The attribute
        `NOTES` holds sentences, `FILES` the name and the number of rows of each file, `FORMAT` the format.

    Raises:
        SourceFileError: a file is missing, empty, cut off, not in its format, or the files differ in their columns.
    """
    reads = [_read(file, source) for file in files]
    first = reads[0].table
    for file, read in zip(files[1:], reads[1:], strict=True):
        _check_same_columns(files[0].name, first.column_names, file.name, read.table.column_names)
    table = pa.concat_tables([read.table.select(first.column_names) for read in reads])
    frame = pd.DataFrame(table.combine_chunks().to_pandas()).astype("str")
    frame.insert(0, SOURCE_ROW, np.arange(1, len(frame) + 1, dtype="int64"))
    if source.fill_down:
        frame = filled_down(frame, source.fill_down, files[0].name)
    several = len(files) > 1
    frame.attrs[NOTES] = [
        f"{_base(file.name)}: {note}" if several else note
        for file, read in zip(files, reads, strict=True)
        for note in read.notes
    ]
    frame.attrs[FILES] = [[_base(file.name), len(read.table)] for file, read in zip(files, reads, strict=True)]
    frame.attrs[FORMAT] = reads[0].format
    return frame


def with_source_file(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with the column `source_file`, the name of the file that each row came from."""
    if FILE_COLUMN in frame or FILES not in frame.attrs:
        return frame
    names, rows = zip(*frame.attrs[FILES], strict=True)
    column = pd.Series(np.repeat(np.array(names, dtype=object), rows), index=frame.index, dtype="str")
    return frame.assign(**{FILE_COLUMN: column})


def _read(file: ExportFile, source: SourceOptions) -> Read:
    with (
        unpacked(file.path, file.name) as (path, name),
        duckdb.connect(config={"autoinstall_known_extensions": False, "arrow_large_buffer_size": True}) as db,
    ):
        said = _said(name) or _said(file.name)
        found = _found_format(path, said, source)
        _check_format(found, source, said, name)
        format_ = source.format or found or said or format_of(name)
        read = _read_as(db, format_, path, source, name)
    read.format = format_
    if not source.format and found and found != said and not {found, said} <= set(WORKBOOKS):
        read.notes.insert(0, f"by its content the file is {found}")
    if name != file.name:
        read.notes.insert(0, f"read from {name.removeprefix(file.name + '/')} in the zip file")
    return read


def _read_as(db: duckdb.DuckDBPyConnection, format_: str, path: Path, source: SourceOptions, name: str) -> Read:
    if format_ in WORKBOOKS:
        return read_workbook(path, source, name)
    if format_ == "parquet":
        return read_parquet(db, path, name)
    with plain_utf8(path, source.encoding, name) as plain:
        if format_ == "csv":
            read = read_csv(db, plain, source, name)
        else:
            read = read_json(db, plain, format_, source.records, name)
    actual = actual_encoding(path, source.encoding)
    if actual != source.encoding and not is_utf8(actual):
        read.notes.append(f"the text is {actual}, as its first bytes say")
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
