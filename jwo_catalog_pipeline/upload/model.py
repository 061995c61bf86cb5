"""What the ledger holds, as frozen values: the head, plans, uploads, batches, news, alerts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from jwo_catalog_pipeline.catalog_api.errors import Outcome
from jwo_catalog_pipeline.catalog_api.operations import UPLOAD, Operation
from jwo_catalog_pipeline.upload.batch_ids import parent_of
from jwo_catalog_pipeline.upload.exports import UNKNOWN_EXPORT, Export


class BatchState(StrEnum):
    """Where a batch is (DESIGN.md, Vocabulary)."""

    PLANNED = "planned"  # recorded, not sent
    SENDING = "sending"  # a worker holds it and may be sending it right now
    SUBMITTED = "submitted"  # Amazon gave an ingestion id
    REPORTED = "reported"  # Amazon says that the ingestion has ended
    SETTLED = "settled"  # the report is stored, every item's outcome known as far as it tells
    REFUSED = "refused"  # a definite no to the whole batch
    IN_DOUBT = "in_doubt"  # it may have been ingested
    SUPERSEDED = "superseded"  # before it was sent a newer upload took over, or a person closed the upload
    FAILED = "failed"  # Amazon says CANCELLED or FATAL
    CLOSED = "closed"  # a person has ended the waiting: what Amazon holds of its items is not known

    @property
    def final(self) -> bool:
        """Whether nothing more will happen to the batch."""
        return self in FINAL

    @property
    def sendable(self) -> bool:
        """Whether its bytes may be sent, given the lease and the head."""
        return self in {BatchState.PLANNED, BatchState.SENDING, BatchState.IN_DOUBT}


FINAL = frozenset({BatchState.SETTLED, BatchState.REFUSED, BatchState.SUPERSEDED, BatchState.FAILED, BatchState.CLOSED})


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


# What stands behind a refused batch: its items are in two parts now; it is one item, which Amazon refuses and says why;
# it is one store, which Amazon does not know; or unknown, for it was not cut any further.
SPLIT, ONE_ITEM, ONE_STORE, NOT_CUT = "split", "one_item", "one_store", "not_cut"


@dataclass(frozen=True)
class Head:
    """The newest applied upload ("" before the first), and a fencing token: it grows with every send under any head.

    A write that rests on a head names the fence that it was read with, so it fails if anything was sent since.
    """

    upload: str = ""
    fence: int = 0


@dataclass(frozen=True)
class Batch:
    """A batch as the ledger has it. Times are epoch seconds."""

    upload: str
    plan: str
    id: str  # its place in the plan, `0001`; the halves of a refused batch are `0001.1` and `0001.2`
    items: int
    bytes: int
    sha256: str = ""  # of its bytes; "" before the first attempt, for until then they need not have been made
    operation: Operation = UPLOAD
    first_row: int = 0  # of the plan's rows that are uploaded, or archived: where this batch begins
    state: BatchState = BatchState.PLANNED
    attempts: int = 0
    # Attempts that may have become ingestions and are not matched yet, and when the last of them was made.
    doubts: int = 0
    doubted_at: int = 0
    owner: str = ""
    lease_until: int = 0
    sent_at: int = 0
    ingestion_id: str = ""
    # Its ingestion was found by the names of its items, which prove nothing about their content.
    matched_by_items: bool = False
    processing_status: str = ""
    asked_at: int = 0
    http_status: int = 0
    request_id: str = ""
    message: str = ""
    refusal: str = ""  # of a refused batch: SPLIT, ONE_ITEM, ONE_STORE or NOT_CUT
    report_shape: str = ""
    outcomes: Mapping[str, int] = field(default_factory=dict)
    closed_at: int = 0  # when a person ended the waiting for it

    @property
    def split(self) -> bool:
        """Whether its items are in other batches now."""
        return self.refusal == SPLIT

    @property
    def part_of(self) -> str:
        """The refused batch that this is a part of; "" for none."""
        return parent_of(self.id)

    @property
    def place(self) -> tuple[int, ...]:
        """Orders batches as their upload sends them, and parts after what they are parts of."""
        return tuple(map(int, self.id.split(".")))

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is waited for, though what became of it may never be known."""
        return self.state.final or (self.state is BatchState.IN_DOUBT and not self.doubts)

    def holds_lease(self, now: int) -> bool:
        """Whether a worker may be sending it right now."""
        return self.state is BatchState.SENDING and self.lease_until > now


@dataclass(frozen=True)
class PlanRecord:
    """The newest plan of an upload, the head that it was made against, and the export that it was made of."""

    plan: str
    base_upload: str = ""
    base_fence: int = 0
    planned_at: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    quarantined: int = 0
    excluded: int = 0  # rows of the export that are no items, by the mapping
    merged: int = 0  # rows of the export that are part of another item
    checked_with: str = ""  # names the rules that the items were checked with; "" where that is not known
    requests: int = 0
    archive_stores: Sequence[str] = ()
    missing_stores: Sequence[str] = ()
    absent: int = 0
    waiting: int = 0
    waits_for: Sequence[str] = ()  # uploads
    stopped_by: Sequence[str] = ()  # what guards say
    allowed: Sequence[str] = ()
    planned_by: str = ""  # what may plan again by itself: a run, with those that repeat it
    export: Export = UNKNOWN_EXPORT

    @property
    def base(self) -> Head:
        """The head that the plan was made against."""
        return Head(self.base_upload, self.base_fence)


@dataclass(frozen=True)
class UploadRecord:
    """An applied upload. Its state is `open` or `settled`; `closed_*`: whether a person closed it, and why."""

    plan: str
    base_upload: str
    batches: int
    items: int
    applied_at: int
    state: str = "open"
    settled_at: int = 0
    export: Export = UNKNOWN_EXPORT
    closed_at: int = 0
    closed_by: str = ""
    close_reason: str = ""

    @property
    def is_open(self) -> bool:
        """Whether something may still happen to its batches."""
        return self.state == "open"


@dataclass(frozen=True)
class AttemptRecord:
    """One try at sending a batch; without `ended_at` it is under way, or its worker died."""

    number: int
    started_at: int
    owner: str
    ended_at: int = 0
    outcome: str = ""
    ingestion_id: str = ""
    http_status: int = 0
    request_id: str = ""
    message: str = ""


@dataclass(frozen=True)
class AttemptFailure:
    """Why an attempt failed, and what is known of its outcome."""

    outcome: Outcome
    http_status: int
    request_id: str
    message: str


@dataclass(frozen=True)
class Ingestion:
    """Names the batch that an ingestion came of; `duplicate`: the batch has another one of its own."""

    upload: str
    plan: str
    batch: str
    duplicate: bool


def utc(epoch_seconds: float) -> str | None:
    """A time of the ledger for people: `2026-11-23T19:07:00Z`; None for 0, which means never."""
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if epoch_seconds else None


def leaf_batches(batches: Iterable[Batch]) -> list[Batch]:
    """The batches that carry an upload's items, each item once: all but those that were cut in two."""
    return [batch for batch in batches if not batch.split]


def upload_key(moment: datetime) -> str:
    """The key of an upload that starts at a moment: `2026-11-23T190700Z`, in UTC whatever the moment's time zone is."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H%M%SZ")
