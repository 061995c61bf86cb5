"""What people get: a topic with a subscribed queue, and the messages that came through it."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from jwo_catalog_pipeline.defs.sensors import alerts_sensor
from jwo_catalog_pipeline_tests.support.project import Project

NOTHING_TOLD = "published 0 alerts"


class Mailbox:
    """A topic, and what came through it."""

    def __init__(self, topic: str = "") -> None:
        self.sqs, self.sns = boto3.client("sqs"), boto3.client("sns")
        self.topic = topic or self.sns.create_topic(Name="alerts")["TopicArn"]
        self.queue = self.sqs.create_queue(QueueName="people")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn)

    def take(self) -> list[tuple[str, str]]:
        """Subject and text of every message since the last time."""
        found = []
        while messages := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                body = json.loads(message["Body"])
                found.append((body["Subject"], body["Message"]))
        return found


@pytest.fixture
def mailbox(fresh: Any) -> Mailbox:
    return Mailbox()


@pytest.fixture
def messages_sent(project: Project, mailbox: Mailbox) -> Iterator[Any]:
    """Evaluates the sensor twice, as the second must find nothing to tell; gives the messages of the first."""
    project.env["JWO_ALERT_TOPIC_ARN"] = mailbox.topic

    def look() -> list[tuple[str, str]]:
        project.tick(alerts_sensor)
        messages = mailbox.take()
        assert project.tick(alerts_sensor).skip_reason.skip_message == NOTHING_TOLD
        assert mailbox.take() == []
        return messages

    return look
