"""Alerts: each piece of news is one message on a real topic with a subscribed queue, and exactly one."""

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from jwo_catalog_pipeline import failpoints
from jwo_catalog_pipeline.defs.sensors import alerts_sensor, ingestion_results_sensor
from jwo_catalog_pipeline.upload.alert_messages import Alert
from jwo_catalog_pipeline.upload.alert_publishing import CLAIM_SECONDS, AlertPublisher
from jwo_catalog_pipeline.upload.alerts import overdue_alerts, stuck_batches
from jwo_catalog_pipeline.upload.errors import AlertsUnavailable
from jwo_catalog_pipeline_tests.support.mailbox import Mailbox
from jwo_catalog_pipeline_tests.support.parts import Parts, items
from jwo_catalog_pipeline_tests.support.project import HEADER, Project

MANY = [f"S{n:02},4006381333931,Item {n},JWO-STORE-01,1.99" for n in range(15)]
OTHER_STORE = [f"T{n:02},4006381333931,Item {n},JWO-STORE-02,1.99" for n in range(5)]


def publisher(parts: Parts, mailbox: Mailbox) -> AlertPublisher:
    return AlertPublisher(parts.ledger, mailbox.sns, boto3.client("cloudwatch"), mailbox.topic)


def test_where_all_is_well_nobody_is_published(project: Project, messages_sent: Any) -> None:
    project.must_upload("u1")
    project.settle("u1")
    assert messages_sent() == []
    assert project.ledger.settled_notes() == []


def test_without_a_topic_the_sensor_says_that_nobody_is_published(project: Project) -> None:
    project.env.pop("JWO_ALERT_TOPIC_ARN")
    assert "JWO_ALERT_TOPIC_ARN is not set" in project.tick(alerts_sensor).skip_message


def test_a_blocked_check_is_published_as_one(project: Project, messages_sent: Any) -> None:
    project.export(HEADER, *[row.replace("4006381333931", "4006381333932") for row in MANY])
    project.upload("u1")
    ((subject, text),) = messages_sent()
    assert subject == "JWO catalog: invalid_share blocks upload u1"
    assert "15 of 15 rows" in text
    assert "quarantined_items" in text


def test_a_guard_that_stops_an_upload_is_published_as_one(project: Project, messages_sent: Any) -> None:
    project.export(HEADER, *MANY, *OTHER_STORE)
    project.must_upload("u1")
    project.settle("u1")
    assert messages_sent() == []
    project.export(HEADER, *MANY)
    project.upload("u2")
    ((subject, text),) = messages_sent()
    assert subject == "JWO catalog: upload u2 stopped by store_missing"
    assert "JWO-STORE-02" in text
    assert "ops: catalog_changes: config: allow: [store_missing]" in text


def test_an_upload_that_settled_with_rejections_is_published(project: Project, messages_sent: Any) -> None:
    project.sandbox.misbehave(reject_skus=["A"])
    project.must_upload("u1")
    assert messages_sent() == []
    project.settle("u1")
    ((subject, text),) = messages_sent()
    assert subject == "JWO catalog: 1 item not accepted"
    assert "1 rejected; 2 accepted" in text
    assert "fix_list" in text


def test_unreadable_messages_are_published(project: Project, messages_sent: Any) -> None:
    queue = boto3.client("sqs")
    for body in ("not json", "{}"):
        queue.send_message(QueueUrl=project.env["JWO_QUEUE_URL"], MessageBody=body)
    project.tick(ingestion_results_sensor)
    ((subject, text),) = messages_sent()
    assert subject == "JWO catalog: 2 unreadable messages"
    assert "inbox/unreadable/" in text


def test_messages_in_the_dead_letter_queue_are_published_and_told_again_after_they_were_gone(
    project: Project, messages_sent: Any
) -> None:
    sqs, url = boto3.client("sqs"), project.env["JWO_QUEUE_URL"]
    policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]["RedrivePolicy"]
    name = json.loads(policy)["deadLetterTargetArn"].split(":")[-1]
    dead = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    assert messages_sent() == []
    for _ in range(2):
        sqs.send_message(QueueUrl=dead, MessageBody="{}")
        assert [subject for subject, _ in messages_sent()] == ["JWO catalog: messages in the dead-letter queue"]
        (message,) = sqs.receive_message(QueueUrl=dead)["Messages"]
        sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
        assert messages_sent() == []


def test_what_is_stuck_is_published_by_upload_and_measured(parts: Parts, mailbox: Mailbox) -> None:
    parts.sandbox.misbehave(delay=3600)
    parts.apply("u1", items("A", "B"))
    parts.clock.seconds += 119 * 60
    assert stuck_batches(parts.ledger, overdue_minutes=0) == []
    parts.clock.seconds += 60
    assert stuck_batches(parts.ledger, overdue_minutes=91) == []
    stuck = stuck_batches(parts.ledger, overdue_minutes=0)
    assert publisher(parts, mailbox).publish(overdue_alerts(stuck)) == ["overdue/u1"]
    assert publisher(parts, mailbox).publish(overdue_alerts(stuck)) == []
    ((subject, text),) = mailbox.take()
    assert subject == "JWO catalog: no results of upload u1"
    assert "Upload u1 has no result for 2 items in 1 batch, the oldest since 2027-01-15T08:00:00Z (1 submitted)" in text
    parts.settle("u1")
    assert stuck_batches(parts.ledger, overdue_minutes=0) == []


def overdue(project: Project) -> list[float]:
    """The values of the metric that the alarms watch: of every time it was sent, the sum and the number of times."""
    now = datetime.now(UTC)
    found = boto3.client("cloudwatch").get_metric_statistics(
        Namespace="JwoCatalog",
        MetricName="OverdueIngestions",
        Dimensions=[{"Name": "Ledger", "Value": project.env["JWO_LEDGER_TABLE"]}],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(hours=1),
        Period=7200,
        Statistics=["Sum", "SampleCount"],
    )["Datapoints"]
    return [sum(each[name] for each in found) for name in ("Sum", "SampleCount")]


def test_the_metric_says_how_much_is_stuck(project: Project, parts: Parts, mailbox: Mailbox) -> None:
    project.env["JWO_ALERT_TOPIC_ARN"] = mailbox.topic
    project.tick(alerts_sensor)
    assert overdue(project) == [0, 1]
    parts.sandbox.misbehave(delay=86_400)
    parts.clock.seconds = time.time() - 3 * 3600
    parts.apply("u1", items("A", "B", "C"))
    parts.apply("u2", items("A", "B", "C", "D"))
    project.tick(alerts_sensor)
    assert overdue(project) == [2, 2]  # the batches, of four items


def test_no_secret_is_published(parts: Parts, mailbox: Mailbox) -> None:
    secret = "https://s3.amazonaws.com/reports/1.json?X-Amz-Signature=abcdef0123456789"
    publisher(parts, mailbox).publish([Alert("k", f"at {secret}", f"not to be had: {secret}")])
    ((subject, text),) = mailbox.take()
    assert "abcdef0123456789" not in subject + text
    assert "reports/1.json" in text


def test_a_subject_is_as_sns_wants_it(parts: Parts, mailbox: Mailbox) -> None:
    publisher(parts, mailbox).publish([Alert("k", "Grüße " * 40, "x")])
    ((subject, _),) = mailbox.take()
    assert subject == ("Gr??e " * 40)[:99]


def test_who_dies_after_telling_has_it_told_once_more_and_not_before_its_claim_is_over(
    parts: Parts, mailbox: Mailbox
) -> None:
    class Died(Exception):
        pass

    def die(point: str) -> None:
        if point == "after sns: alert":
            raise Died

    news = [Alert("k", "news", "news")]
    failpoints.arm(die)
    try:
        with pytest.raises(Died):
            publisher(parts, mailbox).publish(news)
    finally:
        failpoints.disarm()
    assert publisher(parts, mailbox).publish(news) == []
    parts.clock.seconds += CLAIM_SECONDS
    assert publisher(parts, mailbox).publish(news) == ["k"]
    parts.clock.seconds += CLAIM_SECONDS
    assert publisher(parts, mailbox).publish(news) == []
    assert len(mailbox.take()) == 2


def test_what_was_told_meanwhile_cannot_be_claimed(parts: Parts, mailbox: Mailbox) -> None:
    publisher(parts, mailbox).publish([Alert("k", "news", "news")])
    parts.clock.seconds += CLAIM_SECONDS
    assert not parts.ledger.claim_alert("k", CLAIM_SECONDS)


def test_several_at_once_tell_it_once(parts: Parts, mailbox: Mailbox) -> None:
    news = [Alert(f"k{n}", "news", "news") for n in range(5)]
    ready = threading.Barrier(4)

    def tell() -> None:
        ready.wait()
        publisher(parts, mailbox).publish(news)

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(mailbox.take()) == 5


def test_where_the_topic_takes_nothing_the_sensor_says_so_and_the_next_tick_tells(
    project: Project, mailbox: Mailbox
) -> None:
    project.mapping("version: 1\nfields: {item_sku: nowhere}\n")
    project.upload("u1")
    project.env["JWO_ALERT_TOPIC_ARN"] = mailbox.topic + "-gone"
    assert "could not be published" in project.tick(alerts_sensor).skip_message
    project.env["JWO_ALERT_TOPIC_ARN"] = "alerts"
    assert "it must be arn:aws:sns:REGION:ACCOUNT:NAME" in project.tick(alerts_sensor).skip_message


def test_a_message_that_the_topic_refuses_is_published_by_the_next_tick(parts: Parts, mailbox: Mailbox) -> None:
    gone = AlertPublisher(parts.ledger, mailbox.sns, None, mailbox.topic + "-gone")
    with pytest.raises(AlertsUnavailable, match="could not be published"):
        gone.publish([Alert("k", "news", "news")])
    parts.clock.seconds += CLAIM_SECONDS
    assert publisher(parts, mailbox).publish([Alert("k", "news", "news")]) == ["k"]


def test_a_dead_letter_queue_that_cannot_be_looked_at_keeps_no_other_alert_back(
    project: Project, mailbox: Mailbox
) -> None:
    """With it deleted, no alert of any kind was sent any more."""
    sqs, url = project.sandbox.client("sqs"), project.env["JWO_QUEUE_URL"]
    policy = json.loads(
        sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]["RedrivePolicy"]
    )
    name = policy["deadLetterTargetArn"].split(":")[-1]
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"])
    project.env["JWO_ALERT_TOPIC_ARN"] = mailbox.topic
    project.mapping("version: 1\nfields: {item_sku: nowhere}\n")
    project.upload("u1")
    project.tick(alerts_sensor)
    subjects = [subject for subject, _ in mailbox.take()]
    assert subjects == [
        "JWO catalog: catalog_upload_job of upload u1 failed",
        "JWO catalog: the dead-letter queue cannot be looked at",
    ]
    project.tick(alerts_sensor)
    assert mailbox.take() == []
    sqs.create_queue(QueueName=name)
    project.tick(alerts_sensor)
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"])
    project.tick(alerts_sensor)
    assert [subject for subject, _ in mailbox.take()] == ["JWO catalog: the dead-letter queue cannot be looked at"]
