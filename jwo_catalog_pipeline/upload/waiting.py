"""Items that wait for an earlier sending: what they wait for, and whether that is over."""

from dataclasses import dataclass

from jwo_catalog_pipeline.catalog_api.report import UNREPORTED
from jwo_catalog_pipeline.upload import model
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import Batch, BatchState


@dataclass(frozen=True)
class Waiting:
    """Items that the newest upload left waiting.

    Attributes:
        upload: the upload that could not send them; "" before the first.
        items: how many.
        blocked_by: batches whose outcome is still open, and that are still waited for.
    """

    upload: str
    items: int
    blocked_by: list[Batch]


def waiting_items(ledger: Ledger, in_flight_hours: float) -> Waiting:
    """What the newest applied upload left waiting.

    Args:
        ledger: knows the plan and the batches.
        in_flight_hours: after how long a batch without news is no longer waited for.
    """
    head = ledger.head().upload
    plan = ledger.plan(head) if head else None
    if plan is None or not plan.waiting:
        return Waiting(head, 0, [])
    since = ledger.now() - round(in_flight_hours * 3600)
    blocking = [
        batch
        for upload in plan.waits_for
        for batch in ledger.batches(upload)
        if (is_open(batch) and batch.sent_at >= since) or (batch.doubts and batch.doubted_at >= since)
    ]
    return Waiting(head, plan.waiting, blocking)


def is_open(batch: Batch) -> bool:
    """Whether the outcome of any item of the batch is still open."""
    unreported = batch.state is BatchState.SETTLED and batch.outcomes.get(UNREPORTED, 0)
    return batch.state in model.IN_FLIGHT or bool(unreported)
