"""The cells of an xlsx file that hold an error such as #N/A, which readers take for empty ones."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

_PIECE = 4 << 20
_TAIL = 64 << 10  # bytes that are looked at again, for a cell may lie across two pieces
_MARK = re.compile(rb'\bt="e"')
_CELL = re.compile(rb'<c\b[^>]*?\br="([A-Z]{1,3})([0-9]{1,7})"[^>]*>(?:(?!</c>).)*?<v>([^<]{1,20})</v>', re.DOTALL)
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_LIMIT = 1 << 20  # bytes of the parts that say which sheet is which


def error_cells(path: Path, place: int) -> dict[tuple[int, int], str]:
    """Row and column (from 1) of each cell that holds an error, and the error; empty for other formats than xlsx.

    Args:
        path: the file.
        place: of the sheet among all sheets, from 0.
    """
    if not zipfile.is_zipfile(path):
        return {}
    found: dict[tuple[int, int], str] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            member = _member(archive, place)
            if not member:
                return {}
            with archive.open(member) as sheet:
                tail = b""
                while piece := sheet.read(_PIECE):
                    text = tail + piece
                    if _MARK.search(text):
                        found |= _errors(text)
                    tail = text[-_TAIL:]
    except (zipfile.BadZipFile, KeyError, ElementTree.ParseError, NotImplementedError, RuntimeError):
        return {}  # what reads the values says what is wrong
    return found


def _errors(text: bytes) -> dict[tuple[int, int], str]:
    return {
        (int(cell[2]), _number(cell[1].decode())): cell[3].decode()
        for cell in _CELL.finditer(text)
        if _MARK.search(cell[0].partition(b">")[0])
    }


def _member(archive: zipfile.ZipFile, place: int) -> str:
    names = archive.namelist()
    if "xl/workbook.xml" not in names or "xl/_rels/workbook.xml.rels" not in names:
        return ""
    with archive.open("xl/workbook.xml") as file:
        workbook = ElementTree.fromstring(file.read(_LIMIT))  # noqa: S314 - Python's expat bounds entities
    with archive.open("xl/_rels/workbook.xml.rels") as file:
        relations = ElementTree.fromstring(file.read(_LIMIT))  # noqa: S314
    sheets = [sheet.get(_RELATION, "") for sheet in workbook.iter() if sheet.tag.endswith("}sheet")]
    targets = {relation.get("Id", ""): relation.get("Target", "") for relation in relations}
    target = targets.get(sheets[place], "") if place < len(sheets) else ""
    member = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    return member if member in names else ""


def _number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number
