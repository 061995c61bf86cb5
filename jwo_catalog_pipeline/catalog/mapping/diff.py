"""What a changed field mapping changes in the items of a real export: the review that no code host can give.

Belongs here: comparing the items of two mappings of one export, field by field.
Does not belong here: comparing items with what Amazon holds (see `changes.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from jwo_catalog_pipeline.catalog.mapping.loaded import FieldMapping
from jwo_catalog_pipeline.catalog.mapping.review import render
from jwo_catalog_pipeline.catalog.mapping.transform import apply_mapping
from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS, KEY, SOURCE_ROW
from jwo_catalog_pipeline.catalog.rules.validation import MAX_SAMPLES, validate
from jwo_catalog_pipeline.engine import connect, view
from jwo_catalog_pipeline.table_file import TableFile, as_frame

SAMPLES = 5


@dataclass(frozen=True)
class FieldDiff:
    """A field whose value changes: in how many items, and samples of `source_row`, `before`, `after`."""

    field: str
    items: int
    samples: pd.DataFrame


@dataclass(frozen=True)
class Moved:
    """Items that are on another side: how many, and at most 20 of them."""

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
        became_excluded: Items of the old mapping that a condition of the new one leaves out; samples have `source_row`,
            `store_id`, `item_sku`, `condition`.
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
    became_excluded: Moved
    became_included: Moved
    became_invalid: Moved
    became_valid: Moved

    def findings(self) -> set[str]:
        """What holds of it: `changed` (any field of any item), `keys` (store or SKU of an item: Amazon gets a new one,
        and the old one stays), `excluded` (items become excluded), `invalid` (valid items become invalid).
        """
        other_items = self.added or self.removed or self.became_included.items
        changes_keys = other_items or any(field.field in KEY for field in self.fields)
        conditions = {
            "changed": bool(self.changed or other_items or self.became_excluded.items),
            "keys": bool(changes_keys),
            "excluded": self.became_excluded.items > 0,
            "invalid": self.became_invalid.items > 0,
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
            "became_excluded": self.became_excluded.items,
            "became_included": self.became_included.items,
            "became_invalid": self.became_invalid.items,
            "became_valid": self.became_valid.items,
            "fields": {field.field: field.items for field in self.fields},
            "findings": sorted(self.findings()),
        }


def diff_mappings(
    old: FieldMapping,
    new: FieldMapping,
    source: TableFile,
    source_as_new: TableFile,
    folder: Path,
    store_ids: Sequence[str] | None = None,
) -> MappingDiff:
    """Apply both mappings to the export, and compare.

    Items are the same if they come from the same row; where a mapping lists `stores`, from the same row for the same
    store.

    Args:
        old: The mapping in force.
        new: The changed one.
        source: The export, as `read_export` gives it.
        source_as_new: The export as the new mapping reads it; the same table where its `source` part does not differ.
        folder: Where tables are written.
        store_ids: The retailer's stores, if they are known.
    """
    with connect(folder) as db:
        for side, mapping, rows in (("old", old, source), ("new", new, source_as_new)):
            _show_items(db, side, mapping, rows, folder / side, store_ids)
        return _compared(db, by_store=bool(old.stores or new.stores))


def _show_items(
    db: duckdb.DuckDBPyConnection,
    side: str,
    mapping: FieldMapping,
    source: TableFile,
    folder: Path,
    store_ids: Sequence[str] | None,
) -> None:
    """Make views of every item with its `reasons`, missing where it is valid, and of what is excluded."""
    folder.mkdir()
    mapped = apply_mapping(mapping, source, folder)
    view(db, f"items_{side}", mapped.items)
    view(db, f"excluded_{side}", mapped.excluded)
    view(db, f"quarantined_{side}", validate(mapped.items, folder, store_ids, mapping.levels).quarantined)
    db.execute(
        f"CREATE TEMP VIEW {side} AS SELECT i.*, reasons FROM items_{side} i LEFT JOIN quarantined_{side} q "  # noqa: S608
        f"ON i.{SOURCE_ROW} = q.{SOURCE_ROW} AND i.store_id IS NOT DISTINCT FROM q.store_id"
    )


def _compared(db: duckdb.DuckDBPyConnection, *, by_store: bool) -> MappingDiff:
    same = f"{{0}}.{SOURCE_ROW} = {{1}}.{SOURCE_ROW}"
    same += " AND {0}.store_id IS NOT DISTINCT FROM {1}.store_id" if by_store else ""
    both = f'"old" a JOIN "new" b ON {same.format("a", "b")}'
    fields = [field for field in ITEM_FIELDS if not (by_store and field == "store_id")]
    # A missing value equals a missing one, and nothing else.
    differs = {field: f"a.{field} IS DISTINCT FROM b.{field}" for field in fields}
    counts = ", ".join(f"count(*) FILTER ({differ})" for differ in differs.values())
    any_differs = f"count(*) FILTER ({' OR '.join(differs.values())})"
    (changed, *changes) = db.execute(f"SELECT {any_differs}, {counts} FROM {both}").fetchall()[0]  # noqa: S608
    found = tuple(
        FieldDiff(
            field,
            count,
            _rows(db, f"a.{SOURCE_ROW}, a.{field} AS before, b.{field} AS after", both, differs[field], SAMPLES),
        )
        for field, count in zip(fields, changes, strict=True)
        if count
    )
    excluded = _moved(db, "b", "condition", f'"old" a JOIN excluded_new b ON {same.format("a", "b")}', "true")
    included = _moved(db, "a", "condition", f'excluded_old a JOIN "new" b ON {same.format("a", "b")}', "true")
    return MappingDiff(
        items=(_count(db, '"old"'), _count(db, '"new"')),
        fields=found,
        changed=changed,
        added=_count(db, f'"new" a ANTI JOIN "old" b ON {same.format("a", "b")}') - included.items,
        removed=_count(db, f'"old" a ANTI JOIN "new" b ON {same.format("a", "b")}') - excluded.items,
        became_excluded=excluded,
        became_included=included,
        became_invalid=_moved(db, "b", "reasons", both, "a.reasons IS NULL AND b.reasons IS NOT NULL"),
        became_valid=_moved(db, "a", "reasons", both, "a.reasons IS NOT NULL AND b.reasons IS NULL"),
    )


def _moved(db: duckdb.DuckDBPyConnection, side: str, why: str, rows: str, condition: str) -> Moved:
    columns = ", ".join(f"{side}.{column}" for column in (SOURCE_ROW, *KEY, why))
    return Moved(_count(db, f"{rows} WHERE {condition}"), _rows(db, columns, rows, condition, MAX_SAMPLES))


def _rows(db: duckdb.DuckDBPyConnection, columns: str, rows: str, condition: str, most: int) -> pd.DataFrame:
    query = (
        f"SELECT {columns} FROM {rows} WHERE {condition} "  # noqa: S608
        f"ORDER BY a.{SOURCE_ROW}, a.file_row_number, b.file_row_number LIMIT {most}"
    )
    return as_frame(db.sql(query).to_arrow_table())


def _count(db: duckdb.DuckDBPyConnection, rows: str) -> int:
    return int(db.execute(f"SELECT count(*) FROM {rows}").fetchall()[0][0])  # noqa: S608


def as_diff_markdown(diff: MappingDiff, old: str, new: str, export: str) -> str:
    """For a pull request."""
    return render("diff.md.jinja", diff=diff, old=old, new=new, export=export)
