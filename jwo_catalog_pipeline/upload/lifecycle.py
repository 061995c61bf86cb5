"""The moves of an upload that several rooms share: a newer one takes over, and the last batch comes to its end."""

import random
from collections.abc import Sequence

from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import Batch, BatchState

# Open uploads that one tick of a sensor looks at: each costs some calls, and uploads that Amazon never ends stay open.
UPLOADS_A_TICK = 20


def uploads_of_a_tick(ledger: Ledger) -> list[str]:
    """The open uploads that a tick looks at, oldest first: the newest ten, and any ten of the others."""
    uploads = ledger.open_uploads()
    newest, others = uploads[-UPLOADS_A_TICK // 2 :], uploads[: -UPLOADS_A_TICK // 2]
    # Drawn, so that each has its turn and nothing has to remember whose it is.
    return sorted(random.sample(others, min(len(others), UPLOADS_A_TICK // 2))) + newest


def supersede_older(ledger: Ledger, upload: str, among: Sequence[str] | None = None) -> None:
    """Take out of play what older uploads have not sent; they cannot send it any more once `upload` has the head.

    Args:
        ledger: knows the uploads.
        upload: the newest.
        among: only look at these; at all that are open if not given.
    """
    if ledger.head().upload != upload:
        return
    for older in ledger.open_uploads() if among is None else among:
        if older == upload:
            continue
        for batch in ledger.batches(older):
            if batch.state is BatchState.PLANNED:
                ledger.supersede(batch, upload)
            elif batch.state is BatchState.SENDING and batch.lease_until < ledger.now():
                # Its worker died while sending, and no other may send it again: it may have been ingested.
                ledger.leave_in_doubt(batch, f"upload {upload} took over")
        close_if_final(ledger, older)
    record = ledger.upload(upload)
    for stop in ledger.stops():
        if stop.upload != upload and record and stop.stopped_at <= record.applied_at:
            ledger.forget_stopped(stop.upload)  # nothing of it is left to send


def left_to_send(ledger: Ledger, upload: str) -> list[Batch]:
    """The batches of an applied upload that are still to be sent."""
    return [batch for batch in ledger.batches(upload) if batch.state.sendable and not batch.is_closed]


def close_if_final(ledger: Ledger, upload: str, batches: list[Batch] | None = None) -> None:
    """Take an applied upload off the worklist once nothing more will happen to its batches, if they were just read."""
    record = ledger.upload(upload)
    batches = ledger.batches(upload) if batches is None else batches
    if record and record.is_open and all(batch.is_closed for batch in batches):
        ledger.close(upload)
        ledger.forget_stopped(upload)
