"""How an export is read: the `source` part of a field mapping file, and the formats."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.source.fill_down import FillDown

WORKBOOKS = ("xlsx", "xls", "ods")
FORMATS = ("csv", "json", "jsonl", "parquet", *WORKBOOKS)
FILE_COLUMN = "source_file"  # holds the name of the file that a row came from
_SUFFIXES = {"csv": "csv", "tsv": "csv", "tab": "csv", "txt": "csv", "json": "json", "jsonl": "jsonl"}
_SUFFIXES |= {"ndjson": "jsonl", "parquet": "parquet", "pq": "parquet", "xlsx": "xlsx", "xlsm": "xlsx", "xlsb": "xlsx"}
_SUFFIXES |= {"xls": "xls", "ods": "ods"}
PACKED = ("gz", "zst", "zstd", "zip")  # a suffix that says nothing of what is inside


@dataclass(frozen=True)
class SourceOptions:
    """How to read the export.

    Attributes:
        format: One of `FORMATS`; None: by the file's content and name.
        records: JSON only: where the list of records is, such as `products[].variants[]`; None: it is the top level.
        header_row: CSV and workbooks: the line or row that holds the names, from 1; what stands above is not read.
        sheet: Workbooks only: the sheet's name; None: the only one that holds a table.
        delimiter: CSV only: one character; None: what a first line `sep=;` says, a tab for .tsv, else a comma.
        quote: CSV only: one character, or empty where the file quotes nothing.
        escape: CSV only: the character before a quote inside a quoted field; None: the quote itself.
        encoding: CSV, JSON and JSON Lines: a Python codec.
        fill_down: Blank cells that take the value above; None: none do.
    """

    format: str | None = None
    records: str | None = None
    header_row: int = 1
    sheet: str | None = None
    delimiter: str | None = None
    quote: str = '"'
    escape: str | None = None
    encoding: str = "utf-8"
    fill_down: FillDown | None = None


@dataclass(frozen=True)
class ExportFile:
    """A local file of an export, and what messages call it, such as its s3 uri."""

    path: Path
    name: str


def format_of(name: str) -> str:
    """The format that a file's name says; one of `FORMATS`.

    Raises:
        SourceFileError: it says none.
    """
    suffixes = [suffix.lstrip(".").lower() for suffix in PurePosixPath(name).suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    if not suffixes or suffixes[-1] not in _SUFFIXES:
        raise SourceFileError(
            f"the name of {name} does not say its format",
            f"set source.format in the field mapping to one of {', '.join(FORMATS)}",
        )
    return _SUFFIXES[suffixes[-1]]


def is_tab_separated(name: str) -> bool:
    """Whether a file's name says that its fields are separated by tabs."""
    suffixes = {suffix.lower() for suffix in PurePosixPath(name).suffixes}
    return bool(suffixes & {".tsv", ".tab"})
