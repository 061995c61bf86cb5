"""The history of one item, from the ledger and the bucket alone."""

import json
from typing import Any

import pandas as pd

from jwo_catalog_pipeline.engine import ask
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.table_file import TableFile, as_frame
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import Batch, leaf_batches, utc
from jwo_catalog_pipeline.upload.outcomes import batch_body, batch_outcomes
from jwo_catalog_pipeline.upload.published_state import published_state
from jwo_catalog_pipeline.upload.recovery import applied_uploads
from jwo_catalog_pipeline.work_folder import work_folder


def item_history(ledger: Ledger, bucket: Bucket, sku: str, store: str | None) -> dict[str, Any]:
    """What was ever sent of an item, and what Amazon is known to hold now.

    Args:
        ledger: knows the uploads.
        bucket: holds the batches' items, bytes and outcomes.
        sku: the item's SKU, in every store, or
        store: in this one.

    Returns:
        `sent`, oldest first (`upload`, `batch`, `operation`, `store_id`, `sent_at`, `ingestion_id`, `outcome`, `code`,
        `message`, `item`: what was sent, as Amazon got it, None where its batch was never begun), and `published`
        (`store_id`, `state`, `reason`, `upload`).
    """
    sent = []
    for upload in reversed(applied_uploads(ledger)):
        for batch in leaf_batches(ledger.batches(upload)):
            rows = _of(as_frame(batch_outcomes(bucket, batch)), sku, store)
            if len(rows):
                sent += _sendings(bucket, batch, rows)
    with work_folder() as folder:
        now = rows_of(published_state(ledger, bucket, folder), sku, store)
    return {"sent": sent, "published": records(now[["store_id", "state", "reason", "upload"]])}


def rows_of(table: TableFile, sku: str, store: str | None) -> pd.DataFrame:
    """The rows of a SKU, in every store or in one, by store."""
    query = (
        "FROM rows SELECT * EXCLUDE (file_row_number) WHERE item_sku = $sku AND store_id = coalesce($store, store_id)"
    )
    return ask(f"{query} ORDER BY store_id", {"sku": sku, "store": store}, rows=table)


def _sendings(bucket: Bucket, batch: Batch, rows: pd.DataFrame) -> list[dict[str, Any]]:
    # A request of SKUs has no documents, and a batch that was never begun has no bytes.
    items = {} if batch.operation.by_sku or not batch.sha256 else _documents(bucket, batch)
    return [
        {
            "upload": batch.upload,
            "batch": batch.id,
            "operation": batch.operation.name,
            "store_id": row["store_id"],
            "sent_at": utc(batch.sent_at),
            **{name: row[name] for name in ("ingestion_id", "outcome", "code", "message")},
            "item": items.get((row["store_id"], row["item_sku"])),
        }
        for row in records(rows)
    ]


def _documents(bucket: Bucket, batch: Batch) -> dict[tuple[str, str], Any]:
    items = json.loads(batch_body(bucket, batch)[1])["catalogItems"]
    return {(item["store_id"], item["item_sku"]): item for item in items}


def _of(table: pd.DataFrame, sku: str, store: str | None) -> pd.DataFrame:
    rows = table[table["item_sku"] == sku]
    return rows if store is None else rows[rows["store_id"] == store]


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table's rows as plain values, None for what is missing."""
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in table.to_dict("records")
    ]
