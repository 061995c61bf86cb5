"""The plan: what is to be sent, found by comparing the valid items with what Amazon holds. Tables in, a table out."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from jwo_catalog_pipeline.upload.tables import PlanRow, Published, columns, conform

# Every kind of change, in the order in which people want to read them.
INSERT, UPDATE, UNCHANGED, IN_FLIGHT, HELD, ARCHIVE, ABSENT = (
    "insert",
    "update",
    "unchanged",
    "in_flight",
    "held",
    "archive",
    "absent",
)
KINDS = (INSERT, UPDATE, UNCHANGED, IN_FLIGHT, HELD, ARCHIVE, ABSENT)
SENT_KINDS = (INSERT, UPDATE)

# The columns of the published state that a plan takes over, and what it calls them.
_OF_PUBLISHED = {
    "content_hash": "published_hash",
    "standard_price": "published_price",
    "upload": "published_upload",
    "batch": "published_batch",
}


@dataclass(frozen=True)
class PlanRules:
    """What a comparison may conclude; times are epoch seconds.

    Attributes:
        waiting_since: an ingestion that was sent before and still has no outcome is no longer waited for.
        doubted_since: a call that was made before and had no answer is no longer waited for.
        archive: whether SKUs that are gone from the source in all stores are archived.
        archive_again_before: a rejected archive that was sent before is tried again; a later one is held.
        retry_rejected: whether rejected items are sent again though they have not changed.
    """

    waiting_since: int
    doubted_since: int
    archive: bool = False
    archive_again_before: int = 0
    retry_rejected: bool = False


def plan_changes(
    documents: pd.DataFrame, published: pd.DataFrame, quarantined: pd.DataFrame, rules: PlanRules
) -> pd.DataFrame:
    """Compare the valid items with the published state.

    Args:
        documents: `store_id`, `item_sku`, `content_hash`, `document_bytes` of each valid item, keys unique.
        published: `Published`, keys unique; a missing `content_hash` means that what Amazon holds is unknown.
            `doubted_at` is when the item may have been sent once more than is known, 0 for never.
        quarantined: `store_id`, `item_sku`, `external_product_id` of quarantined rows; they count as present, and a
            SKU that is quarantined in any store is not archived.
        rules: what may be concluded.

    Returns:
        `PlanRow`, and `item_row` (the item's place in `documents`, -1 without one); one row per item that is valid
        or published and not quarantined, ordered by store and SKU.
        An item in flight waits, and so does one whose SKU is being archived (an archive acts on every store); one that
        was rejected and has not changed since is held; everything else follows from its hash. An absent item is only
        named, unless its SKU is gone from all stores and archiving is on.
    """
    unidentified = int((quarantined["item_sku"].isna() & quarantined["external_product_id"].notna()).sum())
    with duckdb.connect() as db:
        compared = documents[["store_id", "item_sku", "content_hash"]]
        db.register("documents", compared.assign(item_row=np.arange(len(documents))))
        every_published = published[list(columns(Published))].assign(published_row=np.arange(len(published)))
        db.register("every_published", every_published)
        db.register("quarantined", quarantined[["store_id", "item_sku"]])
        parameters = {
            "since": rules.waiting_since,
            "doubted_since": rules.doubted_since,
            "archive": rules.archive and not unidentified,
            "why_absent": _why_absent(rules, unidentified),
            "again": rules.archive_again_before,
            "retry": rules.retry_rejected,
        }
        plan = db.sql(_PLAN, params=parameters).to_arrow_table().to_pandas()
    # What only goes along is looked up by its place, for joining and sorting it would take twice the memory.
    places = plan.pop("published_row")
    item = take_rows(documents[["content_hash", "document_bytes"]], plan["item_row"])
    before = take_rows(published[list(_OF_PUBLISHED)], places).rename(columns=_OF_PUBLISHED)
    plan = pd.concat([plan, item, before], axis="columns").fillna({"document_bytes": 0})
    return conform(PlanRow, plan).assign(item_row=plan["item_row"].astype("int64"))


def take_rows(table: pd.DataFrame, rows: pd.Series) -> pd.DataFrame:
    """The rows at these places of a table, missing where a place is negative."""
    places = rows.to_numpy()
    if np.array_equal(places, np.arange(len(table))):  # a first upload: nothing to move
        return table.reset_index(drop=True)
    selection = pa.Table.from_pandas(table, preserve_index=False).take(pa.array(places, mask=places < 0))
    return pd.DataFrame(selection.to_pandas())


# `busy`, `no_archive`: an archive acts on a SKU in every store, so what concerns it is looked up by SKU. Amazon may
# still be at an item that is in flight, or in doubt; one of which Amazon holds this very content need not wait for a
# doubt. An archived item is published only while it is in doubt.
_PLAN = """
WITH published AS (
  SELECT *, (state = 'in_flight' AND sent_at >= $since) AS in_flight, doubted_at >= $doubted_since AS in_doubt
  FROM every_published
), busy AS (
  SELECT item_sku, max(upload) AS upload, bool_or(operation = 'archive') AS archiving
  FROM published WHERE in_flight OR in_doubt GROUP BY item_sku
), no_archive AS (
  SELECT item_sku, max(reason) AS reason FROM published
  WHERE state = 'rejected' AND operation = 'archive' AND sent_at >= $again AND NOT $retry GROUP BY item_sku
), gone AS (
  SELECT DISTINCT item_sku FROM published p
  WHERE $archive AND NOT EXISTS (FROM documents d WHERE d.item_sku = p.item_sku)
    AND NOT EXISTS (FROM quarantined q WHERE q.item_sku = p.item_sku)
)
SELECT CASE
         WHEN d.content_hash IS NULL THEN CASE
           WHEN gone.item_sku IS NULL THEN 'absent'
           WHEN busy.item_sku IS NOT NULL THEN 'in_flight'
           WHEN no_archive.item_sku IS NOT NULL THEN 'held'
           ELSE 'archive' END
         WHEN busy.archiving OR p.in_flight THEN 'in_flight'
         WHEN p.in_doubt AND (p.content_hash IS DISTINCT FROM d.content_hash OR p.state = 'in_flight' OR $retry)
           THEN 'in_flight'
         WHEN p.state IS NULL OR p.state = 'archived' THEN 'insert'
         WHEN p.content_hash IS DISTINCT FROM d.content_hash OR p.state = 'in_flight' THEN 'update'
         WHEN p.state = 'rejected' THEN CASE WHEN $retry THEN 'update' ELSE 'held' END
         ELSE 'unchanged'
       END AS change,
       coalesce(d.store_id, p.store_id) AS store_id, coalesce(d.item_sku, p.item_sku) AS item_sku,
       CASE WHEN change = 'in_flight' THEN
         CASE WHEN p.in_flight OR p.in_doubt THEN p.upload ELSE busy.upload END
       END AS waits_for,
       CASE
         WHEN change = 'in_flight' AND p.in_doubt AND NOT p.in_flight
           THEN 'sent in upload ' || waits_for || ' more often than was answered'
         WHEN waits_for = p.upload AND p.state = 'in_flight' THEN 'sent in upload ' || waits_for || ', outcome open'
         WHEN change = 'in_flight' AND busy.archiving THEN 'its SKU is being archived by upload ' || busy.upload
         WHEN change = 'in_flight' THEN 'its SKU was sent for another store in upload ' || busy.upload
         WHEN change = 'held' THEN coalesce(CASE WHEN d.content_hash IS NULL THEN no_archive.reason END, p.reason)
         WHEN change = 'absent' AND $archive THEN 'its SKU is still in the source, for another store or quarantined'
         WHEN change = 'absent' THEN $why_absent
         WHEN p.state = 'in_flight' AND p.sent_at = 0 AND change IN ('update', 'archive')
           THEN 'a person has closed upload ' || p.upload || ': what Amazon holds is not known'
         WHEN p.state = 'in_flight' AND change IN ('update', 'archive')
           THEN 'no news of upload ' || p.upload || ' for too long, no longer waited for'
         WHEN p.state = 'accepted' AND p.content_hash IS NULL AND change = 'update'
           THEN 'sent in upload ' || p.upload || ', whose ingestion was found by its items alone: content not known'
         WHEN p.state = 'rejected' AND p.content_hash = d.content_hash THEN 'sent again as asked, was ' || p.reason
       END AS reason,
       coalesce(d.item_row, -1) AS item_row, coalesce(p.published_row, -1) AS published_row
FROM documents d
FULL JOIN published p ON d.store_id = p.store_id AND d.item_sku = p.item_sku
LEFT JOIN busy ON busy.item_sku = coalesce(d.item_sku, p.item_sku)
LEFT JOIN no_archive ON no_archive.item_sku = p.item_sku
LEFT JOIN gone ON gone.item_sku = p.item_sku
WHERE d.content_hash IS NOT NULL OR (p.state <> 'archived' AND NOT EXISTS (
  FROM quarantined q WHERE q.store_id = p.store_id AND q.item_sku = p.item_sku))
ORDER BY store_id, item_sku"""


def _why_absent(rules: PlanRules, unidentified: int) -> str:
    if not rules.archive:
        return "archiving is off (JWO_ARCHIVE)"
    return f"not archived: {unidentified} quarantined rows have a barcode but no SKU, and may be this item"


def counts_by_kind(plan: pd.DataFrame, kinds: Sequence[str] = KINDS) -> dict[str, int]:
    """How many items each kind of change has, zeros included."""
    counts = plan["change"].value_counts()
    return {kind: int(counts.get(kind, 0)) for kind in kinds}


def counts_by_store(plan: pd.DataFrame) -> pd.DataFrame:
    """`store_id`, and for each kind of change a column with the number of items."""
    counts = pd.crosstab(plan["store_id"], plan["change"]).reindex(columns=list(KINDS), fill_value=0)
    return counts.rename_axis(columns=None).reset_index()


def to_send(plan: pd.DataFrame) -> pd.DataFrame:
    """The rows of a plan that are uploaded, in its order."""
    sent = plan["change"].isin(SENT_KINDS)
    return plan if sent.all() else plan[sent].reset_index(drop=True)


def blocked_items(plan: pd.DataFrame) -> pd.DataFrame:
    """The rows of a plan that would be sent, were it not for what is in flight."""
    differs = plan["content_hash"].fillna("") != plan["published_hash"].fillna("")
    return plan[(plan["change"] == IN_FLIGHT) & differs]


def to_archive(plan: pd.DataFrame) -> pd.DataFrame:
    """The rows of a plan that are archived, ordered by SKU and store, for a request names SKUs."""
    return plan[plan["change"] == ARCHIVE].sort_values(["item_sku", "store_id"], ignore_index=True)
