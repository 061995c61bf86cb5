"""What `jwo-catalog doctor` finds wrong with the queue, its policy and its messages."""

import json
from typing import Any

import boto3

from jwo_catalog_pipeline_tests.support.doctor import (
    Look,
    found,
)
from jwo_catalog_pipeline_tests.support.project import Project


def _policy(project: Project, *statements: dict[str, Any]) -> None:
    policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)}) if statements else ""
    boto3.client("sqs").set_queue_attributes(QueueUrl=project.env["JWO_QUEUE_URL"], Attributes={"Policy": policy})


def test_a_queue_that_is_not_there(project: Project, look: Look) -> None:
    project.env["JWO_QUEUE_URL"] += "x"
    said = found(look, "queue", "problem")
    assert "NonExistentQueue -> deploy deploy/cloudformation.yaml" in said
    assert "AWS_DEFAULT_REGION" in said


def test_a_queue_that_admits_others_or_nobody(project: Project, look: Look) -> None:
    topic = project.env["JWO_TOPIC_ARN"]
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
    amazon = {**everybody, "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}
    other = {"ArnEquals": {"aws:SourceArn": "arn:aws:sns:us-east-1:123456789012:other"}}
    for wrong in (
        everybody,
        {**everybody, "Condition": other},
        {**everybody, "Condition": {"ArnNotEquals": {"aws:SourceArn": topic}}},
        {**everybody, "Condition": {"ArnEqualsIfExists": {"aws:SourceArn": topic}}},
        {**everybody, "Condition": {"ArnEquals": {"aws:SourceArn": [topic, "arn:aws:sns:us-east-1:1:x"]}}},
        {**everybody, "Action": ["sqs:ReceiveMessage", "SQS:*"]},
        {**everybody, "Action": "sqs:S*Message"},
    ):
        _policy(project, amazon, wrong)
        said = found(look, "queue policy", "problem")
        assert "admits others than Amazon's topic -> deploy" in said
        assert f"JwoTopicArn={topic}; no other sender" in said
    reader = {**everybody, "Action": "sqs:ReceiveMessage"}
    _policy(project, reader, {**everybody, "Effect": "Deny"})
    said = found(look, "queue policy", "problem")
    assert "admits no sender" in said
    assert f"JwoTopicArn={topic}" in said
    _policy(project, reader, amazon)
    assert f"admits {topic} only" in found(look, "queue policy", "ok")
    boto3.client("sqs").send_message(QueueUrl=project.env["JWO_QUEUE_URL"], MessageBody="{}")
    assert "about 1 message" in found(look, "queue", "ok")


def test_messages_in_the_dead_letter_queue_and_a_queue_without_one(project: Project, look: Look) -> None:
    sqs, url = boto3.client("sqs"), project.env["JWO_QUEUE_URL"]
    policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]["RedrivePolicy"]
    dead = sqs.get_queue_url(QueueName=json.loads(policy)["deadLetterTargetArn"].split(":")[-1])["QueueUrl"]
    sqs.send_message(QueueUrl=dead, MessageBody="{}")
    said = found(look, "dead-letter queue", "problem")
    assert "holds about 1 message." in said
    assert "docs/runbook.md" in said
    project.env["JWO_QUEUE_URL"] = sqs.create_queue(QueueName="plain")["QueueUrl"]
    said = found(look, "dead-letter queue", "problem")
    assert "has no dead-letter queue" in said
    assert "-> deploy deploy/cloudformation.yaml again" in said


def test_notifications_that_never_came_or_could_not_be_read(project: Project, look: Look) -> None:
    said = found(look, "notifications", "warning")
    assert (
        "no notification has arrived yet; whether Amazon's topic is subscribed cannot be seen from this account" in said
    )
    assert "-> this is normal before the first upload; after it, ask your Amazon contact" in said
    boto3.client("sqs").send_message(QueueUrl=project.env["JWO_QUEUE_URL"], MessageBody="not json")
    project.must_upload("u1")
    project.settle("u1")
    said = found(look, "notifications", "warning")
    assert "1 message could not be read, the newest: not JSON" in said
    assert "inbox/unreadable/" in said
