"""What a file is, by its first bytes."""

from __future__ import annotations

import codecs
import json
import re

_BYTES = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "xls"),
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PAR1", "parquet"),
    (b"%PDF-", "pdf"),
    (b"{\\rtf", "rtf"),
    (b"SQLite format 3\x00", "sqlite"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
)
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HTML = re.compile(r"<(!doctype html|html|head|body|table|meta)\b", re.IGNORECASE)
NAMED = {
    "pdf": "a PDF document",
    "rtf": "an RTF document",
    "sqlite": "a SQLite database",
    "7z": "a 7z archive",
    "rar": "a RAR archive",
    "bzip2": "a bzip2 file",
    "xz": "an xz file",
    "html": "an HTML page",
    "xml": "an XML document",
}


def kind_of(head: bytes) -> str:
    """`zip`, `xls` (of OLE), `gzip`, `zstd`, `parquet`, or one of `NAMED`; "" for what may be text."""
    return next((kind for mark, kind in _BYTES if head.startswith(mark)), "")


def marked_encoding(head: bytes) -> str:
    """The encoding that a byte order mark says; "" where there is none."""
    return next((name for mark, name in MARKS if head.startswith(mark)), "")


def unmarked_utf16(head: bytes) -> str:
    """`utf-16-le` or `utf-16-be` where Latin text has a zero in every second byte; "" where it has not."""
    half = len(head) // 2
    if half < 2:
        return ""
    even, odd = head[: half * 2 : 2].count(0) / half, head[1 : half * 2 : 2].count(0) / half
    if odd > 0.3 and even < 0.05:
        return "utf-16-le"
    return "utf-16-be" if even > 0.3 and odd < 0.05 else ""


def text_kind(head: str, said: str) -> str:
    """What a text is: `json`, `jsonl`, `html`, `xml`, or "" for what may be a table with delimiters.

    Args:
        head: its beginning.
        said: the format that its name says, which decides for a single object.
    """
    start = head.lstrip("\ufeff \t\r\n")
    if _HTML.match(start):
        return "html"
    if start.startswith("<?xml"):
        return "html" if "<html" in start[:1000].lower() else "xml"
    if re.match(r"\[\s*([{\]]|$)", start):
        return "json"
    if not start.startswith("{"):
        return ""
    first, _, rest = start.partition("\n")
    if not _is_object(first):
        return "json" if re.match(r"\{\s*(\"|\}|$)", start) else ""
    following = rest.lstrip()
    return "jsonl" if following.startswith("{") or (not following and said != "json") else "json"


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
