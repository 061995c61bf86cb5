"""How the fields of a CSV file are written, and what is wrong with a file that does not fit that.

Belongs here: Python's reader of records, and the diagnosis in plain words.
Does not belong here: reading the table (see `csv_files.py`).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.source.text_files import check_utf8
from jwo_catalog_pipeline.wording import plural

if TYPE_CHECKING:
    import _csv

_CUT_OFF = "the file is cut off here, or a quote in it is not doubled"
FIELD_CHARACTERS = 64 << 20  # no field is longer; Python's own bound is 128 KiB


@dataclass(frozen=True)
class Dialect:
    """How the fields of a file are written."""

    delimiter: str
    quote: str
    escape: str

    def reader(self, lines: Iterable[str], *, strict: bool = True) -> _csv.Reader:
        """Python's reader of records."""
        csv.field_size_limit(FIELD_CHARACTERS)
        if not self.quote:
            return csv.reader(lines, delimiter=self.delimiter, quoting=csv.QUOTE_NONE, strict=strict)
        doubled = self.escape == self.quote
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote,
            doublequote=doubled,
            escapechar=None if doubled else self.escape,
            strict=strict,
        )


@dataclass(frozen=True)
class Header:
    """The record of the names.

    Attributes:
        names: As they stand in the file.
        line: The line on which it begins, from 1.
        start: Where it begins, in bytes.
    """

    names: list[str]
    line: int
    start: int


def diagnose(path: Path, header: Header, dialect: Dialect, name: str) -> SourceFileError | None:
    """Say in plain words why a CSV file cannot be read; None where Python can read it.

    Slower than DuckDB, and therefore asked only when DuckDB has refused the file.
    """
    check_utf8(path, name)
    width = len(header.names)
    hint = ""
    if width == 1:
        better = better_delimiter(header, dialect)
        which = f"set source.options.delimiter to {as_yaml(better)}" if better else "set source.options.delimiter"
        hint = f"; the header has only one column: check whether {dialect.delimiter!r} is the delimiter, or {which}"
    with path.open(encoding="utf-8", newline="") as file:
        file.seek(header.start)
        reader = dialect.reader(file)
        line = header.line
        try:
            for fields in reader:
                if fields and len(fields) != width:
                    error = unequal(name, line, fields, width)
                    if len(fields) < width and next(reader, None) is None:
                        return SourceFileError(f"{error.problem}: {_CUT_OFF}", f"export it again{hint}")
                    return SourceFileError(error.problem, f"{error.remedy}{hint}")
                line = header.line + reader.line_num
        except csv.Error as error:
            return unclosed(name, line, error)
    return None


def unequal(name: str, line: int, fields: list[str], width: int) -> SourceFileError:
    return SourceFileError(
        f"{name}, line {line}: {plural(len(fields), 'field')} where the header has {width}",
        "quote every field that holds the delimiter or a line end; if the names stand further down, set "
        "source.header_row in the field mapping",
    )


def unclosed(name: str, line: int, error: csv.Error) -> SourceFileError:
    return SourceFileError(
        f"{name}, line {line}: a quoted field that begins here does not end as it should ({error}): {_CUT_OFF}",
        "export it again; if quotes mean nothing in this file, set source.options.quote to '' in the field mapping",
    )


def better_delimiter(header: Header, dialect: Dialect) -> str:
    """The delimiter that makes several columns of a header that has one."""
    (text,) = header.names
    counts = {mark: text.count(mark) for mark in (";", "\t", "|", ",", "^", "~") if mark != dialect.delimiter}
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else ""


def as_yaml(delimiter: str) -> str:
    """As a mapping file writes it."""
    return '"\\t"' if delimiter == "\t" else f'"{delimiter}"'
