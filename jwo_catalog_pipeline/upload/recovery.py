"""Replay and salvage: the published state from its sources, and the ledger from the bucket.

Replay reads every batch that was ever applied, and the reports as Amazon wrote them. The running state starts from a
snapshot, so that planning need not read the whole past; replay shows that the snapshot is right, or makes it again.

Salvage is for a table that was lost, or restored to a moment before the bucket's. The bucket has the bytes of every
batch just before they are sent, so what it has and the table has not may have been sent. What became of it is known
where its outcomes are stored; else it is in doubt, as after a call without a response, and is matched with its
ingestion, or given up, like that. Ids of ingestions and attempts are lost with the table.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from jwo_catalog_pipeline.catalog_api.matching import match_outcomes
from jwo_catalog_pipeline.catalog_api.operations import ARCHIVE, OPERATIONS, Operation
from jwo_catalog_pipeline.catalog_api.report import read_report
from jwo_catalog_pipeline.engine import ask
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.table_file import TableFile, as_frame, write_table
from jwo_catalog_pipeline.upload.batch_ids import parent_of
from jwo_catalog_pipeline.upload.closing import apply_closing, stored_closing, waits
from jwo_catalog_pipeline.upload.errors import NothingApplied, RecordNotFound
from jwo_catalog_pipeline.upload.folding import SCHEMA, Layer, fold
from jwo_catalog_pipeline.upload.ledger.closing import Closing, closed
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import SPLIT, Batch, BatchState, PlanRecord, UploadRecord
from jwo_catalog_pipeline.upload.outcomes import batch_body, batch_item_table, batch_items, outcomes_key, report_key
from jwo_catalog_pipeline.upload.published_state import outcomes_state, state_before, state_pieces
from jwo_catalog_pipeline.upload.snapshots import Before, keep_snapshot, read_before, write_before
from jwo_catalog_pipeline.upload.tables import Published, empty
from jwo_catalog_pipeline.work_folder import new_path

_KEY = re.compile(r"uploads/(.+)/([0-9a-f]{12})/(batches|items|outcomes)/(\d+(?:\.[12])*)(?:\.([a-z]+))?\.\w+")
_CLOSED = re.compile(r"uploads/(.+)/([0-9a-f]{12})/closed\.json")
MESSAGE = "salvaged: the ledger had lost it"
PENDING_ROWS = 1_000_000  # folded together once there are so many, which bounds memory


@dataclass(frozen=True)
class RebuiltState:
    """The state before the newest applied upload, and now; both with `Published`."""

    before_head: TableFile
    now: TableFile


def applied_uploads(ledger: Ledger, limit: int | None = None) -> list[str]:
    """The applied uploads, newest first: each names the one that it was made after."""
    uploads: list[str] = []
    upload = ledger.head().upload
    while upload and (limit is None or len(uploads) < limit):
        record = ledger.upload(upload)
        if record is None:
            raise RecordNotFound(f"the ledger has lost upload {upload}", "restore the table")
        uploads.append(upload)
        upload = record.base_upload
    return uploads


def rebuild_state(
    ledger: Ledger, bucket: Bucket, folder: Path, on_upload: Callable[[int, int], None] = lambda done, of: None
) -> RebuiltState:
    """Fold every upload's batches, oldest first.

    Args:
        ledger: holds the uploads and their batches.
        bucket: holds the batches' items and the reports.
        folder: where the tables are made.
        on_upload: called with how many uploads of how many are done.
    """
    uploads, before = _replayed(ledger, bucket, folder)
    layers = list[Layer]()
    for done, upload in enumerate(uploads, start=1):
        if upload == uploads[-1] or sum(layer.table.rows for layer in layers) > PENDING_ROWS:
            before, layers = fold([Layer(before), *layers], folder), []
        reported = (_from_report(bucket, batch, folder) for batch in ledger.batches(upload))
        layers.append(Layer(write_table(new_path(folder, "layer"), reported, SCHEMA)))
        on_upload(done, len(uploads))
    return RebuiltState(before, fold([Layer(before), *layers], folder))


def same_items(one: TableFile, other: TableFile) -> bool:
    """Whether two tables of `Published` have the same rows, whatever their order."""
    names = ", ".join(SCHEMA.names)
    query = f"SELECT count(*) AS rows FROM (SELECT {names} FROM one EXCEPT ALL SELECT {names} FROM other)"  # noqa: S608
    return one.rows == other.rows and not ask(query, one=one, other=other)["rows"][0]


def _replayed(ledger: Ledger, bucket: Bucket, folder: Path) -> tuple[list[str], TableFile]:
    """The uploads to replay, oldest first, and the state before them.

    Where one that had sent something was pruned, replay starts from what is noted of the state after it.
    """
    uploads = applied_uploads(ledger)[::-1]
    after, start, state = "", 0, None
    for place, upload in enumerate(uploads):
        if record := ledger.upload(upload):
            if read_before(bucket, upload, record.plan).after not in (after, None):
                start, state = place, partial(state_before, ledger, bucket, upload, record.plan, folder)
            after = upload if record.batches else after
    return uploads[start:], state() if state else fold([], folder)


def restore_snapshot(ledger: Ledger, bucket: Bucket, rebuilt: RebuiltState) -> str:
    """Make the running state start from a snapshot of the rebuilt one; gives its key."""
    head = ledger.head().upload
    record = ledger.upload(head) if head else None
    if record is None:
        raise NothingApplied("nothing has been applied yet, so there is no snapshot to restore")
    noted = read_before(bucket, head, record.plan)
    before = Before(keep_snapshot(bucket, rebuilt.before_head), after=noted.after)
    write_before(bucket, head, record.plan, before)
    return before.snapshot


def _from_report(bucket: Bucket, batch: Batch, folder: Path) -> pd.DataFrame:
    if batch.state is not BatchState.SETTLED:
        return pd.concat([empty(Published), *state_pieces(bucket, [batch], folder)])
    report = read_report(bucket.get(report_key(batch)), archive=batch.operation.removes)
    return outcomes_state([batch], [as_frame(match_outcomes(batch_item_table(bucket, batch), report))])


# -- salvage ----------------------------------------------------------------------------------------------------------


@dataclass
class Stored:
    """What the bucket has of one plan: when each was written, epoch seconds, by batch; and what bodies are for."""

    upload: str
    plan: str
    batches: dict[str, int] = field(default_factory=dict)
    items: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    closing: Closing | None = None  # where a person has closed the upload


def salvage(
    ledger: Ledger, bucket: Bucket, *, write: bool, on_batch: Callable[[int, int], None] = lambda done, of: None
) -> list[dict[str, Any]]:
    """Bring the ledger up to what the bucket shows. Nothing else may be running; doing it again changes nothing.

    Args:
        ledger: takes what it lacks.
        bucket: has what was sent.
        write: do so; else only tell what would be done.
        on_batch: called with how many batches of how many are done.

    Returns:
        What the ledger lacked: `upload`, `batch`, `was` (None: not there), `state`, `items`.
    """
    known, pruned = set(applied_uploads(ledger)), set(ledger.pruned())
    plans = [stored for stored in _sent_plans(bucket, known) if stored.upload not in pruned]
    sent = sorted(plans, key=lambda stored: min((stored.batches or stored.items).values()))
    of, done, changes, base = sum(len(stored.items) for stored in sent), 0, list[dict[str, Any]](), ledger.head().upload
    for stored in sent:
        have = {batch.id: batch for batch in ledger.batches(stored.upload)} if stored.upload in known else {}
        batches = []
        for batch_id in sorted(stored.items):
            batch = _closed(stored, _salvaged(bucket, stored, batch_id, have.get(batch_id)), have.get(batch_id))
            done += 1
            on_batch(done, of)
            if batch is None:
                continue
            batches.append(batch)
            was = str(have[batch_id].state) if batch_id in have else None
            changes.append(
                {"upload": batch.upload, "batch": batch_id, "was": was, "state": str(batch.state), "items": batch.items}
            )
        if write:
            for batch in batches:
                ledger.salvage_batch(batch)
        if stored.closing and stored.upload in known and write:
            apply_closing(ledger, stored.upload, stored.closing)
        if stored.upload not in known:
            if write:
                _write_upload(ledger, stored, batches, base)
            base = stored.upload
    if write and base != (head := ledger.head()).upload:
        ledger.salvage_head(base, head.fence + 1)
    return changes


def _sent_plans(bucket: Bucket, known: set[str]) -> list[Stored]:
    """The plans of which something may have been sent, of an upload one at most; and known ones that were closed."""
    plans: dict[tuple[str, str], Stored] = {}
    for key, written_at in bucket.list("uploads/"):
        if match := _KEY.fullmatch(key):
            upload, plan, kind, batch, operation = match.groups()
            stored = plans.setdefault((upload, plan), Stored(upload, plan))
            getattr(stored, kind)[batch] = written_at
            if operation:
                stored.operations[batch] = OPERATIONS[operation]
        elif match := _CLOSED.fullmatch(key):
            upload, plan = match.groups()
            stored = plans.setdefault((upload, plan), Stored(upload, plan))
            stored.closing = stored_closing(bucket.get(key))
    mine = [stored for stored in plans.values() if stored.batches or (stored.closing and stored.upload in known)]
    return [_without_cuts_of_schema_2(stored) for stored in mine]


def _without_cuts_of_schema_2(stored: Stored) -> Stored:
    """Leave out former parts of a batch that was cut again: a worker of schema 2 died before it had recorded them."""
    again = {parent_of(batch) for batch in stored.items if "." in batch}
    for part in [batch for batch in stored.items if "." not in batch and parent_of(batch) in again]:
        for written in (stored.batches, stored.items, stored.outcomes):
            written.pop(part, None)
    return stored


def _salvaged(bucket: Bucket, stored: Stored, batch_id: str, have: Batch | None) -> Batch | None:
    """The batch as the bucket shows it; None where the ledger knows as much or more."""
    was_begun = batch_id in stored.batches
    if have is not None and (have.state is not BatchState.PLANNED or not was_begun):
        return None
    batch = have or Batch(stored.upload, stored.plan, batch_id, 0, 0)
    if batch_id in stored.operations:
        batch = replace(batch, operation=stored.operations[batch_id])
    values: dict[str, Any] = {**vars(batch), "items": len(batch_items(bucket, batch)), "message": MESSAGE}
    if not was_begun:
        return Batch(**{**values, "state": BatchState.SUPERSEDED})
    _, body = batch_body(bucket, batch)
    if batch_id not in stored.operations and body.startswith(b'{"itemSkus"'):
        values["operation"] = ARCHIVE  # the key of a body does not say so up to schema 2
    sent_at = stored.batches[batch_id]
    values |= {
        "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "attempts": batch.attempts + 1,
        "sent_at": sent_at,
    }
    if any(parent_of(other) == batch_id for other in stored.items):
        return Batch(**{**values, "state": BatchState.REFUSED, "refusal": SPLIT})
    if batch_id in stored.outcomes:
        counts = bucket.get_table(outcomes_key(batch))["outcome"].value_counts()
        outcomes = {str(outcome): int(count) for outcome, count in counts.items()}
        return Batch(**{**values, "state": BatchState.SETTLED, "outcomes": outcomes})
    return Batch(**{**values, "state": BatchState.IN_DOUBT, "doubts": 1, "doubted_at": sent_at})


def _closed(stored: Stored, salvaged: Batch | None, have: Batch | None) -> Batch | None:
    """The batch as it is where a person has closed its upload; None where that changes nothing that the ledger has."""
    batch = salvaged or have
    if stored.closing is None or batch is None or not waits(batch):
        return salvaged
    return replace(batch, **closed(batch, stored.closing.message, stored.closing.closed_at))  # type: ignore[arg-type]


def _write_upload(ledger: Ledger, stored: Stored, batches: list[Batch], base: str) -> None:
    """The records of an upload whose batches are written; what only its plan knew, guards ask again."""
    over = all(batch.is_closed for batch in batches)
    applied_at = min(stored.items.values())
    plan = PlanRecord(stored.plan, base, planned_at=applied_at, requests=len(batches))
    ledger.salvage_plan(stored.upload, plan)
    items = sum(batch.items for batch in batches if not batch.part_of)
    record = UploadRecord(stored.plan, base, len(batches), items, applied_at, "settled" if over else "open")
    if stored.closing:
        record = replace(record, **vars(stored.closing))
    ledger.salvage_upload(stored.upload, replace(record, settled_at=ledger.now()) if over else record)
