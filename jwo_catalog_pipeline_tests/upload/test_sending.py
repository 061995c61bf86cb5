"""Applying plans: what is recorded, what is sent once and only once, and what stops an upload."""

import json

import pytest

from jwo_catalog_pipeline.catalog_api.signing import SignedCall
from jwo_catalog_pipeline.upload.errors import (
    AlreadyApplied,
    AnotherUploadSince,
    LeaseHeld,
    NoPlan,
    UploadStopped,
)
from jwo_catalog_pipeline.upload.model import BatchState
from jwo_catalog_pipeline.upload.outcomes import body_key, items_key
from jwo_catalog_pipeline_tests.support.parts import FIELDS, KilledWhileSending, Parts, items


def test_an_upload_is_accepted_settled_and_known_item_by_item(parts: Parts) -> None:
    parts.sandbox.misbehave(reject_skus=["B"])
    (batch,) = parts.apply("u1", items("A", "B", "C"))
    assert (batch.state, batch.attempts, batch.items) == (BatchState.SUBMITTED, 1, 3)
    assert set(parts.published().values()) == {"in_flight"}

    outcomes = parts.settle("u1")

    assert dict(zip(outcomes["item_sku"], outcomes["outcome"], strict=True)) == {
        "A": "accepted",
        "B": "rejected",
        "C": "accepted",
    }
    assert outcomes.loc[outcomes["item_sku"] == "B", "message"].notna().all()
    assert parts.published() == {
        ("JWO-STORE-01", "A"): "accepted",
        ("JWO-STORE-01", "B"): "rejected",
        ("JWO-STORE-01", "C"): "accepted",
    }
    assert {each["item_sku"] for each in parts.sandbox.get("catalog")} == {"A", "C"}
    assert parts.ledger.upload("u1").state == "settled"
    assert parts.ledger.open_uploads() == []


def test_bytes_and_attempt_are_recorded_before_the_call(parts: Parts) -> None:
    """Invariant 1: where the call never returns, the ledger and the bucket already know everything."""
    seen = {}

    class Witness:
        check_ready = parts.api.check_ready
        sign = parts.api.sign

        def deliver(self, call: SignedCall, seconds: float) -> None:
            (batch,) = parts.ledger.batches("u1")
            seen.update(
                state=batch.state,
                attempts=[(each.number, each.ended_at) for each in parts.ledger.attempts(batch)],
                body=parts.bucket.get(body_key(batch)) == call.body,
                items=len(parts.bucket.get_table(items_key(batch))),
            )
            raise KeyboardInterrupt

    plan = parts.plan("u1", items("A", "B"))
    with pytest.raises(KeyboardInterrupt):
        parts.sender(api=Witness()).apply("u1", plan, FIELDS)

    assert seen == {
        "state": BatchState.SENDING,
        "attempts": [(1, 0)],
        "body": True,
        "items": 2,
    }


def test_only_what_changed_is_sent_again(parts: Parts) -> None:
    parts.apply("u1", items("A", "B", "C"))
    parts.settle("u1")
    changed = items("A", "B", "C")
    changed.loc[1, "standard_price"] = "2.49"

    (batch,) = parts.apply("u2", changed)

    assert json.loads(parts.bucket.get(body_key(batch)))["catalogItems"] == [
        {name: value for name, value in changed.loc[1].items() if isinstance(value, str)}
    ]
    parts.settle("u2")
    assert parts.apply("u3", changed) == []
    assert parts.ledger.upload("u3").state == "settled"
    assert parts.sent() == 2


def test_an_item_in_flight_waits(parts: Parts) -> None:
    """Invariant 3: two ingestions that touch one item are never in flight at once."""
    parts.apply("u1", items("A"))
    plan = parts.plan("u2", items("A", "B", standard_price="5.00"))
    assert dict(zip(plan["item_sku"], plan["change"], strict=True)) == {"A": "in_flight", "B": "insert"}
    assert plan["reason"][0] == "sent in upload u1, outcome open"


def test_an_item_without_outcome_stops_waiting_after_the_set_hours(parts: Parts) -> None:
    parts.apply("u1", items("A"))
    parts.clock.seconds += 24 * 3600
    assert list(parts.plan("u2", items("A"))["change"]) == ["in_flight"]
    parts.clock.seconds += 1
    assert list(parts.plan("u3", items("A"))["change"]) == ["update"]


def test_a_rejected_item_is_held_until_it_changes(parts: Parts) -> None:
    parts.sandbox.misbehave(reject_skus=["A"])
    parts.apply("u1", items("A"))
    parts.settle("u1")
    held = parts.plan("u2", items("A"))
    assert list(held["change"]) == ["held"]
    assert held["reason"][0]
    assert list(parts.plan("u2", items("A", item_name="Better"))["change"]) == ["update"]


def test_an_item_that_left_the_source_is_named_and_stays(parts: Parts) -> None:
    """Invariant 6: absence removes nothing by itself, and a quarantined item counts as present."""
    parts.apply("u1", items("A", "B", "C"))
    parts.settle("u1")
    plan = parts.plan("u2", items("A"), quarantined=items("B"))
    assert dict(zip(plan["item_sku"], plan["change"], strict=True)) == {"A": "unchanged", "C": "absent"}
    parts.sender().apply("u2", plan, FIELDS)
    assert {each["item_sku"] for each in parts.sandbox.get("catalog")} == {"A", "B", "C"}


def test_resuming_sends_nothing_that_was_accepted(parts: Parts) -> None:
    plan = parts.plan("u1", items("A"))
    parts.sender().apply("u1", plan, FIELDS)
    parts.sender().apply("u1", plan, FIELDS)
    assert parts.sent() == 1


def test_a_plan_is_refused_once_another_upload_was_applied(parts: Parts) -> None:
    first, second = parts.plan("u1", items("A")), parts.plan("u2", items("A", standard_price="9.00"))
    parts.sender().apply("u1", first, FIELDS)
    with pytest.raises(AnotherUploadSince, match=r"upload u1 was applied since upload u2 was planned"):
        parts.sender().apply("u2", second, FIELDS)
    assert parts.sent() == 1


def test_a_plan_is_refused_once_the_head_has_sent_more(parts: Parts) -> None:
    """The newer plan took item A for unsent; by the time it is applied, the older upload has sent it."""
    older = parts.plan("u1", items("A"))
    parts.sandbox.misbehave(forbid=1, operation="upload")
    with pytest.raises(UploadStopped):
        parts.sender().apply("u1", older, FIELDS)
    newer = parts.plan("u2", items("A", standard_price="9.00"))
    parts.sender().apply("u1", older, FIELDS)
    with pytest.raises(AnotherUploadSince, match="upload u1 has sent more since upload u2 was planned"):
        parts.sender().apply("u2", newer, FIELDS)


def test_an_upload_that_lost_the_head_sends_nothing_more(parts: Parts) -> None:
    parts.sandbox.misbehave(forbid=1, operation="upload")
    with pytest.raises(UploadStopped):
        parts.apply("u1", items("A"))
    parts.apply("u2", items("A", standard_price="9.00"))
    (batch,) = parts.sender().apply("u1", items("A"), FIELDS)
    assert (batch.state, batch.message) == (BatchState.SUPERSEDED, "upload u2 took over")
    assert parts.settle("u2")["outcome"].tolist() == ["accepted"]
    assert [each["standard_price"] for each in parts.sandbox.get("catalog")] == ["9.00"]


def test_bytes_that_may_have_arrived_are_not_sent_again_once_a_newer_upload_was(parts: Parts) -> None:
    """Invariant 3: only the condition on the head stands between this resume and overwriting newer data."""
    older = parts.plan("u1", items("A", "B"))
    parts.sandbox.misbehave(close_before_ingesting=5, operation="upload")
    with pytest.raises(UploadStopped):
        parts.sender().apply("u1", older, FIELDS)
    assert parts.ledger.batches("u1")[0].state is BatchState.IN_DOUBT
    parts.clock.seconds += 25 * 3600
    parts.apply("u2", items("A", "B", standard_price="9.00"))
    sent = parts.sent()
    with pytest.raises(AnotherUploadSince, match="u2 took over from u1, so nothing more of u1 is sent"):
        parts.sender().apply("u1", older, FIELDS)
    assert parts.sent() == sent


def test_two_workers_that_record_an_upload_at_once_lose_nothing(parts: Parts) -> None:
    """The slower one is still writing when the faster one's batch has been accepted."""
    plan = parts.plan("u1", items("A"))
    client, faster = parts.bucket.client, []

    def overtake(params: dict, **_: object) -> None:
        if "/items/" in params["Key"] and not faster:
            faster.append(True)
            parts.sender().apply("u1", plan, FIELDS)

    client.meta.events.register("before-parameter-build.s3.PutObject", overtake)
    (batch,) = parts.sender().apply("u1", plan, FIELDS)
    assert faster
    assert (batch.state, batch.attempts, parts.sent()) == (BatchState.SUBMITTED, 1, 1)
    assert parts.settle("u1")["outcome"].tolist() == ["accepted"]


def test_an_item_waits_from_the_last_time_it_may_have_been_sent(parts: Parts) -> None:
    plan = parts.plan("u1", items("A"))
    parts.sandbox.misbehave(close_before_ingesting=5, operation="upload")
    with pytest.raises(UploadStopped):
        parts.sender().apply("u1", plan, FIELDS)
    parts.clock.seconds += 25 * 3600
    parts.sender().apply("u1", plan, FIELDS)
    assert list(parts.plan("u2", items("A", standard_price="9.00"))["change"]) == ["in_flight"]


def test_a_batch_that_a_dead_worker_was_sending_is_in_doubt_once_a_newer_upload_took_over(parts: Parts) -> None:
    plan = parts.plan("u1", items("A"))

    with pytest.raises(KeyboardInterrupt):
        parts.sender(api=KilledWhileSending(parts.api, sent=False)).apply("u1", plan, FIELDS)
    parts.clock.seconds += 25 * 3600
    parts.apply("u2", items("A", standard_price="9.00"))
    (batch,) = parts.ledger.batches("u1")
    assert (batch.state, batch.doubts) == (BatchState.IN_DOUBT, 1)


def test_an_upload_cannot_be_planned_again_once_applied(parts: Parts) -> None:
    parts.apply("u1", items("A"))
    with pytest.raises(AlreadyApplied, match="new partition"):
        parts.plan("u1", items("B"))


def test_another_table_than_the_recorded_plan_is_refused(parts: Parts) -> None:
    plan = parts.plan("u1", items("A"))
    parts.plan("u1", items("A", "B"))
    with pytest.raises(NoPlan, match=r"u1 is not the recorded plan.*materialize it again"):
        parts.sender().apply("u1", plan, FIELDS)
    with pytest.raises(NoPlan, match="has no plan"):
        parts.sender().apply("u9", plan, FIELDS)
    assert parts.sent() == 0


def test_items_changed_after_planning_are_refused(parts: Parts) -> None:
    plan = parts.plan("u1", items("A"))
    plan.loc[0, "standard_price"] = "0.01"
    with pytest.raises(NoPlan, match="is not the recorded plan"):
        parts.sender().apply("u1", plan, FIELDS)
    assert parts.sent() == 0


def test_a_worker_that_holds_a_batch_keeps_others_out_until_its_lease_ends(parts: Parts) -> None:
    plan = parts.plan("u1", items("A"))

    with pytest.raises(KeyboardInterrupt):
        parts.sender(api=KilledWhileSending(parts.api, sent=False), owner="dead").apply("u1", plan, FIELDS)
    with pytest.raises(LeaseHeld, match="being sent by run dead; if that run is dead, resume after 2027-"):
        parts.sender().apply("u1", plan, FIELDS)
    parts.clock.seconds += 301
    (batch,) = parts.sender().apply("u1", plan, FIELDS)
    assert (batch.state, batch.doubts) == (BatchState.SUBMITTED, 1)


def test_changed_bytes_are_not_sent(parts: Parts) -> None:
    parts.sandbox.misbehave(forbid=1, operation="upload")
    plan = parts.plan("u1", items("A"))
    with pytest.raises(UploadStopped):
        parts.sender().apply("u1", plan, FIELDS)
    parts.bucket.put(body_key(parts.ledger.batches("u1")[0]), b'{"catalogItems":[]}')
    with pytest.raises(UploadStopped, match="was changed after it was recorded"):
        parts.sender().apply("u1", plan, FIELDS)
    assert parts.sent() == 1


def test_a_plan_that_needs_many_batches_is_cut_at_ten_thousand_items(parts: Parts) -> None:
    batches = parts.apply("u1", items(*(f"S{n:05}" for n in range(10_001))))
    assert [batch.items for batch in batches] == [10_000, 1]
    assert len(parts.settle("u1")) == 10_001
    assert len(parts.sandbox.get("catalog")) == 10_001
