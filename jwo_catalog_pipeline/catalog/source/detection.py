"""Finds out how an export must be read, before anybody has written a mapping for it.

Belongs here: what kind of file it is, and what `source` of a mapping must say so that it is read right.
Does not belong here: how a text is encoded (see `encodings.py`), where a table's header is (see `layout.py`), reading
the records (see `reading.py`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastexcel

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.source.encodings import find_encoding
from jwo_catalog_pipeline.catalog.source.json_lists import find_lists
from jwo_catalog_pipeline.catalog.source.layout import Header, find_header, find_layout
from jwo_catalog_pipeline.catalog.source.options import FORMATS, WORKBOOKS, format_of, is_tab_separated
from jwo_catalog_pipeline.catalog.source.packed import unpacked
from jwo_catalog_pipeline.catalog.source.sheets import find_sheets
from jwo_catalog_pipeline.catalog.source.signatures import kind_of, text_kind

_BLOCK = 1 << 20
_HEAD = 1 << 20  # bytes of a text that its layout is found from
_JSON_LIMIT = 200 << 20  # bytes; a larger JSON document is not looked into


@dataclass(frozen=True)
class Detected:
    """How to read an export.

    Attributes:
        source: What a mapping file says under `source`; only what differs from the defaults.
        seen: What was found out, in sentences.
        doubts: What a person must look at.
        sure: The keys of `source` and of its options that the file leaves no doubt about, defaults included.
    """

    source: dict[str, Any]
    seen: tuple[str, ...]
    doubts: tuple[str, ...]
    sure: frozenset[str] = frozenset()


@dataclass
class _Findings:
    source: dict[str, Any]
    options: dict[str, str]
    seen: list[str]
    doubts: list[str]
    sure: set[str]

    def done(self) -> Detected:
        source = self.source | ({"options": self.options} if self.options else {})
        return Detected(source, tuple(self.seen), tuple(self.doubts), frozenset(self.sure))


def detect(path: Path, name: str, written: dict[str, Any]) -> Detected:
    """Find out how to read an export.

    Args:
        path: A local file.
        name: What messages call it; its suffix is the format that it claims.
        written: What a person has said under `source` already; it is kept, and not looked for.

    Raises:
        SourceFileError: the file is missing or empty, or holds nothing that can be read.
    """
    source = {key: value for key, value in written.items() if key != "options"}
    findings = _Findings(source, dict(written.get("options", {})), [], [], set())
    with unpacked(path, name) as (file, inner):
        if inner.startswith(f"{name}/"):
            findings.seen.append(f"The file is an archive that holds {inner.removeprefix(f'{name}/')}.")
        with file.open("rb") as opened:
            kind = kind_of(opened.read(16))
        if kind == "":
            _text(file, inner, written, findings)
        elif kind in ("zip", "xls"):  # a zip that is still one is a workbook
            _note_format("xlsx", inner, findings)
            _workbook(file, written, findings)
        elif kind == "parquet":
            _note_format(kind, inner, findings)
    return findings.done()


def _format_said(name: str) -> str:
    try:
        return format_of(name)
    except SourceFileError:
        return ""


def _note_format(format_: str, name: str, findings: _Findings) -> None:
    said = _format_said(name)
    if format_ == said or {format_, said} <= set(WORKBOOKS) or "format" in findings.source:
        return
    findings.source["format"] = format_
    findings.seen.append(f"By its content the file is {format_}" + (f", not {said}." if said else "."))


def _workbook(path: Path, written: dict[str, Any], findings: _Findings) -> None:
    """A workbook: its sheet and the row of the names. What is damaged is said by what reads it next."""
    try:
        sheets, number = find_sheets(path)
    except fastexcel.FastExcelError:
        return
    if "sheet" in written:
        sheets = [sheet for sheet in sheets if sheet.name == written["sheet"]]
    if not sheets:
        return
    best = sheets[0]
    if number > 1 and "sheet" not in written:
        findings.source["sheet"] = best.name
        findings.seen.append(f"The items are in the sheet {best.name}, one of {number} sheets.")
        rivals = [sheet.name for sheet in sheets[1:] if not sheet.hidden and len(sheet.kinds) >= len(best.kinds)]
        if rivals:
            findings.doubts.append(f"the sheet {best.name}; it may as well be {' or '.join(rivals[:3])}")
        else:
            findings.sure.add("sheet")
    _header(best.header, 1, written, findings)


def _text(path: Path, name: str, written: dict[str, Any], findings: _Findings) -> None:
    """A text file: its encoding, and whether it is JSON, JSON Lines or a table with delimiters."""
    options = written.get("options", {})
    encoding = options.get("encoding") or _find_encoding(path, findings)
    head, whole = _head(path, encoding, name)
    format_ = written.get("format") or _format(head, name, findings)
    if format_ == "json":
        _json(path, encoding, written, findings)
    elif format_ == "csv":
        _csv(head, name, written, findings, whole=whole)


def _find_encoding(plain: Path, findings: _Findings) -> str:
    with plain.open("rb") as file:
        found = find_encoding(iter(lambda: file.read(_BLOCK), b""))
    if found.name != "utf-8":
        findings.options["encoding"] = found.name
    shown = f", as in {found.shown}" if found.shown else ""
    mark = " (it begins with a byte order mark)" if found.marked else ""
    findings.seen.append(f"The text is {found.name}{mark}{shown}.")
    if found.sure and not found.plain:
        findings.sure.add("encoding")
    if not found.sure:
        findings.doubts.append(f"the encoding {found.name}; look at the letters with accents{shown}")
    return found.name


def _head(plain: Path, encoding: str, name: str) -> tuple[str, bool]:
    """The beginning of a text, and whether it is all of it."""
    with plain.open("rb") as file:
        data = file.read(_HEAD)
        whole = not file.read(1)
    try:
        text = data.decode(encoding, "strict" if whole else "ignore")
    except UnicodeError as error:
        raise SourceFileError(
            f"{name} is not {encoding} text: {error}",
            "leave --encoding out to have it found, or name another one",
        ) from error
    if not text.strip("\ufeff \t\r\n"):
        raise SourceFileError(f"{name} holds no text", "export it again")
    return text, whole


def _format(head: str, name: str, findings: _Findings) -> str:
    """What the content is; noted where the name does not say the same."""
    kind = text_kind(head, _format_said(name)) or "csv"
    if kind in FORMATS:
        _note_format(kind, name, findings)
    return kind


def _csv(head: str, name: str, written: dict[str, Any], findings: _Findings, *, whole: bool) -> None:
    options = written.get("options", {})
    layout = find_layout(head, whole=whole, delimiter=options.get("delimiter", ""))
    if "delimiter" not in options:
        default = "\t" if is_tab_separated(name) else ","
        if layout.delimiter != default:
            findings.options["delimiter"] = layout.delimiter
        line = "; the first line says so" if layout.named else ""
        findings.seen.append(f"The fields are separated by {_shown(layout.delimiter)}{line}.")
        if layout.sure:
            findings.sure.add("delimiter")
        else:
            findings.doubts.append(
                f"the delimiter {_shown(layout.delimiter)}: the rows differ in their number of fields"
            )
    if layout.quote == "" or layout.quote in head:
        findings.sure.add("quote")
    if "quote" not in options and layout.quote != '"':
        findings.options["quote"] = layout.quote
        findings.seen.append(f"Fields are quoted with {layout.quote}." if layout.quote else "Fields are not quoted.")
    _header(find_header(layout.rows), 2 if layout.named else 1, written, findings)


def _header(header: Header, usual: int, written: dict[str, Any], findings: _Findings) -> None:
    if "header_row" in written:
        return
    if header.number > usual:
        findings.source["header_row"] = header.number
        above = f": {'; '.join(header.above[:3])}" if header.above else ""
        findings.seen.append(f"The names of the columns are in row {header.number}; above them is a title{above}.")
    if header.sure:
        findings.sure.add("header_row")
    else:
        findings.doubts.append(f"row {header.number} as the row of the names; it looks like data")


def _shown(delimiter: str) -> str:
    return {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars |"}.get(delimiter, repr(delimiter))


def _json(plain: Path, encoding: str, written: dict[str, Any], findings: _Findings) -> None:
    if "records" in written or plain.stat().st_size > _JSON_LIMIT:
        return
    try:
        document = json.loads(plain.read_bytes().decode("utf-8-sig" if encoding == "utf-8" else encoding))
    except (ValueError, RecursionError):
        return  # what reads it next says what is wrong, and where
    lists = find_lists(document)
    if not lists:
        return
    best = lists[0]
    if best.path != "[]":
        findings.source["records"] = best.path
    findings.seen.append(f"The items are in the list {best.path}, {best.objects:,} of them.")
    rivals = [other.path for other in lists[1:] if other.kinds == best.kinds]
    if rivals:
        findings.doubts.append(f"the list {best.path}; it may as well be {' or '.join(rivals[:3])}")
    else:
        findings.sure.add("records")
