"""Cutting a refused batch in two, so that what Amazon refuses stands alone in the end and the rest is accepted.

Amazon's refusal of a request names neither item nor field (documented), so it is found by halving: between two stores
where the message is about store ids, and in the middle otherwise. One bad item in 10,000 takes 1 + 2 x 14 calls. Parts
carry the very documents of the whole, so a part's bytes follow from the batch alone: any process that cuts it again, or
several times, makes the same ones.
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from jwo_catalog_pipeline.catalog_api.errors import RequestRefused
from jwo_catalog_pipeline.catalog_api.requests import join_body, split_body
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.upload.batch_ids import part_id
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import NOT_CUT, ONE_ITEM, ONE_STORE, SPLIT, Batch, BatchState
from jwo_catalog_pipeline.upload.outcomes import batch_items, body_key, items_key

# Parts of one upload, after which what is refused stays refused as a whole: 40 s of the call budget. A plan of which
# every item is wrong would otherwise take two calls an item.
MAX_PARTS = 400


@dataclass(frozen=True)
class Cut:
    """What became of a refused batch: why (`Batch.refusal`), and its parts, two or none."""

    refusal: str
    parts: list[Batch]


def cut_refused(ledger: Ledger, bucket: Bucket, batch: Batch, body: bytes, error: RequestRefused) -> Cut:
    """Cut a refused batch in two and put the parts' bytes into the bucket; the caller records them.

    Args:
        ledger: knows how many parts there are already.
        bucket: takes the bytes and the lists of items.
        batch: what was refused.
        body: its bytes.
        error: what Amazon says.
    """
    items = batch_items(bucket, batch)
    rows = batch.operation.first_rows(items)
    if error.about_stores and (batch.operation.by_sku or items["store_id"].nunique() == 1):
        return Cut(ONE_STORE, [])
    if len(rows) == 1:
        return Cut(ONE_ITEM if error.explained else NOT_CUT, [])
    if sum(bool(member.part_of) for member in ledger.batches(batch.upload)) >= MAX_PARTS:
        return Cut(NOT_CUT, [])
    middle = _between_stores(items["store_id"]) if error.about_stores else len(rows) // 2
    before, documents, after = split_body(body)
    bodies = [join_body(before, some, after) for some in (documents[:middle], documents[middle:])]
    border = rows[middle]
    halves = [items.iloc[:border], items.iloc[border:].reset_index(drop=True)]
    return Cut(SPLIT, [_store(bucket, batch, side + 1, bodies[side], halves[side]) for side in (0, 1)])


def _between_stores(stores: pd.Series) -> int:
    """The border between two stores that is nearest to the middle; the items are ordered by store."""
    borders = np.flatnonzero(stores.to_numpy()[1:] != stores.to_numpy()[:-1]) + 1
    return int(borders[np.abs(borders - len(stores) / 2).argmin()])


def _store(bucket: Bucket, batch: Batch, half: int, body: bytes, items: pd.DataFrame) -> Batch:
    part = Batch(
        batch.upload,
        batch.plan,
        part_id(batch.id, half),
        len(items),
        len(body),
        hashlib.sha256(body).hexdigest(),
        batch.operation,
    )
    if batch.doubts:  # what may have been ingested of the whole may have been ingested of its parts
        part = replace(part, state=BatchState.IN_DOUBT, doubts=batch.doubts, doubted_at=batch.doubted_at)
        part = replace(part, sent_at=batch.doubted_at)
    bucket.put(body_key(part), body, "application/json")
    bucket.put_table(items_key(part), items)
    return part
