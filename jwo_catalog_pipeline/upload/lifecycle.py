"""The moves of an upload that several rooms share: a newer one takes over, and the last batch comes to its end."""

from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import Batch, BatchState


def supersede_older(ledger: Ledger, upload: str) -> None:
    """Take out of play what older uploads have not sent; they cannot send it any more once `upload` has the head."""
    if ledger.head().upload != upload:
        return
    for older in ledger.open_uploads():
        if older == upload:
            continue
        for batch in ledger.batches(older):
            if batch.state is BatchState.PLANNED:
                ledger.supersede(batch, upload)
            elif batch.state is BatchState.SENDING and batch.lease_until < ledger.now():
                # Its worker died while sending, and no other may send it again: it may have been ingested.
                ledger.leave_in_doubt(batch, f"upload {upload} took over")
        close_if_final(ledger, older)


def close_if_final(ledger: Ledger, upload: str, batches: list[Batch] | None = None) -> None:
    """Take an applied upload off the worklist once nothing more will happen to its batches, if they were just read."""
    record = ledger.upload(upload)
    batches = ledger.batches(upload) if batches is None else batches
    if record and record.is_open and all(batch.is_closed for batch in batches):
        ledger.close(upload)
