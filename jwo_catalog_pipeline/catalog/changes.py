"""The plan: what is to be sent, found by comparing the valid items with what Amazon holds. Tables in, a table out."""

from collections.abc import Sequence

import duckdb
import pandas as pd

# Every kind of change, in the order in which people want to read them.
INSERT, UPDATE, UNCHANGED, IN_FLIGHT, HELD, ABSENT = (
    "insert",
    "update",
    "unchanged",
    "in_flight",
    "held",
    "absent",
)
KINDS = (INSERT, UPDATE, UNCHANGED, IN_FLIGHT, HELD, ABSENT)
SENT_KINDS = (INSERT, UPDATE)

PLAN_COLUMNS = ["change", "store_id", "item_sku", "content_hash", "published_hash", "reason"]
PUBLISHED_COLUMNS = ["store_id", "item_sku", "content_hash", "state", "reason", "upload", "batch", "sent_at"]


def plan_changes(
    documents: pd.DataFrame, published: pd.DataFrame, quarantined: pd.DataFrame, waiting_since: int
) -> pd.DataFrame:
    """Compare the valid items with the published state.

    Args:
        documents: `store_id`, `item_sku`, `content_hash` of each valid item, keys unique.
        published: `PUBLISHED_COLUMNS`, keys unique; a missing `content_hash` means that what Amazon holds is unknown.
        quarantined: `store_id`, `item_sku` of quarantined rows; they count as present.
        waiting_since: epoch seconds; what was sent before and still has no outcome is no longer waited for.

    Returns:
        `PLAN_COLUMNS`, one row per item that is valid or published and not quarantined, ordered by store and SKU.
        An item in flight waits; one that was rejected and has not changed since is held; everything else follows
        from its hash. An absent item is only named: absence removes nothing by itself.
    """
    with duckdb.connect() as db:
        db.register("documents", documents[["store_id", "item_sku", "content_hash"]])
        db.register("published", published[PUBLISHED_COLUMNS])
        db.register("quarantined", quarantined[["store_id", "item_sku"]])
        return (
            db.sql(
                """
            SELECT CASE
                     WHEN d.content_hash IS NULL THEN 'absent'
                     WHEN p.state IS NULL THEN 'insert'
                     WHEN p.state = 'in_flight' AND p.sent_at >= ? THEN 'in_flight'
                     WHEN p.content_hash IS DISTINCT FROM d.content_hash OR p.state = 'in_flight' THEN 'update'
                     WHEN p.state = 'rejected' THEN 'held'
                     ELSE 'unchanged'
                   END AS change,
                   coalesce(d.store_id, p.store_id) AS store_id, coalesce(d.item_sku, p.item_sku) AS item_sku,
                   d.content_hash, p.content_hash AS published_hash,
                   CASE change
                     WHEN 'in_flight' THEN 'sent in upload ' || p.upload || ', outcome still open'
                     WHEN 'held' THEN p.reason
                   END AS reason
            FROM documents d
            FULL JOIN published p ON d.store_id = p.store_id AND d.item_sku = p.item_sku
            WHERE d.content_hash IS NOT NULL OR NOT EXISTS (
              FROM quarantined q WHERE q.store_id = p.store_id AND q.item_sku = p.item_sku)
            ORDER BY store_id, item_sku""",
                params=[waiting_since],
            )
            .to_arrow_table()
            .to_pandas()
            .astype(dict.fromkeys(PLAN_COLUMNS, "str"))
        )


def counts_by_kind(plan: pd.DataFrame, kinds: Sequence[str] = KINDS) -> dict[str, int]:
    """How many items each kind of change has, zeros included."""
    found = plan["change"].value_counts()
    return {kind: int(found.get(kind, 0)) for kind in kinds}


def to_send(plan: pd.DataFrame) -> pd.DataFrame:
    """The rows of a plan that are sent, in its order."""
    return plan[plan["change"].isin(SENT_KINDS)].reset_index(drop=True)
