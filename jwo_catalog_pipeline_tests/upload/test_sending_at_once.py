"""Several batches of an upload under way at once."""

import threading
from collections.abc import Callable, Iterator

import pytest

from jwo_catalog_pipeline import failpoints
from jwo_catalog_pipeline.catalog_api import requests
from jwo_catalog_pipeline.upload.errors import BatchTaken, NoPlan, UploadStopped
from jwo_catalog_pipeline.upload.history import item_history
from jwo_catalog_pipeline.upload.model import BatchState
from jwo_catalog_pipeline_tests.support.parts import FIELDS, KilledWhileSending, Parts, items

PATIENCE_SECONDS = 30
BATCHES = 6


@pytest.fixture(autouse=True)
def one_item_a_batch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(requests, "MAX_ITEMS", 1)
    yield
    failpoints.disarm()


def skus(count: int = BATCHES) -> list[str]:
    return [f"S{n}" for n in range(count)]


def meeting(parties: int, point: str = "before api: upload") -> Callable[[str], None]:
    """An observer at which so many threads wait for each other once."""
    barrier, met = threading.Barrier(parties), threading.Event()

    def observer(reached: str) -> None:
        if reached == point and not met.is_set():
            barrier.wait(PATIENCE_SECONDS)
            met.set()

    return observer


def test_as_many_calls_are_under_way_at_once_as_was_said(parts: Parts) -> None:
    plan = parts.plan("u1", items(*skus()))
    failpoints.arm(meeting(3))
    batches = parts.sender(at_once=3).apply("u1", plan, FIELDS)
    assert [(batch.state, batch.attempts) for batch in batches] == [(BatchState.SUBMITTED, 1)] * BATCHES
    assert set(parts.settle("u1")["outcome"]) == {"accepted"}
    assert {each["item_sku"] for each in parts.sandbox.get("catalog")} == set(skus())


def test_after_an_error_none_is_begun_and_those_under_way_are_brought_to_their_end(parts: Parts) -> None:
    plan = parts.plan("u1", items(*skus()))
    parts.sandbox.misbehave(forbid=1, operation="upload")
    failpoints.arm(meeting(2))
    with pytest.raises(UploadStopped, match="resume"):
        parts.sender(at_once=2).apply("u1", plan, FIELDS)
    batches = parts.ledger.batches("u1")
    assert BatchState.SENDING not in {batch.state for batch in batches}, "a batch was left under way"
    assert any(batch.state is BatchState.SUBMITTED for batch in batches)
    assert any(batch.attempts == 0 for batch in batches), "batches were begun after the error"
    known = parts.outcomes("u1")
    assert set(known["item_sku"]) == set(skus()), "items that nobody sent yet are not accounted for"
    assert set(known["outcome"]) == {"in_flight", "planned"}
    accepted = {batch.id for batch in batches if batch.state is BatchState.SUBMITTED}
    again = parts.sender().apply("u1", plan, FIELDS)
    assert {batch.state for batch in again} == {BatchState.SUBMITTED}
    assert all(batch.attempts == 1 for batch in again if batch.id in accepted), "an accepted batch was sent again"


def test_what_was_never_begun_is_made_of_the_recorded_plan_alone(parts: Parts) -> None:
    plan = parts.plan("u1", items(*skus()))
    parts.sandbox.misbehave(forbid=1, operation="upload")
    with pytest.raises(UploadStopped):
        parts.sender(at_once=1).apply("u1", plan, FIELDS)
    first, *others = parts.ledger.batches("u1")
    assert first.sha256, "the bytes of an attempt are not recorded"
    assert {(batch.sha256, batch.attempts) for batch in others} == {("", 0)}
    dearer = plan.assign(standard_price="9.00")
    with pytest.raises(NoPlan, match="start a new upload, which replaces this one"):
        parts.sender().apply("u1", dearer, FIELDS)
    assert parts.sent() == 1
    (known,) = item_history(parts.ledger, parts.bucket, "S5", None)["sent"]
    assert (known["outcome"], known["sent_at"], known["item"]) == ("planned", None, None)
    batches = parts.sender().apply("u1", plan, FIELDS)
    assert {batch.state for batch in batches} == {BatchState.SUBMITTED}
    sent = {call["body_sha256"] for call in parts.sandbox.get("requests")}
    assert sent == {batch.sha256 for batch in batches}


def test_a_clock_that_is_off_is_corrected_for_all_calls_that_were_signed_with_it(parts: Parts) -> None:
    plan = parts.plan("u1", items(*skus()))
    parts.sandbox.misbehave(clock_offset=-14 * 60)
    failpoints.arm(meeting(BATCHES))
    batches = parts.sender(at_once=BATCHES).apply("u1", plan, FIELDS)
    assert [(batch.state, batch.attempts) for batch in batches] == [(BatchState.SUBMITTED, 2)] * BATCHES


@pytest.mark.thorough
def test_a_session_that_ends_is_renewed_for_all_calls_that_were_signed_with_it(parts: Parts) -> None:
    plan = parts.plan("u1", items(*skus()))
    met = meeting(BATCHES)
    expired = threading.Lock()

    def expire(reached: str) -> None:
        met(reached)
        if reached == "before api: upload" and expired.acquire(blocking=False):
            assert parts.sandbox.post("expire_sessions").status == 200

    failpoints.arm(expire)
    batches = parts.sender(at_once=BATCHES).apply("u1", plan, FIELDS)
    assert {batch.state for batch in batches} == {BatchState.SUBMITTED}


def test_of_two_runs_at_once_neither_stops_at_a_batch_that_the_other_has_sent(parts: Parts) -> None:
    """Each took a batch that the other wanted, and both stopped."""
    plan = parts.plan("u1", items(*skus()))
    attempts: list[str] = []

    def other_run(point: str) -> None:
        # The first run has sent a batch, and is about to begin the next one.
        if point == "before ledger: attempt":
            attempts.append(point)
            if len(attempts) == 2:
                parts.sender(at_once=1).apply("u1", plan, FIELDS)

    failpoints.arm(other_run)
    batches = parts.sender(at_once=1).apply("u1", plan, FIELDS)
    assert [(batch.state, batch.attempts) for batch in batches] == [(BatchState.SUBMITTED, 1)] * BATCHES
    assert parts.sent() == BATCHES


def test_a_run_that_leaves_batches_to_another_ends_well_only_if_that_one_does(parts: Parts) -> None:
    plan = parts.plan("u1", items(*skus()))
    attempts: list[str] = []

    def other_run(point: str) -> None:
        if point == "before ledger: attempt":
            attempts.append(point)
            if len(attempts) == 1:
                with pytest.raises(KeyboardInterrupt):  # it is killed while it sends its first batch
                    parts.sender(api=KilledWhileSending(parts.api, sent=False), at_once=1).apply("u1", plan, FIELDS)

    failpoints.arm(other_run)
    with pytest.raises(BatchTaken, match=r"another run is sending batch 0001 of upload u1"):
        parts.sender(at_once=1).apply("u1", plan, FIELDS)
    assert parts.sent() == BATCHES - 1
