"""What became of the items of each batch, and where what belongs to a batch is kept."""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from jwo_catalog_pipeline.catalog.pieces import in_order
from jwo_catalog_pipeline.storage import Bucket, NoSuchObject
from jwo_catalog_pipeline.table_file import TableFile
from jwo_catalog_pipeline.upload.model import Batch, BatchState
from jwo_catalog_pipeline.upload.snapshots import folder as folder_of
from jwo_catalog_pipeline.upload.so_far import SoFar, open_outcome, read_so_far

READ_AT_ONCE = 6  # tables of outcomes, of some 2 MB each: while one is waited for, another is decoded
_FACTS = ("outcome", "code", "message")
OUTCOMES = pa.schema(
    [
        (name, pa.large_string())
        for name in ("store_id", "item_sku", "content_hash", "standard_price", *_FACTS, "ingestion_id")
    ]
)


def batch_outcomes(bucket: Bucket, batch: Batch) -> pa.Table:
    """Every item of a batch and where it is.

    Returns:
        `OUTCOMES`: `store_id`, `item_sku`, `content_hash`, `standard_price`, `outcome`, `code`, `message`,
        `ingestion_id`. The outcome is `accepted`, `rejected` or `unreported` once the batch is settled; before that
        `planned`, `in_flight` or `in_doubt`; or `refused`, `superseded`, `failed` or `closed`, where that is what
        became of the whole batch.
    """
    if batch.state is BatchState.SETTLED:
        return _of_batch(_table(bucket, outcomes_key(batch)), batch)
    items = batch_item_table(bucket, batch)
    for name, value in zip(_FACTS, (open_outcome(batch.state), None, batch.message or None), strict=True):
        items = items.append_column(name, repeated(value, len(items)))
    return _of_batch(items, batch)


def _of_batch(outcomes: pa.Table, batch: Batch) -> pa.Table:
    named = outcomes.append_column("ingestion_id", repeated(batch.ingestion_id or None, len(outcomes)))
    return named.select(OUTCOMES.names).cast(OUTCOMES)


def repeated(value: str | None, rows: int) -> pa.Array:
    """A column of text that has one value."""
    return pa.repeat(pa.scalar(value, pa.large_string()), rows)


def outcomes_of(
    bucket: Bucket,
    batches: Sequence[Batch],
    folder: Path,
    *,
    so_far: SoFar | None = None,
    known: Mapping[str, TableFile] | None = None,
) -> Iterator[pa.Table]:
    """`batch_outcomes` of each of one upload's batches, in their order; a few of them are in memory at a time.

    While reports trickle in, what is known so far is read at once, and by itself only what has changed since.

    Args:
        bucket: holds them.
        batches: all of one upload.
        folder: of `work_folder`.
        so_far: what `read_so_far` gives, where it is at hand.
        known: settled batches by id, of which the stored outcomes are here too.
    """
    if so_far is None:
        so_far = read_so_far(bucket, batches, folder)

    def read(batch: Batch) -> pa.Table:
        if known and batch.id in known and batch.state is BatchState.SETTLED:
            return _of_batch(pq.read_table(known[batch.id].path), batch)
        if so_far.knows(batch):
            return so_far.rows(batch).select(OUTCOMES.names).cast(OUTCOMES)
        return batch_outcomes(bucket, batch)

    return in_order(read, batches, READ_AT_ONCE)


def _table(bucket: Bucket, key: str) -> pa.Table:
    return pq.read_table(io.BytesIO(bucket.get(key))).replace_schema_metadata()


def batch_item_table(bucket: Bucket, batch: Batch) -> pa.Table:
    """`batch_items`, as Arrow has it."""
    return _table(bucket, items_key(batch))


def batch_items(bucket: Bucket, batch: Batch) -> pd.DataFrame:
    """The items of a batch in the order of its body: `store_id`, `item_sku`, `content_hash`, `standard_price`."""
    return bucket.get_table(items_key(batch))


def batch_body(bucket: Bucket, batch: Batch) -> tuple[str, bytes]:
    """The exact bytes of a batch, as they were or will be sent, and the key that they are at.

    Raises:
        NoSuchObject: they are not where they should be.
    """
    key, former = body_key(batch), f"{folder_of(batch.upload, batch.plan)}/batches/{batch.id}.json"  # up to schema 2
    try:
        return key, bucket.get(key)
    except NoSuchObject as error:
        try:
            return former, bucket.get(former)
        except NoSuchObject:
            raise error from None


def items_key(batch: Batch) -> str:
    """Where the list of a batch's items is kept."""
    return f"{folder_of(batch.upload, batch.plan)}/items/{batch.id}.parquet"


def body_key(batch: Batch) -> str:
    """Where the exact bytes of a batch are kept."""
    return f"{folder_of(batch.upload, batch.plan)}/batches/{batch.id}.{batch.operation.name}.json"


def closing_key(upload: str, plan: str) -> str:
    """Where it is kept that a person has closed an upload."""
    return f"{folder_of(upload, plan)}/closed.json"


def report_key(batch: Batch) -> str:
    """Where the report about a batch's ingestion is kept, as Amazon wrote it."""
    return f"{folder_of(batch.upload, batch.plan)}/reports/{batch.id}.json"


def outcomes_key(batch: Batch) -> str:
    """Where what the report says of each item is kept."""
    return f"{folder_of(batch.upload, batch.plan)}/outcomes/{batch.id}.parquet"
