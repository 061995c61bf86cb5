"""The states of a batch, what an attempt makes of them, and what each means for its items."""

from enum import StrEnum

from jwo_catalog_pipeline.catalog_api.errors import Outcome


class BatchState(StrEnum):
    """Where a batch is (DESIGN.md, Vocabulary)."""

    PLANNED = "planned"  # recorded, not sent
    SENDING = "sending"  # a worker holds it and may be sending it right now
    SUBMITTED = "submitted"  # Amazon gave an ingestion id
    REPORTED = "reported"  # Amazon says that the ingestion has ended
    SETTLED = "settled"  # the report is stored, every item's outcome known as far as it tells
    REFUSED = "refused"  # a definite no to the whole batch
    IN_DOUBT = "in_doubt"  # it may have been ingested
    SUPERSEDED = "superseded"  # a newer upload took over before it was sent
    FAILED = "failed"  # Amazon says CANCELLED or FATAL

    @property
    def final(self) -> bool:
        """Whether nothing more will happen to the batch."""
        return self in FINAL

    @property
    def sendable(self) -> bool:
        """Whether its bytes may be sent, given the lease and the head."""
        return self in {BatchState.PLANNED, BatchState.SENDING, BatchState.IN_DOUBT}


FINAL = frozenset({BatchState.SETTLED, BatchState.REFUSED, BatchState.SUPERSEDED, BatchState.FAILED})


def after_attempt(outcome: Outcome, *, about_batch: bool, doubts: int) -> BatchState:
    """The state of a batch after an attempt.

    Args:
        outcome: what is known of the attempt.
        about_batch: whether a definite no is one to these bytes, and not to the caller.
        doubts: how many earlier attempts may have become ingestions.

    A refusal is final whatever the earlier attempts became: the parts that the batch is cut into carry the very items
    that those carried, and remember the doubt.
    """
    if outcome is Outcome.YES:
        return BatchState.SUBMITTED
    if outcome is Outcome.NO and about_batch:
        return BatchState.REFUSED
    return BatchState.IN_DOUBT if doubts or outcome is Outcome.IN_DOUBT else BatchState.PLANNED


class PublishedState(StrEnum):
    """What Amazon is known to hold of an item."""

    ACCEPTED = "accepted"
    IN_FLIGHT = "in_flight"
    REJECTED = "rejected"
    ARCHIVED = "archived"  # only while folding: what is archived is in no published state


# While a batch is in one of these, Amazon may be changing its items.
IN_FLIGHT = frozenset({BatchState.SENDING, BatchState.IN_DOUBT, BatchState.SUBMITTED, BatchState.REPORTED})
