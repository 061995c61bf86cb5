"""Closing an upload: a person's word that nothing more is waited for, for an ingestion that never ends.

What is known of items stays known. Of the others it is then not known what Amazon holds, so the next plan sends them
once more. What was not sent is never sent. News that comes later all the same is recorded, and may say more.
"""

import json
from dataclasses import asdict

from jwo_catalog_pipeline.catalog_api.report import UNREPORTED
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.upload.errors import LeaseHeld, NothingApplied
from jwo_catalog_pipeline.upload.ledger.closing import Closing
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.lifecycle import close_if_final
from jwo_catalog_pipeline.upload.model import Batch, UploadRecord, utc
from jwo_catalog_pipeline.upload.outcomes import closing_key


def waits(batch: Batch) -> bool:
    """Whether anything is waited for of a batch: its end, a doubt, or items that its report did not mention."""
    unreported = bool(batch.outcomes.get(UNREPORTED)) and not batch.closed_at
    return not batch.is_closed or bool(batch.doubts) or unreported


def closable(ledger: Ledger, upload: str) -> list[Batch]:
    """The batches that closing an upload would close.

    Raises:
        NothingApplied: nothing of the upload was ever recorded for sending.
        LeaseHeld: a worker is sending one of them right now.
    """
    _record(ledger, upload)
    batches = [batch for batch in ledger.batches(upload) if waits(batch)]
    if held := [batch for batch in batches if batch.holds_lease(ledger.now())]:
        raise _held(held[0], ledger.now())
    return batches


def close_upload(ledger: Ledger, bucket: Bucket, upload: str, closed_by: str, reason: str) -> list[Batch]:
    """Close what is open of an upload; doing it again changes nothing.

    Args:
        ledger: keeps who closed it, and why, and the batches.
        bucket: keeps the same, for a ledger that is lost.
        upload: the upload's key.
        closed_by: who closes it.
        reason: why.

    Returns:
        The batches that were closed now, as they were before.

    Raises:
        NothingApplied, LeaseHeld: see `closable`. A worker that began a batch in the meantime ends that batch, and
            begins no other; all others are closed.
    """
    if not closable(ledger, upload):
        return []
    closing, record = Closing(ledger.now(), closed_by, reason), _record(ledger, upload)
    if not record.closed_at:
        content = json.dumps(asdict(closing), ensure_ascii=False).encode("utf-8", "replace")
        bucket.put(closing_key(upload, record.plan), content, "application/json")
    return apply_closing(ledger, upload, closing)


def apply_closing(ledger: Ledger, upload: str, closing: Closing) -> list[Batch]:
    """Close an upload in the ledger, as `close_upload` does."""
    ledger.record_closing(upload, closing)
    now, done, held = ledger.now(), list[Batch](), list[Batch]()
    for batch in ledger.batches(upload):
        while waits(batch):
            if batch.holds_lease(now):
                held.append(batch)
                break
            if ledger.close_batch(batch, closing.message):
                done.append(batch)
                break
            batch = ledger.batch(batch.upload, batch.plan, batch.id)  # it changed in the meantime
    if held:
        raise _held(held[0], now)
    close_if_final(ledger, upload)
    return done


def stored_closing(content: bytes) -> Closing:
    """The closing that the bucket has."""
    return Closing(**json.loads(content))


def _record(ledger: Ledger, upload: str) -> UploadRecord:
    record = ledger.upload(upload)
    if record is None:
        raise NothingApplied(
            f"nothing of upload {upload} was ever sent, so there is nothing to close",
            "`jwo-catalog status` lists the uploads",
        )
    return record


def _held(batch: Batch, now: int) -> LeaseHeld:
    return LeaseHeld(
        f"batch {batch.id} of upload {batch.upload} is being sent right now by run {batch.owner}",
        f"stop that run first (Terminate); if it is dead, close the upload after {utc(batch.lease_until)}",
        seconds=batch.lease_until - now,
    )
