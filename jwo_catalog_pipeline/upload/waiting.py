"""How long the outcome of what was sent is waited for, and what waits for it."""

from dataclasses import dataclass

from jwo_catalog_pipeline.catalog_api.report import UNREPORTED
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import IN_FLIGHT, Batch, BatchState


@dataclass(frozen=True)
class Waits:
    """How long newer content of an item waits for the outcome of what was sent of it.

    Attributes:
        in_flight_hours: for an ingestion that has an id.
        doubt_minutes: for a call that had no answer.
    """

    in_flight_hours: float = 24
    doubt_minutes: float = 120

    @property
    def in_flight_seconds(self) -> int:
        return round(self.in_flight_hours * 3600)

    @property
    def doubt_seconds(self) -> int:
        return round(self.doubt_minutes * 60)


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


def waiting_items(ledger: Ledger, waits: Waits) -> Waiting:
    """What the newest applied upload left waiting.

    Args:
        ledger: knows the plan and the batches.
        waits: how long outcomes are waited for.
    """
    head = ledger.head().upload
    plan = ledger.plan(head) if head else None
    if plan is None or not plan.waiting:
        return Waiting(head, 0, [])
    now = ledger.now()
    since, doubted_since = now - waits.in_flight_seconds, now - waits.doubt_seconds
    blocking = [
        batch
        for upload in plan.waits_for
        for batch in ledger.batches(upload)
        if (_is_open(batch) and batch.sent_at >= since) or (batch.doubts and batch.doubted_at >= doubted_since)
    ]
    return Waiting(head, plan.waiting, blocking)


def _is_open(batch: Batch) -> bool:
    """Whether the outcome of any item of the batch, which has an ingestion or is being sent, is still open."""
    unreported = batch.state is BatchState.SETTLED and batch.outcomes.get(UNREPORTED, 0)
    return not batch.closed_at and (
        (batch.state in IN_FLIGHT and batch.state is not BatchState.IN_DOUBT) or bool(unreported)
    )
