"""How runs and sensor ticks end: with problem and remedy, without secrets; and what the ledger keeps of a stop."""

from types import TracebackType
from typing import Any

import dagster as dg

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.defs.resources import StorageResource
from jwo_catalog_pipeline.defs.run_tags import DRY_RUN_TAG, PARTITION_TAG, sends
from jwo_catalog_pipeline.errors import PipelineError, TerminalError, TransientError
from jwo_catalog_pipeline.redaction import redact_exceptions
from jwo_catalog_pipeline.storage import StorageError
from jwo_catalog_pipeline.upload.errors import (
    LeaseLost,
    LedgerUnavailable,
    Overtaken,
    PlanStopped,
    SendingHalted,
    SendingPaused,
    UploadStopped,
)
from jwo_catalog_pipeline.upload.lifecycle import left_to_send
from jwo_catalog_pipeline.upload.stops import Stop, StopKind
from jwo_catalog_pipeline.work_folder import explained

HEALS = "goes on by itself"  # in the metadata of a failed step
RETRY_SECONDS = 20
ENDING = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)
Context = dg.AssetExecutionContext


class RunFailed(PipelineError):
    """A run in this process failed; the problem is the error message of the failed step."""


class NotSettled(PipelineError, TransientError):
    """An upload has not settled within the given time."""


class Interrupted(PipelineError):
    """A person stopped the command; the problem says what was sent."""


class DemoError(PipelineError):
    """The demo failed."""


class RowsInvalid(PipelineError, TerminalError):
    """Too large a share of the rows is invalid; nothing was sent."""


class as_dagster_failure(redact_exceptions):
    """Turns a `PipelineError` into a Failure, which Dagster does not retry; redacts secrets in all errors."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise a Failure in place of a `PipelineError`; other errors pass, redacted if they contain a secret."""
        super().__exit__(kind, error, trace)
        error = explained(error) if error else None
        if isinstance(error, PipelineError):
            heals = stop_kind(error).heals
            raise dg.Failure(str(error), metadata={HEALS: heals}, allow_retries=False) from error


class upload_step(as_dagster_failure):
    """`as_dagster_failure` for a step of an upload; it records in the ledger why the upload does not go on.

    An interrupt passes: Dagster ends the run then, as cancelled if a person has terminated it. After an unexpected
    error, such as a short outage of Dagster's database, the step may be repeated so often. (A RetryPolicy would repeat
    it after an interrupt, too.)
    """

    def __init__(self, context: Context, storage: StorageResource, *, retries: int = 0) -> None:
        self._context, self._storage, self._retries = context, storage, retries

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Record the stop, as well as it can be: a run that is killed, or cannot reach the ledger, records nothing."""
        upload = self._context.run.tags.get(PARTITION_TAG)
        error = explained(error) if error else None
        if upload and isinstance(error, (PipelineError, *_INTERRUPTS)):
            try:
                self._record(upload, error)
            except PipelineError as unrecorded:
                self._context.log.warning(f"the ledger does not say that upload {upload} stopped: {unrecorded}")
        super().__exit__(type(error) if error else None, error, trace)
        if isinstance(error, Exception) and self._retries:
            raise dg.RetryRequested(self._retries, seconds_to_wait=RETRY_SECONDS) from error

    def _record(self, upload: str, error: BaseException) -> None:
        run, ledger = self._context.run, self._storage.open_ledger()
        kind, problem, remedy = _explained(self._context, upload, error)
        # No sensor repeats a run that only plans, and nothing is left of an upload that was overtaken.
        if DRY_RUN_TAG in run.tags or (kind.heals and not sends(run)) or isinstance(error, Overtaken):
            return
        if ledger.upload(upload) and not left_to_send(ledger, upload):
            return  # everything was sent when it was stopped
        now = ledger.now()
        ledger.note_stopped(Stop(upload, kind, problem, remedy, run.run_id, now, now))


_INTERRUPTS = (dg.DagsterExecutionInterruptedError, KeyboardInterrupt)


def _explained(context: Context, upload: str, error: BaseException) -> tuple[StopKind, str, str]:
    """What stopped the upload, and what helps."""
    if isinstance(error, PipelineError):
        return stop_kind(error), error.problem, error.remedy
    if was_terminated(context):
        return StopKind.CANCELLED, "a person terminated the run", RESUME.format(upload)
    return StopKind.INTERRUPTED, "the process was asked to end, and no person had terminated the run", ""


RESUME = "jwo-catalog upload --resume {}, or materialize ingestion_record of this upload"


def was_terminated(context: Any) -> bool:
    """Whether a person has terminated the run of this step."""
    run = context.instance.get_run_by_id(context.run.run_id)
    return run is not None and run.status in ENDING


def stop_kind(error: PipelineError) -> StopKind:
    """What an error says of an upload: whether it goes on by itself once the cause is gone."""
    if isinstance(error, (PlanStopped, RowsInvalid)):
        return StopKind.GUARD
    if isinstance(error, SendingHalted):
        return StopKind.CANCELLED
    if isinstance(error, SendingPaused):
        return StopKind.PAUSED
    if isinstance(error, LeaseLost):
        return StopKind.INTERRUPTED  # another run goes on with it
    cause = error.__cause__ if isinstance(error, UploadStopped) and error.__cause__ else error
    may_pass = isinstance(cause, (TransientError, LedgerUnavailable, StorageError, SourceFileError))
    return StopKind.OUTAGE if may_pass and not isinstance(cause, TerminalError) else StopKind.FAILED
