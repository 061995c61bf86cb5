"""The dead-letter queue: an alert while messages wait in it."""

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from jwo_catalog_pipeline.aws_words import aws_problem
from jwo_catalog_pipeline.upload.alert_messages import Alert
from jwo_catalog_pipeline.upload.errors import AlertsUnavailable
from jwo_catalog_pipeline.wording import plural

DEAD_LETTERS = "dead letters"  # the key of the alert


def dead_letter_alerts(sqs: Any, queue_url: str) -> list[Alert]:
    """An alert while messages wait in the dead-letter queue; none where the queue has no such queue.

    Raises:
        AlertsUnavailable: a queue cannot be looked at.
    """
    try:
        attributes = _attributes(sqs, queue_url, "RedrivePolicy")
        if "RedrivePolicy" not in attributes:
            return []
        arn = json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"]
        url = sqs.get_queue_url(QueueName=arn.split(":")[-1])["QueueUrl"]
        waiting = int(_attributes(sqs, url, "ApproximateNumberOfMessages")["ApproximateNumberOfMessages"])
    except (ClientError, BotoCoreError) as error:
        problem, remedy = aws_problem(error, "sqs:GetQueueUrl and sqs:GetQueueAttributes", "SQS")
        raise AlertsUnavailable(
            f"cannot look at the queue {queue_url} or its dead-letter queue: {problem}", remedy
        ) from None
    if not waiting:
        return []
    return [
        Alert(
            DEAD_LETTERS,
            "JWO catalog: messages in the dead-letter queue",
            f"The dead-letter queue {arn.split(':')[-1]} holds about {plural(waiting, 'message')}. SQS moves a message "
            "there after ten deliveries in which it was not processed. Results are also asked for through the API, so "
            "uploads settle, but later.",
            "`jwo-catalog doctor`; then move them back (SQS, Start DLQ redrive). docs/runbook.md, "
            '"Messages in the dead-letter queue".',
            lasting=True,
        )
    ]


def _attributes(sqs: Any, queue_url: str, name: str) -> Mapping[str, str]:
    attributes: Mapping[str, str] = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=[name]).get(
        "Attributes", {}
    )
    return attributes
