"""What hostile or broken messages do to the inbox, and to the other messages: nothing."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

from jwo_catalog_pipeline import failpoints
from jwo_catalog_pipeline.catalog_api.sns_signature import SnsVerifier
from jwo_catalog_pipeline.upload.errors import LedgerUnavailable
from jwo_catalog_pipeline.upload.results.inbox import DELIVERIES_BEFORE_QUARANTINE, Inbox
from jwo_catalog_pipeline_tests.chaos.envelopes import certificate, confirmation, notification
from jwo_catalog_pipeline_tests.chaos.poison import oversized_bodies, unreadable_bodies
from jwo_catalog_pipeline_tests.support.parts import Parts
from jwo_catalog_pipeline_tests.support.queue import queue_is_empty, send_to_queue


def news(parts: Parts) -> list[str]:
    return [each.ingestion_id for each in parts.ledger.news()]


@contextmanager
def points() -> Iterator[list[str]]:
    """The points of external effects that are reached meanwhile."""
    reached: list[str] = []
    failpoints.arm(reached.append)
    try:
        yield reached
    finally:
        failpoints.disarm()


@contextmanager
def ledger_refuses(parts: Parts, text: str) -> Iterator[None]:
    """DynamoDB answers 400 to every request that contains a text, as it does to an item that it cannot take."""

    def refuse(request: Any, **_: Any) -> Any:
        if text.encode() in (request.body or b""):
            body = b'{"__type": "ValidationException", "message": "no"}'
            answer = AWSResponse(request.url, 400, {"Content-Type": "application/x-amz-json-1.0"}, None)
            answer._content = body
            return answer
        return None

    events = parts.ledger._client.meta.events
    events.register("before-send.dynamodb", refuse)
    try:
        yield
    finally:
        events.unregister("before-send.dynamodb", refuse)


class Answers:
    """An AWS client of which one operation answers as set."""

    def __init__(self, client: Any, **answers: Any) -> None:
        self._client, self._answers = client, answers

    def __getattr__(self, name: str) -> Any:
        return self._answers.get(name) or getattr(self._client, name)


def test_messages_are_deleted_ten_at_a_time_and_only_when_all_of_them_are_kept(parts: Parts) -> None:
    for number in range(12):
        send_to_queue(parts, json.dumps({"ingestionId": f"i-{number:02}"}))
    kept: list[int] = []
    reached: list[str] = []

    def observe(point: str) -> None:
        if "sqs" in point:
            reached.append(point)
        if point == "before sqs: delete":
            failpoints.disarm()
            kept.append(len(news(parts)))
            failpoints.arm(observe)

    failpoints.arm(observe)
    try:
        assert parts.inbox().receive(20)["result"] == 12
    finally:
        failpoints.disarm()
    receive, delete = ["before sqs: receive", "after sqs: receive"], ["before sqs: delete", "after sqs: delete"]
    assert reached == [*receive, *delete, *receive, *delete, *receive]
    assert kept == [10, 12]
    assert queue_is_empty(parts)


def test_what_could_not_be_deleted_is_left_to_be_delivered_again(parts: Parts) -> None:
    for number in range(3):
        send_to_queue(parts, json.dumps({"ingestionId": f"i-{number}"}))
    inbox = parts.inbox()

    def all_but_the_first(QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:
        answer = inbox.sqs.delete_message_batch(QueueUrl=QueueUrl, Entries=Entries[1:])
        return {**answer, "Failed": [{"Id": Entries[0]["Id"], "Code": "InternalError", "SenderFault": False}]}

    sqs = Answers(inbox.sqs, delete_message_batch=all_but_the_first)
    assert Inbox(sqs, inbox.sns, inbox.queue_url, "", parts.ledger, parts.bucket, None).receive(20)["result"] == 3
    assert news(parts) == ["i-0", "i-1", "i-2"]
    assert not queue_is_empty(parts)


@pytest.mark.parametrize("verified", [True, False])
def test_no_poisoned_message_keeps_another_from_being_read(parts: Parts, verified: bool) -> None:
    topic = parts.sandbox.environment["JWO_TOPIC_ARN"]
    bodies = unreadable_bodies(topic)[:: 1 if verified else 3]
    for start in range(0, len(bodies), 50):
        for body in bodies[start : start + 50]:
            send_to_queue(parts, body)
        send_to_queue(parts, json.dumps(notification({"ingestionId": f"good-{start}"}, topic)))
    verify = SnsVerifier(lambda _: certificate()) if verified else None
    counts = parts.inbox(verify).receive(60)
    assert sum(counts.values()) == len(bodies) + -(-len(bodies) // 50)
    assert {f"good-{start}" for start in range(0, len(bodies), 50)} <= set(news(parts))
    assert len(parts.ledger.unreadable_messages()) == counts["unreadable"]
    assert queue_is_empty(parts)


@pytest.mark.thorough
def test_messages_as_large_as_the_queue_takes_are_read_or_kept(parts: Parts) -> None:
    topic = parts.sandbox.environment["JWO_TOPIC_ARN"]
    for body in oversized_bodies(topic, [{"ingestionId": "i-large"}]):
        send_to_queue(parts, body)
    counts = parts.inbox(SnsVerifier(lambda _: certificate())).receive(60)
    assert counts == {"result": 1, "unreadable": 7}
    assert news(parts) == ["i-large"]


@pytest.mark.parametrize("odd", ["https://s3/" + "x" * 9_000, "https://s3/\ud83d", "https://s3/\0", "h" * 400_000])
def test_a_link_that_cannot_be_one_is_left_out_and_the_news_kept(parts: Parts, odd: str) -> None:
    send_to_queue(parts, json.dumps({"ingestionId": "i", "url": odd, "status": odd}))
    assert parts.inbox().receive(20) == {"result": 1}
    assert (news(parts), parts.ledger.link("i")) == (["i"], None)
    assert parts.ledger.news()[0].processing_status == ""


def test_news_that_the_ledger_refuses_is_quarantined_in_the_end_and_blocks_no_other(parts: Parts) -> None:
    for name in ("i-1", "i-refused", "i-2"):
        send_to_queue(parts, json.dumps({"ingestionId": name}))
    inbox = parts.inbox()
    with ledger_refuses(parts, "i-refused"):
        with pytest.raises(LedgerUnavailable):
            inbox.receive(20)
        assert news(parts) == ["i-1", "i-2"]
        message = {"MessageId": "m", "Body": json.dumps({"ingestionId": "i-refused"})}
        for count in range(2, DELIVERIES_BEFORE_QUARANTINE):
            with pytest.raises(LedgerUnavailable):
                inbox._keep({**message, "Attributes": {"ApproximateReceiveCount": str(count)}}, set())
        last = {**message, "Attributes": {"ApproximateReceiveCount": str(DELIVERIES_BEFORE_QUARANTINE)}}
        assert inbox._keep(last, set()) == "unreadable"
    (kept,) = parts.ledger.unreadable_messages()
    assert kept.reason == "the ledger does not take it (after 5 deliveries)"


def test_a_ledger_that_is_down_ends_the_receiving_and_quarantines_nothing(parts: Parts) -> None:
    for number in range(5):
        send_to_queue(parts, json.dumps({"ingestionId": f"i-{number}"}))
    calls = []
    with ledger_refuses(parts, ""), points() as reached:
        with pytest.raises(LedgerUnavailable):
            parts.inbox().receive(20)
        calls = [point for point in reached if "delete" in point]
    assert calls == []
    assert not queue_is_empty(parts)
    assert parts.ledger.unreadable_messages() == []


@pytest.mark.parametrize(("code", "kind"), [("InvalidParameter", "unreadable"), ("AuthorizationError", None)])
def test_a_token_that_sns_refuses_is_quarantined_and_a_trouble_that_may_pass_is_not(
    parts: Parts, code: str, kind: str | None
) -> None:
    def refuse(**_: str) -> None:
        raise ClientError({"Error": {"Code": code}}, "ConfirmSubscription")

    inbox = parts.inbox()
    sns = Answers(inbox.sns, confirm_subscription=refuse)
    send_to_queue(parts, json.dumps(confirmation(inbox.topic_arn)))
    counts = Inbox(inbox.sqs, sns, inbox.queue_url, inbox.topic_arn, parts.ledger, parts.bucket, None).receive(20)
    assert counts == ({kind: 1} if kind else {})
    assert queue_is_empty(parts) is bool(kind)
    for kept in parts.ledger.unreadable_messages():
        assert b"t" * 256 not in parts.bucket.get(kept.kept_at.split("/", 3)[3])


def test_the_address_to_subscribe_at_is_never_fetched(parts: Parts) -> None:
    inbox = parts.inbox(SnsVerifier(lambda _: certificate()))
    asked: list[dict[str, str]] = []
    sns = Answers(inbox.sns, confirm_subscription=lambda **arguments: asked.append(arguments))
    with socket.create_server(("127.0.0.1", 0)) as listener, points() as reached:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/?Action=ConfirmSubscription"
        send_to_queue(parts, json.dumps(confirmation(inbox.topic_arn, SubscribeURL=url)))
        send_to_queue(parts, json.dumps({**confirmation(inbox.topic_arn), "SubscribeURL": url}))
        taken = Inbox(inbox.sqs, sns, inbox.queue_url, inbox.topic_arn, parts.ledger, parts.bucket, inbox.verify)
        assert taken.receive(20) == {"confirmation": 1, "unreadable": 1}
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert asked == [{"TopicArn": inbox.topic_arn, "Token": "t" * 256}]
    assert [point for point in reached if "sns" in point] == ["before sns: confirm", "after sns: confirm"]


def test_two_copies_in_one_delivery_are_written_once(parts: Parts) -> None:
    for _ in range(3):
        send_to_queue(parts, json.dumps({"ingestionId": "i", "processingStatus": "DONE"}))
    sent: list[str] = []
    events = parts.ledger._client.meta.events
    events.register("before-send.dynamodb", lambda request, **_: sent.append(request.url))
    assert parts.inbox().receive(20) == {"result": 3}
    assert len(sent) == 2  # the result, and that one came
    assert queue_is_empty(parts)
