"""What an update changes, field by field: the plan's items against the bytes in which they were sent last."""

import json
import logging
from collections.abc import Sequence

import pandas as pd

from jwo_catalog_pipeline.catalog_api.requests import item_documents
from jwo_catalog_pipeline.engine import ask
from jwo_catalog_pipeline.storage import Bucket, StorageError
from jwo_catalog_pipeline.table_file import TableFile
from jwo_catalog_pipeline.upload.batch_ids import former_id
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.outcomes import batch_body
from jwo_catalog_pipeline.upload.plan.changes import UPDATE

# Bodies to read, up to 9.5 MB each: a plan's page must not take longer than the plan.
COMPARED_BATCHES = 3
COMPARED_ITEMS = 1000
_Items = dict[tuple[str, str], dict[str, object]]
_log = logging.getLogger(__name__)
_KNOWN = f"FROM changes WHERE change = '{UPDATE}' AND published_hash IS NOT NULL"
_BATCH = "published_upload, published_batch"
_LARGEST = f"SELECT {_BATCH} {_KNOWN} GROUP BY ALL ORDER BY count(*) DESC, {_BATCH} LIMIT $batches"
_ROWS = f"""SELECT * {_KNOWN} AND published_upload = $upload AND published_batch = $batch
            ORDER BY file_row_number LIMIT $rows"""
DIFFERENCE_COLUMNS = ["field", "items", "store_id", "item_sku", "before", "after"]


def field_differences(
    ledger: Ledger, bucket: Bucket, changes: TableFile, fields: Sequence[str]
) -> tuple[pd.DataFrame, int]:
    """Compare some of the updates with what was sent before.

    Args:
        ledger: knows the batches.
        bucket: holds their bytes.
        changes: a plan with the items' fields.
        fields: the item's fields.

    Returns:
        `DIFFERENCE_COLUMNS`, a row per changed field, most frequent first, with one example; and how many updates
        were compared: at most `COMPARED_ITEMS`, of the `COMPARED_BATCHES` batches that most of them were sent in, and
        none of a batch whose bytes cannot be read: the comparison is only shown, and stops no plan.
    """
    differences, compared = [], 0
    for upload, batch in ask(_LARGEST, {"batches": COMPARED_BATCHES}, changes=changes).itertuples(index=False):
        some = {"upload": upload, "batch": batch, "rows": COMPARED_ITEMS // COMPARED_BATCHES}
        rows = ask(_ROWS, some, changes=changes)
        sent = _sent_items(ledger, bucket, upload, batch if isinstance(batch, str) else former_id(batch))
        if sent is None:
            continue
        documents = item_documents(rows, fields)
        for key, document in zip(_keys(documents), documents["document"], strict=True):
            before, after = sent.get(key, {}), json.loads(document)
            differences += [
                (name, *key, before.get(name), after.get(name))
                for name in fields
                if before.get(name) != after.get(name)
            ]
        compared += len(rows)
    table = pd.DataFrame(differences, columns=["field", "store_id", "item_sku", "before", "after"])
    first = table.groupby("field", sort=False).agg("first")
    counted = first.assign(items=table["field"].value_counts()).reset_index()
    return counted.sort_values("items", ascending=False, ignore_index=True)[DIFFERENCE_COLUMNS], compared


def _sent_items(ledger: Ledger, bucket: Bucket, upload: str, batch_id: str) -> _Items | None:
    batch = next((candidate for candidate in ledger.batches(upload) if candidate.id == batch_id), None)
    try:
        body = batch_body(bucket, batch)[1] if batch else b""
    except StorageError as error:  # a lifecycle rule, say, has removed or archived it
        _log.warning("updates of upload %s are not compared: %s", upload, error)
        return None
    items = json.loads(body or b"{}").get("catalogItems", [])
    return {(item["store_id"], item["item_sku"]): item for item in items}


def _keys(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(table["store_id"], table["item_sku"], strict=True))
