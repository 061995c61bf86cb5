"""Counts the records of JSON and JSON Lines from the text, without the reader that gives them.

Belongs here: the independent count that what was read is compared with.
Does not belong here: reading the records (see `json_files.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

_PIECE = 8 << 20  # bytes
_QUOTE, _BACKSLASH, _BEGINS, _ENDS = 0x22, 0x5C, b"[{", b"]}"
_SMALL = 64 << 20  # bytes of a document that Python reads at once


def count_lines(path: Path) -> int:
    """Lines that hold anything: a record of JSON Lines has no line end inside."""
    with path.open("rb") as file:
        return sum(1 for line in file if not line.isspace())


def count_objects(path: Path) -> int:
    """Objects directly inside of the outermost list or object of a JSON document."""
    depth, inside, count = 0, False, 0
    with path.open("rb") as file:
        while piece := _up_to_no_backslash(file):
            data = np.frombuffer(piece, dtype=np.uint8)
            quotes = _unescaped_quotes(data)
            brackets = np.flatnonzero(_STEPS[data])
            outside = (np.searchsorted(quotes, brackets) + inside) % 2 == 0
            brackets = brackets[outside]
            steps = _STEPS[data[brackets]]
            depths = depth + np.cumsum(steps)
            count += int(((depths == 2) & (data[brackets] == ord("{"))).sum())
            depth = int(depths[-1]) if len(depths) else depth
            inside = bool((len(quotes) + inside) % 2)
    return count


_STEPS = np.zeros(256, dtype=np.int64)
_STEPS[list(_BEGINS)] = 1
_STEPS[list(_ENDS)] = -1


def _up_to_no_backslash(file: BinaryIO) -> bytes:
    """The next piece, which does not end between a backslash and what it escapes."""
    piece = file.read(_PIECE)
    while piece.endswith(b"\\") and (more := file.read(1)):
        piece += more
    return piece


def _unescaped_quotes(data: np.ndarray) -> np.ndarray:
    """Where quotes stand that begin or end a text: an even number of backslashes is before them."""
    quotes, slashes = np.flatnonzero(data == _QUOTE), np.flatnonzero(data == _BACKSLASH)
    if not len(slashes):
        return quotes
    places = np.arange(len(slashes))
    begins = np.maximum.accumulate(np.where(np.diff(slashes, prepend=-2) > 1, places, 0))
    before = np.searchsorted(slashes, quotes) - 1  # the last backslash before each quote
    follows = (before >= 0) & (slashes[np.maximum(before, 0)] == quotes - 1)
    lengths = np.where(follows, before - begins[np.maximum(before, 0)] + 1, 0)
    return quotes[lengths % 2 == 0]


def count_below(path: Path, steps: Sequence[str]) -> int | None:
    """Records of the list at the end of a path of keys; None where the document is too large to be read twice."""
    if path.stat().st_size > _SMALL:
        return None
    level = _entries(list(_documents(path.read_text(encoding="utf-8"))), keyed=False)
    for place, step in enumerate(steps, start=1):
        inside = [record[step] for record in level if isinstance(record, dict) and step in record]
        level = _entries(inside, keyed=place == len(steps))
    return sum(record is not None for record in level)


def _documents(text: str) -> Iterator[Any]:
    decoder, place = json.JSONDecoder(), 0
    while rest := text[place:].lstrip():
        document, end = decoder.raw_decode(rest)
        place = len(text) - len(rest) + end
        yield document


def _entries(values: list[Any], *, keyed: bool) -> list[Any]:
    if any(isinstance(value, list) for value in values):
        return [entry for value in values for entry in (value if isinstance(value, list) else [value])]
    if keyed and values and all(isinstance(value, dict) for value in values):
        inner = [entry for value in values for entry in value.values()]
        if inner and all(isinstance(entry, dict) for entry in inner) and any(map(_has_scalar, inner)):
            return inner
    return values


def _has_scalar(entry: dict[str, Any]) -> bool:
    return any(not isinstance(value, dict | list) for value in entry.values())
