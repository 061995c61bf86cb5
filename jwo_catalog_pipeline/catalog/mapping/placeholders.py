"""Finds the stores of a mapping whose ids nobody has written yet.

Belongs here: where in the file they are. What keeps them from being sent is the rule `store_placeholder`.
Does not belong here: what a proposal writes there (see `draft.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

from jwo_catalog_pipeline.catalog.mapping.loaded import FieldMapping
from jwo_catalog_pipeline.catalog.rules.store_rules import PLACEHOLDER, is_placeholder
from jwo_catalog_pipeline.wording import plural


def placeholders(mapping: FieldMapping) -> list[str]:
    """A sentence for each place of the file that holds `PLACEHOLDER`: file, line, field and remedy."""
    return [
        f"{mapping.path}, line {line}, {label}: {name} stands for a store: write Amazon's id of it; until then, its "
        "items are quarantined"
        for line, label, name in _places(mapping)
    ]


def _places(mapping: FieldMapping) -> Iterator[tuple[int, str, str]]:
    for store in mapping.stores:
        if is_placeholder(store.name):
            yield store.line, "stores", store.name
    written = mapping.fields.get("store_id")
    for choice in written.choices if written else ():
        if found := [value for value in (choice.values or {}).values() if is_placeholder(value)]:
            more = f" (and {plural(len(found) - 1, 'other')})" if len(found) > 1 else ""
            yield choice.line, choice.label, f"{found[0]}{more}"
        elif PLACEHOLDER in choice.expr or is_placeholder(choice.otherwise or ""):
            yield choice.line, choice.label, PLACEHOLDER
