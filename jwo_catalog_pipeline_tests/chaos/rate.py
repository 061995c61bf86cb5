"""One call budget over several processes: is any second above it, and how much of it is used?

python -m jwo_catalog_pipeline_tests.chaos.rate
"""

import os
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import boto3

from jwo_catalog_pipeline.catalog_api.errors import RequestRefused
from jwo_catalog_pipeline.catalog_api.signing import AmbientCredentials
from jwo_catalog_pipeline.upload.call_budget import SharedBudget
from jwo_catalog_pipeline.upload.ledger import Ledger
from jwo_catalog_pipeline_tests.chaos.figures import Figure
from jwo_catalog_pipeline_tests.conftest import api_client
from jwo_catalog_pipeline_tests.sandbox_fixture import RunningSandbox

ROOT = Path(__file__).parents[2]
CALLS = 10  # in any second: the pipeline's default, and Amazon's limit
PROCESSES = 4
SECONDS = 10.0  # that all of them call for at once
WORTH_HAVING = 9.0  # calls a second that four processes together should reach, of the 9.5 that the spacing leaves


def rate_figures(sandbox: RunningSandbox, seconds: float = SECONDS) -> list[Figure]:
    """What the sandbox's own log says of the calls of several processes, each asking for a status as fast as it may.

    Args:
        sandbox: one without a rate limit of its own, so that every call is answered.
        seconds: how long they call.
    """
    sandbox.reset()
    environment = {**os.environ, **sandbox.environment, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "jwo_catalog_pipeline_tests.chaos.rate"]
    workers = [
        subprocess.Popen([*command, str(seconds)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(PROCESSES)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"ready\n", "a process did not come up"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.close()
        codes = [worker.wait(seconds + 20) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert codes == [0] * PROCESSES, f"processes ended with {codes}"
    times = sorted(datetime.fromisoformat(call["time"]).timestamp() for call in sandbox.get("requests"))
    most, above = most_in_a_second(times), seconds_above(times, CALLS)
    rate = (len(times) - 1) / (times[-1] - times[0])
    tried = f"{len(times)} calls of {PROCESSES} processes in {times[-1] - times[0]:.1f} s"
    return [
        Figure(
            "one call budget over all processes", tried, f"{above} seconds above {CALLS}, at most {most}", not above
        ),
        Figure("the call budget is used", tried, f"{rate:.1f} calls a second", rate >= WORTH_HAVING),
    ]


def most_in_a_second(times: list[float]) -> int:
    """The largest number of calls in any sliding second; `times` are sorted, in seconds."""
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] >= 1:
            first += 1
        most = max(most, last - first + 1)
    return most


def seconds_above(times: list[float], calls: int) -> int:
    """How many sliding seconds, one from each call on, hold more calls than that."""
    return sum(later - earlier < 1 for earlier, later in zip(times, times[calls:], strict=False))


def _work(seconds: float) -> None:
    """Call until the time is up, once told to begin; a 400 for an unknown ingestion costs a call like any other."""
    sandbox = _Known()
    ledger = Ledger(boto3.resource("dynamodb").Table(os.environ["JWO_LEDGER_TABLE"]))
    api = api_client(sandbox, credentials=AmbientCredentials(), budget=SharedBudget(ledger, CALLS))  # type: ignore[arg-type]
    ledger.head()  # connected
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            api.status("no-such-ingestion")
        except RequestRefused:
            continue
        raise AssertionError("an unknown ingestion has a status")


class _Known:
    """The sandbox as a process knows it that did not start it."""

    environment = os.environ


def main() -> int:
    """Print the figures of a sandbox of our own; or be one of the processes."""
    if len(sys.argv) > 1:
        _work(float(sys.argv[1]))
        return 0
    sandbox = RunningSandbox("--requests-per-second", "0")
    try:
        figures = rate_figures(sandbox)
    finally:
        sandbox.stop()
    for figure in figures:
        sys.stdout.write(f"{'ok  ' if figure.holds else 'FAIL'} {figure.what} | {figure.tried} | {figure.found}\n")
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
