"""`make chaos`: everything that is tried to break the pipeline, and one table of what came of it.

With --write the table goes into docs/reliability.md as well.

Each part runs in processes and sandboxes of its own, two at a time; the call budget first and alone, for it is about
time.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from jwo_catalog_pipeline.wording import plural
from jwo_catalog_pipeline_tests.chaos.figures import Figure, show
from jwo_catalog_pipeline_tests.chaos.kills import DAYS, LARGE, SMALL, STORES
from jwo_catalog_pipeline_tests.chaos.ordinary_life import Lived
from jwo_catalog_pipeline_tests.support import ROOT
from jwo_catalog_pipeline_tests.support.documents import machine, markdown, write_between_marks

PACKAGE = "jwo_catalog_pipeline_tests.chaos"
LANES = 2  # as many as there are cores
ENOUGH_SECONDS = 1800  # a part that takes so long hangs
ALONE = ["rate"]
LIFE, WEEKS, WEEKS_A_SHARE = "ordinary_life", 200, 5  # small shares, so that few weeks are lost with one that hangs
PARTS = ["races", "network", "messages", "runs", "secrets", "hostile"]


@dataclass(frozen=True)
class Killing:
    """One process's share of the kills."""

    seed: int
    kills: int
    exceptions: int
    skus: int = SMALL
    days: str = ""

    @property
    def arguments(self) -> list[str]:
        days = ["--days", self.days] if self.days else []
        numbers = {"seed": self.seed, "kills": self.kills, "exceptions": self.exceptions, "skus": self.skus}
        return [f"{PACKAGE}.kills", *days, *(f"--{name}={value}" for name, value in numbers.items())]


KILLINGS = [
    Killing(seed=1, kills=980, exceptions=150, days=",".join(list(DAYS)[::2])),
    Killing(seed=2, kills=980, exceptions=150, days=",".join(["quiet", *list(DAYS)[1::2]])),
    Killing(seed=3, kills=40, exceptions=0, skus=LARGE, days="quiet,all answers lost"),
]


def run(arguments: list[str]) -> str:
    """Run a part; gives what it printed. What it complains of goes to standard error."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], stdout=subprocess.PIPE, text=True, timeout=ENOUGH_SECONDS, check=False
    )
    if not done.stdout.strip():
        raise RuntimeError(f"{arguments[0]} ended with {done.returncode}, and without a figure")
    return done.stdout.strip().splitlines()[-1]


def kill_figures(tallies: list[dict[str, Any]]) -> list[Figure]:
    """What all shares of the kills come to."""
    summed = ("kills", "exceptions", "again", "duplicates", "unanswered")
    sums = {name: sum(tally[name] for tally in tallies) for name in summed}
    points: Counter[str] = Counter()
    for tally in tallies:
        points.update(tally["points"])
    wrong = {name: [each for tally in tallies for each in tally[name]] for name in WRONG}
    for name, found in wrong.items():
        for each in found[:20]:
            sys.stderr.write(f"{name}: {each}\n")
    said = ", ".join(f"{len(wrong[name])} {name}" for name in WRONG)
    clean, without_answer = not any(wrong.values()), sums["kills"] + sums["exceptions"] + sums["unanswered"]
    kills_at: Counter[int] = Counter()
    for tally in tallies:
        kills_at[tally["items"]] += tally["kills"]
    sizes = " and ".join(f"{kills:,} at {items:,} items" for items, kills in sorted(kills_at.items()))
    return [
        Figure(
            "Killed (SIGKILL), or stopped by an exception, at any step",
            f"{sums['kills']:,} kills and {sums['exceptions']:,} exceptions at {len(points)} points "
            f"({sizes}), {sums['again']:,} of them of a process that had taken over from a killed one",
            f"{said}; {sums['duplicates']:,} ingested twice",
            clean and sums["duplicates"] <= without_answer,
        )
    ]


WRONG = ("lost", "unaccounted", "stale", "unrecorded")


def main(arguments: list[str]) -> int:
    """Run all parts, or those that are named; the exit code says whether all figures hold."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", help=f"of {', '.join(['kills', *ALONE, LIFE, *PARTS])}; all if none is named"
    )
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument("--write", action="store_true", help="write the table into docs/reliability.md")
    options = parser.parse_args(arguments)
    wanted = options.parts or ["kills", *ALONE, LIFE, *PARTS]
    began, tallies, figures = time.monotonic(), list[dict[str, Any]](), list[Figure]()
    columns = (SpinnerColumn(), TextColumn("{task.description:28}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def timed(name: str, arguments: list[str]) -> Any:
            task, began = progress.add_task(name), time.monotonic()
            found = json.loads(run(arguments))
            progress.stop_task(task)
            sys.stderr.write(f"{name}: {time.monotonic() - began:,.0f} s\n")
            return found

        def part(name: str) -> list[Figure]:
            return [Figure(**each) for each in timed(name, [f"{PACKAGE}.{name}", "--json"])]

        def life(first: int) -> Lived:
            share = [f"--seed={first}", f"--weeks={WEEKS_A_SHARE}", "--json"]
            try:
                found = timed(f"{LIFE}, from week {first}", [f"{PACKAGE}.{LIFE}", *share])
            except subprocess.TimeoutExpired:
                return Lived(wrong=Counter(failed=WEEKS_A_SHARE))
            return Lived(found["weeks"], Counter(found["happened"]), Counter(found["wrong"]))

        def killing(share: Killing) -> None:
            items = len(STORES) * share.skus
            tallies.append({**timed(f"kills, {items:,} items", share.arguments), "items": items})

        for name in (each for each in ALONE if each in wanted):
            figures += part(name)
        with ThreadPoolExecutor(LANES) as lanes:
            shares = [lanes.submit(killing, share) for share in KILLINGS] if "kills" in wanted else []
            weeks = range(1, WEEKS + 1, WEEKS_A_SHARE) if LIFE in wanted else []
            lives = [lanes.submit(life, first) for first in weeks]
            others = [lanes.submit(part, name) for name in PARTS if name in wanted]
            for share in shares:
                share.result()
            if shares:
                figures = [*kill_figures(tallies), *figures]
            if lives:
                lived = Lived()
                for each in lives:
                    lived.add(each.result())
                figures.append(lived.figure())
            for other in others:
                figures += other.result()
    if options.json:
        sys.stdout.write(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")
    else:
        show(figures)
        sys.stdout.write(f"{time.monotonic() - began:,.0f} s on {LANES} processes at a time\n")
    if options.write:
        minutes = plural(round((time.monotonic() - began) / 60), "minute")
        table = f"{markdown([figure.row() for figure in figures])}\n\n{minutes}; {machine('dagster', 'boto3', 'moto')}."
        write_between_marks(ROOT / "docs" / "reliability.md", "chaos", table)
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
