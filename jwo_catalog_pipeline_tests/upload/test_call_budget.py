"""The call budget over all processes that share a ledger, against the local DynamoDB."""

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jwo_catalog_pipeline.catalog_api.requests import upload_body
from jwo_catalog_pipeline.defs.resources import resources_from
from jwo_catalog_pipeline.table_file import as_arrow
from jwo_catalog_pipeline.upload.errors import LedgerUnavailable
from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.ledger.rate_limiter import RESERVATIONS, DistributedRateLimiter
from jwo_catalog_pipeline_tests.chaos.rate import most_in_a_second, rate_figures
from jwo_catalog_pipeline_tests.support.parts import FIELDS, api_client, deliver, items
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

START = 1_800_000_000.0


@dataclass
class World:
    """The true time, and when each call was made; a process may see another time."""

    table: Any
    time: float = START
    calls: list[float] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    oversleep: list[float] = field(default_factory=list)

    def process(self, calls: int = 10, ahead: float = 0.0) -> DistributedRateLimiter:
        return DistributedRateLimiter(Ledger(self.table), calls, clock=lambda: self.time + ahead, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds + (self.oversleep.pop(0) if self.oversleep and seconds else 0.0)

    def call(self, budget: DistributedRateLimiter) -> None:
        budget.take()
        self.calls.append(self.time)

    def item(self) -> dict[str, Any] | None:
        return self.table.get_item(Key=keys.rate()).get("Item")


@pytest.fixture
def world(fresh: RunningSandbox) -> World:
    return World(boto3.resource("dynamodb").Table(fresh.environment["JWO_LEDGER_TABLE"]))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(takers=st.integers(1, 6), calls=st.integers(1, 12), seed=st.integers(0, 2**32))
def test_whoever_takes_in_whatever_order_no_second_sees_more_than_the_budget(
    world: World, takers: int, calls: int, seed: int
) -> None:
    world.table.delete_item(Key=keys.rate())
    world.calls.clear()
    chance = random.Random(seed)
    processes = [world.process(calls) for _ in range(takers)]
    for _ in range(40):
        world.call(chance.choice(processes))
        world.time += chance.choice([0.0, 0.0, 0.01, 0.3])
    assert most_in_a_second(world.calls) <= calls


def test_a_clock_that_is_ahead_lets_nobody_wait_and_nobody_through(world: World) -> None:
    """The other learns with its first call how far its clock is behind, and follows."""
    processes = [world.process(ahead=5), world.process()]
    for n in range(100):
        world.call(processes[n % 2])
    assert most_in_a_second(world.calls) <= 10
    assert max(world.slept) < 0.2
    assert world.time - START < 11


def test_a_process_joins_another_whose_clock_has_been_ahead_unseen(world: World) -> None:
    """As it joins, one of its calls may come closer to another's than the interval: hence 11."""
    ahead, right = world.process(ahead=3600), world.process()
    for _ in range(20):
        world.call(right)
    for n in range(40):
        world.call((ahead, right)[n % 2])
    assert most_in_a_second(world.calls) <= 11
    assert max(world.slept) < 0.2


def test_a_slot_too_far_in_the_future_stalls_nobody(world: World) -> None:
    now = int(1000 * START)
    world.table.put_item(Item={**keys.rate(), "slot": now + 3_600_000, "noted_at": now})
    world.call(world.process())
    assert world.time - START < 0.2


def test_a_queue_is_waited_for(world: World) -> None:
    now, wait = int(1000 * START), 29
    world.table.put_item(Item={**keys.rate(), "slot": now + int(1000 * wait), "noted_at": now})
    world.call(world.process())
    assert world.time - START > wait


def test_a_process_that_wakes_too_late_gives_its_slot_up(world: World) -> None:
    """Descheduled for half a second, it would call together with those that reserved the slots after its own."""
    late, others = world.process(), world.process()
    world.call(others)
    world.oversleep = [0.5]
    world.call(late)
    reserved = int(world.item()["slot"]) / 1000  # type: ignore[index]
    assert world.calls[-1] == pytest.approx(reserved, abs=0.016)
    assert reserved > START + 0.5


def test_a_process_that_is_always_late_calls_in_the_end(world: World) -> None:
    first, late = world.process(), world.process()
    world.call(first)
    world.oversleep = [0.6] * 1000
    world.call(late)
    assert 1000 - len(world.oversleep) == RESERVATIONS


def test_no_budget_is_no_limit_and_touches_no_table(world: World) -> None:
    budget = world.process(calls=0)
    for _ in range(50):
        world.call(budget)
    assert world.time == START
    assert world.item() is None


def test_a_missing_table_is_an_error_with_its_remedy() -> None:
    with pytest.raises(LedgerUnavailable, match=r"deploy deploy/cloudformation\.yaml and set JWO_LEDGER_TABLE"):
        DistributedRateLimiter(Ledger(boto3.resource("dynamodb").Table("no-such-table")), 10).take()


def test_threads_of_a_process_hold_one_slot_at_a_time(world: World) -> None:
    """Were each to reserve for itself, a process of many threads would fill the queue that others wait in."""
    asleep, most = [], []

    def sleep(seconds: float) -> None:
        asleep.append(1)
        time.sleep(seconds)
        most.append(len(asleep))
        asleep.pop()

    budget = DistributedRateLimiter(Ledger(world.table), 20, sleep=sleep)
    threads = [threading.Thread(target=lambda: [budget.take() for _ in range(3)]) for _ in range(4)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert time.monotonic() - begin > 11 * 0.05


def test_the_services_own_limit_is_kept_by_the_budget(fresh: RunningSandbox, world: World) -> None:
    """12 calls through a budget of 10 a second: the service, which counts for itself, refuses none of them."""
    fresh.misbehave(requests_per_second=10)
    api = api_client(fresh, budget=DistributedRateLimiter(Ledger(world.table), 10))
    body = upload_body(as_arrow(items("A")), FIELDS)
    for _ in range(12):
        deliver(api, body)
    assert {call["http_status"] for call in fresh.get("requests")} == {201}


@pytest.mark.thorough
def test_two_processes_together_keep_to_ten_a_second(fresh: RunningSandbox) -> None:
    figures = rate_figures(fresh, processes=2, seconds=2)
    assert [figure for figure in figures if not figure.holds] == []


def test_all_clients_of_a_process_share_the_budget_of_the_configured_ledger(
    fresh: RunningSandbox, world: World
) -> None:
    resources = resources_from(fresh.environment)
    first, second = (resources["catalog_api"].client(resources["storage"].open_ledger()) for _ in range(2))
    assert first.budget is second.budget
    first.budget.take()
    assert world.item() is not None


def test_after_429s_all_processes_leave_more_time_and_get_faster_again_slowly(world: World) -> None:
    one, other = world.process(), world.process()

    def spacing(budget: DistributedRateLimiter, calls: int = 20) -> float:
        before = world.time
        for _ in range(calls):
            world.call(budget)
        return (world.time - before) / calls

    world.call(one)
    world.call(other)
    documented = spacing(one)
    for _ in range(3):
        world.time += 1.1
        one.slow_down()
        one.slow_down()  # calls that were under way together meet it together
        world.call(one)
    world.call(other)  # it learns of the new slot, and of the new interval with it
    assert documented * 2 < spacing(other) < documented * 3.5
    world.time += 60
    assert documented * 1.2 < spacing(one) < documented * 2.2
    world.time += 900
    assert spacing(other) < documented * 1.05
