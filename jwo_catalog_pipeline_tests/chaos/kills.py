"""Kills and exceptions at every failpoint, and what is found afterwards.

    python -m jwo_catalog_pipeline_tests.chaos.kills --kills 100

On a retailer's day items change, come and go; an upload is planned, sent, processed, heard of and settled; and
somewhere in it the process dies. Whoever takes over dies, too, time and again. After some such days everything comes
to rest, as sensors and schedule would have it, and Amazon must hold the newest source; and every now and then the
checker looks at everything that has happened.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any
from zlib import crc32

from jwo_catalog_pipeline.upload.errors import UploadStopped
from jwo_catalog_pipeline_tests.chaos.checker import Findings, inspect, look
from jwo_catalog_pipeline_tests.chaos.observers import after_hits, at, break_down, die, first_of
from jwo_catalog_pipeline_tests.chaos.retailer import FAILED, LEASE, STORES, Key, Retailer
from jwo_catalog_pipeline_tests.support.parts import Parts
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

# What goes wrong on such a day besides, so that every point of the protocol is passed.
DAYS: dict[str, dict[str, Any]] = {
    "quiet": {},
    "a refused item": {"refuse_skus": ["S001"]},
    "an answer lost": {"close_after_ingesting": 1, "operation": "upload"},
    "all answers lost": {"close_after_ingesting": 5, "operation": "upload"},
    "an archive's answer lost": {"close_after_ingesting": 1, "operation": "archive"},
    "no news": {"drop_notifications": 2},
    "two messages each": {"duplicate_notifications": 2},
    "an unreadable message": {"unreadable_notifications": 1},
    "an expired link": {"expire_links": 1, "operation": "upload"},
    "a cancelled ingestion": {"cancel": 1},
    "throttled": {"throttle": 1, "operation": "upload"},
    "turned away": {"forbid": 1, "operation": "upload"},
    "a rejected item": {"reject_skus": ["S002"]},
}
FAULTS = sorted({name for day in DAYS.values() for name in day} - {"refuse_skus", "reject_skus", "operation"})
STRIKES_A_DAY = 10  # on whoever is at work, and whoever takes over
POINTS_TO_THE_NEXT = 6  # at most, so that whoever takes over gets a little further, too
DAYS_TO_A_REST = 8
RESTS_TO_A_LOOK = 3
HEARING = "before sqs: receive"  # where a day goes over from sending to hearing
LATE_SHARE = 0.4  # of days on which Amazon processes nothing while anyone is at work
SMALL, LARGE = 5, 3400  # SKUs in each of three stores: one batch, and two


@dataclass
class Tally:
    """What was done and found."""

    kills: int = 0
    exceptions: int = 0
    again: int = 0  # of both: of a process that had taken over from one that was struck
    points: Counter[str] = field(default_factory=Counter)
    ingestions: int = 0
    duplicates: int = 0
    unanswered: int = 0
    lost: list[str] = field(default_factory=list)
    unaccounted: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    unrecorded: list[str] = field(default_factory=list)

    def add(self, findings: Findings, where: str) -> None:
        self.ingestions += findings.ingestions
        self.duplicates += findings.duplicates
        self.unanswered += findings.unanswered
        for name in ("lost", "unaccounted", "stale", "unrecorded"):
            getattr(self, name).extend(f"{where}: {each}" for each in getattr(findings, name)[:20])


class Shop:
    """A retailer in a fresh sandbox, whose days are brought to an end at a chosen point."""

    def __init__(self, sandbox: RunningSandbox, folder: Path, skus: int):
        sandbox.reset()
        sandbox.misbehave(delay=3600)
        self.sandbox = sandbox
        Retailer(sandbox, folder / "error.txt").warm_up()
        self.retailer = Retailer(sandbox, folder / "error.txt")
        self.skus = [f"S{n:03}" for n in range(skus)]
        self.retailer.source = {(store, sku): 1 for store in STORES for sku in self.skus}
        self.version = 1
        self.seen = folder / "points.txt"
        self.retailer.settle_everything()

    def new_day(self) -> None:
        """Change most items; one SKU goes in every store, and the one that went yesterday is back."""
        self.version += 1
        gone = self.skus[3 + self.version % (len(self.skus) - 3)]
        kept: list[Key] = [(store, sku) for store in STORES for sku in self.skus if sku != gone]
        source = self.retailer.source
        changed = {
            key for key in kept if crc32(f"{key} {self.version}".encode()) % 4 or key not in source or key[1] < "S003"
        }
        self.retailer.source = {key: self.version if key in changed else source[key] for key in kept}

    def day(self, name: str, observer: Callable[[str], None] | None, *, late: bool) -> tuple[str, int]:
        """Live a day until something stops it; gives its upload and how it ended."""
        self.new_day()
        self.sandbox.misbehave(**DAYS[name])
        upload = self.retailer.next_upload()
        return upload, self.retailer.step(self.work(upload, late=late), observer)

    def work(self, upload: str, *, late: bool) -> Callable[[Parts], object]:
        """Plan and send, or go on; unless Amazon is late, everything is processed then, and heard of."""

        def work(parts: Parts) -> None:
            with suppress(UploadStopped):  # the results of what was sent come in all the same
                self.retailer.upload(upload)(parts)
            if not late:
                self.sandbox.drain()
                self.retailer.hear(parts)

        return work

    def set_right(self) -> None:
        """Amazon, and the messages, are as they should be from now on."""
        self.sandbox.misbehave(refuse_skus=[], reject_skus=[])
        for operation in ("upload", "archive"):
            self.sandbox.misbehave(**dict.fromkeys(FAULTS, 0), operation=operation)
        self.sandbox.misbehave(**dict.fromkeys(FAULTS, 0))

    def sell_on_while_old_calls_are_open(self) -> None:
        """The next days are planned, sent and processed while what a dead worker sent is still in Amazon's queue."""
        self.sandbox.misbehave(delay=0)
        for _ in range(2):
            self.new_day()
            upload = self.retailer.next_upload()
            self.retailer.must(self.work(upload, late=True))
            self.retailer.must(self.retailer.hear)
        self.sandbox.misbehave(delay=3600)

    def points_of(self, name: str) -> list[str]:
        """The points that such a day passes, in order, each as often as it is passed."""
        self.seen.write_text("")

        def note(point: str) -> None:
            with self.seen.open("a") as file:
                file.write(point + "\n")

        self.day(name, note, late=False)
        self.set_right()
        return self.seen.read_text().splitlines()


def targets(points: dict[str, list[str]], rng: random.Random) -> Iterator[tuple[str, str, int, bool]]:
    """Where to strike first: every point of every day in turn, at its first time or a later one.

    The last value says whether Amazon may be late that day, so that the points of hearing from it are not passed.
    """
    for turn in cycle(range(3)):
        passed = [(day, point) for day, found in points.items() for point in dict.fromkeys(found)]
        rng.shuffle(passed)
        for day, point in passed:
            found = points[day]
            occurrence = rng.randint(1, found.count(point)) if turn == 2 else 1
            yield day, point, occurrence, found.index(point) < found.index(HEARING)


@dataclass
class Striker:
    """Strikes day after day in one sandbox, and looks at what is left."""

    sandbox: RunningSandbox
    folder: Path
    skus: int
    rng: random.Random
    days: list[str]
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self.shop = Shop(self.sandbox, self.folder, self.skus)
        self.points = {day: self.shop.points_of(day) for day in self.days}
        self.targets = targets(self.points, self.rng)
        self.shop.retailer.settle_everything()
        self.since_fresh = 0

    def strike(self, what: str, count: int) -> None:
        """Strike so often; after every few days let everything come to rest, and look.

        Args:
            what: `kills` or `exceptions`.
            count: how many.
        """
        wanted = getattr(self.tally, what) + count
        while (left := wanted - getattr(self.tally, what)) > 0:
            notes = []
            while left > 0 and len(notes) < DAYS_TO_A_REST:
                notes.append(self.one_day(what, min(left, STRIKES_A_DAY)))
                left = wanted - getattr(self.tally, what)
            self.come_to_rest("; then ".join(notes))

    def one_day(self, what: str, strikes: int) -> str:
        """Strike a day at a chosen point, and those who take over at any, at most so often; gives where."""
        shop, rng = self.shop, self.rng
        act, stopped = (die, -signal.SIGKILL) if what == "kills" else (break_down, FAILED)
        day, point, occurrence, may_be_late = next(self.targets)
        late = may_be_late and rng.random() < LATE_SHARE
        note = self.folder / "hit"
        note.write_text(point)
        # A day that does not come by the point is struck all the same, before it is over.
        at_last = after_hits(len(self.points[day]) * 2 // 3, act, note)
        upload, code = shop.day(day, first_of(at(point, occurrence, act), at_last), late=late)
        point = note.read_text()
        where, again = f"a day of {day}, {point}", False
        while code == stopped:
            self.count(what, point, again)
            strikes -= 1
            if not strikes:
                break
            shop.retailer.seconds += LEASE
            again, hits = True, rng.randint(1, POINTS_TO_THE_NEXT)
            where += f", then after {hits} points"
            code = shop.retailer.step(shop.work(upload, late=late), after_hits(hits, act, note))
            point = note.read_text()
        shop.retailer.seconds += LEASE
        shop.set_right()
        return where + (", late" if late else "")

    def count(self, what: str, point: str, again: bool) -> None:
        """Note a strike."""
        setattr(self.tally, what, getattr(self.tally, what) + 1)
        self.tally.points[point] += 1
        self.tally.again += again

    def come_to_rest(self, where: str) -> None:
        """Let everything end as it would without more trouble, and look at what is there."""
        late = self.rng.random() < LATE_SHARE
        try:
            if late:
                self.shop.sell_on_while_old_calls_are_open()
            self.shop.retailer.settle_everything()
        except AssertionError as error:
            self.tally.unaccounted.append(f"{where}: {error}")
            self.start_afresh()
            return
        held = {(each["store_id"], each["item_sku"]): each for each in self.sandbox.get("catalog")}
        self.since_fresh += 1
        if held != self.shop.retailer.expected() or self.since_fresh == RESTS_TO_A_LOOK:
            self.look(where)

    def look(self, where: str) -> None:
        """Inspect everything that has happened so far, and start afresh: a long history takes long to look at."""
        findings = inspect(look(self.sandbox), self.shop.retailer.expected())
        self.tally.add(findings, where)
        self.start_afresh()

    def start_afresh(self) -> None:
        """A new shop in an empty sandbox."""
        self.shop, self.since_fresh = Shop(self.sandbox, self.folder, self.skus), 0


def main(arguments: list[str]) -> int:
    """Strike in a sandbox of one's own, and print the tally as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("kills", 100), ("exceptions", 0), ("skus", SMALL), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--days", default=",".join(DAYS))
    options = parser.parse_args(arguments)
    sandbox = RunningSandbox("--requests-per-second", "0")
    for name, value in sandbox.environment.items():
        if name.startswith("AWS_"):
            os.environ[name] = value
    try:
        with tempfile.TemporaryDirectory() as folder:
            rng = random.Random(options.seed)
            striker = Striker(sandbox, Path(folder), options.skus, rng, options.days.split(","))
            striker.strike("kills", options.kills)
            striker.strike("exceptions", options.exceptions)
            striker.look("the end")
    finally:
        sandbox.stop()
    sys.stdout.write(json.dumps(vars(striker.tally)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
