"""Reads an export file into a table of text, exactly as exported.

Belongs here: the formats CSV, JSON, JSON Lines and Parquet, all read by DuckDB.
Does not belong here: packed and foreign text (see `plain_text.py`), and what the columns mean (see `mapping.py`).
"""

from __future__ import annotations

import glob
import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.rules.rules import SOURCE_ROW
from jwo_catalog_pipeline.catalog.source.text_files import check_utf8, csv_header, diagnose_csv, plain_utf8

FORMATS = ("csv", "json", "jsonl", "parquet")
_SUFFIXES = {"csv": "csv", "tsv": "csv", "txt": "csv", "json": "json", "jsonl": "jsonl", "ndjson": "jsonl"}
_SUFFIXES |= {"parquet": "parquet", "pq": "parquet"}


@dataclass(frozen=True)
class SourceOptions:
    """How to read the export: the `source` part of the field mapping file.

    Attributes:
        format: One of `FORMATS`; None: by the file's name.
        records: JSON only: the key that holds the list of records; None: the list is the top level.
        delimiter: CSV only: one character; None: a tab for .tsv, else a comma.
        quote: CSV only: one character, or empty where the file quotes nothing.
        encoding: CSV, JSON and JSON Lines: a Python codec.
    """

    format: str | None = None
    records: str | None = None
    delimiter: str | None = None
    quote: str = '"'
    encoding: str = "utf-8"


def read_source(path: Path, source: SourceOptions, name: str) -> pd.DataFrame:
    """Read an export file into text.

    Args:
        path: A local file. gzip and zstd are recognised by content.
        source: How to read it.
        name: What messages call the file, such as its s3 uri; its suffix tells the format where `source` does not.

    Returns:
        `source_row` (int64; 1 is the first record, the header and blank lines do not count), then the export's
        columns in its order, all `str`; empty is missing (NaN). Rows in the order of the file. JSON and Parquet
        numbers become text (a whole number without `.0`), nested values become JSON text.

    Raises:
        SourceFileError: the file is missing, empty, cut off, not in its format, or has unusable column names.
    """
    format_ = source.format or format_of(name)
    try:
        with duckdb.connect(config={"autoinstall_known_extensions": False, "arrow_large_buffer_size": True}) as db:
            if format_ == "parquet":
                table = _read_parquet(db, path, name)
            else:
                with plain_utf8(path, source.encoding, name) as plain:
                    if format_ == "csv":
                        table = _read_csv(db, plain, source, name)
                    else:
                        table = _read_json(db, plain, format_, source.records, name)
    except duckdb.IOException as error:
        if path.is_file():
            raise
        raise SourceFileError(f"{name} does not exist or is not a file", "check JWO_SOURCE_URI") from error
    frame = pd.DataFrame(table.to_pandas()).astype("str")
    frame.insert(0, SOURCE_ROW, np.arange(1, len(frame) + 1, dtype="int64"))
    return frame


def format_of(name: str) -> str:
    """The format that a file's name says; one of `FORMATS`.

    Raises:
        SourceFileError: it says none.
    """
    suffixes = [suffix.lstrip(".").lower() for suffix in PurePosixPath(name).suffixes]
    if suffixes and suffixes[-1] in ("gz", "zst", "zstd"):
        suffixes.pop()
    if not suffixes or suffixes[-1] not in _SUFFIXES:
        raise SourceFileError(
            f"the name of {name} does not say its format",
            f"set source.format in the field mapping to one of {', '.join(FORMATS)}",
        )
    return _SUFFIXES[suffixes[-1]]


def _check_columns(columns: list[str], name: str) -> None:
    """SQL does not tell upper from lower case in column names, so two that differ in case only are the same."""
    seen: dict[str, str] = {}
    for number, column in enumerate(columns, start=1):
        folded = column.casefold()
        if not column.strip():
            raise SourceFileError(f"{name}: column {number} has no name", "name it in the header, or leave it out")
        if folded == SOURCE_ROW:
            raise SourceFileError(
                f"{name}: column {number} is called {column!r}, a name that the pipeline needs", "rename it"
            )
        if folded in seen:
            raise SourceFileError(
                f"{name}: the columns {seen[folded]!r} and {column!r} have the same name "
                "(upper and lower case do not count)",
                "rename one of them",
            )
        seen[folded] = column


def _read_csv(db: duckdb.DuckDBPyConnection, path: Path, source: SourceOptions, name: str) -> pa.Table:
    delimiter = source.delimiter or ("\t" if ".tsv" in name.lower() else ",")
    header = csv_header(path, delimiter, source.quote, name)
    _check_columns(header, name)
    try:
        # Nothing is guessed: what a column holds must not depend on the first rows of today's file.
        return db.sql(
            "SELECT * FROM read_csv($path, columns = $columns, delim = $delimiter, quote = $quote, escape = $quote, "
            "header = true, auto_detect = false, strict_mode = true, null_padding = false, nullstr = '', "
            "compression = 'none')",
            params={
                "path": glob.escape(str(path)),
                "columns": dict.fromkeys(header, "VARCHAR"),
                "delimiter": delimiter,
                "quote": source.quote,
            },
        ).to_arrow_table()
    except (duckdb.InvalidInputException, duckdb.ConversionException) as error:
        diagnosis = diagnose_csv(path, header, delimiter, source.quote, name)
        raise diagnosis or SourceFileError(f"{name} cannot be read as CSV: {_reason(error)}") from error


def _read_json(db: duckdb.DuckDBPyConnection, path: Path, format_: str, records: str | None, name: str) -> pa.Table:
    layout = "newline_delimited" if format_ == "jsonl" else "array"
    try:
        if records is not None and format_ == "json":
            _load_records_under_key(db, path, records, name)
        else:
            db.execute(
                f"CREATE TABLE records AS SELECT json AS record FROM read_json($path, format = '{layout}', "  # noqa: S608
                "records = false, columns = {'json': 'JSON'}, maximum_object_size = 67108864, compression = 'none')",
                {"path": glob.escape(str(path))},
            )
        # Keys in the order in which they first appear; a record may lack some.
        keys = db.execute(
            "SELECT key FROM (SELECT unnest(json_keys(record)) AS key, rowid AS row, "
            "generate_subscripts(json_keys(record), 1) AS place FROM records WHERE json_type(record) = 'OBJECT') "
            "GROUP BY key ORDER BY min((row, place))"
        ).fetchall()
        wrong = db.execute(
            "SELECT rowid + 1 FROM records WHERE json_type(record) IS DISTINCT FROM 'OBJECT' ORDER BY rowid LIMIT 1"
        ).fetchone()
    except duckdb.InvalidInputException as error:
        check_utf8(path, name)
        raise _json_error(error, name, format_, records) from error
    if wrong is not None:
        raise SourceFileError(f"{name}, record {wrong[0]} is not an object with fields", "export it again")
    if not keys:
        raise SourceFileError(
            f"{name} holds no records" + (f" under {records!r}" if records else ""), "export it again"
        )
    columns = [key for (key,) in keys]
    _check_columns(columns, name)
    structure = json.dumps(dict.fromkeys(columns, "VARCHAR"))
    # One parse of each record for all of its fields.
    texts = db.sql(  # noqa: F841 - DuckDB finds it by its name
        "SELECT unnest(json_transform(record, $structure)) FROM records ORDER BY rowid",
        params={"structure": structure},
    ).to_arrow_table()
    return db.sql("SELECT nullif(COLUMNS(*), '') FROM texts").to_arrow_table().rename_columns(columns)


def _load_records_under_key(db: duckdb.DuckDBPyConnection, path: Path, records: str, name: str) -> None:
    db.execute(
        "CREATE TABLE records AS SELECT unnest(list) AS record FROM (SELECT list FROM read_json($path, "
        "format = 'unstructured', records = true, columns = $columns, maximum_object_size = $size, "
        "compression = 'none') AS file(list))",
        {"path": glob.escape(str(path)), "columns": {records: "JSON[]"}, "size": path.stat().st_size + 1024},
    )


def _json_error(error: duckdb.Error, name: str, format_: str, records: str | None) -> SourceFileError:
    reason = _reason(error)
    problem = f"{name} cannot be read as {format_}: {reason}"
    if "array" in reason.lower() and records is None:
        return SourceFileError(problem, "set source.records in the field mapping to the key that holds the list")
    if "JSON transform" in reason:
        remedy = f"source.records must name the key that holds the list, and it is {records!r}"
        return SourceFileError(problem, remedy)
    return SourceFileError(f"{problem}: the file is cut off or damaged", "export it again")


def _reason(error: duckdb.Error) -> str:
    """What DuckDB says, shortened, and without the path, which is that of a local copy."""
    first = str(error).splitlines()[0].removeprefix("Invalid Input Error: ")
    return re.sub(r'(in|to) file "[^"]*",? ?', "", first)[:300]


def _read_parquet(db: duckdb.DuckDBPyConnection, path: Path, name: str) -> pa.Table:
    try:
        rows = db.read_parquet(glob.escape(str(path)))
        _check_columns(rows.columns, name)
        texts = [_as_text(column, str(kind)) for column, kind in zip(rows.columns, rows.types, strict=True)]
        return rows.project(", ".join(texts)).to_arrow_table()
    except duckdb.InvalidInputException as error:
        if path.stat().st_size == 0:
            raise SourceFileError(f"{name} is empty (0 bytes)", "export it again") from error
        reason = _reason(error).replace(str(path), name)
        raise SourceFileError(
            f"{name} cannot be read as Parquet: {reason}: the file is cut off or damaged", "export it again"
        ) from error


def _as_text(column: str, kind: str) -> str:
    quoted = '"' + column.replace('"', '""') + '"'
    text = f"CAST({quoted} AS VARCHAR)"
    if kind in ("DOUBLE", "FLOAT"):
        # Tools that know no missing integers store barcodes as floats; up to 2**53 they are exact.
        whole = f"{quoted} = trunc({quoted}) AND abs({quoted}) < 9e15"
        text = f"CASE WHEN {whole} THEN {quoted}::BIGINT::VARCHAR ELSE {text} END"
    elif kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION")):
        text = f"CAST(to_json({quoted}) AS VARCHAR)"
    return f"nullif({text}, '') AS {quoted}"
