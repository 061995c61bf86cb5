"""Another installation's ingestions on the same topic: they cost next to nothing, and hide none of ours.

Test and production queues may sit on one topic. The other's ids were asked for over and over, the oldest three a tick,
so that ours was never reached; 1,000 of them cost 3,002 calls of the ledger every 5 s.
"""

import json
import time
from collections import Counter
from typing import Any

import boto3
import pytest

from jwo_catalog_pipeline.defs.sensors import ingestion_results_sensor, overdue_ingestions_sensor
from jwo_catalog_pipeline.upload import lifecycle
from jwo_catalog_pipeline.upload.errors import UploadStopped
from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import BatchState
from jwo_catalog_pipeline.upload.queries import overview
from jwo_catalog_pipeline.upload.results.in_doubt import (
    CLOCK_SKEW_SECONDS,
    IDS_A_TICK,
    NOT_OURS_SECONDS,
    reconcile_orphans,
)
from jwo_catalog_pipeline.upload.results.polling import mark_reported, uploads_to_fetch
from jwo_catalog_pipeline.upload.waiting import Waits
from jwo_catalog_pipeline_tests.support.calls import counted_calls
from jwo_catalog_pipeline_tests.support.hearing import hear
from jwo_catalog_pipeline_tests.support.parts import FIELDS, Parts, items
from jwo_catalog_pipeline_tests.support.project import Project
from jwo_catalog_pipeline_tests.support.queue import send_to_queue


def anothers(ledger: Ledger, count: int, first: int = 0) -> list[str]:
    ids = [f"another-{number:05}" for number in range(first, first + count)]
    for ingestion_id in ids:
        ledger.keep_news(ingestion_id, "queue", "DONE", None)
    return ids


def answer_lost(parts: Parts, upload: str, *skus: str, ingested: bool = True) -> None:
    """A call becomes an ingestion or not, its answer does not come, and no other call gets through."""
    after = int(ingested)
    parts.sandbox.misbehave(close_after_ingesting=after, close_before_ingesting=5 - after, operation="upload")
    with pytest.raises(UploadStopped):
        parts.apply(upload, items(*skus))
    parts.sandbox.misbehave(close_after_ingesting=0, close_before_ingesting=0, operation="upload")


def asked(parts: Parts) -> int:
    return sum(call["operation"] == "status" for call in parts.sandbox.get("requests"))


def calls_of_a_tick(project: Project, sensor: Any) -> Counter[str]:
    with counted_calls() as calls:
        project.tick(sensor)
    del calls["dynamodb UpdateItem"]  # the call budget's: as many as calls of the API, or more if one comes too early
    return calls


@pytest.mark.thorough
@pytest.mark.parametrize("in_doubt", [False, True])
def test_a_tick_costs_the_same_at_ten_and_at_a_thousand_ids_of_others(project: Project, in_doubt: bool) -> None:
    if in_doubt:
        project.sandbox.misbehave(close_before_ingesting=99, operation="upload")
        assert not project.upload("u1").success
    sensors = (ingestion_results_sensor, overdue_ingestions_sensor)
    anothers(project.ledger, 2 * IDS_A_TICK)
    costs = [[calls_of_a_tick(project, sensor) for sensor in sensors]]
    table = boto3.resource("dynamodb").Table(project.ledger.table_name)
    (item, *_) = [item for item in table.scan()["Items"] if keys.kind(item) == keys.UNCLAIMED]
    with table.batch_writer() as writer:
        for number in range(1000):
            writer.put_item(Item={**item, **keys.unclaimed(project.ledger.now(), f"yet-another-{number:04}")})
    costs.append([calls_of_a_tick(project, sensor) for sensor in sensors])
    few, many = costs
    assert few == many
    assert sum(few[0].values()) < 30
    assert sum(few[1].values()) < (200 if in_doubt else 30)


def test_what_an_older_version_left_in_the_ledger_is_put_apart_bit_by_bit(parts: Parts) -> None:
    (batch,) = parts.apply("u1", items("A"))
    for number in range(70):
        parts.ledger.keep_news(f"another-{number:02}", "queue", "DONE", None)
    for news in parts.ledger.news():
        parts.ledger.claim_news(news)  # where an older version kept all news
    parts.ledger.keep_news(batch.ingestion_id, "queue", "DONE", None)
    costs = []
    for _ in range(3):
        with counted_calls() as calls:
            mark_reported(parts.ledger)
        costs.append(sum(calls.values()))
    assert max(costs) < 300
    assert costs[2] < 20
    assert parts.ledger.news_of_batches(None) == []
    assert len(parts.ledger.news()) == 70
    assert uploads_to_fetch(parts.ledger) == {"u1": 1}


def test_news_of_ours_is_reached_at_once_whatever_lies_before_and_after_it(parts: Parts) -> None:
    answer_lost(parts, "u1", "A", "B")
    anothers(parts.ledger, 100)
    parts.clock.seconds += 1
    parts.sandbox.drain()
    parts.inbox().receive(20)
    parts.clock.seconds += 1
    anothers(parts.ledger, 5, first=100)
    assert "is batch 0001 of upload u1" in hear(parts).values()


def test_news_of_ours_is_reached_in_the_end_among_any_number_of_others(parts: Parts) -> None:
    answer_lost(parts, "u1", "A")
    anothers(parts.ledger, 30)
    parts.clock.seconds += 1
    parts.sandbox.drain()
    parts.inbox().receive(20)
    parts.clock.seconds += 1
    anothers(parts.ledger, 30, first=100)
    for _ in range(5):
        parts.clock.seconds += 60
        found = hear(parts)
        if "is batch 0001 of upload u1" in found.values():
            return
    pytest.fail("not reached")


def test_an_id_that_amazon_does_not_know_as_ours_is_put_aside_for_good(parts: Parts) -> None:
    answer_lost(parts, "u1", "A", ingested=False)
    ids = anothers(parts.ledger, 3)
    parts.clock.seconds += NOT_OURS_SECONDS
    assert hear(parts) == dict.fromkeys(ids, "is not ours")
    assert asked(parts) == 3
    send_to_queue(parts, json.dumps({"ingestionId": ids[0]}))  # SQS gives it once more
    for _ in range(3):
        parts.clock.seconds += 3600
        assert hear(parts) == {}
    assert asked(parts) == 3
    assert overview(parts.ledger, Waits(), 10)["unknown_ingestions"] == 3
    assert all("400" in news.why for news in parts.ledger.unknown_ingestions())


def test_an_id_that_was_heard_just_now_is_asked_for_twice_before_it_is_put_aside(parts: Parts) -> None:
    """Amazon may not have it everywhere at once."""
    answer_lost(parts, "u1", "A", ingested=False)
    (another,) = anothers(parts.ledger, 1)
    assert hear(parts) == {another: "seems not to be ours; will be asked for once more"}
    assert hear(parts) == {}
    parts.clock.seconds += NOT_OURS_SECONDS
    assert hear(parts) == {another: "is not ours"}
    parts.clock.seconds += 24 * 3600
    assert hear(parts) == {}
    assert asked(parts) == 2


def test_another_installations_report_about_items_of_the_same_names_ends_no_doubt(parts: Parts) -> None:
    """Its link opens without credentials, and both installations sell the same products."""
    parts.sandbox.misbehave(report_shape="3")
    (batch,) = parts.apply("u0", items("A"))
    parts.sandbox.drain()
    link = parts.api.status(batch.ingestion_id).report_url
    parts.settle("u0")
    parts.clock.seconds += 2 * CLOCK_SKEW_SECONDS
    parts.sandbox.misbehave(close_before_ingesting=99, operation="upload")
    with pytest.raises(UploadStopped):
        parts.apply("u1", items("A", standard_price="2.49"))
    parts.ledger.keep_news("another", "queue", "DONE", link)
    hear(parts)
    assert parts.ledger.batches("u1")[0].state is BatchState.IN_DOUBT
    parts.clock.seconds += NOT_OURS_SECONDS
    assert hear(parts) == {"another": "is not ours"}


def test_a_report_that_cannot_be_had_keeps_no_other_from_being_looked_at(parts: Parts) -> None:
    answer_lost(parts, "u1", "A")
    parts.sandbox.drain()
    parts.inbox().receive(20)
    (ours,) = [news.ingestion_id for news in parts.ledger.news()]
    parts.sandbox.misbehave(expire_links=1)
    assert "cannot be had" in hear(parts)[ours]
    assert hear(parts) == {}
    parts.clock.seconds += 61
    assert hear(parts)[ours] == "is batch 0001 of upload u1"


def test_without_a_doubt_nobody_asks_whose_an_ingestion_is(parts: Parts) -> None:
    parts.apply("u1", items("A"))
    anothers(parts.ledger, 5)
    parts.settle("u1")
    assert hear(parts) == {}
    assert asked(parts) == 0


def test_news_of_others_starts_no_run_and_no_alert(project: Project, messages_sent: Any) -> None:
    for number in range(5):
        message = json.dumps({"ingestionId": f"another-{number}", "processingStatus": "FATAL"})
        project.sandbox.client("sqs").send_message(QueueUrl=project.env["JWO_QUEUE_URL"], MessageBody=message)
    assert project.tick(ingestion_results_sensor).skip_message == "no report to fetch"
    assert project.tick(overdue_ingestions_sensor).skip_message == "no report to fetch"
    assert messages_sent() == []


def test_news_that_came_before_its_answer_is_found_when_the_answer_is_recorded(parts: Parts) -> None:
    """Amazon was faster than the worker; among news of others too."""
    plan = parts.plan("u1", items("A"))

    class Slow:
        check_ready, sign = parts.api.check_ready, parts.api.sign

        def deliver(self, call: Any, seconds: float) -> Any:
            accepted = parts.api.deliver(call, seconds)
            anothers(parts.ledger, 3)
            parts.ledger.keep_news(accepted.ingestion_id, "queue", "DONE", None)
            mark_reported(parts.ledger)
            return accepted

    parts.sandbox.misbehave(drop_notifications=1)
    parts.sender(api=Slow()).apply("u1", plan, FIELDS)
    mark_reported(parts.ledger)
    assert uploads_to_fetch(parts.ledger) == {"u1": 1}


def test_a_redriven_message_is_as_old_as_amazon_says_and_not_as_its_delivery(parts: Parts) -> None:
    """The topic published it three days before the batch was first sent, so it is not about that batch."""
    parts.clock.seconds = time.time()
    stranger = parts.sandbox.upload(
        {"item_sku": "A", "external_product_id": "4006381333931", "item_name": "n", "store_id": "JWO-STORE-01"}
    )
    parts.sandbox.drain()
    parts.sandbox.messages()
    parts.sandbox.misbehave(close_before_ingesting=5, operation="upload")
    with pytest.raises(UploadStopped):
        parts.apply("u1", items("A"))
    published = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - 3 * 86_400))
    envelope = {
        "Type": "Notification",
        "TopicArn": parts.sandbox.environment["JWO_TOPIC_ARN"],
        "Timestamp": published,
        "Message": json.dumps({"ingestionId": stranger, "processingStatus": "DONE"}),
    }
    send_to_queue(parts, json.dumps(envelope))
    assert hear(parts)[stranger] == "fits 0 batches in doubt"
    assert parts.ledger.batches("u1")[0].state is BatchState.IN_DOUBT
    assert asked(parts) == 0


def test_clocks_that_differ_by_minutes_hide_no_ingestion(parts: Parts) -> None:
    """The machine that sends is four minutes ahead of the one that listens."""
    parts.clock.seconds += 240
    answer_lost(parts, "u1", "A")
    parts.clock.seconds -= 240
    parts.sandbox.drain()
    assert "is batch 0001 of upload u1" in hear(parts).values()


def test_a_tick_looks_at_a_bounded_number_of_open_uploads_and_each_has_its_turn(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "UPLOADS_A_TICK", 4)
    parts.sandbox.misbehave(delay=3600)
    uploads = [f"u{number}" for number in range(7)]
    for upload in uploads:
        parts.apply(upload, items(upload))
    parts.sandbox.drain()
    parts.inbox().receive(60)
    mark_reported(parts.ledger)
    with counted_calls() as calls:
        first = uploads_to_fetch(parts.ledger)
    assert (len(first), list(first)[2:]) == (4, uploads[5:])
    assert sum(calls.values()) == 1 + 2 * 4
    seen = set(first).union(*(uploads_to_fetch(parts.ledger) for _ in range(60)))
    assert seen == set(uploads)


def test_reconciling_twice_at_once_gives_one_match(parts: Parts) -> None:
    answer_lost(parts, "u1", "A")
    parts.sandbox.drain()
    parts.inbox().receive(20)
    (news,) = parts.ledger.news()
    (batch,) = parts.ledger.batches("u1")
    assert parts.ledger.end_doubt(news.ingestion_id, batch, by_items=True, news=news)
    assert reconcile_orphans(parts.ledger, parts.bucket, parts.settler().fetch) == {}
    mark_reported(parts.ledger)
    assert uploads_to_fetch(parts.ledger) == {"u1": 1}
