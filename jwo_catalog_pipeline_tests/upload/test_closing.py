"""An end for everything: a person closes an upload that Amazon never ends, or whose report can never be had."""

from typing import Any

import boto3
import pytest

from jwo_catalog_pipeline.storage import table_bytes
from jwo_catalog_pipeline.upload.alerts import stuck_batches
from jwo_catalog_pipeline.upload.closing import close_upload
from jwo_catalog_pipeline.upload.errors import LeaseHeld, NothingApplied, UploadClosed, UploadStopped
from jwo_catalog_pipeline.upload.history import item_history
from jwo_catalog_pipeline.upload.ledger.closing import Closing
from jwo_catalog_pipeline.upload.model import BatchState
from jwo_catalog_pipeline.upload.queries import overview
from jwo_catalog_pipeline.upload.recovery import salvage
from jwo_catalog_pipeline.upload.results.polling import ask_overdue, mark_reported, uploads_to_fetch
from jwo_catalog_pipeline_tests.support.hearing import hear, kinds
from jwo_catalog_pipeline_tests.support.parts import FIELDS, KilledWhileSending, Parts, items

WHO = "ada, arn:aws:iam::123456789012:user/ada"


def close(parts: Parts, upload: str, reason: str = "Amazon says it is gone") -> list[str]:
    return [batch.id for batch in close_upload(parts.ledger, parts.bucket, upload, WHO, reason)]


def states(parts: Parts, upload: str) -> list[str]:
    return [str(batch.state) for batch in parts.ledger.batches(upload)]


def assert_rebuilt_is_the_same(parts: Parts) -> None:
    running, rebuilt = parts.state(), parts.rebuilt()
    assert table_bytes(running) == table_bytes(rebuilt)


def never_ends(parts: Parts, upload: str = "u1", *skus: str) -> None:
    parts.sandbox.misbehave(delay=10**7)
    parts.apply(upload, items(*(skus or ("A", "B"))))


def test_an_ingestion_that_amazon_never_ends_is_closed_and_its_items_are_sent_once_more(parts: Parts) -> None:
    never_ends(parts)
    assert kinds(parts.plan("u2", items("A", "B", standard_price="2.49"))) == {"A": "in_flight", "B": "in_flight"}
    assert close(parts, "u1") == ["0001"]
    assert (states(parts, "u1"), parts.ledger.upload("u1").state) == (["closed"], "settled")
    for same in (items("A", "B"), items("A", "B", standard_price="2.49")):
        plan = parts.plan("u2", same)
        assert kinds(plan) == {"A": "update", "B": "update"}
        assert set(plan["reason"]) == {"a person has closed upload u1: what Amazon holds is not known"}
    assert_rebuilt_is_the_same(parts)
    parts.sandbox.misbehave(delay=0)
    parts.apply("u2", items("A", "B"))
    parts.settle("u2")
    assert kinds(parts.plan("u3", items("A", "B"))) == {"A": "unchanged", "B": "unchanged"}
    assert_rebuilt_is_the_same(parts)


def test_the_alarm_ends_so_that_a_second_stuck_upload_is_noticed(parts: Parts) -> None:
    never_ends(parts)
    parts.clock.seconds += 3 * 3600
    assert [batch.upload for batch in stuck_batches(parts.ledger, 0)] == ["u1"]
    close(parts, "u1")
    assert stuck_batches(parts.ledger, 0) == []
    never_ends(parts, "u2", "C")
    parts.clock.seconds += 3 * 3600
    assert [batch.upload for batch in stuck_batches(parts.ledger, 0)] == ["u2"]


def test_who_closed_it_and_why_is_shown_of_the_upload_and_of_its_items(parts: Parts) -> None:
    never_ends(parts)
    close(parts, "u1")
    summary = overview(parts.ledger, 24, 10)
    (closing,) = summary["closed"]
    assert (closing["upload"], closing["closed_by"], closing["reason"]) == ("u1", WHO, "Amazon says it is gone")
    assert (summary["open_batches"], summary["in_doubt"]) == ([], [])
    (version,) = item_history(parts.ledger, parts.bucket, "A", None)["sent"]
    assert (version["outcome"], version["message"]) == ("closed", f"closed by {WHO}: Amazon says it is gone")


def test_closing_twice_changes_nothing(parts: Parts) -> None:
    never_ends(parts)
    close(parts, "u1")
    before = parts.ledger.upload("u1"), parts.ledger.batches("u1")
    parts.clock.seconds += 60
    assert close(parts, "u1", "another reason") == []
    assert (parts.ledger.upload("u1"), parts.ledger.batches("u1")) == before


def test_a_lost_answer_is_closed_and_waits_no_longer(parts: Parts) -> None:
    parts.sandbox.misbehave(close_after_ingesting=5, operation="upload")
    with pytest.raises(UploadStopped):
        parts.apply("u1", items("A"))
    assert close(parts, "u1") == ["0001"]
    assert (parts.ledger.doubtful(), states(parts, "u1")) == ([], ["closed"])
    assert kinds(parts.plan("u2", items("A", standard_price="2.49"))) == {"A": "update"}


def test_what_was_not_sent_of_a_closed_upload_is_never_sent_and_a_resume_says_so(parts: Parts) -> None:
    plan = parts.plan("u1", items("A"))
    parts.sandbox.misbehave(throttle=99)
    with pytest.raises(UploadStopped):
        parts.sender().apply("u1", plan, FIELDS)
    parts.sandbox.misbehave(throttle=0)
    calls = parts.sent()
    assert close(parts, "u1", "wrong prices") == ["0001"]
    with pytest.raises(UploadClosed, match=r"u1 was closed on .* by ada.* \(wrong prices\), so nothing more of it"):
        parts.sender().apply("u1", plan, FIELDS)
    assert (parts.sent(), states(parts, "u1")) == (calls, ["superseded"])
    assert kinds(parts.plan("u2", items("A"))) == {"A": "insert"}  # it never was at Amazon
    assert_rebuilt_is_the_same(parts)


def test_a_worker_that_is_about_to_send_begins_no_batch_of_a_closed_upload(parts: Parts) -> None:
    plan = parts.plan("u1", items("A"))
    calls = parts.sent()

    class Closes:
        check_ready, deliver = parts.api.check_ready, parts.api.deliver

        @staticmethod
        def sign(*call: Any) -> Any:
            parts.ledger.record_closing("u1", Closing(parts.ledger.now(), WHO, "x"))  # its batches come after it
            return parts.api.sign(*call)

    with pytest.raises(UploadClosed):
        parts.sender(api=Closes()).apply("u1", plan, FIELDS)
    assert parts.sent() == calls


def test_while_a_worker_is_sending_nothing_is_closed_and_after_its_lease_it_may_be(parts: Parts) -> None:
    plan = parts.plan("u1", items("A"))
    with pytest.raises(KeyboardInterrupt):
        parts.sender(api=KilledWhileSending(parts.api, sent=True)).apply("u1", plan, FIELDS)
    with pytest.raises(LeaseHeld, match="batch 0001 of upload u1 is being sent right now by run run-0"):
        close(parts, "u1")
    assert (states(parts, "u1"), parts.ledger.upload("u1").closed_at) == (["sending"], 0)
    parts.clock.seconds += 301
    assert close(parts, "u1") == ["0001"]
    assert kinds(parts.plan("u2", items("A"))) == {"A": "update"}


def test_an_upload_that_was_never_sent_cannot_be_closed(parts: Parts) -> None:
    parts.plan("u1", items("A"))
    with pytest.raises(NothingApplied, match="nothing of upload u1 was ever sent"):
        close(parts, "u1")


def test_a_notification_that_comes_after_all_is_recorded_and_says_what_became_of_the_items(parts: Parts) -> None:
    never_ends(parts)
    close(parts, "u1")
    hear(parts)
    outcomes = parts.settle("u1")
    assert (outcomes["outcome"].tolist(), states(parts, "u1")) == (["accepted", "accepted"], ["settled"])
    assert parts.ledger.upload("u1").closed_by == WHO
    assert kinds(parts.plan("u2", items("A", "B"))) == {"A": "unchanged", "B": "unchanged"}
    assert_rebuilt_is_the_same(parts)


def test_a_report_that_can_never_be_had_is_closed_and_stays_so_when_its_notification_comes_again(parts: Parts) -> None:
    parts.sandbox.misbehave(expire_links=99)
    parts.apply("u1", items("A"))
    parts.sandbox.drain()
    parts.inbox().receive(20)
    (news,) = parts.ledger.news()
    mark_reported(parts.ledger)
    assert parts.results("u1")[1] != []
    assert close(parts, "u1") == ["0001"]
    assert uploads_to_fetch(parts.ledger) == {}
    parts.ledger.keep_news(news.ingestion_id, "queue", "SUCCEEDED", None)
    mark_reported(parts.ledger)
    assert uploads_to_fetch(parts.ledger) == {"u1": 1}
    parts.clock.seconds += 3 * 3600
    assert stuck_batches(parts.ledger, 0) == []
    assert parts.results("u1")[1] == []
    assert (states(parts, "u1"), parts.ledger.open_uploads()) == (["closed"], [])
    assert parts.ledger.batches("u1")[0].message == f"closed by {WHO}: Amazon says it is gone"


def test_items_that_a_report_does_not_mention_are_no_longer_waited_for(parts: Parts) -> None:
    parts.sandbox.misbehave(report_shape="unknown")
    parts.apply("u1", items("A", "B"))
    parts.settle("u1")
    assert kinds(parts.plan("u2", items("A", "B"))) == {"A": "in_flight", "B": "in_flight"}
    assert close(parts, "u1") == ["0001"]
    assert kinds(parts.plan("u2", items("A", "B"))) == {"A": "update", "B": "update"}
    assert_rebuilt_is_the_same(parts)


def test_late_news_of_a_closed_doubt_ends_it_by_its_items(parts: Parts) -> None:
    parts.sandbox.misbehave(close_after_ingesting=1, close_before_ingesting=4, operation="upload")
    with pytest.raises(UploadStopped):
        parts.apply("u1", items("A"))
    close(parts, "u1")
    parts.sandbox.misbehave(close_after_ingesting=0, close_before_ingesting=5, operation="upload")
    with pytest.raises(UploadStopped):
        parts.apply("u2", items("X"))
    parts.sandbox.drain()
    hear(parts)
    hear(parts)
    assert states(parts, "u1") == ["settled"]
    assert parts.ledger.batches("u1")[0].matched_by_items


def test_a_closed_ingestion_is_not_asked_for(parts: Parts) -> None:
    never_ends(parts)
    close(parts, "u1")
    assert ask_overdue(parts.ledger, parts.api, 0) == {}


def all_items(parts: Parts) -> list[dict[str, Any]]:
    return boto3.resource("dynamodb").Table(parts.ledger.table_name).scan(ConsistentRead=True)["Items"]


def restore(parts: Parts, backup: list[dict[str, Any]]) -> None:
    table = boto3.resource("dynamodb").Table(parts.ledger.table_name)
    for item in all_items(parts):
        table.delete_item(Key={name: item[name] for name in (key["AttributeName"] for key in table.key_schema)})
    for item in backup:
        table.put_item(Item=item)


@pytest.mark.parametrize("lost", ["everything", "the closing"])
def test_a_restored_ledger_learns_from_the_bucket_that_an_upload_was_closed(parts: Parts, lost: str) -> None:
    never_ends(parts)
    backup = [] if lost == "everything" else all_items(parts)
    close(parts, "u1")
    restore(parts, backup)
    (found,) = salvage(parts.ledger, parts.bucket, write=False)
    assert found["state"] == "closed"
    assert len(all_items(parts)) == len(backup)
    salvage(parts.ledger, parts.bucket, write=True)
    assert (states(parts, "u1"), parts.ledger.open_uploads(), parts.ledger.doubtful()) == (["closed"], [], [])
    assert parts.ledger.upload("u1").closed_by == WHO
    assert salvage(parts.ledger, parts.bucket, write=True) == []
    assert kinds(parts.plan("u2", items("A", "B"))) == {"A": "update", "B": "update"}
    assert_rebuilt_is_the_same(parts)


def test_a_ledger_of_before_the_closing_does_not_send_what_was_closed_unsent(parts: Parts) -> None:
    plan = parts.plan("u1", items("A"))

    class Stops:
        check_ready = parts.api.check_ready

        @staticmethod
        def sign(*_: Any) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parts.sender(api=Stops()).apply("u1", plan, FIELDS)
    backup = all_items(parts)
    close(parts, "u1")
    restore(parts, backup)
    salvage(parts.ledger, parts.bucket, write=True)
    with pytest.raises(UploadClosed):
        parts.sender().apply("u1", plan, FIELDS)
    assert BatchState.SENDING not in {batch.state for batch in parts.ledger.batches("u1")}
