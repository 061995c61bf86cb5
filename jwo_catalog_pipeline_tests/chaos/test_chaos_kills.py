"""Some of the kills and races of `make chaos`, and that the checker sees what it is there to see."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jwo_catalog_pipeline_tests.chaos.checker import inspect, look
from jwo_catalog_pipeline_tests.chaos.retailer import Retailer
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

WRONG = ("lost", "unaccounted", "stale", "unrecorded")


def chaos(part: str, *arguments: str) -> str:
    """In a process of its own: it forks, which this one, with its threads, must not."""
    command = [sys.executable, "-m", f"jwo_catalog_pipeline_tests.chaos.{part}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


def kill(kills: int, exceptions: int, days: str) -> dict[str, Any]:
    """The tally of so many kills, after which nothing may be wrong."""
    tally: dict[str, Any] = json.loads(
        chaos("kills", f"--kills={kills}", f"--exceptions={exceptions}", f"--days={days}")
    )
    assert {name: tally[name] for name in WRONG} == {name: [] for name in WRONG}
    assert tally["kills"] >= kills
    # Without a strike, a day of lost answers has four: five tries of one batch, each of them ingested.
    assert tally["duplicates"] <= tally["kills"] + tally["exceptions"] + tally["unanswered"]
    return tally


def race(times: int, points: int) -> None:
    """Two workers at once, and one that is paused at so many points."""
    figures = json.loads(chaos("races", "--json", f"--times={times}", f"--points={points}"))
    assert [figure["what"] for figure in figures if not figure["holds"]] == []


def test_a_few_kills_lose_nothing_and_leave_nothing_stale() -> None:
    kill(10, 2, "all answers lost")


@pytest.mark.thorough
def test_a_hundred_kills_lose_nothing_and_leave_nothing_stale() -> None:
    assert kill(100, 10, "quiet,all answers lost,a refused item")["again"] >= 40


def test_a_race_has_one_winner_and_a_paused_worker_changes_nothing() -> None:
    race(1, 1)


@pytest.mark.thorough
def test_races_have_one_winner_and_a_paused_worker_changes_nothing() -> None:
    race(3, 8)


@pytest.fixture
def rested(fresh: RunningSandbox, tmp_path: Path) -> Retailer:
    """A retailer who has sent two versions of two items, and whose everything has come to rest; in this process."""
    fresh.misbehave(delay=3600)
    retailer = Retailer(fresh, tmp_path / "error.txt", {("JWO-STORE-01", sku): 1 for sku in "AB"})
    for version in (1, 2):
        retailer.source = dict.fromkeys(retailer.source, version)
        retailer.rest("")(retailer.parts())
        retailer.uploads += 10
    return retailer


def test_the_checker_finds_nothing_where_nothing_is_wrong(rested: Retailer) -> None:
    found = inspect(look(rested.sandbox), rested.expected())
    assert (found.clean, found.ingestions, found.duplicates) == (True, 2, 0)


def test_the_checker_sees_what_is_lost_stale_unaccounted_or_unrecorded(rested: Retailer) -> None:
    world, expected = look(rested.sandbox), rested.expected()
    more = {**expected, ("JWO-STORE-01", "C"): {}}
    assert inspect(world, more).lost
    assert inspect(world, more).unaccounted
    assert inspect(world, {key: {**item, "item_name": "newer"} for key, item in expected.items()}).stale
    assert inspect(world, {}).stale

    first, second = world.ingestions
    at_once = [{**first, "ended_at": second["accepted_at"] + 1}, second]
    assert "at once" in inspect(dataclasses.replace(world, ingestions=at_once), expected).stale[0]
    swapped = [{**first, "accepted_at": second["ended_at"] + 1, "ended_at": second["ended_at"] + 2}, second]
    assert "were sent after some of" in inspect(dataclasses.replace(world, ingestions=swapped), expected).stale[0]
    twice = dataclasses.replace(world, ingestions=[first, first, second])
    assert inspect(twice, expected).duplicates == 1

    stray = [*world.calls, {"body_sha256": "0" * 64, "operation": "upload"}]
    assert inspect(dataclasses.replace(world, calls=stray), expected).unrecorded
    assert inspect(dataclasses.replace(world, calls=[*world.calls, world.calls[0]]), expected).unrecorded
    for state in ("submitted", "planned"):
        batches = {name: [{**batch, "state": state} for batch in found] for name, found in world.batches.items()}
        assert inspect(dataclasses.replace(world, batches=batches), expected).unaccounted
