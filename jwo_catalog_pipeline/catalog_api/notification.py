"""What a message on the queue says: a result, a subscription to confirm, or nothing that can be read.

The exact JSON inside Amazon's notification is unknown, so the reader is tolerant: the documented names first, then
`ID_NAMES` and `URL_NAMES`, at any depth. Nothing here touches the network; `sns_signature` checks the envelope.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

# Documented or expected names first; the guesses behind them live only here.
ID_NAMES = ("ingestionId", "ingestion_id", "IngestionId", "ingestionID", "uploadId")
URL_NAMES = ("reportDownloadLink", "reportDownloadUrl", "reportUrl", "presignedUrl", "downloadUrl", "url")
STATUS_NAMES = ("processingStatus", "status")
# What is longer than these, or not printable, is none: DynamoDB takes no sort key over 1 kB and no item over 400 kB,
# and text with half a surrogate pair cannot be sent anywhere.
MAX_ID_CHARACTERS = 256  # of an ingestion id; real ones are UUIDs, and each character may take 4 bytes
MAX_URL_CHARACTERS = 8192  # S3 takes no longer request line; a link with a session token has about 2,000
MAX_STATUS_CHARACTERS = 64
MAX_TOKEN_CHARACTERS = 1024  # of a subscription; real ones have about 300


@dataclass(frozen=True)
class ResultNotice:
    """An ingestion has ended; the URL of its report is a secret, and None where the message has none.

    `published_at`: when the topic published it, epoch seconds by Amazon's clock; None for raw delivery.
    """

    ingestion_id: str
    report_url: str | None = field(repr=False)
    processing_status: str | None = None
    published_at: float | None = field(default=None, compare=False)


@dataclass(frozen=True)
class SubscriptionConfirmation:
    """Amazon SNS asks whether the queue wants the topic's messages; the token is a secret."""

    topic_arn: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class Unreadable:
    """A message that cannot be believed or understood; it is kept, with the reason."""

    reason: str


Message = ResultNotice | SubscriptionConfirmation | Unreadable


class CertificateUnavailable(Exception):
    """The certificate cannot be had now; nothing is known of the signature, and the message must wait."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem}; {remedy}" if remedy else problem)


class InvalidSignature(Exception):
    """An SNS envelope whose signature does not prove that its topic's owner sent it."""


def read_message(body: str, topic_arn: str, verify: Callable[[Mapping[str, Any]], None] | None) -> Message:
    """Read one SQS message body, an SNS envelope or raw delivery.

    Args:
        body: the message as received.
        topic_arn: Amazon's topic; an envelope from any other is not believed.
        verify: raises `InvalidSignature` for an envelope that is not genuine; None where the queue policy alone
            vouches (raw delivery, local stacks).

    Raises:
        CertificateUnavailable: the signature cannot be checked now.
    """
    try:
        outer = json.loads(body)
    except (ValueError, RecursionError):
        return Unreadable("not JSON")
    if not isinstance(outer, dict):
        return Unreadable("not a JSON object")
    if "TopicArn" not in outer or "Type" not in outer:
        if verify:
            return Unreadable("no SNS envelope to verify; for raw delivery set JWO_VERIFY_SIGNATURES=off")
        return _read_notice(outer)
    if outer["TopicArn"] != topic_arn:
        return Unreadable("from another topic than JWO_TOPIC_ARN")
    if verify:
        try:
            verify(outer)
        except InvalidSignature as error:
            return Unreadable(f"signature not valid: {error}")
    return _read_envelope(outer)


def _read_envelope(outer: Mapping[str, Any]) -> Message:
    if outer["Type"] == "SubscriptionConfirmation":
        token = outer.get("Token")
        if not isinstance(token, str) or not _plain(token, MAX_TOKEN_CHARACTERS):
            return Unreadable("no token")
        return SubscriptionConfirmation(outer["TopicArn"], token)
    if outer["Type"] != "Notification":
        kind = outer["Type"][:40] if isinstance(outer["Type"], str) else "no text"
        return Unreadable(f"an SNS message of type {kind!a}")
    try:
        inner = json.loads(outer["Message"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return Unreadable("the notification's Message is not JSON")
    notice = _read_notice(inner)
    if isinstance(notice, ResultNotice):
        return replace(notice, published_at=_seconds(outer.get("Timestamp")))
    return notice


def _seconds(timestamp: object) -> float | None:
    """`2026-11-23T19:07:00.000Z` as epoch seconds; None for anything else."""
    try:
        moment = datetime.fromisoformat(timestamp) if isinstance(timestamp, str) else None
        return moment.timestamp() if moment and moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _read_notice(value: object) -> Message:
    ingestion_id = _first(value, ID_NAMES)
    if ingestion_id is None:
        return Unreadable(f"no ingestion id under any of {', '.join(ID_NAMES)}")
    if len(ingestion_id) > MAX_ID_CHARACTERS or not ingestion_id.isprintable():
        return Unreadable(f"the ingestion id is longer than {MAX_ID_CHARACTERS} characters, or not printable")
    url, status = _first(value, URL_NAMES), _first(value, STATUS_NAMES)
    # Without a link, a fresh one is asked for.
    return ResultNotice(
        ingestion_id,
        url if url and _plain(url, MAX_URL_CHARACTERS) else None,
        status if status and _plain(status, MAX_STATUS_CHARACTERS) else None,
    )


def _plain(text: str, longest: int) -> bool:
    return len(text) <= longest and text.isascii() and text.isprintable()


def _first(value: object, names: tuple[str, ...]) -> str | None:
    """The first non-empty text under one of the names, best name first, outer objects before inner ones."""
    objects = list(_objects(value))
    for name in names:
        for obj in objects:
            if isinstance(text := obj.get(name), str) and text:
                return text
    return None


def _objects(value: object) -> Iterator[dict[str, Any]]:
    """Every object in a JSON value, breadth first (json.loads has bounded the depth)."""
    level = [value]
    while level:
        yield from (node for node in level if isinstance(node, dict))
        level = [
            inner
            for node in level
            for inner in (node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())
        ]
