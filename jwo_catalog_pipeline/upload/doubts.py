"""Ending the doubt about a batch that was sent once more than was answered: an ingestion is known to be its own."""

from jwo_catalog_pipeline.upload.ledger import Ledger
from jwo_catalog_pipeline.upload.records import Batch
from jwo_catalog_pipeline.upload.states import BatchState
from jwo_catalog_pipeline.upload.table import Conflict


def end_doubt(ledger: Ledger, ingestion_id: str, batch: Batch) -> bool:
    """Take an ingestion for one of a batch's; whether that could be done now.

    A batch that has no other takes it for its own, so that its news settles it; else it ends one doubt.
    """
    pointer = {"upload": batch.upload, "plan": batch.plan, "number": batch.number}
    known = {"pk": f"INGESTION#{ingestion_id}", **pointer}
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
                ledger.put_any({**known, "sk": "BATCH"}),
                gone,
                *ledger.reopen(batch.upload),
                *([] if left else [ledger.forget_doubt(batch)]),
            )
        else:
            ledger.transact(
                "doubt ended",
                ledger.change_batch(batch, doubts=left),
                ledger.put_any({**known, "sk": "DUPLICATE"}),
                ledger.delete_any("NEWS", ingestion_id),
                gone,
                *([] if left else [ledger.forget_doubt(batch)]),
            )
    except Conflict:
        return False  # somebody else was faster, or the next tick will be
    return True
