"""One error class per cause for which an upload stops."""

from jwo_catalog_pipeline.errors import PipelineError, TerminalError, TransientError


class Conflict(Exception):
    """A conditional write found the ledger changed since it was read; nothing was written. The caller decides."""


class UploadError(PipelineError):
    """An upload cannot go on."""


class LedgerUnavailable(UploadError):
    """The DynamoDB table is missing, or cannot be reached or used."""


class Contended(LedgerUnavailable, TransientError):
    """A write was cancelled by the load or the writes of others, not by a condition; nothing was written."""


class RecordNotFound(UploadError, TerminalError):
    """The ledger lacks a record that another one names: the table was restored to an earlier moment, or changed."""


class NothingApplied(UploadError, TerminalError):
    """No upload has been applied yet."""


class AnotherUploadSince(UploadError, TerminalError):
    """Another upload took the head, or sent more, since this one was planned."""


class AlreadyApplied(UploadError, TerminalError):
    """The upload has been recorded; its plan cannot be made again."""


class NoPlan(UploadError, TerminalError):
    """There is no plan, or stored tables do not belong together."""


class LeaseHeld(UploadError, TransientError):
    """Another worker is sending a batch of this upload, or died doing so; the lease expires after `seconds`."""

    def __init__(self, problem: str, remedy: str, seconds: int) -> None:
        super().__init__(problem, remedy)
        self.seconds = seconds


class LeaseLost(UploadError):
    """Another worker took the batch over; this one changes nothing more."""


class UploadClosed(UploadError, TerminalError):
    """A person has closed the upload; nothing more of it is sent."""


class BatchTaken(LeaseLost):
    """Another run of the same upload began a batch first; nothing of it was sent by this one."""


class UploadStopped(UploadError):
    """A batch could not be sent; what was accepted stays accepted, and the upload can be resumed."""


class SendingHalted(UploadError):
    """A person or the platform stopped the sending; what was sent stays sent, and the upload can be resumed."""


class SendingPaused(UploadError, TransientError):
    """All sending is held (`jwo-catalog pause`); nothing was sent."""


class Overtaken(UploadError, TerminalError):
    """A newer export was applied before this upload could be; nothing of it is left to send."""


class PlanStopped(UploadError, TerminalError):
    """A guard stopped the upload; nothing was recorded or sent."""


class QueueUnavailable(UploadError):
    """The SQS queue is missing, or cannot be reached or used."""


class AlertsUnavailable(UploadError):
    """An alert could not be published, or the queue could not be inspected; the next tick tries again."""
