"""What an HTTP answer of the Catalog API means: pure functions from status, headers and body."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jwo_catalog_pipeline.catalog_api.errors import (
    AccessDenied,
    CatalogApiError,
    OutcomeUnknown,
    RequestRefused,
    Throttled,
    WrongEndpoint,
)

MAX_RETRY_AFTER_SECONDS = 60.0  # a longer wait is not honoured: a person would rather see the run fail
SHOWN_MESSAGE_CHARACTERS = 300

WAITING = frozenset({"INQUEUE", "INPROGRESS"})
FINAL = frozenset({"DONE", "CANCELLED", "FATAL"})


@dataclass(frozen=True)
class Answer:
    """An HTTP answer as it came: status, headers with lower-case names, body."""

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


def read_accepted(answer: Answer) -> Accepted:
    """Read the answer to an upload or archive call: any 2xx that carries an `ingestionId`.

    Raises:
        CatalogApiError: the class says whether the batch may have been ingested.
    """
    raise_for_status(answer)
    ingestion_id = _json_object(answer.body).get("ingestionId")
    if not isinstance(ingestion_id, str) or not ingestion_id:
        raise OutcomeUnknown(
            f"the Catalog API answered {answer.http_status} without an ingestionId: the batch may have been ingested",
            http_status=answer.http_status,
            request_id=answer.request_id,
        )
    return Accepted(ingestion_id, answer.http_status, answer.request_id)


def read_status(answer: Answer) -> IngestionStatus:
    """Read the answer to a status call; the link may be absent.

    Raises:
        CatalogApiError: as for every call.
    """
    raise_for_status(answer)
    fields = _json_object(answer.body)
    url = fields.get("reportDownloadLink")
    return IngestionStatus(
        str(fields.get("processingStatus", "UNKNOWN")), url if isinstance(url, str) and url else None
    )


def raise_for_status(answer: Answer) -> None:
    """Raise the error class that the status stands for; the status decides, the body only explains."""
    status = answer.http_status
    if 200 <= status < 300:
        return
    said = _message(answer.body)
    cause: type[CatalogApiError]
    if status in (401, 403):
        cause, remedy = (
            AccessDenied,
            (
                "two usual causes: the identity lacks execute-api:Invoke on the API (check JWO_API_ROLE_ARN and its "
                "policy), or Amazon has not onboarded this AWS account or region yet (ask your Amazon contact)"
            ),
        )
    elif status == 429:
        cause, remedy = Throttled, "over 10 requests a second; other programs share this account's budget"
    elif status >= 500 or status == 408:
        cause, remedy = OutcomeUnknown, "the batch may have been ingested; the same bytes may be sent again"
    elif 300 <= status < 400:
        cause, remedy = WrongEndpoint, "redirects are not followed: set JWO_API_URL to the final host"
    elif status in (400, 413, 422):
        cause, remedy = RequestRefused, "nothing of this request was ingested"
    else:
        cause, remedy = WrongEndpoint, "this does not look like the Catalog API: check JWO_API_URL"
    raise cause(
        f"the Catalog API answered {status} {said!r}: {remedy}",
        http_status=status,
        request_id=answer.request_id,
        retry_after=_retry_after(answer.headers),
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        return min(max(0.0, float(headers["retry-after"])), MAX_RETRY_AFTER_SECONDS)
    except (KeyError, ValueError):
        return None


def _message(body: bytes) -> str:
    fields = _json_object(body)
    text = fields.get("errorMsg") or fields.get("message") or body.decode("utf-8", "replace")
    return str(text)[:SHOWN_MESSAGE_CHARACTERS]


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
