"""A person's word counts: sending stops within moments, what is under way ends, and the rest stays planned."""

import threading
import time
from collections import Counter
from collections.abc import Iterator

import pandas as pd
import pytest

from jwo_catalog_pipeline import failpoints
from jwo_catalog_pipeline.catalog_api import requests
from jwo_catalog_pipeline.upload.errors import SendingHalted, SendingPaused, UploadStopped
from jwo_catalog_pipeline.upload.model import BatchState
from jwo_catalog_pipeline.upload.stops import Stop, StopKind
from jwo_catalog_pipeline_tests.support.parts import FIELDS, Parts, api_client, items

BATCHES = 12
CALL_SECONDS = 0.4


@pytest.fixture(autouse=True)
def slow_calls_of_one_item(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(requests, "MAX_ITEMS", 1)
    failpoints.arm(lambda point: time.sleep(CALL_SECONDS * (point == "before api: upload")))
    yield
    failpoints.disarm()


def everything(**changes: str) -> pd.DataFrame:
    return items(*(f"S{n:02}" for n in range(BATCHES)), **changes)


def states(parts: Parts) -> Counter[str]:
    return Counter(str(batch.state) for batch in parts.ledger.batches("u1"))


def test_after_a_stop_no_batch_is_begun_and_those_under_way_are_brought_to_their_end(parts: Parts) -> None:
    plan = parts.plan("u1", everything())
    with pytest.raises(SendingHalted, match="a person said so"):
        parts.sender(halted=lambda: "a person said so", at_once=2).apply("u1", plan, FIELDS)
    sent = parts.sent()
    assert 0 < sent < BATCHES
    assert states(parts) == {"submitted": sent, "planned": BATCHES - sent}
    assert {batch.state for batch in parts.sender().apply("u1", plan, FIELDS)} == {BatchState.SUBMITTED}
    assert parts.sent() == BATCHES


def test_an_interrupt_ends_as_a_stop_does(parts: Parts) -> None:
    plan = parts.plan("u1", everything())

    def interrupt(batch: object, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parts.sender(on_batch=interrupt, at_once=2).apply("u1", plan, FIELDS)
    sent = parts.sent()
    assert states(parts) == {"submitted": sent, "planned": BATCHES - sent}
    time.sleep(2 * CALL_SECONDS)  # a call that was begun after the stop would have arrived by then
    assert parts.sent() == sent < BATCHES


def test_a_stop_ends_the_pause_before_the_next_try(parts: Parts) -> None:
    plan = parts.plan("u1", everything())
    parts.sandbox.misbehave(error_retry=99, operation="upload")
    began = time.monotonic()
    with pytest.raises(SendingHalted):
        parts.sender(halted=lambda: "stop", sleep=None).apply("u1", plan, FIELDS)
    assert time.monotonic() - began < 10
    assert parts.sent() < BATCHES * 5


def test_a_call_that_waits_for_its_turn_is_not_made_after_a_stop(parts: Parts) -> None:
    stopping = threading.Event()

    class Turn:
        def take(self) -> None:
            stopping.wait(5)

        def slow_down(self) -> None:
            raise AssertionError("nothing was throttled")

    plan = parts.plan("u1", everything())

    def stop() -> str:
        stopping.set()
        return "stop"

    with pytest.raises(SendingHalted):
        parts.sender(api=api_client(parts.sandbox, budget=Turn()), halted=stop).apply("u1", plan, FIELDS)
    assert parts.sent() == 0
    assert states(parts) == {"planned": BATCHES}


def test_while_sending_is_paused_nothing_is_sent_and_nothing_takes_over(parts: Parts) -> None:
    plan = parts.plan("u1", everything())
    parts.ledger.pause("Ann", "the prices are wrong")
    with pytest.raises(SendingPaused, match=r"by Ann: the prices are wrong.*jwo-catalog resume"):
        parts.sender().apply("u1", plan, FIELDS)
    assert parts.ledger.upload("u1") is None
    parts.ledger.end_pause()
    parts.sender().apply("u1", plan, FIELDS)
    assert parts.sent() == BATCHES


def test_a_pause_holds_an_upload_that_is_being_sent(parts: Parts) -> None:
    plan = parts.plan("u1", everything())
    begun: list[int] = []

    def pause(batch: object, of: int) -> None:
        parts.ledger.pause("Ann", "the prices are wrong")
        begun.append(sum(batch.attempts for batch in parts.ledger.batches("u1")))

    with pytest.raises(SendingPaused):
        parts.sender(on_batch=pause, at_once=2).apply("u1", plan, FIELDS)
    assert sum(batch.attempts for batch in parts.ledger.batches("u1")) == begun[0] == parts.sent()
    assert states(parts) == {"submitted": parts.sent(), "planned": BATCHES - parts.sent()}


def test_who_paused_first_stays_named(parts: Parts) -> None:
    first = parts.ledger.pause("Ann", "the prices are wrong")
    assert parts.ledger.pause("Bob", "another reason") == first == parts.ledger.paused()


def test_a_cause_that_lasts_keeps_the_time_when_it_began(parts: Parts) -> None:
    def stop(kind: StopKind, at: int) -> None:
        parts.ledger.note_stopped(Stop("u1", kind, "no answer", "", "run", at, at))

    stop(StopKind.OUTAGE, 10)
    stop(StopKind.INTERRUPTED, 20)
    assert [(each.stopped_at, each.since) for each in parts.ledger.stops()] == [(20, 10)]
    stop(StopKind.CANCELLED, 30)
    assert parts.ledger.stopped("u1") == Stop("u1", StopKind.CANCELLED, "no answer", "", "run", 30, 30)
    parts.ledger.forget_stopped("u1")
    assert parts.ledger.stops() == []


def test_a_gateway_that_answers_429_for_long_does_not_stop_the_upload(parts: Parts) -> None:
    """Five tries were over within seconds."""
    failpoints.disarm()
    plan = parts.plan("u1", everything().head(1))
    parts.sandbox.misbehave(throttle=20, operation="upload")
    (batch,) = parts.sender().apply("u1", plan, FIELDS)
    assert (batch.state, batch.attempts) == (BatchState.SUBMITTED, 21)
    parts.sandbox.misbehave(throttle=99, operation="upload")
    plan = parts.plan("u2", everything(standard_price="5.00").tail(1))
    with pytest.raises(UploadStopped, match="429"):
        parts.sender().apply("u2", plan, FIELDS)
