"""What was accepted: ingestions, and the order in which those that are due get processed. No locks, no clock, no I/O.

Amazon promises no order, so a test may ask for one that the pipeline must not rely on.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

FIFO, LIFO, RANDOM = "fifo", "lifo", "random:"


@dataclass
class Ingestion:
    """A request that was accepted. `accepted_at` and `ended_at` are positions in the service's sequence of events."""

    id: str
    number: int
    operation: str
    content: list[Any] | bytes  # items of an upload, SKUs of an archive, or not read yet; emptied when processed
    due: float
    items: int
    body_sha256: str
    accepted_at: int
    ended_at: int | None = None
    status: str = "INQUEUE"
    outcomes: dict[str, int] = field(default_factory=dict)
    notifications: int = 0

    @property
    def report_key(self) -> str:
        """Where its report is."""
        return f"reports/{self.id}.json"

    def describe(self) -> dict[str, Any]:
        """What the control API tells of it."""
        return {
            "ingestion_id": self.id,
            "operation": self.operation,
            "status": self.status,
            "items": self.items,
            "body_sha256": self.body_sha256,
            "accepted_at": self.accepted_at,
            "ended_at": self.ended_at,
            "outcomes": dict(self.outcomes),
            "notifications": self.notifications,
        }


def is_order(text: object) -> bool:
    """Whether this names an order: `fifo`, `lifo`, or `random:` and a seed."""
    return isinstance(text, str) and (text in (FIFO, LIFO) or (text.startswith(RANDOM) and text != RANDOM))


def choose(waiting: Iterable[Ingestion], order: str) -> Ingestion:
    """The ingestion to process next.

    Args:
        waiting: those that may be; at least one.
        order: `fifo` (the one that is due first), `lifo` (the one that was accepted last) or `random:<seed>` (the same
            shuffle for the same seed).
    """
    if order == FIFO:
        return min(waiting, key=lambda one: one.due)
    if order == LIFO:
        return max(waiting, key=lambda one: one.number)
    return min(waiting, key=lambda one: hashlib.sha256(f"{order}:{one.number}".encode()).digest())
