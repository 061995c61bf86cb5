"""Beginning and ending the doubt about a batch that was sent once more than was answered."""

from contextlib import suppress

from jwo_catalog_pipeline.upload.ledger.dynamodb import Conflict
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import Batch
from jwo_catalog_pipeline.upload.states import BatchState


def leave_in_doubt(ledger: Ledger, batch: Batch, message: str) -> None:
    """Note that a worker died while sending a batch: it may have been ingested."""
    doubt = {"doubts": batch.doubts + 1, "doubted_at": batch.sent_at}
    change = ledger.change_batch(batch, state=BatchState.IN_DOUBT, message=message, **doubt)
    with suppress(Conflict):
        ledger.transact("batch in_doubt", change, ledger.note_doubt(batch))


def end_doubt(ledger: Ledger, ingestion_id: str, batch: Batch) -> bool:
    """Take an ingestion for one of a batch's; whether that was done now.

    A batch that has no other takes it for its own, so that its news settles it; else it ends one doubt. No ingestion
    does so twice, whoever tries.
    """
    pointer = {"upload": batch.upload, "plan": batch.plan, "number": batch.number}
    ingestion = f"INGESTION#{ingestion_id}"
    known = {"pk": ingestion, **pointer}
    gone = ledger.delete_any("UNMATCHED", ingestion_id)
    if batch.holds_lease(ledger.now()):
        return False
    left = max(0, batch.doubts - 1)
    try:
        if batch.state in (BatchState.IN_DOUBT, BatchState.SENDING):
            left = left if batch.state is BatchState.IN_DOUBT else batch.doubts  # a dead worker's try is this one
            ledger.transact(
                "batch accepted",
                ledger.change_batch(
                    batch, state=BatchState.ACCEPTED, ingestion_id=ingestion_id, doubts=left, message=""
                ),
                ledger.put_new({**known, "sk": "BATCH"}),
                ledger.must_not_exist(ingestion, "DUPLICATE"),
                gone,
                *ledger.reopen(batch.upload),
                *([] if left else [ledger.forget_doubt(batch)]),
            )
        else:
            ledger.transact(
                "doubt ended",
                ledger.change_batch(batch, doubts=left),
                ledger.put_new({**known, "sk": "DUPLICATE"}),
                ledger.must_not_exist(ingestion, "BATCH"),
                ledger.delete_any("NEWS", ingestion_id),
                gone,
                *([] if left else [ledger.forget_doubt(batch)]),
            )
    except Conflict:
        return False  # somebody else was faster, or the next tick will be
    return True
