"""Calls whose answer never came: what they became is found out, waited for, or given up; and nothing overtakes them."""

from typing import Any

import pytest

from jwo_catalog_pipeline.catalog_api.errors import Outcome
from jwo_catalog_pipeline.upload.errors import AnotherUploadSince, LeaseLost, UploadStopped
from jwo_catalog_pipeline.upload.model import BatchState, after_attempt
from jwo_catalog_pipeline.upload.queries import overview
from jwo_catalog_pipeline.upload.results.in_doubt import expire_doubts, reconcile_orphans
from jwo_catalog_pipeline.upload.results.polling import ask_overdue, mark_reported
from jwo_catalog_pipeline.upload.waiting import Waits
from jwo_catalog_pipeline_tests.support.hearing import hear, kinds
from jwo_catalog_pipeline_tests.support.parts import FIELDS, KilledWhileSending, Parts, items

STORES = ["JWO-STORE-01", "JWO-STORE-02", "JWO-STORE-03"]


def all_answers_lost(parts: Parts, upload: str, *skus: str) -> None:
    parts.sandbox.misbehave(close_after_ingesting=5, operation="upload")
    with pytest.raises(UploadStopped):
        parts.apply(upload, items(*skus))
    parts.sandbox.misbehave(close_after_ingesting=0, operation="upload")


@pytest.mark.parametrize(
    ("outcome", "about_batch", "doubts", "state"),
    [
        (Outcome.YES, False, 0, BatchState.SUBMITTED),
        (Outcome.YES, False, 2, BatchState.SUBMITTED),
        (Outcome.NO, True, 0, BatchState.REFUSED),
        (Outcome.NO, True, 1, BatchState.REFUSED),
        (Outcome.NO, False, 0, BatchState.PLANNED),
        (Outcome.NO, False, 1, BatchState.IN_DOUBT),
        (Outcome.THROTTLED, False, 0, BatchState.PLANNED),
        (Outcome.THROTTLED, False, 1, BatchState.IN_DOUBT),
        (Outcome.NOT_SENT, False, 0, BatchState.PLANNED),
        (Outcome.NOT_SENT, False, 1, BatchState.IN_DOUBT),
        (Outcome.IN_DOUBT, False, 1, BatchState.IN_DOUBT),
    ],
)
def test_what_an_attempt_makes_of_a_batch(outcome: Outcome, about_batch: bool, doubts: int, state: BatchState) -> None:
    assert after_attempt(outcome, about_batch=about_batch, doubts=doubts) is state


def test_a_batch_in_doubt_is_settled_by_news_of_an_ingestion_that_nobody_knew(parts: Parts) -> None:
    all_answers_lost(parts, "u1", "A", "B")
    (batch,) = parts.ledger.batches("u1")
    assert (batch.state, batch.ingestion_id) == (BatchState.IN_DOUBT, "")
    parts.sandbox.drain()
    assert set(hear(parts).values()) == {"is batch 0001 of upload u1"}
    hear(parts)  # five calls may have become five ingestions, and a tick looks at three
    (batch,) = parts.ledger.batches("u1")
    assert (batch.state, batch.doubts) == (BatchState.SETTLED, 0)
    assert parts.published() == dict.fromkeys([(STORES[0], "A"), (STORES[0], "B")], "accepted")
    assert overview(parts.ledger, Waits(), 10)["in_doubt"] == []
    # Names of items prove no content, so they go once more, and then it is known.
    plan = parts.plan("u2", items("A", "B"))
    assert kinds(plan) == {"A": "update", "B": "update"}
    assert "found by its items alone" in plan["reason"][0]
    parts.apply("u2", items("A", "B"))
    parts.settle("u2")
    assert kinds(parts.plan("u3", items("A", "B"))) == {"A": "unchanged", "B": "unchanged"}


def test_newer_content_waits_for_a_lost_call_though_the_batch_is_settled(parts: Parts) -> None:
    """The first call's ingestion is still in Amazon's queue when the second one's is done: it would undo the update."""
    parts.sandbox.misbehave(delay=3600, close_after_ingesting=1, operation="upload")
    plan = parts.plan("u1", items("A"))
    parts.sender(sleep=lambda _: parts.sandbox.misbehave(delay=0)).apply("u1", plan, FIELDS)
    hear(parts)
    (batch,) = parts.ledger.batches("u1")
    while batch.state is not BatchState.SETTLED:
        hear(parts)
        (batch,) = parts.ledger.batches("u1")
    (doubt,) = overview(parts.ledger, Waits(), 10)["in_doubt"]
    assert (doubt["upload"], doubt["calls"], doubt["state"]) == ("u1", 1, "settled")

    newer = items("A", standard_price="2.49")
    plan = parts.plan("u2", newer)
    assert kinds(plan) == {"A": "in_flight"}
    assert "more often than was answered" in plan["reason"][0]
    assert kinds(parts.plan("u2", items("A"))) == {"A": "unchanged"}

    parts.sandbox.drain()
    hear(parts)
    parts.apply("u3", newer)
    parts.settle("u3")
    assert [each["standard_price"] for each in parts.sandbox.get("catalog")] == ["2.49"]


def test_an_item_waits_for_a_lost_archive_before_it_comes_back(parts: Parts) -> None:
    both = items("A", "B")
    parts.apply("u1", both)
    parts.settle("u1")
    parts.sandbox.misbehave(delay=3600, close_after_ingesting=1, operation="archive")
    plan = parts.plan("u2", items("B"), archive_stores=STORES)
    parts.sender(sleep=lambda _: parts.sandbox.misbehave(delay=0)).apply("u2", plan, FIELDS)
    while parts.ledger.upload("u2").state == "open":
        hear(parts)
    assert kinds(parts.plan("u3", both, archive_stores=STORES)) == {"A": "in_flight", "B": "unchanged"}
    parts.sandbox.drain()
    hear(parts)
    parts.apply("u4", both, archive_stores=STORES)
    parts.settle("u4")
    assert {each["item_sku"] for each in parts.sandbox.get("catalog")} == {"A", "B"}


def test_time_ends_a_doubt_that_no_news_ends(parts: Parts) -> None:
    parts.sandbox.misbehave(drop_notifications=9)
    all_answers_lost(parts, "u1", "A")
    parts.apply("u2", items("A", "B"))
    parts.sandbox.drain()
    expire_doubts(parts.ledger, Waits())
    assert [each["state"] for each in overview(parts.ledger, Waits(), 10)["in_doubt"]] == ["in_doubt"]
    parts.clock.seconds += 120 * 60 + 1
    expire_doubts(parts.ledger, Waits())
    (batch,) = parts.ledger.batches("u1")
    assert (batch.state, batch.doubts) == (BatchState.IN_DOUBT, 0)
    assert "no news for 120 minutes" in batch.message
    assert parts.ledger.upload("u1").state == "settled"
    assert overview(parts.ledger, Waits(), 10)["in_doubt"] == []
    assert kinds(parts.plan("u3", items("A", "B")))["A"] == "update"


def test_news_that_fits_no_batch_is_kept_and_neither_guessed_about_nor_asked_for_again(parts: Parts) -> None:
    all_answers_lost(parts, "u1", "A", "B")
    stranger = parts.sandbox.upload(
        {"item_sku": "A", "external_product_id": "4006381333931", "item_name": "n", "store_id": STORES[0]}
    )
    parts.ledger.keep_news(stranger, "queue", "DONE", None)
    parts.sandbox.drain()
    assert reconcile_orphans(parts.ledger, parts.bucket, parts.settler().fetch) == {stranger: "fits 0 batches in doubt"}
    assert b"itemResults" in parts.bucket.get(f"inbox/unknown/{stranger}.json")
    assert reconcile_orphans(parts.ledger, parts.bucket, parts.settler().fetch) == {}
    parts.clock.seconds += 24 * 3600 + 1
    expire_doubts(parts.ledger, Waits())
    assert parts.ledger.news() == []
    assert overview(parts.ledger, Waits(), 10)["unknown_ingestions"] == 1


def test_a_report_that_lists_nothing_is_matched_with_nothing(parts: Parts) -> None:
    """A list of errors that is empty can be about any batch, and so about none."""
    parts.sandbox.misbehave(report_shape="2")
    all_answers_lost(parts, "u1", "A")
    parts.sandbox.drain()
    assert set(hear(parts).values()) == {"fits 0 batches in doubt"}
    assert parts.ledger.batches("u1")[0].state is BatchState.IN_DOUBT


def test_nothing_is_matched_while_a_worker_waits_for_its_answer(parts: Parts) -> None:
    all_answers_lost(parts, "u1", "A")
    (batch,) = parts.ledger.batches("u1")
    assert parts.ledger._try_change(batch, state=BatchState.SENDING, lease_until=parts.ledger.now() + 300)
    parts.sandbox.drain()
    parts.inbox().receive(20)
    assert reconcile_orphans(parts.ledger, parts.bucket, parts.settler().fetch) == {}
    parts.clock.seconds += 301
    assert reconcile_orphans(parts.ledger, parts.bucket, parts.settler().fetch)


def test_an_ingestion_that_a_slow_worker_was_told_of_ends_the_doubt_when_it_ends(parts: Parts) -> None:
    plan, told = parts.plan("u1", items("A")), []

    class Slow:
        check_ready, sign = parts.api.check_ready, parts.api.sign

        def deliver(self, call: Any, seconds: float) -> Any:
            found = parts.api.deliver(call, seconds)
            if not told:
                told.append(found.ingestion_id)
                parts.clock.seconds += 301
                parts.sender().apply("u1", plan, FIELDS)
            return found

    parts.sandbox.misbehave(drop_notifications=9)
    with pytest.raises(LeaseLost):
        parts.sender(api=Slow()).apply("u1", plan, FIELDS)
    parts.sandbox.drain()
    assert parts.ledger.batches("u1")[0].doubts == 1
    assert ask_overdue(parts.ledger, parts.api, 0)[told[0]] == "DONE"
    mark_reported(parts.ledger)
    (batch,) = parts.ledger.batches("u1")
    assert (batch.state, batch.doubts) == (BatchState.REPORTED, 0)
    assert parts.ledger.orphans() == []


def test_bytes_in_doubt_are_sent_again_only_while_their_upload_is_the_newest(parts: Parts) -> None:
    all_answers_lost(parts, "u1", "A")
    parts.clock.seconds += 24 * 3600 + 1
    parts.apply("u2", items("A", standard_price="9.00"))
    sent = parts.sent()
    with pytest.raises(AnotherUploadSince):
        parts.sender().apply("u1", items("A"), FIELDS)
    assert parts.sent() == sent


def test_a_doubt_that_two_would_end_at_once_is_ended_once(parts: Parts) -> None:
    all_answers_lost(parts, "u1", "A")
    (batch,) = parts.ledger.batches("u1")
    assert parts.ledger.end_doubt("first", batch, by_items=True)
    (accepted,) = parts.ledger.batches("u1")
    assert parts.ledger.end_doubt("second", accepted, by_items=True)
    assert not parts.ledger.end_doubt("third", accepted, by_items=True)
    assert parts.ledger.batches("u1")[0].doubts == 3


def test_what_a_killed_worker_sent_is_matched_though_nobody_resumes_it(parts: Parts) -> None:
    plan = parts.plan("u1", items("A"))
    with pytest.raises(KeyboardInterrupt):
        parts.sender(api=KilledWhileSending(parts.api, sent=True)).apply("u1", plan, FIELDS)
    parts.sandbox.drain()
    assert hear(parts) == {}
    parts.clock.seconds += 301
    assert list(hear(parts).values()) == ["is batch 0001 of upload u1"]
    hear(parts)
    assert parts.ledger.upload("u1").state == "settled"
    assert parts.sent() == 1


def test_one_ingestion_ends_one_doubt_whoever_tries(parts: Parts) -> None:
    all_answers_lost(parts, "u1", "A")
    (batch,) = parts.ledger.batches("u1")
    assert parts.ledger.end_doubt("first", batch, by_items=True)
    for _ in range(2):
        parts.ledger.end_doubt("second", parts.ledger.batches("u1")[0], by_items=True)
        parts.ledger.end_doubt("first", parts.ledger.batches("u1")[0], by_items=True)
    assert parts.ledger.batches("u1")[0].doubts == 3


def test_the_parts_of_a_refused_batch_in_doubt_are_given_up_with_time(parts: Parts) -> None:
    parts.sandbox.misbehave(close_before_ingesting=1, operation="upload", refuse_skus=["B"])
    parts.apply("u1", items("A", "B"))
    parts.settle("u1")
    assert kinds(parts.plan("u2", items("A", "B", standard_price="2.49"))) == {"A": "in_flight", "B": "in_flight"}
    parts.clock.seconds += 24 * 3600 + 1
    expire_doubts(parts.ledger, Waits())
    assert overview(parts.ledger, Waits(), 10)["in_doubt"] == []
    assert [batch.doubts for batch in parts.ledger.batches("u1")] == [0, 0, 0]
    assert kinds(parts.plan("u2", items("A", "B", standard_price="2.49"))) == {"A": "update", "B": "update"}
