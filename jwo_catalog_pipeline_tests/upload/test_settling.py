"""From messages to outcomes: durable before deleted, matched whenever they come, settled once and for all."""

import json

import pytest

from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.ledger.news import LINK_SECONDS
from jwo_catalog_pipeline.upload.model import BatchState
from jwo_catalog_pipeline.upload.outcomes import outcomes_key, report_key
from jwo_catalog_pipeline.upload.results.inbox import Inbox, QueueUnavailable
from jwo_catalog_pipeline.upload.results.polling import ask_overdue, mark_reported, uploads_to_fetch
from jwo_catalog_pipeline_tests.support.parts import Parts, items
from jwo_catalog_pipeline_tests.support.queue import queue_is_empty, send_to_queue


@pytest.mark.parametrize("shape", ["1", "2", "3"])
def test_each_report_shape_settles_every_item_and_is_stored_unchanged(parts: Parts, shape: str) -> None:
    parts.sandbox.misbehave(report_shape=shape, reject_skus=["B"])
    parts.apply("u1", items("A", "B"))
    assert parts.settle("u1")["outcome"].tolist() == ["accepted", "rejected"]
    (batch,) = parts.ledger.batches("u1")
    stored = parts.bucket.get(report_key(batch))
    link = parts.api.status(batch.ingestion_id).report_url
    assert stored == parts.api.http.request("GET", link).data
    assert dict(batch.outcomes) == {"accepted": 1, "rejected": 1}


def test_a_report_in_no_known_shape_is_stored_and_marked_and_its_items_stay_open(parts: Parts) -> None:
    parts.sandbox.misbehave(report_shape="unknown")
    parts.apply("u1", items("A"))
    assert parts.settle("u1")["outcome"].tolist() == ["unreported"]
    (batch,) = parts.ledger.batches("u1")
    assert (batch.state, batch.report_shape) == (BatchState.SETTLED, "unknown")
    assert parts.bucket.get(report_key(batch))
    assert list(parts.plan("u2", items("A"))["change"]) == ["in_flight"]


def test_settling_again_changes_nothing(parts: Parts) -> None:
    parts.apply("u1", items("A"))
    first = parts.settle("u1")
    second, problems = parts.results("u1")
    assert (second.equals(first), problems) == (True, [])


def test_outcomes_are_made_again_from_the_stored_report(parts: Parts) -> None:
    """What a reader got wrong is mended by settling again with a better one; the link may have expired long ago."""
    parts.sandbox.misbehave(reject_skus=["B"])
    parts.apply("u1", items("A", "B"))
    first = parts.settle("u1")
    (batch,) = parts.ledger.batches("u1")
    wrong = parts.bucket.get_table(outcomes_key(batch)).assign(outcome="unreported")
    parts.bucket.put_table(outcomes_key(batch), wrong)
    parts.clock.seconds += LINK_SECONDS + 1
    second, problems = parts.results("u1")
    assert (second.equals(first), problems) == (True, [])


def test_an_id_that_amazon_does_not_know_keeps_no_other_from_being_asked_for(parts: Parts) -> None:
    parts.apply("u1", items("A"))
    (batch,) = parts.ledger.batches("u1")
    assert parts.ledger._try_change(batch, ingestion_id="gone")
    parts.apply("u2", items("A", "B"))
    parts.sandbox.drain()
    parts.clock.seconds += 60
    found = [ask_overdue(parts.ledger, parts.api, 30) for _ in range(2)]
    assert found[0]["gone"] == "RequestRefused"
    assert sorted(found[0].values()) == ["DONE", "RequestRefused"]
    assert "gone" not in found[1]


def test_another_ingestions_report_is_not_believed(parts: Parts) -> None:
    parts.sandbox.misbehave(reject_skus=["B"])
    parts.apply("u1", items("A"))
    parts.apply("u2", items("A", "B"))
    parts.sandbox.drain()
    (first,), (second,) = parts.ledger.batches("u1"), parts.ledger.batches("u2")
    parts.ledger.keep_news(second.ingestion_id, "queue", "DONE", parts.api.status(first.ingestion_id).report_url)
    mark_reported(parts.ledger)
    outcomes, problems = parts.results("u2")
    assert (outcomes["outcome"].tolist(), problems) == (["rejected"], [])


def test_news_that_amazon_is_not_done_is_no_result(parts: Parts) -> None:
    parts.sandbox.misbehave(delay=3600)
    parts.apply("u1", items("A"))
    (batch,) = parts.ledger.batches("u1")
    send_to_queue(parts, json.dumps({"ingestionId": batch.ingestion_id, "processingStatus": "INPROGRESS"}))
    assert parts.inbox().receive(20)["progress"] == 1
    assert parts.ledger.news() == []


def test_a_message_is_in_the_ledger_before_it_is_deleted(parts: Parts) -> None:
    """Invariant 5: a receiver that dies before the delete leaves the message, and the news is kept already."""
    parts.apply("u1", items("A"))
    parts.sandbox.drain()
    inbox = parts.inbox()

    class KilledBeforeDeleting:
        receive_message = inbox.sqs.receive_message

        def delete_message_batch(self, **_: object) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Inbox(
            KilledBeforeDeleting(), inbox.sns, inbox.queue_url, inbox.topic_arn, parts.ledger, parts.bucket, None
        ).receive(20)
    assert len(parts.ledger.news()) == 1
    assert not queue_is_empty(parts)


def test_duplicated_and_late_messages_change_nothing(parts: Parts) -> None:
    parts.sandbox.misbehave(duplicate_notifications=1)
    parts.apply("u1", items("A"))
    parts.sandbox.drain()
    assert parts.inbox().receive(20)["result"] == 2
    mark_reported(parts.ledger)
    parts.results("u1")
    (batch,) = parts.ledger.batches("u1")
    send_to_queue(parts, json.dumps({"ingestionId": batch.ingestion_id}))
    parts.inbox().receive(20)
    mark_reported(parts.ledger)
    assert parts.ledger.batches("u1") == [batch]
    assert parts.ledger.news() == []


def test_news_that_comes_before_the_answer_is_kept_and_matched(parts: Parts) -> None:
    parts.ledger.keep_news("i-early", "queue", "DONE", None)
    mark_reported(parts.ledger)
    assert [news.ingestion_id for news in parts.ledger.news()] == ["i-early"]
    (batch,) = parts.apply("u1", items("A"))
    parts.ledger._put({**keys.ingestion("i-early"), "upload": "u1", "plan": batch.plan, "batch": batch.id})
    mark_reported(parts.ledger)
    assert parts.ledger.news() == []
    assert uploads_to_fetch(parts.ledger) == {"u1": 1}


def test_an_unreadable_message_is_kept_counted_and_does_not_block(parts: Parts) -> None:
    secret = "https://s3/r?X-Amz-Signature=SECRET"
    send_to_queue(parts, json.dumps({"what": secret}))
    parts.apply("u1", items("A"))
    parts.sandbox.drain()
    counts = parts.inbox().receive(20)
    assert (counts["unreadable"], counts["result"]) == (1, 1)
    (kept,) = parts.ledger.unreadable_messages()
    assert "no ingestion id" in kept.reason
    text = parts.bucket.get(kept.kept_at.split("/", 3)[3]).decode()
    assert "https://s3/r" in text
    assert "SECRET" not in text
    assert queue_is_empty(parts)


def test_a_subscription_is_confirmed_through_the_api(parts: Parts) -> None:
    topic = parts.sandbox.environment["JWO_TOPIC_ARN"]
    confirmation = {"Type": "SubscriptionConfirmation", "TopicArn": topic, "Token": "t" * 40, "SubscribeURL": "x"}
    send_to_queue(parts, json.dumps(confirmation))
    inbox, asked = parts.inbox(), []

    class Recording:
        def confirm_subscription(self, **arguments: str) -> None:
            asked.append(arguments)

    inbox = Inbox(inbox.sqs, Recording(), inbox.queue_url, topic, parts.ledger, parts.bucket, None)
    assert inbox.receive(20)["confirmation"] == 1
    assert asked == [{"TopicArn": topic, "Token": "t" * 40}]
    assert queue_is_empty(parts)


def test_an_expired_link_is_replaced_by_a_fresh_one(parts: Parts) -> None:
    parts.sandbox.misbehave(expire_links=1)
    parts.apply("u1", items("A"))
    assert parts.settle("u1")["outcome"].tolist() == ["accepted"]
    assert [call["operation"] for call in parts.sandbox.get("requests")] == ["upload", "status"]


def test_a_link_is_forgotten_by_the_ledger_after_its_time(parts: Parts) -> None:
    (batch,) = parts.apply("u1", items("A"))
    parts.sandbox.drain()
    parts.inbox().receive(20)
    assert "X-Amz-Signature" in (parts.ledger.link(batch.ingestion_id) or "")
    parts.clock.seconds += LINK_SECONDS
    assert parts.ledger.link(batch.ingestion_id) is None


def test_a_link_to_another_place_is_not_followed_but_asked_for_again(parts: Parts) -> None:
    (batch,) = parts.apply("u1", items("A"))
    parts.sandbox.drain()
    send_to_queue(
        parts, json.dumps({"ingestionId": batch.ingestion_id, "reportDownloadLink": "http://127.0.0.1:9/evil"})
    )
    assert parts.settle("u1")["outcome"].tolist() == ["accepted"]


@pytest.mark.parametrize(("fault", "status"), [("cancel", "CANCELLED"), ("fatal", "FATAL")])
@pytest.mark.parametrize("news", ["queue", "status"])
def test_an_ingestion_that_ended_badly_fails_its_batch_and_its_items_go_again(
    parts: Parts, fault: str, status: str, news: str
) -> None:
    parts.sandbox.misbehave(**{fault: 1}, drop_notifications=int(news == "status"))
    parts.apply("u1", items("A"))
    if news == "status":
        parts.sandbox.drain()
        ask_overdue(parts.ledger, parts.api, 0)
    assert parts.settle("u1")["outcome"].tolist() == ["failed"]
    (batch,) = parts.ledger.batches("u1")
    assert (batch.state, batch.message) == (BatchState.FAILED, f"Amazon ended the ingestion as {status}")
    assert list(parts.plan("u2", items("A"))["change"]) == ["update"]


def test_an_ingestion_under_way_is_asked_for_again_only_after_the_same_time(parts: Parts) -> None:
    parts.sandbox.misbehave(delay=3600)
    parts.apply("u1", items("A"))
    parts.clock.seconds += 61
    assert list(ask_overdue(parts.ledger, parts.api, 60).values()) == ["INQUEUE"]
    assert ask_overdue(parts.ledger, parts.api, 60) == {}
    parts.clock.seconds += 61
    assert list(ask_overdue(parts.ledger, parts.api, 60).values()) == ["INQUEUE"]


def test_without_a_queue_the_error_names_it(parts: Parts) -> None:
    inbox = parts.inbox()
    missing = inbox.queue_url + "-missing"
    with pytest.raises(QueueUnavailable, match="check JWO_QUEUE_URL"):
        Inbox(inbox.sqs, inbox.sns, missing, inbox.topic_arn, parts.ledger, parts.bucket, None).receive(20)


def test_items_in_flight_before_a_newer_upload_are_resolved_after_it(parts: Parts) -> None:
    """The snapshot of u2 still has A in flight; its outcome arrives later and is found through u1's batch."""
    parts.sandbox.misbehave(delay=3600)
    parts.apply("u1", items("A"))
    parts.apply("u2", items("A", "B"))
    parts.settle("u1")
    parts.settle("u2")
    assert parts.published() == {("JWO-STORE-01", "A"): "accepted", ("JWO-STORE-01", "B"): "accepted"}
    assert list(parts.plan("u3", items("A", "B"))["change"]) == ["unchanged", "unchanged"]
