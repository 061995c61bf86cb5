"""The call budget that processes share, against the sandbox's DynamoDB, on clocks that only the tests move."""

import threading
from typing import Any

import boto3
import pytest

from jwo_catalog_pipeline.upload.call_budget import HORIZON_MS, TOLERANCE_MS, SharedBudget
from jwo_catalog_pipeline.upload.errors import LedgerUnavailable
from jwo_catalog_pipeline.upload.ledger import Ledger
from jwo_catalog_pipeline_tests.conftest import api_client, deliver
from jwo_catalog_pipeline_tests.sandbox_fixture import RunningSandbox
from jwo_catalog_pipeline_tests.test_client import body_of

START = 1_800_000_000.0


class Machine:
    """A clock that its own sleeping moves; `late` are seconds that it sleeps too long, one after the other."""

    def __init__(self, seconds: float = START):
        self.seconds, self.slept = seconds, 0.0
        self.late: list[float] = []

    def clock(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.seconds += seconds + (self.late.pop(0) if self.late else 0.0)

    def budget(self, ledger: Ledger, calls: int = 10) -> SharedBudget:
        return SharedBudget(ledger, calls, self.clock, self.sleep)


@pytest.fixture
def ledger(fresh: RunningSandbox) -> Ledger:
    return Ledger(boto3.resource("dynamodb").Table(fresh.environment["JWO_LEDGER_TABLE"]))


def slot(ledger: Ledger) -> Any:
    return ledger.get("RATE", "RATE")


def assert_no_second_above(times: list[float], calls: int) -> None:
    ordered = sorted(times)
    gaps = [later - earlier for earlier, later in zip(ordered, ordered[calls:], strict=False)]
    assert gaps
    assert min(gaps) > 1.0


def test_any_second_sees_at_most_the_budget_over_several_processes(ledger: Ledger) -> None:
    machines = [Machine(), Machine(), Machine()]
    budgets = [machine.budget(ledger) for machine in machines]
    times = []
    for n in range(60):
        which = (n * n) % 3
        budgets[which].take()
        times.append(machines[which].seconds)
        machines[which].seconds += (n % 7) * 0.03
    assert_no_second_above(times, 10)


def test_what_is_not_used_is_not_saved_up(ledger: Ledger) -> None:
    machine = Machine()
    budget = machine.budget(ledger)
    budget.take()
    machine.seconds += 60
    times = []
    for _ in range(12):
        budget.take()
        times.append(machine.seconds)
    assert_no_second_above(times, 10)
    assert times[0] == pytest.approx(START + 60, abs=0.002), "and after a pause nobody waits"


def test_whoever_wakes_too_late_takes_another_slot_with_room_for_being_late_again(ledger: Ledger) -> None:
    punctual, late = Machine(), Machine()
    budget = late.budget(ledger)
    budget.take()
    late.late = [0.2, 0.2]
    budget.take()
    slot_with_room = slot(ledger)["slot"]
    # At 0.105 it was late by 0.2 s, and at 0.305 again, but nobody else has a slot before 0.505.
    assert slot_with_room >= (START + 0.305 + 0.2) * 1000
    assert late.seconds * 1000 <= slot_with_room + TOLERANCE_MS
    punctual.budget(ledger).take()
    assert punctual.seconds - late.seconds >= 0.1 - TOLERANCE_MS / 1000


def test_a_little_lateness_is_no_reason_to_wait_again(ledger: Ledger) -> None:
    machine = Machine()
    budget = machine.budget(ledger)
    budget.take()
    machine.late = [0.02]
    budget.take()
    assert machine.seconds == pytest.approx(START + 0.105 + 0.02, abs=0.002)


def test_a_clock_that_is_far_ahead_does_not_stall_the_others(ledger: Ledger) -> None:
    Machine(START + 3600).budget(ledger).take()
    machine = Machine()
    machine.budget(ledger).take()
    assert machine.slept < 1
    assert slot(ledger)["slot"] == pytest.approx(START * 1000, abs=2000)
    Machine(START + HORIZON_MS / 1000 - 1).budget(ledger).take()
    waiting = Machine()
    waiting.budget(ledger).take()
    assert waiting.slept == pytest.approx(HORIZON_MS / 1000 - 1, abs=0.5), "a little ahead is honoured"


def test_no_budget_is_no_limit_and_writes_nothing(ledger: Ledger) -> None:
    machine = Machine()
    budget = machine.budget(ledger, calls=0)
    for _ in range(1000):
        budget.take()
    assert machine.slept == 0
    assert slot(ledger) is None


def test_threads_that_compete_get_a_slot_each(ledger: Ledger) -> None:
    """Several budgets, as in several processes, and two threads to each; all on the real clock."""
    budgets = [SharedBudget(ledger, 500) for _ in range(3)]
    before = slot(ledger)
    threads = [threading.Thread(target=budget.take) for budget in budgets for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert before is None
    assert not any(thread.is_alive() for thread in threads)


def test_without_the_table_nothing_is_called_and_the_remedy_is_named(fresh: RunningSandbox) -> None:
    budget = Machine().budget(Ledger(boto3.resource("dynamodb").Table("no-such-table")))
    with pytest.raises(LedgerUnavailable, match="no-such-table: it does not exist; deploy"):
        budget.take()


def test_a_table_that_is_always_changed_by_others_is_given_up(ledger: Ledger) -> None:
    machine = Machine()
    budget = machine.budget(ledger)
    others = iter(range(1, 1000))
    sleep = machine.sleep

    def while_others_write(seconds: float) -> None:
        ledger.put({"pk": "RATE", "sk": "RATE", "slot": int(START * 1000) + next(others)})
        sleep(seconds)

    ledger.put({"pk": "RATE", "sk": "RATE", "slot": int(START * 1000)})
    budget._sleep = while_others_write
    with pytest.raises(LedgerUnavailable, match="is busy: no call could be counted"):
        budget.take()


def test_the_services_own_limit_is_kept_by_the_budget(fresh: RunningSandbox, ledger: Ledger) -> None:
    """12 calls through a budget of 10 a second: the service, which counts for itself, refuses none of them."""
    fresh.misbehave(requests_per_second=10)
    api = api_client(fresh, budget=SharedBudget(ledger, 10))
    for _ in range(12):
        deliver(api, body_of())
    assert {call["http_status"] for call in fresh.get("requests")} == {201}
