"""One error class per cause of a failed Catalog API call; each says what it means for the batch and what to do.

Two facts decide what happens next, and stand on the class: `ingested` (False: Amazon certainly did not take
the batch; None: it might have) and `retryable` (the same bytes may be sent again at once, with back-off).
"""


class CatalogApiError(Exception):
    """A call of the Catalog API that did not end in a usable answer."""

    ingested: bool | None = False
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        http_status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        suffix = f" (request id {request_id})" if request_id else ""
        super().__init__(message + suffix)
        self.http_status = http_status
        self.request_id = request_id
        self.retry_after = retry_after  # seconds, as the service asked for


class NoCredentials(CatalogApiError):
    """No AWS credentials were found, or the role could not be assumed: nothing was sent."""


class NotReached(CatalogApiError):
    """No connection was made, so nothing was sent."""

    retryable = True


class Throttled(CatalogApiError):
    """HTTP 429: over the rate that Amazon allows; nothing was ingested."""

    retryable = True


class AccessDenied(CatalogApiError):
    """HTTP 401 or 403: the caller may not invoke the API, or is not onboarded; nothing was ingested."""


class RequestRefused(CatalogApiError):
    """HTTP 400, 413 or 422: a definite no to the whole request; nothing was ingested."""


class WrongEndpoint(CatalogApiError):
    """JWO_API_URL is no address, or that of something else: a redirect, a 404, a foreign certificate."""


class OutcomeUnknown(CatalogApiError):
    """A 5xx, a time-out, a cut connection or a 2xx without an id: the batch may have been ingested."""

    ingested = None
    retryable = True


class ReportUnavailable(CatalogApiError):
    """The report could not be fetched through its link; a fresh link may help."""


class ForbiddenReportLink(CatalogApiError):
    """The report link points to a place that reports are never fetched from."""
