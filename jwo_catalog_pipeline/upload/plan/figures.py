"""What is counted of a plan: items by kind and store, and what the guards judge."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pandas as pd
import pyarrow.compute as pc

from jwo_catalog_pipeline.catalog.rules.barcodes import barcode_facts
from jwo_catalog_pipeline.engine import tables
from jwo_catalog_pipeline.upload.plan.changes import ABSENT, ARCHIVE, INSERT, KINDS, SENT_KINDS, UNCHANGED, UPDATE


@dataclass(frozen=True)
class PlanFigures:
    """Counts of a plan. An item is published where Amazon holds it, and present where the source has a valid row of it.

    Attributes:
        by_store: `store_id`, and for each kind of change a column with the number of items; unchanged ones included.
        published_by_store: published items of each store.
        missing_stores: stores of which Amazon holds items and the source has no row.
        present: published items that are present.
        skus: published SKUs.
        archived_skus: SKUs that are archived.
        changed: present items of which Amazon holds another content.
        price_jumps: present items whose price changes by more than a factor.
        unknown_barcodes: barcodes of no known form among the items that are sent.
        waiting: items that would be sent, were it not for what is in flight.
        waits_for: the uploads whose outcomes these wait for.
    """

    by_store: pd.DataFrame
    published_by_store: Mapping[str, int]
    missing_stores: Sequence[str]
    present: int
    skus: int
    archived_skus: int
    changed: int
    price_jumps: int
    unknown_barcodes: int
    waiting: int
    waits_for: Sequence[str]

    @property
    def counts(self) -> dict[str, int]:
        """How many items each kind of change has, zeros included."""
        return {kind: int(self.by_store[kind].sum()) for kind in KINDS}

    @property
    def published(self) -> int:
        """How many items are published."""
        return sum(self.published_by_store.values())

    @property
    def sent(self) -> int:
        """How many items are sent."""
        return sum(self.counts[kind] for kind in SENT_KINDS)

    @property
    def absent(self) -> int:
        """How many published items the source no longer has, archived or not."""
        return self.counts[ABSENT] + self.counts[ARCHIVE]


def count_plan(db: duckdb.DuckDBPyConnection, price_factor: float) -> PlanFigures:
    """Count the plan that `plan_changes` has made.

    Args:
        db: with its views `items`, `quarantined` and `changes`. Every valid item is unchanged, or has a row in the
            plan, which has a content hash.
        price_factor: a price that rises or falls by more than this factor has jumped.
    """
    counted = db.sql(_BY_STORE).df()
    kinds = counted.pivot_table(index="store_id", columns="change", values="items", aggfunc="sum", fill_value=0)
    by_store = kinds.reindex(columns=list(KINDS), fill_value=0).astype("int64")
    present = counted[counted["present"]]
    stores_present = {*present["store_id"], *_column(db, "SELECT DISTINCT store_id FROM quarantined")}
    held = counted[counted["change"] != INSERT]
    published = held.groupby("store_id")["items"].sum()
    unchanged = int(by_store[UNCHANGED].sum())
    skus = _PUBLISHED_SKUS if not unchanged else f"{_PUBLISHED_SKUS} UNION ALL {_UNCHANGED_SKUS}"
    (figures,) = db.sql(_FIGURES, params={"factor": price_factor}).df().to_dict("records")
    return PlanFigures(
        by_store.rename_axis(columns=None).reset_index(),
        {str(store): int(items) for store, items in published.items()},
        sorted(set(published.index) - stores_present),
        int(held.loc[held["present"], "items"].sum()),
        int(_column(db, f"SELECT count(DISTINCT item_sku) FROM ({skus})")[0]),  # noqa: S608 (the text is ours)
        **{str(name): int(value) for name, value in figures.items()},
        unknown_barcodes=_unknown_barcodes(db),
        waits_for=_column(db, f"SELECT DISTINCT waits_for FROM changes WHERE {_WAITS} ORDER BY 1"),  # noqa: S608
    )


_BY_STORE = f"""
WITH planned AS (
  SELECT store_id, change, content_hash IS NOT NULL AS present, count(*) AS items FROM changes GROUP BY ALL
), valid AS (
  SELECT store_id, count(*) AS items FROM items GROUP BY store_id
), changing AS (
  SELECT store_id, sum(items)::BIGINT AS items FROM planned WHERE present GROUP BY store_id
)
SELECT store_id, change, present, items FROM planned
UNION ALL
SELECT store_id, '{UNCHANGED}', true, valid.items - coalesce(changing.items, 0)
FROM valid LEFT JOIN changing USING (store_id) WHERE valid.items > coalesce(changing.items, 0)
"""  # noqa: S608 (the text is ours)

_PUBLISHED_SKUS = f"SELECT item_sku FROM changes WHERE change <> '{INSERT}'"  # noqa: S608
_UNCHANGED_SKUS = """SELECT item_sku FROM items
                     ANTI JOIN (FROM changes WHERE content_hash IS NOT NULL) USING (store_id, item_sku)"""

# What is in flight waits where Amazon holds, or may hold, another content.
_WAITS = "change = 'in_flight' AND coalesce(content_hash, '') <> coalesce(published_hash, '')"
# Without a published hash it is not known what Amazon holds, so nothing is known to change.
_FIGURES = f"""
SELECT count(DISTINCT item_sku) FILTER (change = '{ARCHIVE}') AS archived_skus,
       count(*) FILTER (change = '{UPDATE}' AND published_hash <> content_hash) AS changed,
       count(*) FILTER (change = '{UPDATE}' AND (after > before * $factor OR after * $factor < before)) AS price_jumps,
       count(*) FILTER ({_WAITS}) AS waiting
FROM (SELECT *, TRY_CAST(published_price AS DOUBLE) AS before, TRY_CAST(standard_price AS DOUBLE) AS after FROM changes)
"""  # noqa: S608 (the text is ours)


def _unknown_barcodes(db: duckdb.DuckDBPyConnection) -> int:
    # The form of 12 to 14 digits, which most barcodes have, is known.
    others = f"""SELECT external_product_id, external_product_id_type FROM changes
                 WHERE change IN {SENT_KINDS} AND NOT regexp_full_match(external_product_id, '[0-9]{{12,14}}')"""  # noqa: S608
    return sum(pc.sum(pc.invert(barcode_facts(piece)["form_known"])).as_py() or 0 for piece in tables(db, others))


def _column(db: duckdb.DuckDBPyConnection, query: str) -> list[str]:
    return [row[0] for row in db.sql(query).fetchall()]
