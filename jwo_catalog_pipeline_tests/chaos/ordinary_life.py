"""Ordinary life: random weeks of what happens in a year, and what Amazon, the ledger and people have in the end.

    python -m jwo_catalog_pipeline_tests.chaos.ordinary_life --weeks 200 --seed 1

A week is reproduced by its number: `--seed N --weeks 1 --verbose` shows the N-th.
"""

import argparse
import json
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import boto3

from jwo_catalog_pipeline.catalog_api import requests
from jwo_catalog_pipeline.catalog_api.signing import AmbientCredentials
from jwo_catalog_pipeline.storage import Bucket, Listed
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.send import retrying
from jwo_catalog_pipeline.wording import plural
from jwo_catalog_pipeline_tests.chaos.figures import Figure, own_sandbox, show
from jwo_catalog_pipeline_tests.chaos.life_checker import Wrong, check_amazon, check_people, check_rest, check_words
from jwo_catalog_pipeline_tests.chaos.life_events import Week
from jwo_catalog_pipeline_tests.chaos.life_pipeline import HOUR, MINUTE, Pipeline
from jwo_catalog_pipeline_tests.support.parts import Clock, Parts, api_client
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

WEEKS, LEAST_EVENTS, MOST_EVENTS = 200, 5, 15
BATCH_ITEMS = 3
PROCESSING_MINUTES = (2, 5, 5, 10, 20, 55)  # of an ingestion; documented: an hour at most


@dataclass(frozen=True)
class TimedBucket(Bucket):
    """A bucket whose objects have the simulated times."""

    clock: Any = None
    times: dict[str, int] = field(default_factory=dict)

    def put(self, key: str, content: bytes, content_type: str = "application/octet-stream") -> None:
        super().put(key, content, content_type)
        self.times[key] = int(self.clock())

    def listed(self, prefix: str) -> Iterator[Listed]:
        for each in super().listed(prefix):
            yield replace(each, written_at=self.times.get(each.key, int(self.clock())))


class Installation:
    """A sandbox and clients to it, which outlive a week."""

    def __init__(self, sandbox: RunningSandbox):
        self.sandbox = sandbox
        self.clients = {name: boto3.client(name) for name in ("s3", "sqs", "sns")}
        self.tables = boto3.resource("dynamodb")

    def parts(self) -> Parts:
        """The protocol's parts, for an Amazon that knows nothing yet."""
        self.sandbox.reset()
        self.sandbox.misbehave(delay=HOUR)  # what is accepted stays in flight until it is drained
        env, clock = self.sandbox.environment, Clock()
        bucket = TimedBucket(self.clients["s3"], env["JWO_BUCKET"], clock)
        api = api_client(self.sandbox, credentials=AmbientCredentials())
        ledger = Ledger(self.tables.Table(env["JWO_LEDGER_TABLE"]), clock)
        return Parts(self.sandbox, bucket, ledger, api, clock, queue=self.clients["sqs"], topics=self.clients["sns"])


def new_week(installation: Installation, seed: int) -> Week:
    """A week in which nothing has happened yet."""
    chance = random.Random(seed)
    return Week(Pipeline(installation.parts(), lambda: MINUTE * chance.choice(PROCESSING_MINUTES)), chance)


def live(installation: Installation, seed: int, days: int = 7, most_events: int = MOST_EVENTS) -> tuple[Week, Wrong]:
    """One week, or some days, and what is wrong at its end."""
    week, wrong = new_week(installation, seed), Wrong()
    pipeline = week.pipeline
    try:
        with cheaply():
            week.live(week.events(), week.chance.randint(LEAST_EVENTS, most_events), days)
            week.put_right()
            pipeline.advance(2 * HOUR)
            check_amazon(week, wrong)
            pipeline.advance(26 * HOUR)
            check_people(week, wrong)
            check_words(week, wrong)
            week.schedule()
            pipeline.advance(3 * HOUR)
            check_words(week, wrong)
            check_rest(week, wrong)
            wrong.failed += pipeline.failures
    except Exception:  # noqa: BLE001 (whatever it is, it is a finding)
        wrong.failed.append(traceback.format_exc(limit=-6))
    return week, wrong


@contextmanager
def cheaply() -> Iterator[None]:
    """Have small batches, to get several calls, and few tries at each, for an outage lasts for all of them."""
    settings = ((requests, "MAX_ITEMS", BATCH_ITEMS), (retrying, "ATTEMPTS_A_RUN", 2), (retrying, "THROTTLED_A_RUN", 3))
    before = [getattr(module, name) for module, name, _ in settings]
    for module, name, value in settings:
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name, _), value in zip(settings, before, strict=True):
            setattr(module, name, value)


@dataclass
class Lived:
    """What some weeks came to."""

    weeks: int = 0
    happened: Counter[str] = field(default_factory=Counter)  # events by kind
    wrong: Counter[str] = field(default_factory=Counter)  # findings by the names of WRONG

    def add(self, other: "Lived") -> None:
        """Count the other's weeks too."""
        self.weeks += other.weeks
        self.happened.update(other.happened)
        self.wrong.update(other.wrong)

    def figure(self) -> Figure:
        """As a line of the table of `make chaos`."""
        events = f"{self.happened.total():,} events of {plural(len(self.happened), 'kind')}"
        return Figure(
            "Ordinary life: within two hours of the last trouble Amazon holds the newest export",
            f"{plural(self.weeks, 'week')}, {events}",
            ", ".join(f"{self.wrong[name]} {what}" for name, what in WRONG.items()),
            not any(self.wrong.values()),
        )


def live_weeks(
    sandbox: RunningSandbox,
    weeks: int = WEEKS,
    seed: int = 1,
    on_week: Callable[[int, Week, Wrong, float], None] = lambda *found: None,
) -> Lived:
    """Live so many weeks, of which the first has this seed."""
    installation, lived = Installation(sandbox), Lived()
    for number in range(seed, seed + weeks):
        began = time.monotonic()
        week, wrong = live(installation, number)
        lived.add(Lived(1, Counter(week.happened), Counter(wrong.counts())))
        for name, found in vars(wrong).items():
            for each in found[:5]:
                sys.stderr.write(f"week {number}, {name}: {each}\n")
        on_week(number, week, wrong, time.monotonic() - began)
    return lived


WRONG = {
    "amazon": "items not as in the export",
    "sent": "sent without an attempt, or stale",
    "people": "alerts too many or missing",
    "words": "words of the ledger untrue",
    "failed": "weeks that could not be ended",
}


def main() -> int:
    """Live some weeks in a sandbox of one's own, and print the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weeks", type=int, default=WEEKS)
    parser.add_argument("--seed", type=int, default=1, help="of the first week (default: 1)")
    parser.add_argument("--verbose", action="store_true", help="print what happened in each week")
    parser.add_argument("--json", action="store_true", help="print the counts alone")
    options = parser.parse_args()

    def on_week(number: int, week: Week, wrong: Wrong, seconds: float) -> None:
        if options.verbose:
            lines = [*week.pipeline.journal, f"week {number}: {seconds:.1f} s, {vars(wrong)}"]
            sys.stderr.write("\n".join(lines) + "\n")

    sandbox = own_sandbox()
    try:
        lived = live_weeks(sandbox, options.weeks, options.seed, on_week)
    finally:
        sandbox.stop()
    if options.json:
        sys.stdout.write(json.dumps(vars(lived)) + "\n")
    else:
        show([lived.figure()])
    return 0 if lived.figure().holds else 1


if __name__ == "__main__":
    sys.exit(main())
