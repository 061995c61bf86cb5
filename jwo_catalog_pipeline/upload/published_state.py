"""The published state: per item, what was last sent and what became of it.

Derived, never stored as truth: a snapshot, folded with the batches since (see `snapshots`). A snapshot
names the batch of each item that was in flight, so what became of those is looked up as well.

A batch may have become more ingestions than the one that is known: an attempt whose answer never came is a doubt until
it is matched with an ingestion (`results/in_doubt`). That one carries what Amazon holds already, but it must have ended
before anything else is sent of its items; so they carry the time of the doubt, and wait.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from jwo_catalog_pipeline.catalog_api.report import ACCEPTED, REJECTED, UNREPORTED
from jwo_catalog_pipeline.engine import connect, quoted, tables, view
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.table_file import TableFile, as_frame, write_table
from jwo_catalog_pipeline.upload.folding import SCHEMA, Layer, fold
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import IN_FLIGHT, ONE_ITEM, Batch, BatchState, PublishedState
from jwo_catalog_pipeline.upload.outcomes import batch_items, outcomes_of
from jwo_catalog_pipeline.upload.snapshots import fetch_snapshot, read_before
from jwo_catalog_pipeline.upload.tables import Published, columns, conform, empty
from jwo_catalog_pipeline.work_folder import new_path

TOGETHER = 12  # batches whose outcomes are in memory together
# Nothing of these was ingested, as far as is known by now.
_NOT_SENT = (BatchState.PLANNED, BatchState.SUPERSEDED)
_NAMED = "upload, named, store_id, item_sku"
_SINCE = SCHEMA.append(pa.field("named", pa.large_string()))
_BACK = pa.schema([(name, pa.large_string()) for name in ("store_id", "item_sku", "upload", "named")])


_SINCE_THEN = f"SELECT * EXCLUDE (file_row_number, named) FROM since SEMI JOIN waiting USING ({_NAMED})"  # noqa: S608
_BEFORE_THAT = f"""
SELECT * EXCLUDE (file_row_number) FROM {{table}} SEMI JOIN (
  SELECT * FROM given_back SEMI JOIN waiting USING ({_NAMED}) WHERE upload = '{{upload}}'
) USING (store_id, item_sku)"""  # noqa: S608 (our text)


def published_state(ledger: Ledger, bucket: Bucket, folder: Path) -> TableFile:
    """What Amazon is known to hold: `Published`, one row per item, in an order that follows from what was sent.

    A missing `content_hash` means that what Amazon holds of the item is not known (its batch was refused as a whole,
    cancelled, or given back unsent), so that the next plan sends it again. The table is in the folder.
    """
    head = ledger.head().upload
    record = ledger.upload(head) if head else None
    if record is None:
        return fold([], folder)
    return fold(
        [*_layers_before(ledger, bucket, head, record.plan, folder), layer_of(ledger, bucket, head, folder)], folder
    )


def state_before(ledger: Ledger, bucket: Bucket, upload: str, plan: str, folder: Path) -> TableFile:
    """The published state before an upload was planned, with what has become since of what was in flight then."""
    return fold(_layers_before(ledger, bucket, upload, plan, folder), folder)


def _layers_before(ledger: Ledger, bucket: Bucket, upload: str, plan: str, folder: Path) -> list[Layer]:
    before = read_before(bucket, upload, plan)
    snapshot = fetch_snapshot(bucket, before.snapshot, folder)
    later = [layer_of(ledger, bucket, layer, folder) for layer in before.layers]
    return [*_as_of_now(ledger, bucket, snapshot, folder), *later]


def layer_of(ledger: Ledger, bucket: Bucket, upload: str, folder: Path) -> Layer:
    """What an upload did to the published state of its items."""
    return Layer(write_table(new_path(folder, "layer"), state_pieces(bucket, ledger.batches(upload), folder), SCHEMA))


def state_pieces(bucket: Bucket, batches: Iterable[Batch], folder: Path) -> Iterator[pd.DataFrame]:
    """What batches did to their items' published state, `Published`; no rows of what was not sent.

    Items that were archived are in state `archived`; those of a batch that was cut are in its parts.
    """
    sent = [batch for batch in batches if batch.state not in _NOT_SENT and not batch.split]
    outcomes = outcomes_of(bucket, sent, folder) if sent else iter(())
    for first in range(0, len(sent), TOGETHER):
        some = sent[first : first + TOGETHER]
        yield conform(Published, outcomes_state(some, [as_frame(table) for table in islice(outcomes, len(some))]))


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


def _as_of_now(ledger: Ledger, bucket: Bucket, snapshot: TableFile, folder: Path) -> list[Layer]:
    """A snapshot, and over it what has become since of the items that were in flight, or in doubt."""
    with connect(folder) as db:
        view(db, "snapshot", snapshot)
        db.execute(
            """CREATE TEMP TABLE waiting AS
            SELECT file_row_number, upload, batch AS named, store_id, item_sku FROM snapshot
            WHERE state = 'in_flight' OR doubted_at > 0"""
        )
        carriers = _carriers(ledger, db.sql("SELECT DISTINCT upload, named FROM waiting ORDER BY ALL").fetchall())
        if not carriers:
            return [Layer(snapshot)]
        view(db, "since", write_table(new_path(folder, "since"), _since(bucket, carriers, folder), _SINCE))
        given_back = [carrier for carrier in carriers if carrier.batch.state in _NOT_SENT]
        view(db, "given_back", write_table(new_path(folder, "given_back"), _given_back(bucket, given_back), _BACK))
        # An item may have been sent again since; the snapshot's rows say which are still this batch's.
        changed = _SINCE_THEN
        for number, (upload, plan) in enumerate(sorted({(one.batch.upload, one.batch.plan) for one in given_back})):
            # What was true before a batch that was given back after the snapshot still is.
            view(db, f"before_{number}", state_before(ledger, bucket, upload, plan, folder))
            changed += f" UNION ALL {_BEFORE_THAT.format(table=f'before_{number}', upload=quoted(upload))}"
        changed += " ORDER BY store_id, item_sku"
        updates = write_table(new_path(folder, "updates"), tables(db, changed), SCHEMA)
        db.register(
            "carried", pa.table({"upload": [c.batch.upload for c in carriers], "named": [c.named for c in carriers]})
        )
        overtaken = db.sql("SELECT file_row_number FROM waiting SEMI JOIN carried USING (upload, named)").fetchnumpy()
    return [Layer(snapshot, overtaken["file_row_number"]), Layer(updates)]


@dataclass(frozen=True)
class _Carrier:
    """A batch that carries items of the batch that a snapshot names."""

    named: str
    batch: Batch


def _carriers(ledger: Ledger, named: Sequence[tuple[str, str]]) -> list[_Carrier]:
    """What carries the items of these batches now; nothing of batches that were pruned.

    Those are long overtaken, or no longer waited for.
    """
    found = []
    for upload, mine in groupby(named, key=itemgetter(0)):
        members = {member.id: member for member in ledger.batches(upload)}
        found += [
            _Carrier(batch, leaf)
            for _, batch in mine
            if batch in members
            for leaf in _parts_of(members[batch], members)
        ]
    return found


def _since(bucket: Bucket, carriers: Sequence[_Carrier], folder: Path) -> Iterator[pd.DataFrame]:
    """The published state that follows from these, and `named`."""
    sent = [carrier for carrier in carriers if carrier.batch.state not in _NOT_SENT]
    for _, of_upload in groupby(sent, key=lambda carrier: carrier.batch.upload):
        mine = list(of_upload)
        outcomes = outcomes_of(bucket, [carrier.batch for carrier in mine], folder)
        for carrier, table in zip(mine, outcomes, strict=True):
            yield outcomes_state([carrier.batch], [as_frame(table)]).assign(named=carrier.named)


def _given_back(bucket: Bucket, carriers: Sequence[_Carrier]) -> Iterator[pd.DataFrame]:
    for carrier in carriers:
        keys = batch_items(bucket, carrier.batch)[["store_id", "item_sku"]]
        yield keys.assign(upload=carrier.batch.upload, named=carrier.named)


def _parts_of(batch: Batch, batches: Mapping[str, Batch]) -> list[Batch]:
    """The batch, or, where it was cut, those that carry its items now."""
    if not batch.split:
        return [batch]
    parts = [part for part in batches.values() if part.part_of == batch.id]
    return [carrier for part in parts for carrier in _parts_of(part, batches)]
