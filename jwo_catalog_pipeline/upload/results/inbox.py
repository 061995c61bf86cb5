"""From the queue into the ledger: every message is durable there before it is deleted from the queue.

Anybody's bytes may be in a message, so each is kept by itself: what one of them does to its reader or to the ledger is
no matter of the others.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from jwo_catalog_pipeline.aws_errors import error_code
from jwo_catalog_pipeline.aws_words import aws_problem
from jwo_catalog_pipeline.catalog_api.notification import (
    CertificateUnavailable,
    Message,
    ResultNotice,
    SubscriptionConfirmation,
    Unreadable,
    read_message,
)
from jwo_catalog_pipeline.catalog_api.responses import WAITING
from jwo_catalog_pipeline.failpoints import effect
from jwo_catalog_pipeline.redaction import redacted
from jwo_catalog_pipeline.storage import Bucket, StorageError
from jwo_catalog_pipeline.upload.errors import LedgerUnavailable, QueueUnavailable
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.notices import UnverifiedMessage
from jwo_catalog_pipeline.upload.results.unverified import Unverified, unverified_sentence

MESSAGES_A_CALL = 10  # what SQS gives and deletes at most
# A message that could not be kept so often is kept as unreadable, if at least that works: it is at fault, not the
# ledger. Well before the queue's maxReceiveCount of 10, after which it would be gone from here.
DELIVERIES_BEFORE_QUARANTINE = 5
# SNS says no to the token itself: it has expired (after 3 days), or never was one. Trying again does not help.
_NO_SUCH_TOKEN = frozenset({"InvalidParameter", "InvalidParameterValue", "NotFound", "ParamValidationError"})
_ACTIONS = {"receive_message": "sqs:ReceiveMessage", "delete_message_batch": "sqs:DeleteMessage"}
_ASKED_AT = "asked_at"  # of a message: when SQS gave it, by the clock that its times are of
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inbox:
    """Takes messages from Amazon's topic out of the queue. `verify` is None where the queue policy alone vouches."""

    sqs: Any
    sns: Any
    queue_url: str
    topic_arn: str
    ledger: Ledger
    bucket: Bucket
    verify: Callable[[Mapping[str, Any]], None] | None

    def receive(self, seconds: float) -> Counter[str]:
        """Take what is in the queue, until it is empty or the time is up.

        Returns:
            How many messages were of each kind: `result`, `progress`, `confirmation`, `unreadable`, or `unverified`:
            kept until their signature can be checked.

        Raises:
            QueueUnavailable: the queue cannot be used; what was taken so far is safe.
            LedgerUnavailable: a message could not be kept, or StorageError; it stays in the queue, as do those after a
                second such failure.
        """
        counts: Counter[str] = Counter()
        deadline = self.ledger.now() + seconds
        while self.ledger.now() < deadline:
            messages = self._receive_some()
            if not messages:
                break
            counts += self._take(messages)
        if counts["result"]:  # for people who ask whether notifications arrive at all
            self.ledger.note_inbox()
        return counts

    def verify_again(self) -> tuple[Counter[str], str]:
        """Verify a few of the kept messages whose signature could not be checked.

        Returns:
            How many were dealt with, as `receive` counts them, and a sentence about those that still wait, or "".

        Raises:
            LedgerUnavailable: a message could not be kept, or StorageError; it is verified again later.
        """
        counts: Counter[str] = Counter()
        if not (waiting := self.ledger.unverified_messages()):
            return counts, ""
        for message in self._unverified.due(waiting):
            kind = self._verify(message)
            if kind is None:
                break
            counts[kind] += 1
        if counts["result"]:
            self.ledger.note_inbox()
        if counts and self.ledger.verify_pause():
            self.ledger.end_verify_pause()
        return counts, unverified_sentence(self.ledger)

    def _verify(self, message: UnverifiedMessage) -> str | None:
        """Deal with a kept message as with one from the queue; None where it must wait longer."""
        text = self._unverified.text(message)
        if text is None:
            self._unverified.end(message)
            return "expired"
        # The ledger may refuse it for good, and then it is quarantined as one from the queue is.
        tries = {"ApproximateReceiveCount": str(message.tries + 1)}
        received = {"MessageId": message.message_id, "Body": text, "Attributes": tries, _ASKED_AT: self.ledger.now()}
        try:
            kind = self._act_on(received, read_message(text, self.topic_arn, self.verify), set())
            reason = "the subscription could not be confirmed"
        except CertificateUnavailable as error:
            kind, reason = None, str(error)
        except (LedgerUnavailable, StorageError) as error:
            self._unverified.postpone(message, str(error))
            raise
        if kind is None and self._unverified.is_given_up(message):
            self._keep_unreadable(received, f"its signature could not be verified for 14 days: {reason}")
            kind = "unreadable"
        if kind is None:
            self._unverified.postpone(message, reason)
        else:
            self._unverified.end(message)
        return kind

    @property
    def _unverified(self) -> Unverified:
        return Unverified(self.ledger, self.bucket)

    def _take(self, messages: list[dict[str, Any]]) -> Counter[str]:
        """Keep what can be kept of one call's messages, and then delete that much from the queue."""
        counts: Counter[str] = Counter()
        kept: list[Mapping[str, Any]] = []
        seen: set[ResultNotice] = set()  # what is delivered twice at once is written once
        failures: list[LedgerUnavailable | StorageError] = []
        for message in messages:
            try:
                kind = self._keep(message, seen)
            except (LedgerUnavailable, StorageError) as error:
                failures.append(error)
                if len(failures) > 1:  # not this message: nothing can be kept now, and each try takes seconds
                    break
                continue
            if kind:
                counts[kind] += 1
                kept.append(message)
        self._delete(kept)
        if failures:
            raise failures[0]
        return counts

    def _receive_some(self) -> list[dict[str, Any]]:
        with effect("sqs: receive"):
            answer = self._call(
                self.sqs.receive_message,
                QueueUrl=self.queue_url,
                MaxNumberOfMessages=MESSAGES_A_CALL,
                WaitTimeSeconds=0,
                AttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            )
        asked_at = self._answered_at(answer)
        return [{**message, _ASKED_AT: asked_at} for message in answer.get("Messages", [])]

    def _answered_at(self, answer: Mapping[str, Any]) -> float:
        """When SQS answered, epoch seconds by its own clock."""
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
        try:
            return parsedate_to_datetime(date).timestamp()
        except ValueError:
            return float(self.ledger.now())

    def _delete(self, messages: list[Mapping[str, Any]]) -> None:
        """Delete messages that are durable by now; one that cannot be deleted is delivered, and kept, again."""
        if not messages:
            return
        entries = [{"Id": str(i), "ReceiptHandle": message["ReceiptHandle"]} for i, message in enumerate(messages)]
        with effect("sqs: delete"):
            answer = self._call(self.sqs.delete_message_batch, QueueUrl=self.queue_url, Entries=entries)
        for failed in answer.get("Failed", []):
            _log.warning(
                "message %s is kept, but still in the queue (%s); it will be delivered again",
                messages[int(failed["Id"])]["MessageId"],
                failed.get("Code"),
            )

    def _keep(self, message: Mapping[str, Any], seen: set[ResultNotice]) -> str | None:
        """Make one message durable; None where it must stay in the queue to be tried again."""
        try:
            read = read_message(message["Body"], self.topic_arn, self.verify)
        except CertificateUnavailable as error:
            if self._unverified.keep(message):
                return "unverified"
            _log.warning("%s; the message stays in the queue, for too many are kept already", error)
            return None
        return self._act_on(message, read, seen)

    def _act_on(self, message: Mapping[str, Any], read: Message, seen: set[ResultNotice]) -> str | None:
        """Make durable what a message says; None where it must be tried again."""
        match read:
            case ResultNotice(_, _, status) if status in WAITING:
                return "progress"  # Amazon is not done, and says so again when it is
            case ResultNotice():
                if read not in seen:
                    if not self._keep_notice(message, read):
                        return "unreadable"
                    seen.add(read)
                return "result"
            case SubscriptionConfirmation(topic_arn, token):
                return self._confirm(message, topic_arn, token)
            case Unreadable(reason):
                self._keep_unreadable(message, reason)
                return "unreadable"

    def _keep_notice(self, message: Mapping[str, Any], notice: ResultNotice) -> bool:
        """Put a result into the ledger; False where the ledger refuses it for good, and it is quarantined instead."""
        try:
            self.ledger.keep_news(
                notice.ingestion_id,
                "queue",
                notice.processing_status,
                notice.report_url,
                self.ledger.now() - _age(message, notice),
            )
        except ValueError as error:  # text that cannot even be sent
            reason = type(error).__name__
        except LedgerUnavailable:
            if int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1)) < DELIVERIES_BEFORE_QUARANTINE:
                raise
            reason = f"after {DELIVERIES_BEFORE_QUARANTINE} deliveries"
        else:
            return True
        self._keep_unreadable(message, f"the ledger does not take it ({reason})")
        return False

    def _confirm(self, message: Mapping[str, Any], topic_arn: str, token: str) -> str | None:
        """Confirm through the API, never through SubscribeURL; where it fails SQS delivers the message again."""
        try:
            with effect("sns: confirm"):
                self.sns.confirm_subscription(TopicArn=topic_arn, Token=token)
        except (ClientError, BotoCoreError) as error:
            if error_code(error) in _NO_SUCH_TOKEN:
                self._keep_unreadable(message, f"the subscription cannot be confirmed ({error_code(error)})")
                return "unreadable"
            _log.warning(
                "the subscription to %s could not be confirmed (%s); will be tried again",
                topic_arn,
                "; ".join(filter(None, aws_problem(error, "sns:ConfirmSubscription", "SNS"))),
            )
            return None
        _log.info("confirmed the subscription to %s", topic_arn)
        return "confirmation"

    def _keep_unreadable(self, message: Mapping[str, Any], reason: str) -> None:
        message_id, text = message["MessageId"], redacted(message["Body"])
        key = f"inbox/unreadable/{message_id}.txt"
        self.bucket.put(key, text.encode("utf-8", "replace"), "text/plain; charset=utf-8")
        self.ledger.keep_unreadable(message_id, reason, self.bucket.uri(key))
        _log.warning("message %s cannot be read (%s); kept at %s", message_id, reason, self.bucket.uri(key))

    def _call(self, operation: Callable[..., Any], **arguments: Any) -> Any:
        try:
            return operation(**arguments)
        except (ClientError, BotoCoreError) as error:
            problem, remedy = aws_problem(error, _ACTIONS[operation.__name__], "SQS")
            raise QueueUnavailable(
                f"cannot use the queue {self.queue_url}: {problem}",
                remedy or "check JWO_QUEUE_URL and the pipeline's role",
            ) from None


def _age(message: Mapping[str, Any], notice: ResultNotice) -> int:
    """How long ago a notice was published, whole seconds; of a redriven message that may be days.

    Both times are of Amazon's clocks, so ours need not be right.
    """
    asked_at = float(message.get(_ASKED_AT, 0))
    sent_at = int(message.get("Attributes", {}).get("SentTimestamp", 0)) / 1000
    times = [at for at in (notice.published_at, sent_at) if at]
    return max(0, int(asked_at - min(times, default=asked_at)))
