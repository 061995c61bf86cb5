"""The published state: per item, what was last sent and what became of it.

Derived, never stored as truth: a snapshot, folded with the batches since (see `snapshots`). A snapshot
names the batch of each item that was in flight, so what became of those is looked up as well.

A batch may have become more ingestions than the one that is known: an attempt whose answer never came is a doubt until
it is matched with an ingestion (`results/in_doubt`). That one carries what Amazon holds already, but it must have ended
before anything else is sent of its items; so they carry the time of the doubt, and wait.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from jwo_catalog_pipeline.catalog.rules.facts import key_order
from jwo_catalog_pipeline.catalog_api.report import ACCEPTED, REJECTED, UNREPORTED
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.table_file import as_frame
from jwo_catalog_pipeline.upload.batch_ids import former_id
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import IN_FLIGHT, ONE_ITEM, Batch, BatchState, PublishedState
from jwo_catalog_pipeline.upload.outcomes import batch_items, outcomes_of
from jwo_catalog_pipeline.upload.snapshots import read_before
from jwo_catalog_pipeline.upload.tables import Published, columns, conform, empty
from jwo_catalog_pipeline.work_folder import work_folder

_KEY = ["store_id", "item_sku"]
# Nothing of these was ingested, as far as is known by now.
_NOT_SENT = (BatchState.PLANNED, BatchState.SUPERSEDED)


def published_state(ledger: Ledger, bucket: Bucket) -> pd.DataFrame:
    """What Amazon is known to hold: `Published`, one row per item, ordered by store and SKU.

    A missing `content_hash` means that what Amazon holds of the item is not known (its batch was refused as a whole,
    cancelled, or given back unsent), so that the next plan sends it again.
    """
    head = ledger.head().upload
    record = ledger.upload(head) if head else None
    if record is None:
        return empty(Published)
    return fold([*_layers_before(ledger, bucket, head, record.plan), batches_state(bucket, ledger.batches(head))])


def state_before(ledger: Ledger, bucket: Bucket, upload: str, plan: str) -> pd.DataFrame:
    """The published state before an upload was planned, with what has become since of what was in flight then."""
    return fold(_layers_before(ledger, bucket, upload, plan))


def _layers_before(ledger: Ledger, bucket: Bucket, upload: str, plan: str) -> list[pd.DataFrame]:
    before = read_before(bucket, upload, plan)
    snapshot = with_batch_ids(bucket.get_table(before.snapshot), "batch")
    layers = [batches_state(bucket, ledger.batches(layer)) for layer in before.layers]
    return [_as_of_now(ledger, bucket, snapshot), *layers]


def fold(layers: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Lay tables of `Published` over each other, the newest last.

    What is archived in the end is left out, unless another ingestion may archive it once more.
    """
    table = pd.concat([empty(Published), *layers], ignore_index=True)
    over = (table["state"] == PublishedState.ARCHIVED) & (table["doubted_at"] == 0)
    kept = ~(table.duplicated(_KEY, keep="last") | over).to_numpy()
    # Rows are moved once: a table of a million items takes 200 MB.
    order = key_order(table)
    return conform(Published, table.take(order[kept[order]]).reset_index(drop=True))


def batches_state(bucket: Bucket, batches: Iterable[Batch]) -> pd.DataFrame:
    """What batches did to their items' published state, `Published`; no rows of what was not sent.

    Items that were archived are in state `archived`; those of a batch that was cut are in its parts.
    """
    sent = [batch for batch in batches if batch.state not in _NOT_SENT and not batch.split]
    return outcomes_state(sent, _outcome_frames(bucket, sent))


def _outcome_frames(bucket: Bucket, batches: Sequence[Batch]) -> list[pd.DataFrame]:
    with work_folder() as folder:
        return [as_frame(table) for table in outcomes_of(bucket, batches, folder)]


def outcomes_state(batches: Sequence[Batch], outcomes: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The published state that follows from batches and, for each, its items' outcomes."""
    if not batches:
        return empty(Published)
    items = pd.concat(outcomes, ignore_index=True)
    positions = np.repeat(np.arange(len(batches)), [len(table) for table in outcomes])

    def of(values: Iterable[Any], dtype: str = "str") -> pd.Series:
        """A value of each batch, given to its items."""
        return pd.Series(list(values), dtype=dtype).take(positions).reset_index(drop=True)

    unknown = {*IN_FLIGHT, BatchState.CLOSED}
    state = of(PublishedState.IN_FLIGHT if batch.state in unknown else PublishedState.REJECTED for batch in batches)
    accepted = of(PublishedState.ARCHIVED if batch.operation.removes else PublishedState.ACCEPTED for batch in batches)
    state = state.mask(items["outcome"] == ACCEPTED, accepted)
    state = state.mask(items["outcome"] == REJECTED, str(PublishedState.REJECTED))
    state = state.mask(items["outcome"] == UNREPORTED, str(PublishedState.IN_FLIGHT))
    # A single item that is refused is rejected like any other: it is held until it changes.
    known = of((_content_is_known(batch) for batch in batches), "bool")
    sent_at = of((batch.sent_at for batch in batches), "int64")
    # Whatever a person has closed is not waited for, and what waits for a batch in doubt, waits for the doubt.
    waited_for = (not batch.closed_at and batch.state is not BatchState.IN_DOUBT for batch in batches)
    waits = (state != PublishedState.IN_FLIGHT) | of(waited_for, "bool")
    return items.assign(
        content_hash=items["content_hash"].where(known),
        operation=of(batch.operation.name for batch in batches),
        state=state,
        reason=_reasons(items),
        upload=of(batch.upload for batch in batches),
        batch=of(batch.id for batch in batches),
        sent_at=sent_at.where(waits, 0),
        doubted_at=of((batch.doubted_at if batch.doubts else 0 for batch in batches), "int64"),
    )[list(columns(Published))]


def _content_is_known(batch: Batch) -> bool:
    """Whether the batch says what Amazon holds, or will hold, of its items."""
    answered = batch.state in IN_FLIGHT or batch.state is BatchState.SETTLED or batch.refusal == ONE_ITEM
    return answered and not batch.matched_by_items


def _reasons(items: pd.DataFrame) -> pd.Series:
    """What Amazon says of each item, "" for the most of which it says nothing."""
    reasons = pd.Series("", index=items.index, dtype="str")
    rows = items.loc[items["code"].notna() | items["message"].notna(), ["code", "message"]]
    reasons.loc[rows.index] = rows["code"].str.cat(rows["message"], sep=": ", na_rep="").str.strip(": ")
    return reasons


def _as_of_now(ledger: Ledger, bucket: Bucket, before: pd.DataFrame) -> pd.DataFrame:
    """A snapshot, or rows of one, with what has become since of the items that were in flight, or in doubt."""
    open_before = (before["state"] == PublishedState.IN_FLIGHT) | (before["doubted_at"] > 0)
    waiting = before[open_before]
    by_upload = {
        upload: {member.id: member for member in ledger.batches(upload)} for upload in waiting["upload"].unique()
    }
    parts = [before[~open_before]]
    for upload, rows in waiting.groupby("upload"):
        members = by_upload[str(upload)]
        known = rows["batch"].isin(members)
        parts.append(rows[~known])  # pruned: long overtaken, or no longer waited for
        leaves = [
            (leaf, mine[_KEY])
            for batch, mine in rows[known].groupby("batch")
            for leaf in _parts_of(members[str(batch)], members)
        ]
        # An item may have been sent again since; the snapshot's rows say which are still this batch's.
        sent = [(leaf, mine) for leaf, mine in leaves if leaf.state not in _NOT_SENT]
        outcomes = _outcome_frames(bucket, [leaf for leaf, _ in sent])
        parts += [
            outcomes_state([leaf], [table]).merge(mine) for (leaf, mine), table in zip(sent, outcomes, strict=True)
        ]
        for leaf, mine in leaves:
            if leaf.state in _NOT_SENT:  # given back after the snapshot: what was true before that batch still is
                given_back = batch_items(bucket, leaf)[_KEY].merge(mine)
                parts.append(state_before(ledger, bucket, str(upload), leaf.plan).merge(given_back))
    return pd.concat(parts, ignore_index=True)


def with_batch_ids(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """The table with ids of batches in a column, which up to schema 2 held numbers, 0 for none."""
    if not pd.api.types.is_integer_dtype(table[column]):
        return table
    ids = {number: former_id(number) for number in table[column].unique() if number}
    return table.assign(**{column: table[column].astype("object").map(ids).astype("str")})


def _parts_of(batch: Batch, batches: Mapping[str, Batch]) -> list[Batch]:
    """The batch, or, where it was cut, those that carry its items now."""
    if not batch.split:
        return [batch]
    parts = [part for part in batches.values() if part.part_of == batch.id]
    return [carrier for part in parts for carrier in _parts_of(part, batches)]
