"""One error class per cause for which an upload stops; the message says what holds and what to do."""


class UploadError(Exception):
    """An upload cannot go on."""


class LedgerUnavailable(UploadError):
    """The DynamoDB table is missing, or cannot be reached or used."""


class AnotherUploadSince(UploadError):
    """Another upload took the head, or sent more, since this one was planned."""


class AlreadyApplied(UploadError):
    """The upload has been recorded; its plan cannot be made again."""


class NoPlan(UploadError):
    """The upload has no plan, or another than the one at hand."""


class LeaseHeld(UploadError):
    """Another worker is sending a batch of this upload, or died doing so; after `seconds` it holds it no more."""

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


class LeaseLost(UploadError):
    """Another worker took the batch over; this one changes nothing more."""


class UploadStopped(UploadError):
    """A batch could not be sent; what was accepted stays accepted, and the upload can be resumed."""


class PlanStopped(UploadError):
    """A guard stopped the upload; nothing was recorded or sent."""
