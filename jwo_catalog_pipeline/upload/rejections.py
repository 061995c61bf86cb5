"""Items of the current catalog that Amazon rejected, and that have not changed since."""

from collections.abc import Sequence

import pandas as pd

from jwo_catalog_pipeline.catalog_api.requests import item_documents
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import UPLOAD, PublishedState
from jwo_catalog_pipeline.upload.published_state import published_state

_KEY = ["store_id", "item_sku"]


def rejected_items(ledger: Ledger, bucket: Bucket, items: pd.DataFrame, fields: Sequence[str]) -> pd.DataFrame:
    """What Amazon said of items as they are now.

    Args:
        ledger: knows the uploads.
        bucket: holds the published state.
        items: the valid items: `source_row` and the `fields`.
        fields: the item's fields.

    Returns:
        `source_row`, `store_id`, `item_sku`, `reason`, `upload`: rejected items whose content is still what was
        rejected; one that was corrected since is not listed.
    """
    published = published_state(ledger, bucket)
    rejected = published[(published["state"] == PublishedState.REJECTED) & (published["operation"] == UPLOAD)]
    current = items[items["item_sku"].isin(rejected["item_sku"])].merge(rejected[_KEY])
    unchanged = item_documents(current, fields).merge(rejected, on=[*_KEY, "content_hash"])
    return current[["source_row", *_KEY]].merge(unchanged[[*_KEY, "reason", "upload"]])
