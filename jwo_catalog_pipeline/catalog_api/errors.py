"""What a call of the Catalog API means for the batch that it carried, and one error class per cause of a failed call.

Two facts decide what happens next, and are attributes: `outcome`, and `retryable`.
"""

from enum import StrEnum

from jwo_catalog_pipeline.errors import PipelineError, TerminalError, TransientError


class Outcome(StrEnum):
    """What is known of a batch after one call."""

    NOT_SENT = "not sent"  # no byte of it left
    NO = "definite no"  # an answer that says that nothing of it was taken
    THROTTLED = "throttled"  # over the rate: nothing was taken, and it may come again
    YES = "definite yes"  # an ingestion id
    IN_DOUBT = "in doubt"  # it may have been taken


class Denied(StrEnum):
    """What a 401 or 403 is about, as far as the gateway's words tell."""

    SIGNATURE = "signature"  # not ours, not now, or not for this region
    ADDRESS = "address"  # the gateway has no such path
    PERMISSION = "permission"  # it took the signature


class CatalogApiError(PipelineError):
    """A call of the Catalog API that did not end in a usable answer.

    Attributes:
        event: what happened, without what it means for a batch; the problem is both.
        outcome: what is known of the batch that the call carried.
        retryable: the same bytes may be sent again at once, with back-off; transient errors are retryable.
        retry_after: how many seconds the service asks to wait.
    """

    outcome = Outcome.NO

    def __init__(
        self,
        event: str,
        remedy: str = "",
        *,
        meaning: str = "",
        http_status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.event = f"{event} (request id {request_id})" if request_id else event
        super().__init__(f"{self.event}: {meaning}" if meaning else self.event, remedy)
        self.retryable = isinstance(self, TransientError)
        self.http_status = http_status
        self.request_id = request_id
        self.retry_after = retry_after


class NoCredentials(CatalogApiError):
    """No AWS credentials were found, or the role could not be assumed: nothing was sent."""

    outcome = Outcome.NOT_SENT


class NotReached(CatalogApiError, TransientError):
    """No connection was made, so nothing was sent."""

    outcome = Outcome.NOT_SENT


class SignatureAged(CatalogApiError, TransientError):
    """The call was held up for so long after it was signed that it must not be sent any more."""

    outcome = Outcome.NOT_SENT


class Withdrawn(CatalogApiError):
    """The sender was stopped while the call waited for its turn."""

    outcome = Outcome.NOT_SENT


class Throttled(CatalogApiError, TransientError):
    """HTTP 429: over the rate that Amazon allows; nothing was ingested."""

    outcome = Outcome.THROTTLED


class AccessDenied(CatalogApiError):
    """HTTP 401 or 403: the caller may not invoke the API, or is not onboarded; nothing was ingested."""

    about = Denied.PERMISSION


class SignatureStale(AccessDenied):
    """HTTP 403: the signature's time is not the service's. Retryable once the clock's offset has been corrected."""


class SessionExpired(AccessDenied):
    """HTTP 403: the role's session has expired. Retryable once the role was assumed again."""


class RequestRefused(CatalogApiError, TerminalError):
    """HTTP 400, 413 or 422: a definite no to the whole request; nothing was ingested."""

    about_stores = False  # the message is a documented one about store ids, which is about a whole store
    explained = False  # there is a message of Amazon's, and not the page of something on the way


class WrongEndpoint(CatalogApiError, TerminalError):
    """JWO_API_URL is not an address, or that of something else: a redirect, a 404, a server without TLS."""


class NetworkBlocks(CatalogApiError, TerminalError):
    """The network's own settings stand in the way: a certificate that is not trusted, or a proxy that refuses."""

    outcome = Outcome.NOT_SENT


class OutcomeUnknown(CatalogApiError, TransientError):
    """A 5xx, a time-out, a cut connection or a 2xx without an id: the batch may have been ingested."""

    outcome = Outcome.IN_DOUBT


class ReportUnavailable(CatalogApiError):
    """The report could not be fetched through its link; a fresh link may help."""


class ForbiddenReportLink(CatalogApiError):
    """The report link points to a place that reports are never fetched from."""
