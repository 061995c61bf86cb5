"""Why an upload does not go on, and the switch that holds all sending. Values, as the ledger has them."""

from dataclasses import dataclass
from enum import StrEnum


class StopKind(StrEnum):
    """What stopped an upload."""

    GUARD = "guard"  # a guard or a check: a person decides
    FAILED = "failed"  # an error that a person must fix
    OUTAGE = "outage"  # an error whose cause can pass
    CANCELLED = "cancelled"  # a person, with Terminate or Ctrl-C
    INTERRUPTED = "interrupted"  # the platform stopped the process
    PAUSED = "paused"  # all sending is held

    @property
    def heals(self) -> bool:
        """Whether the upload goes on by itself once the cause is gone."""
        return self in HEALING


HEALING = frozenset({StopKind.OUTAGE, StopKind.INTERRUPTED, StopKind.PAUSED})


@dataclass(frozen=True)
class Stop:
    """An upload that does not go on. Times are epoch seconds.

    Attributes:
        upload: the upload's key.
        kind: what stopped it.
        problem: the reason.
        remedy: what helps.
        run: the Dagster run that was stopped.
        stopped_at: when.
        since: when it was stopped first, if it was tried again in vain since.
    """

    upload: str
    kind: StopKind
    problem: str
    remedy: str
    run: str
    stopped_at: int
    since: int


@dataclass(frozen=True)
class Pause:
    """All sending is held."""

    by: str
    reason: str
    since: int
