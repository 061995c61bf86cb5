"""What the ledger holds besides uploads and batches, as frozen values: news, messages, alerts, the call budget."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class News:
    """An ingestion has ended. Times are epoch seconds.

    Attributes:
        received_at: when this was heard.
        ended_by: it had ended by then, for that is when Amazon published it; 0 where that is `received_at`.
        looks: how often Amazon was asked whose it is, without a final answer.
        due_at: when it is due to be looked at; 0 where a batch is known for it.
        why: of news that is put aside, the reason.
    """

    ingestion_id: str
    source: str
    processing_status: str
    received_at: int
    ended_by: int = 0
    looks: int = 0
    due_at: int = 0
    why: str = ""

    @property
    def had_ended_by(self) -> int:
        """The earliest time by which the ingestion is known to have ended."""
        return self.ended_by or self.received_at


@dataclass(frozen=True)
class Orphan:
    """An ingestion of a batch that another worker had taken over when Amazon's answer came."""

    ingestion_id: str
    upload: str
    plan: str
    batch: str
    seen_at: int


@dataclass(frozen=True)
class Slot:
    """The newest slot of the call budget, when it was reserved, and the time between calls then; integer ms."""

    at: int
    noted_at: int
    interval: int


@dataclass(frozen=True)
class UnreadableMessage:
    """A message that cannot be read: why, and where its text is kept."""

    message_id: str
    reason: str
    kept_at: str
    received_at: int


@dataclass(frozen=True)
class UnverifiedMessage:
    """A message whose signature could not be checked yet; `key` is that of its text in the bucket, or ""."""

    message_id: str
    received_at: int
    tries: int = 0
    key: str = ""


@dataclass(frozen=True)
class VerifyPause:
    """Until when messages are not verified again, after how many looks in vain, and why."""

    reason: str
    looks: int
    until: int


@dataclass(frozen=True)
class SettledNote:
    """An upload has settled, and the alerts have not taken it up yet."""

    upload: str
    settled_at: int


@dataclass(frozen=True)
class AlertRecord:
    """An alert that was published at `told_at`, or is being published where that is 0.

    `times` it happened since; `seen`: the newest events of which it was published, or that were counted.
    """

    key: str
    told_at: int = 0
    lasting: bool = False
    times: int = 0
    seen: Sequence[str] = ()
    over: str = ""
