"""Several at once: two runs of one upload, two uploads, two daemons, and a worker that is paused beyond its lease.

python -m jwo_catalog_pipeline_tests.chaos.races
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from jwo_catalog_pipeline_tests.chaos.checker import Findings, inspect, look
from jwo_catalog_pipeline_tests.chaos.figures import Figure, alone
from jwo_catalog_pipeline_tests.chaos.kills import SMALL, Shop
from jwo_catalog_pipeline_tests.chaos.observers import at
from jwo_catalog_pipeline_tests.chaos.retailer import DONE, FAILED, LEASE, STOPPED, ended
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

SIGNATURE_SECONDS = 1  # of AWS's 300, when the paused worker goes on: so that the pause can be waited for
PAUSE_SECONDS = 2.1  # X-Amz-Date has whole seconds: so long, such a signature may still be taken
CALLING = ("after ledger: attempt", "before api: upload", "before api: archive")  # where a call comes next


class Races:
    """Races in one sandbox; `wrong` lists what must not have happened."""

    def __init__(self, sandbox: RunningSandbox, folder: Path):
        self.sandbox = sandbox
        self.shop = Shop(sandbox, folder, SMALL)
        self.points = self.shop.points_of("quiet")
        self.shop.retailer.settle_everything()
        self.wrong: list[str] = []

    def two_runs_of_one_upload(self) -> None:
        """Both plan it, and both apply it."""
        self.shop.new_day()
        retailer, upload = self.shop.retailer, self.shop.retailer.next_upload()
        codes = [ended(pid) for pid in [retailer.begin(retailer.upload(upload)) for _ in range(2)]]
        if sorted(codes) not in ([DONE, DONE], [DONE, STOPPED]):
            self.wrong.append(f"two runs of {upload} ended as {codes}: {self._error()}")

    def two_uploads(self) -> None:
        """Both plan at once, so that one of the plans is out of date once the other is applied."""
        self.shop.new_day()
        retailer = self.shop.retailer
        works = [retailer.upload(retailer.next_upload()) for _ in range(2)]
        codes = [ended(pid) for pid in [retailer.begin(work) for work in works]]
        if FAILED in codes or DONE not in codes:
            self.wrong.append(f"two uploads ended as {codes}: {self._error()}")

    def two_daemons(self) -> None:
        """Three ticks of the sensors at once, and the runs that each of them asks for."""
        self.shop.new_day()
        retailer = self.shop.retailer
        retailer.must(retailer.upload(retailer.next_upload()))
        self.sandbox.drain()
        codes = [ended(pid) for pid in [retailer.begin(retailer.hear) for _ in range(3)]]
        if set(codes) != {DONE}:
            self.wrong.append(f"three daemons ended as {codes}: {self._error()}")

    def paused(self, point: str, occurrence: int) -> None:
        """Stop a worker at a point; another resumes, newer uploads follow; then the first one goes on."""
        self.shop.new_day()
        retailer, upload = self.shop.retailer, self.shop.retailer.next_upload()
        stop = at(point, occurrence, lambda: os.kill(os.getpid(), signal.SIGSTOP))
        pid = retailer.begin(self.shop.work(upload, late=False), stop)
        began = time.monotonic()
        if not os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1]):
            return  # it did not come by
        retailer.seconds += LEASE
        retailer.must(self.shop.work(upload, late=False))
        self.shop.new_day()
        retailer.settle_everything()
        if point in CALLING:
            time.sleep(max(0.0, began + PAUSE_SECONDS - time.monotonic()))  # the paused worker goes on after so long
        sent = len(self.sandbox.get("ingestions"))
        self.sandbox.misbehave(signature_seconds=SIGNATURE_SECONDS)
        os.kill(pid, signal.SIGCONT)
        code = ended(pid)
        self.sandbox.misbehave(signature_seconds=300)
        if code not in (DONE, STOPPED):
            self.wrong.append(f"paused at {point} ({occurrence}), it ended as {code}: {self._error()}")
        if len(self.sandbox.get("ingestions")) != sent:
            self.wrong.append(f"paused at {point} ({occurrence}), it had older content ingested")
        if self._held() != retailer.expected():
            self.wrong.append(f"paused at {point} ({occurrence}): Amazon does not hold the newest source")

    def look(self) -> Findings:
        """Let everything come to rest, and inspect it."""
        self.shop.retailer.settle_everything()
        return inspect(look(self.sandbox), self.shop.retailer.expected())

    def _held(self) -> dict[tuple[str, str], object]:
        return {(each["store_id"], each["item_sku"]): each for each in self.sandbox.get("catalog")}

    def _error(self) -> str:
        errors = self.shop.retailer.errors
        return errors.read_text()[-500:] if errors.exists() else ""


def race_figures(sandbox: RunningSandbox, times: int = 10, points: int | None = None) -> list[Figure]:
    """Race so many times each, and pause at every point, or at so many."""
    with tempfile.TemporaryDirectory() as folder:
        races, figures = Races(sandbox, Path(folder)), []
        for what, race in (
            ("Two runs of one upload at once", races.two_runs_of_one_upload),
            ("Two uploads at once", races.two_uploads),
            ("Three ticks of the sensors at once", races.two_daemons),
        ):
            for _ in range(times):
                race()
            figures.append(_figure(what, f"{times} times", races))
        places = [(point, n) for point in CALLING for n in {1, races.points.count(point)}]
        places += [(point, 1) for point in dict.fromkeys(races.points) if point not in CALLING]
        places = places[:points]
        for point, occurrence in places:
            races.paused(point, occurrence)
        figures.append(
            _figure("A worker paused beyond its lease, while others continue", f"{len(places)} points", races)
        )
    return figures


def _figure(what: str, tried: str, races: Races) -> Figure:
    """What a kind of race came to; counts start anew for the next."""
    found, wrong = races.look(), races.wrong
    for each in (*wrong, *found.lost, *found.stale, *found.unaccounted, *found.unrecorded):
        sys.stderr.write(f"{what}: {each}\n")
    holds = found.clean and not wrong
    said = "the losers changed nothing" if not wrong else f"{len(wrong)} WRONG"
    lost = f"{len(found.lost)} lost, {len(found.stale)} stale, {len(found.unaccounted)} unaccounted"
    races.wrong = []
    return Figure(what, tried, f"{said}; {lost}; {found.duplicates} ingested twice", holds)


def main() -> int:
    """Race in a sandbox of one's own, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--points", type=int)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    return alone(lambda sandbox: race_figures(sandbox, options.times, options.points))


if __name__ == "__main__":
    sys.exit(main())
