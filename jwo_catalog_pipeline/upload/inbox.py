"""From the queue into the ledger: every message is durable there before it is deleted from the queue."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from jwo_catalog_pipeline.catalog_api.answers import WAITING
from jwo_catalog_pipeline.catalog_api.notification import (
    CertificateUnavailable,
    ResultNotice,
    SubscriptionConfirmation,
    Unreadable,
    read_message,
    without_secrets,
)
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.upload.ledger import Ledger

MESSAGES_A_CALL = 10  # what SQS gives at most
_log = logging.getLogger(__name__)


class QueueUnavailable(Exception):
    """The SQS queue is missing, or cannot be reached or used."""


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
            How many messages were of each kind: `result`, `progress`, `confirmation`, `unreadable`.

        Raises:
            QueueUnavailable: the queue cannot be used; what was taken so far is safe.
        """
        counts: Counter[str] = Counter()
        deadline = self.ledger.now() + seconds
        while self.ledger.now() < deadline:
            messages = self._receive_some()
            if not messages:
                break
            for message in messages:
                if kind := self._keep(message):
                    counts[kind] += 1
                    self._call(
                        self.sqs.delete_message,
                        QueueUrl=self.queue_url,
                        ReceiptHandle=message["ReceiptHandle"],
                    )
        return counts

    def _receive_some(self) -> list[dict[str, Any]]:
        answer = self._call(
            self.sqs.receive_message,
            QueueUrl=self.queue_url,
            MaxNumberOfMessages=MESSAGES_A_CALL,
            WaitTimeSeconds=0,
        )
        return answer.get("Messages", [])

    def _keep(self, message: Mapping[str, Any]) -> str | None:
        """Make one message durable; None where it must stay in the queue to be tried again."""
        body = message["Body"]
        try:
            read = read_message(body, self.topic_arn, self.verify)
        except CertificateUnavailable as error:
            _log.warning("%s; the message stays in the queue", error)
            return None
        match read:
            case ResultNotice(_, _, status) if status in WAITING:
                return "progress"  # Amazon is not done, and says so again when it is
            case ResultNotice(ingestion_id, report_url, status):
                self.ledger.put_news(ingestion_id, "queue", status, report_url)
                return "result"
            case SubscriptionConfirmation(topic_arn, token):
                return self._confirm(topic_arn, token)
            case Unreadable(reason):
                self._keep_unreadable(message["MessageId"], body, reason)
                return "unreadable"

    def _confirm(self, topic_arn: str, token: str) -> str | None:
        """Confirm through the API, never through SubscribeURL; where it fails SQS delivers the message again."""
        try:
            self.sns.confirm_subscription(TopicArn=topic_arn, Token=token)
        except (ClientError, BotoCoreError) as error:
            _log.warning(
                "the subscription to %s could not be confirmed (%s); will be tried again",
                topic_arn,
                _code(error),
            )
            return None
        _log.info("confirmed the subscription to %s", topic_arn)
        return "confirmation"

    def _keep_unreadable(self, message_id: str, body: str, reason: str) -> None:
        key = f"inbox/unreadable/{message_id}.txt"
        self.bucket.put(key, without_secrets(body).encode("utf-8", "replace"), "text/plain; charset=utf-8")
        self.ledger.put(
            {
                "pk": "UNREADABLE",
                "sk": message_id,
                "reason": reason,
                "kept_at": self.bucket.uri(key),
                "received_at": self.ledger.now(),
            }
        )
        _log.warning("message %s cannot be read (%s); kept at %s", message_id, reason, self.bucket.uri(key))

    def _call(self, operation: Callable[..., Any], **arguments: Any) -> Any:
        try:
            return operation(**arguments)
        except (ClientError, BotoCoreError) as error:
            raise QueueUnavailable(
                f"cannot use the queue {self.queue_url} ({_code(error)}); check JWO_QUEUE_URL and the pipeline's role"
            ) from None


def _code(error: ClientError | BotoCoreError) -> str:
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
