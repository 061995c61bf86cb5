"""Finds out how a table is laid out: the delimiter and quote of a text, and the row that holds the names.

Belongs here: what can be said of the first rows of a table.
Does not belong here: opening files (see `detection.py`), what the columns mean (see `mapping/proposal.py`).
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass

ROWS = 500  # looked at, from the beginning
_DELIMITERS = (";", "\t", "|", ",", "^", "~", "\x1f")  # the earlier one wins where two fit equally well
_NUMBER = re.compile(r"[^\w]{0,3}\d[\d\s.,'’:/-]*[^\w]{0,3}(?:[A-Za-z]{1,3})?|[^\w]+")
_SEP = re.compile(r"\ufeff?\"?sep=(.)\"?[ \t]*(?:[,;\t]*)(\r\n|\n|\r)", re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """A row of a table: its number from 1, and its cells; in a text, `number` is the line that it begins on."""

    number: int
    cells: list[str]

    @property
    def filled(self) -> list[str]:
        """The cells that are not blank."""
        return [cell for cell in self.cells if cell.strip()]


@dataclass(frozen=True)
class Layout:
    """How a text is a table.

    Attributes:
        delimiter: One character.
        quote: One character, or "" where nothing is quoted.
        named: Whether the first line names the delimiter, as `sep=;` does.
        sure: False where the rows do not have the same number of fields, or hold one field only.
        rows: The first rows; a line `sep=;` is none of them.
    """

    delimiter: str
    quote: str
    named: bool
    sure: bool
    rows: list[Row]


@dataclass(frozen=True)
class Header:
    """The row that holds the names.

    Attributes:
        number: From 1.
        sure: False where its cells look like data rather than names.
        above: What stands in the rows above it.
    """

    number: int
    sure: bool
    above: list[str]


def find_layout(text: str, *, whole: bool, delimiter: str = "") -> Layout:
    """Delimiter and quote of a text.

    Args:
        text: The beginning of the file.
        whole: Whether it is all of the file; else its last row may be cut off and is not looked at.
        delimiter: The delimiter where it is known, or "".
    """
    named = _SEP.match(text)
    if named:
        delimiter = delimiter or named.group(1)
    candidates = (delimiter,) if delimiter else _DELIMITERS
    first = 2 if named else 1
    text = text[named.end() :] if named else text.removeprefix("\ufeff")
    tried = {mark: _parsed(text, mark, '"', first, whole=whole) for mark in candidates}
    best = max(candidates, key=lambda mark: _score(tried[mark]))
    rows, quote = tried[best], '"'
    plain = _parsed(text, best, "", first, whole=whole)
    if _quoted_by(plain, "'"):
        rows, quote = _parsed(text, best, "'", first, whole=whole), "'"
    elif '"' in text and _score(plain) > _score(rows) + 0.05:
        rows, quote = plain, ""
    widths = Counter(len(row.cells) for row in rows)
    usual = max(widths.values(), default=0)
    sure = usual >= 0.6 * len(rows) and max(widths, key=lambda width: widths[width], default=0) > 1
    return Layout(best, quote, named is not None, sure, rows)


def _parsed(text: str, delimiter: str, quote: str, first: int, *, whole: bool) -> list[Row]:
    lines = io.StringIO(text, newline="")
    if quote:
        reader = csv.reader(lines, delimiter=delimiter, quotechar=quote)
    else:
        reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    rows, begins = [], first
    cut = False
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append(Row(begins, cells))
            begins = reader.line_num + first
            if cut := len(rows) >= ROWS:
                break
    except csv.Error:  # a field of more than 128 KiB: an unclosed quote; what came before it counts
        cut = True
    if not whole and not cut and len(rows) > 1:
        rows.pop()
    return rows


def _score(rows: list[Row]) -> float:
    """Higher, the more rows have the same number of fields, and the more fields these are."""
    widths = Counter(len(row.cells) for row in rows if len(row.cells) > 1)
    if not widths:
        return 0.0
    width, count = max(widths.items(), key=lambda pair: pair[0] * pair[1])
    swallowed = sum("\n" in cell for row in rows for cell in row.cells)
    return count / len(rows) * (1 + 0.05 * min(width, 20)) - 0.5 * (swallowed > 0.2 * len(rows))


def _quoted_by(rows: list[Row], quote: str) -> bool:
    cells = [cell.strip() for row in rows[1:] for cell in row.filled]
    begin = sum(cell.startswith(quote) for cell in cells)
    end = sum(cell.endswith(quote) for cell in cells)
    return min(begin, end) > 0.5 * len(cells)


def find_header(rows: list[Row]) -> Header:
    """The row of the names: the first that is as wide as the table and holds words; titles above it are narrower."""
    if not rows:
        return Header(1, sure=False, above=[])
    named = [row for row in rows[:60] if len(row.filled) > 1 and _holds_names(row)]
    widest = max((len(row.filled) for row in named), default=0)
    chosen = next((row for row in named if len(row.filled) >= 0.9 * widest), rows[0])
    width = sorted(len(row.filled) for row in rows)[len(rows) // 2]
    sure = chosen in named and len(chosen.filled) >= 0.5 * width
    above = [" ".join(row.filled)[:80] for row in rows if row.number < chosen.number]
    return Header(chosen.number, sure, above)


def _holds_names(row: Row) -> bool:
    cells = row.filled
    numbers = sum(_NUMBER.fullmatch(cell.strip()) is not None for cell in cells)
    distinct = len({cell.strip().casefold() for cell in cells})
    return numbers <= 0.2 * len(cells) and distinct >= 0.8 * len(cells) and max(map(len, cells)) <= 200
