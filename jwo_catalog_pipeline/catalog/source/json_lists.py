"""Finds the list of items in a JSON document, such as `products[].variants[]`.

Belongs here: which lists of objects a document holds, and which of them are most like items.
Does not belong here: reading the records of the list (see `reading.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

_OBJECTS = 50  # looked at in each list
_DEPTH = 6
# Keys of items: three of these, in one object, are an item rather than a picture, a tag or a stock level.
_KINDS = {
    "code": re.compile(r"(^|[^a-z])(sku|plu|article|artikel|item_?(no|number|code|id)|default_code|reference)", re.I),
    "barcode": re.compile(r"barcode|(^|[^a-z])(ean|gtin|upc|isbn)|strichcode", re.I),
    "price": re.compile(r"price|preis|prix|precio|מחיר", re.I),
    "name": re.compile(r"(^|[^a-z])(name|title|bezeichnung|designation|description)", re.I),
}


@dataclass(frozen=True)
class JsonList:
    """A list of objects in a document.

    Attributes:
        path: As `source.records` names it, such as `products[].variants[]`; "" for the top level.
        objects: How many objects were seen.
        kinds: What of an item its objects hold: code, barcode, price, name.
    """

    path: str
    objects: int
    kinds: frozenset[str]


def find_lists(document: Any) -> list[JsonList]:
    """Every list of objects, the one that is most like items first; an empty list where there is none."""
    found: dict[str, tuple[int, set[str]]] = {}
    for path, entries in _walk(document, "", 0):
        objects, keys = found.get(path, (0, set()))
        for entry in entries[:_OBJECTS]:
            keys |= set(_leaf_keys(entry))
        found[path] = (objects + len(entries), keys)
    lists = [JsonList(path, objects, kinds_of(keys)) for path, (objects, keys) in found.items()]
    return sorted(lists, key=lambda one: (-len(one.kinds - {"name"}), -len(one.kinds), -one.objects))


def kinds_of(names: Iterable[str]) -> frozenset[str]:
    """What of an item is called so: code, barcode, price, name."""
    names = list(names)
    return frozenset(kind for kind, words in _KINDS.items() if any(map(words.search, names)))


def _leaf_keys(entry: dict[str, Any]) -> Iterator[str]:
    for key, value in entry.items():
        if isinstance(value, dict):
            yield from (f"{key}.{inner}" for inner in value)
        elif not isinstance(value, list):
            yield key


def _walk(value: Any, path: str, depth: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    if depth > _DEPTH:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _walk(inner, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, list):
        entries = [entry for entry in value if isinstance(entry, dict)]
        inside = f"{path}[]"
        if entries:
            yield inside, entries
        for entry in entries[:_OBJECTS]:
            yield from _walk(entry, inside, depth + 1)
