"""Whether an upload is started, resumed or repeated by itself: the rule, without the orchestrator that obeys it.

Nothing is started by itself that a person or a guard has stopped, until something is new.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.lifecycle import left_to_send
from jwo_catalog_pipeline.upload.model import utc
from jwo_catalog_pipeline.wording import plural

LONGEST_PAUSE_SECONDS = 30 * 60
# Nothing is sent that was not tried for so long, such as after an installation was off for weeks.
FORGOTTEN_SECONDS = 24 * 3600
SHORTEST_PAUSE_SECONDS = 60  # after a stop of which no run is known: one of the command line
# A run without an update for so long is dead, even if that is not recorded (run monitoring is optional).
LOST_RUN_SECONDS = 3600


class RunState(StrEnum):
    """How a run ended, if it did."""

    GOING_ON = "going on"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"  # by a person


@dataclass(frozen=True)
class Run:
    """A run that sends an upload. `updated_at`: when its state was last noted, epoch seconds."""

    id: str
    state: RunState
    updated_at: float


def decided_reason(ledger: Ledger, upload: str, runs: Sequence[Run]) -> str | None:
    """Why an upload is not started again by itself: a person or a guard stopped it, or a person must fix something.

    Args:
        ledger: knows what stopped the upload.
        upload: the upload's key.
        runs: its newest runs, newest first.
    """
    if runs and runs[0].state is RunState.CANCELLED:
        return f"a person cancelled run {runs[0].id} of upload {upload}"
    stop = ledger.stopped(upload)
    if stop is None or stop.kind.heals:
        return None
    return f"upload {upload} is stopped ({stop.kind}): {stop.problem}"


def backoff_reason(runs: Sequence[Run], now: float, longest_seconds: float) -> str | None:
    """Why no run is started yet, given the recent ones, newest first; None if one may be.

    After failed runs, the next starts after 1, 2, 4 ... minutes, and `longest_seconds` at most.
    """
    failures = 0
    for run in runs:
        if run.state is not RunState.FAILED:
            break
        failures += 1
    if any(run.state is RunState.GOING_ON and run.updated_at > now - LOST_RUN_SECONDS for run in runs):
        return "a run is already in progress"
    if failures:
        again = runs[0].updated_at + min(60 * 2 ** (failures - 1), longest_seconds)
        if now < again:
            return f"{plural(failures, 'run')} failed; the next starts after {(utc(again) or '')[11:19]} UTC"
    return None


def unfinished_upload(ledger: Ledger) -> tuple[str, int]:
    """The newest applied upload, if some of its batches are not sent, and how many; "" if none is left."""
    upload = ledger.head().upload
    record = ledger.upload(upload) if upload else None
    if record is None or not record.is_open:
        return "", 0
    left = left_to_send(ledger, upload)
    return (upload, len(left)) if left else ("", 0)


def resuming_reason(ledger: Ledger, upload: str, runs: Sequence[Run], now: float) -> str | None:
    """Why an upload that is not finished does not go on now; None if it does.

    Args:
        ledger: knows what stopped the upload, and who is sending it.
        upload: the upload's key.
        runs: its newest runs, newest first.
        now: epoch seconds, by the clock of the runs.
    """
    if reason := decided_reason(ledger, upload, runs) or backoff_reason(runs, now, LONGEST_PAUSE_SECONDS):
        return reason
    if any(batch.holds_lease(ledger.now()) for batch in ledger.batches(upload)):
        return "it is being sent"
    last = _last_try(ledger, upload, runs)
    if not runs and ledger.now() < last + SHORTEST_PAUSE_SECONDS:
        return "it stopped a moment ago"
    if ledger.now() > last + FORGOTTEN_SECONDS:
        return f"it was last tried on {utc(last)}, so the next export, or a person, starts an upload"
    return None


def _last_try(ledger: Ledger, upload: str, runs: Sequence[Run]) -> float:
    """When somebody last tried to send the upload, epoch seconds."""
    record, stop = ledger.upload(upload), ledger.stopped(upload)
    times = [runs[0].updated_at] if runs else []
    return max([*times, stop.stopped_at if stop else 0, record.applied_at if record else 0])
