"""What became of the items of each batch, and where what belongs to a batch is kept."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from jwo_catalog_pipeline.storage import Bucket, NoSuchObject
from jwo_catalog_pipeline.upload.model import IN_FLIGHT, Batch, BatchState
from jwo_catalog_pipeline.upload.snapshots import folder

READ_AT_ONCE = 4  # tables of outcomes: while one is waited for, another is decoded


def batch_outcomes(bucket: Bucket, batch: Batch) -> pd.DataFrame:
    """Every item of a batch and where it is.

    Returns:
        `store_id`, `item_sku`, `content_hash`, `standard_price`, `outcome`, `code`, `message`, `ingestion_id`: the
        outcome is `accepted`, `rejected` or `unreported` once the batch is settled; before that `planned`, `in_flight`
        or `in_doubt`; or `refused`, `superseded`, `failed` or `closed`, where that is what became of the whole batch.
    """
    if batch.state is BatchState.SETTLED:
        outcomes = bucket.get_table(outcomes_key(batch))
    else:
        outcomes = batch_items(bucket, batch).assign(
            outcome=_open_outcome(batch.state), code=None, message=batch.message or None
        )
    return outcomes.assign(ingestion_id=batch.ingestion_id or None).astype("str")


def outcomes_of(bucket: Bucket, batches: Sequence[Batch]) -> list[pd.DataFrame]:
    """`batch_outcomes` of each of one upload's batches.

    While reports trickle in, what is known so far is read at once, and by itself only what has changed since.
    """
    so_far = _so_far(bucket, batches[0]) if len(batches) > 1 else None
    known = {} if so_far is None else dict(iter(so_far.groupby("batch", sort=False)))

    def read(batch: Batch) -> pd.DataFrame:
        rows = known.get(batch.id)
        if rows is not None and _still_true(rows, batch):
            return rows.drop(columns="batch").reset_index(drop=True)
        return batch_outcomes(bucket, batch)

    with ThreadPoolExecutor(READ_AT_ONCE) as threads:
        return list(threads.map(read, batches))


def keep_so_far(bucket: Bucket, batches: Sequence[Batch], outcomes: Sequence[pd.DataFrame]) -> None:
    """Keep what is known so far of an upload's batches, where more is to come, or something is kept already."""
    if len(batches) < 2:
        return
    if any(not batch.is_closed for batch in batches) or _so_far(bucket, batches[0]) is not None:
        tables = [table.assign(batch=batch.id) for batch, table in zip(batches, outcomes, strict=True)]
        bucket.put_table(so_far_key(batches[0]), pd.concat(tables, ignore_index=True))


def forget_so_far(bucket: Bucket, batch: Batch) -> None:
    """What is kept of a batch's upload is to be read again: the outcomes are about to be made anew."""
    so_far = _so_far(bucket, batch)
    if so_far is not None:
        bucket.put_table(so_far_key(batch), so_far.iloc[:0])


def _so_far(bucket: Bucket, batch: Batch) -> pd.DataFrame | None:
    """What `keep_so_far` has kept of a batch's upload: `batch_outcomes`, and `batch`."""
    try:
        return bucket.get_table(so_far_key(batch))
    except NoSuchObject:
        return None


def _still_true(rows: pd.DataFrame, batch: Batch) -> bool:
    """Whether rows of `_so_far` are what `batch_outcomes` would give."""
    same = bool((rows["ingestion_id"].fillna("") == batch.ingestion_id).all())
    if batch.state is BatchState.SETTLED:
        return same and rows["outcome"].value_counts().to_dict() == dict(batch.outcomes)
    same &= bool((rows["message"].fillna("") == batch.message).all())
    return same and bool((rows["outcome"] == _open_outcome(batch.state)).all())


def _open_outcome(state: BatchState) -> str:
    """Where the items of an unsettled batch are. Not its state: a submitted batch's items are in flight."""
    return "in_flight" if state in IN_FLIGHT and state is not BatchState.IN_DOUBT else str(state)


def batch_items(bucket: Bucket, batch: Batch) -> pd.DataFrame:
    """The items of a batch in the order of its body: `store_id`, `item_sku`, `content_hash`, `standard_price`."""
    return bucket.get_table(items_key(batch))


def batch_body(bucket: Bucket, batch: Batch) -> tuple[str, bytes]:
    """The exact bytes of a batch, as they were or will be sent, and the key that they are at.

    Raises:
        NoSuchObject: they are not where they should be.
    """
    key, former = body_key(batch), f"{folder(batch.upload, batch.plan)}/batches/{batch.id}.json"  # up to schema 2
    try:
        return key, bucket.get(key)
    except NoSuchObject as error:
        try:
            return former, bucket.get(former)
        except NoSuchObject:
            raise error from None


def items_key(batch: Batch) -> str:
    """Where the list of a batch's items is kept."""
    return f"{folder(batch.upload, batch.plan)}/items/{batch.id}.parquet"


def body_key(batch: Batch) -> str:
    """Where the exact bytes of a batch are kept."""
    return f"{folder(batch.upload, batch.plan)}/batches/{batch.id}.{batch.operation.name}.json"


def closing_key(upload: str, plan: str) -> str:
    """Where it is kept that a person has closed an upload."""
    return f"{folder(upload, plan)}/closed.json"


def so_far_key(batch: Batch) -> str:
    """Where what is known so far of the items of a batch's upload is kept, while reports trickle in."""
    return f"{folder(batch.upload, batch.plan)}/outcomes_so_far.parquet"


def report_key(batch: Batch) -> str:
    """Where the report about a batch's ingestion is kept, as Amazon wrote it."""
    return f"{folder(batch.upload, batch.plan)}/reports/{batch.id}.json"


def outcomes_key(batch: Batch) -> str:
    """Where what the report says of each item is kept."""
    return f"{folder(batch.upload, batch.plan)}/outcomes/{batch.id}.parquet"
