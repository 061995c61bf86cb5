"""The ledger from the bucket: for a table that was lost, or restored to a moment before the bucket's.

The bucket has the bytes of every batch just before they are sent, so what it has and the table has not may have been
sent. What became of it is known where its outcomes are stored; else it is in doubt, as after a call without an answer,
and is matched with its ingestion, or given up, like that. Ids of ingestions and attempts are lost with the table.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import ARCHIVE, SPLIT, UPLOAD, Batch, BatchState, PlanRecord, UploadRecord
from jwo_catalog_pipeline.upload.published_state import batch_items, body_key, outcomes_key
from jwo_catalog_pipeline.upload.recovery import applied_uploads
from jwo_catalog_pipeline.upload.send.bisect import parent_of

_KEY = re.compile(r"uploads/(.+)/([0-9a-f]{12})/(batches|items|outcomes)/(\d+)\.\w+")
MESSAGE = "salvaged: the ledger had lost it"


@dataclass
class Stored:
    """What the bucket has of one plan: when each was written, epoch seconds, by batch number."""

    upload: str
    plan: str
    batches: dict[int, int] = field(default_factory=dict)
    items: dict[int, int] = field(default_factory=dict)
    outcomes: dict[int, int] = field(default_factory=dict)


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
    known = set(applied_uploads(ledger))
    sent = sorted(_sent_plans(bucket), key=lambda stored: min(stored.batches.values()))
    of, done, changes, base = sum(len(stored.items) for stored in sent), 0, list[dict[str, Any]](), ledger.head().upload
    for stored in sent:
        have = {batch.number: batch for batch in ledger.batches(stored.upload)} if stored.upload in known else {}
        batches = []
        for number in sorted(stored.items):
            batch = _salvaged(bucket, stored, number, have.get(number))
            done += 1
            on_batch(done, of)
            if batch is None:
                continue
            batches.append(batch)
            was = str(have[number].state) if number in have else None
            changes.append(
                {"upload": batch.upload, "batch": number, "was": was, "state": str(batch.state), "items": batch.items}
            )
        if write:
            for batch in batches:
                ledger.salvage_batch(batch)
        if stored.upload not in known:
            if write:
                _write_upload(ledger, stored, batches, base)
            base = stored.upload
    if write and base != (head := ledger.head()).upload:
        ledger.salvage_head(base, head.sequence + 1)
    return changes


def _sent_plans(bucket: Bucket) -> list[Stored]:
    """The plans of which something may have been sent; of an upload there is one at most."""
    found: dict[tuple[str, str], Stored] = {}
    for key, written_at in bucket.list("uploads/"):
        if match := _KEY.fullmatch(key):
            upload, plan, kind, number = match.groups()
            stored = found.setdefault((upload, plan), Stored(upload, plan))
            getattr(stored, kind)[int(number)] = written_at
    return [stored for stored in found.values() if stored.batches]


def _salvaged(bucket: Bucket, stored: Stored, number: int, have: Batch | None) -> Batch | None:
    """The batch as the bucket shows it; None where the ledger knows as much or more."""
    was_begun = number in stored.batches
    if have is not None and (have.state is not BatchState.PLANNED or not was_begun):
        return None
    batch = have or Batch(stored.upload, stored.plan, number, 0, 0, part_of=parent_of(number))
    values: dict[str, Any] = {**vars(batch), "items": len(batch_items(bucket, batch)), "message": MESSAGE}
    if not was_begun:
        return Batch(**{**values, "state": BatchState.SUPERSEDED})
    body = bucket.get(body_key(batch))
    sent_at = stored.batches[number]
    values |= {
        "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "operation": ARCHIVE if body.startswith(b'{"itemSkus"') else UPLOAD,
        "attempts": batch.attempts + 1,
        "sent_at": sent_at,
    }
    if any(parent_of(other) == number for other in stored.items):
        return Batch(**{**values, "state": BatchState.REFUSED, "refusal": SPLIT})
    if number in stored.outcomes:
        counts = bucket.get_table(outcomes_key(batch))["outcome"].value_counts()
        outcomes = {str(outcome): int(count) for outcome, count in counts.items()}
        return Batch(**{**values, "state": BatchState.SETTLED, "outcomes": outcomes})
    return Batch(**{**values, "state": BatchState.IN_DOUBT, "doubts": 1, "doubted_at": sent_at})


def _write_upload(ledger: Ledger, stored: Stored, batches: list[Batch], base: str) -> None:
    """The records of an upload whose batches are written; what only its plan knew, guards ask again."""
    over = all(batch.is_closed for batch in batches)
    applied_at = min(stored.items.values())
    plan = PlanRecord(stored.plan, base, planned_at=applied_at, requests=len(batches))
    ledger.salvage_plan(stored.upload, plan)
    items = sum(batch.items for batch in batches if not batch.part_of)
    record = UploadRecord(stored.plan, base, len(batches), items, applied_at, "settled" if over else "open")
    ledger.salvage_upload(stored.upload, replace(record, settled_at=ledger.now()) if over else record)
