"""What a changed field mapping changes in the items of a real export: the review that no code host can give.

Belongs here: comparing the items of two mappings of one export, field by field.
Does not belong here: comparing items with what Amazon holds (see `changes.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from jwo_catalog_pipeline.catalog.mapping.loaded import FieldMapping
from jwo_catalog_pipeline.catalog.mapping.review import render
from jwo_catalog_pipeline.catalog.mapping.transform import CONDITION, apply_mapping
from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS, KEY, SOURCE_ROW
from jwo_catalog_pipeline.catalog.rules.validation import validate

SAMPLES = 5


@dataclass(frozen=True)
class FieldDiff:
    """A field whose value changes: in how many items, and samples of `source_row`, `before`, `after`."""

    field: str
    items: int
    samples: pd.DataFrame


@dataclass(frozen=True)
class MappingDiff:
    """What the new mapping changes.

    Attributes:
        items: Mapped rows of the old and of the new mapping.
        fields: The fields that change, in the order of `ITEM_FIELDS`.
        changed: Items of which any field changes.
        added: Items that only the new mapping makes (another list of stores, rows that are no longer merged).
        removed: Items that only the old mapping makes.
        became_excluded: Items of the old mapping that a condition of the new one leaves out: `source_row`, `store_id`,
            `item_sku`, `condition`.
        became_included: Rows that a condition of the old mapping left out and the new one makes items of: the same
            columns, with the old condition.
        became_invalid: Valid before, quarantined after: `source_row`, `store_id`, `item_sku`, `reasons`.
        became_valid: Quarantined before, valid after: the same columns, with the old reasons.
    """

    items: tuple[int, int]
    fields: tuple[FieldDiff, ...]
    changed: int
    added: int
    removed: int
    became_excluded: pd.DataFrame
    became_included: pd.DataFrame
    became_invalid: pd.DataFrame
    became_valid: pd.DataFrame

    def findings(self) -> set[str]:
        """What holds of it: `changed` (any field of any item), `keys` (store or SKU of an item: Amazon gets a new one,
        and the old one stays), `excluded` (items become excluded), `invalid` (valid items become invalid).
        """
        other_items = self.added or self.removed or len(self.became_included)
        changes_keys = other_items or any(field.field in KEY for field in self.fields)
        conditions = {
            "changed": bool(self.changed or other_items or len(self.became_excluded)),
            "keys": bool(changes_keys),
            "excluded": len(self.became_excluded) > 0,
            "invalid": len(self.became_invalid) > 0,
        }
        return {name for name, holds in conditions.items() if holds}

    def summary(self) -> dict[str, Any]:
        """The counts, as plain values."""
        return {
            "items_before": self.items[0],
            "items_after": self.items[1],
            "changed": self.changed,
            "added": self.added,
            "removed": self.removed,
            "became_excluded": len(self.became_excluded),
            "became_included": len(self.became_included),
            "became_invalid": len(self.became_invalid),
            "became_valid": len(self.became_valid),
            "fields": {field.field: field.items for field in self.fields},
            "findings": sorted(self.findings()),
        }


def diff_mappings(
    old: FieldMapping,
    new: FieldMapping,
    source: pd.DataFrame,
    source_as_new: pd.DataFrame | None = None,
    store_ids: Sequence[str] | None = None,
) -> MappingDiff:
    """Apply both mappings to the export, and compare.

    Items are the same if they come from the same row; where a mapping lists `stores`, from the same row for the same
    store.

    Args:
        old: The mapping in force.
        new: The changed one.
        source: The export, as `read_source` gives it.
        source_as_new: The export as the new mapping reads it, where its `source` part differs.
        store_ids: The retailer's stores, if they are known.
    """
    on = [SOURCE_ROW, "store_id"] if old.stores or new.stores else [SOURCE_ROW]
    before, excluded_before = _items(old, source, store_ids, on)
    after, excluded_after = _items(new, source if source_as_new is None else source_as_new, store_ids, on)
    gone, come = before.index.difference(after.index), after.index.difference(before.index)
    became_excluded = excluded_after.loc[excluded_after.index.intersection(gone)]
    became_included = excluded_before.loc[excluded_before.index.intersection(come)]
    both = before.index.intersection(after.index)
    left, right = before.loc[both], after.loc[both]
    fields, differs = [], pd.Series(False, index=both)
    for field in ITEM_FIELDS:
        if field in on:
            continue
        # A missing value equals a missing one, and nothing else.
        changes = left[field].fillna("").ne(right[field].fillna(""))
        differs |= changes
        if changes.any():
            samples = pd.DataFrame({"before": left.loc[changes, field], "after": right.loc[changes, field]})
            fields.append(FieldDiff(field, int(changes.sum()), samples.head(SAMPLES).reset_index()))
    was, is_now = left["reasons"].isna(), right["reasons"].isna()
    return MappingDiff(
        items=(len(before), len(after)),
        fields=tuple(fields),
        changed=int(differs.sum()),
        added=len(come) - len(became_included),
        removed=len(gone) - len(became_excluded),
        became_excluded=_shown(became_excluded, CONDITION),
        became_included=_shown(became_included, CONDITION),
        became_invalid=_shown(right[was & ~is_now]),
        became_valid=_shown(left[~was & is_now]),
    )


def _items(
    mapping: FieldMapping, source: pd.DataFrame, store_ids: Sequence[str] | None, on: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every item with its `reasons`, missing where it is valid, and what is excluded; both with the index `on`."""
    mapped = apply_mapping(mapping, source)
    quarantined = validate(mapped.items, store_ids, mapping.levels).quarantined
    reasons = quarantined.set_index([quarantined[SOURCE_ROW], quarantined["store_id"]])["reasons"]
    keys = pd.MultiIndex.from_frame(mapped.items[[SOURCE_ROW, "store_id"]])
    return mapped.items.assign(reasons=reasons.reindex(keys).to_numpy()).set_index(on), mapped.excluded.set_index(on)


def _shown(rows: pd.DataFrame, why: str = "reasons") -> pd.DataFrame:
    return rows.reset_index()[[SOURCE_ROW, *KEY, why]]


def as_diff_markdown(diff: MappingDiff, old: str, new: str, export: str) -> str:
    """For a pull request."""
    return render("diff.md.jinja", diff=diff, old=old, new=new, export=export)
