"""What an HTTP response of the Catalog API means: pure functions from status, headers and body."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jwo_catalog_pipeline.catalog_api.errors import (
    AccessDenied,
    CatalogApiError,
    Denied,
    NetworkBlocks,
    Outcome,
    OutcomeUnknown,
    RequestRefused,
    SessionExpired,
    SignatureStale,
    Throttled,
    WrongEndpoint,
)

MAX_RETRY_AFTER_SECONDS = 60.0  # a longer wait is not honoured: a person would rather see the run fail
SHOWN_MESSAGE_CHARACTERS = 300
MAY_BE_INGESTED = "the batch may have been ingested, and the same bytes may be sent again"
# The documented sentences about store ids, by their letters alone. Any other text that mentions a store may be about
# one item of it, or about something else (`restored`).
_ABOUT_STORES = frozenset(
    {
        "oneormorestoreidspresentintherequestisincorrect",
        "listofstoreidspresentintherequestareeitherincorrectnotassociatedwithsameretailer",
    }
)
# The list of stores in an archive request, which is no part of any one SKU; what Amazon says of it is not known.
_STORES_OF_AN_ARCHIVE = "allapplicablestores"
# The gateway's own words for the two kinds of 403 that another signature cures (general AWS behaviour).
_STALE = re.compile(r"signature expired|signature not yet current|RequestTimeTooSkewed", re.IGNORECASE)
# So it answers a signed call of a path that it does not have.
_NO_SUCH_PATH = re.compile(r"Missing ?Authentication ?Token", re.IGNORECASE)
_SIGNATURE = re.compile(
    r"signature|credential should be scoped|security token|UnrecognizedClient|InvalidClientTokenId", re.IGNORECASE
)
_EXPIRED = re.compile(r"ExpiredToken|security token included in the request is expired", re.IGNORECASE)

WAITING = frozenset({"INQUEUE", "INPROGRESS"})
FINAL = frozenset({"DONE", "CANCELLED", "FATAL"})


@dataclass(frozen=True)
class Response:
    """An HTTP response as it came: status, headers with lower-case names, body."""

    http_status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def request_id(self) -> str | None:
        """The gateway's id of the call, for a support case."""
        return self.headers.get("x-amzn-requestid") or self.headers.get("x-amz-request-id")


@dataclass(frozen=True)
class Accepted:
    """Amazon took the batch and will process it as `ingestion_id`."""

    ingestion_id: str
    http_status: int
    request_id: str | None


@dataclass(frozen=True)
class IngestionStatus:
    """How far an ingestion is; `report_url` is a secret and None where there is none."""

    processing_status: str
    report_url: str | None

    @property
    def final(self) -> bool:
        """Whether the ingestion has ended; an unknown status means wait (inferred)."""
        return self.processing_status in FINAL

    def __repr__(self) -> str:
        return f"IngestionStatus({self.processing_status!r}, report_url={'***' if self.report_url else None})"


def classify(response: Response | None, *, sent: bool = True) -> Outcome:
    """What a call means for the batch that it carried (CATALOG_API.md, Responses).

    Args:
        response: None where none came.
        sent: whether any byte may have left.
    """
    if response is None:
        return Outcome.IN_DOUBT if sent else Outcome.NOT_SENT
    status = response.http_status
    if 200 <= status < 300:
        return Outcome.YES if _ingestion_id(response) else Outcome.IN_DOUBT
    if status == 429:
        return Outcome.THROTTLED
    # A 408 comes from something on the way that tired of waiting, and so says nothing about what it passed on.
    return Outcome.IN_DOUBT if status >= 500 or status == 408 else Outcome.NO


def read_accepted(response: Response) -> Accepted:
    """Read the response to an upload or archive call: any 2xx that carries an `ingestionId`.

    Raises:
        CatalogApiError: the class says whether the batch may have been ingested.
    """
    raise_for_status(response)
    if classify(response) is not Outcome.YES:
        raise OutcomeUnknown(
            f"the Catalog API answered {response.http_status} without an ingestionId",
            meaning=MAY_BE_INGESTED,
            http_status=response.http_status,
            request_id=response.request_id,
        )
    return Accepted(_ingestion_id(response), response.http_status, response.request_id)


def _ingestion_id(response: Response) -> str:
    value = _json_object(response.body).get("ingestionId")
    return value if isinstance(value, str) else ""


def read_status(response: Response) -> IngestionStatus:
    """Read the response to a status call; the link may be absent.

    Raises:
        CatalogApiError: as for every call.
    """
    raise_for_status(response)
    fields = _json_object(response.body)
    url = fields.get("reportDownloadLink")
    return IngestionStatus(
        str(fields.get("processingStatus", "UNKNOWN")), url if isinstance(url, str) and url else None
    )


def raise_for_status(response: Response) -> None:
    """Raise the error class that the status stands for; the status decides, the body only explains."""
    status = response.http_status
    if 200 <= status < 300:
        return
    message = _message(response.body)
    cause, meaning, remedy = _cause(response, message)
    error = cause(
        f"the Catalog API answered {status} {message!r}",
        remedy,
        meaning=meaning,
        http_status=status,
        request_id=response.request_id,
        retry_after=_retry_after(response.headers),
    )
    if isinstance(error, AccessDenied):
        error.about = _what_is_denied(response, message)
    if isinstance(error, RequestRefused):
        error.explained = bool(_explanation(response.body))
        error.about_stores = error.explained and _is_about_stores(message)
    raise error


def _cause(response: Response, message: str) -> tuple[type[CatalogApiError], str, str]:
    """The error class, what the response means, and what to do about it."""
    status, outcome = response.http_status, classify(response)
    if outcome is Outcome.THROTTLED:
        return (
            Throttled,
            "this account made more than 10 requests a second",
            "run fewer of the programs that share its budget at once",
        )
    if outcome is Outcome.IN_DOUBT:
        return OutcomeUnknown, MAY_BE_INGESTED, ""
    if status in (401, 403):
        named = f"{response.headers.get('x-amzn-errortype', '')} {message}"
        if _STALE.search(named):
            return SignatureStale, "this machine's clock and Amazon's differ", "set this machine's clock by NTP"
        if _EXPIRED.search(named):
            return SessionExpired, "the session of the role has expired, and nothing was ingested", ""
        return (
            AccessDenied,
            "usually, the identity lacks execute-api:Invoke on the API, or Amazon has not onboarded this AWS account "
            "or region yet",
            "check JWO_API_ROLE_ARN and its policy, then ask your Amazon contact",
        )
    if status == 407:  # only to a url without TLS; else the proxy answers the CONNECT
        return NetworkBlocks, "the proxy wants another user and password", "set HTTP_PROXY again"
    if 300 <= status < 400:
        return WrongEndpoint, "redirects are not followed", "set JWO_API_URL to the final host"
    if status in (400, 413, 422):
        return RequestRefused, "nothing of this request was ingested", ""
    return WrongEndpoint, "this does not look like the Catalog API", "check JWO_API_URL"


def _what_is_denied(response: Response, message: str) -> Denied:
    """Which part of the call a 403 is about, by the gateway's words for it (general AWS behaviour)."""
    named = f"{response.headers.get('x-amzn-errortype', '')} {message}"
    if _NO_SUCH_PATH.search(named):
        return Denied.ADDRESS
    return Denied.SIGNATURE if _SIGNATURE.search(named) else Denied.PERMISSION


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        return min(max(0.0, float(headers["retry-after"])), MAX_RETRY_AFTER_SECONDS)
    except (KeyError, ValueError):
        return None


def _explanation(body: bytes) -> str:
    """What the API itself, or its gateway, says in a response."""
    fields = _json_object(body)
    return str(fields.get("errorMsg") or fields.get("message") or "")


def _message(body: bytes) -> str:
    return (_explanation(body) or body.decode("utf-8", "replace"))[:SHOWN_MESSAGE_CHARACTERS]


def _is_about_stores(message: str) -> bool:
    letters = re.sub(r"[^a-z]", "", message.lower())
    return letters in _ABOUT_STORES or _STORES_OF_AN_ARCHIVE in letters


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
