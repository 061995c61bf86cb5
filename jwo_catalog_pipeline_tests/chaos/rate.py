"""Processes that share a ledger call as fast as they may: does any second see more than ten calls?

python -m jwo_catalog_pipeline_tests.chaos.rate
"""

import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import boto3

from jwo_catalog_pipeline.catalog_api.errors import RequestRefused
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.ledger.rate_limiter import DistributedRateLimiter
from jwo_catalog_pipeline_tests.chaos.figures import Figure, alone
from jwo_catalog_pipeline_tests.support.parts import api_client
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

LIMIT = 10  # calls a second, Amazon's
PROCESSES = 4
SECONDS = 10.0
ENOUGH = 9.0  # calls a second: what is left when margins are taken off


class _Description:
    """As much of a running sandbox as a process of its own needs to be a client."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment


def _work(environment: dict[str, str], ready: Any, start: Any, seconds: float) -> None:
    """Ask for an ingestion that does not exist, again and again; the refusal costs a call like any other."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update({name: value for name, value in environment.items() if name.startswith("AWS_")})
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    table = boto3.resource("dynamodb").Table(environment["JWO_LEDGER_TABLE"])
    api = api_client(_Description(environment), budget=DistributedRateLimiter(Ledger(table), LIMIT))  # type: ignore[arg-type]
    api.check_ready()
    ready.release()
    start.wait()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        # Whoever is throttled all the same comes up in the figures.
        with suppress(RequestRefused):
            api.status("no-such-id")


def most_in_a_second(times: Sequence[float]) -> int:
    """The largest number of calls in any second, however it lies; seconds, in any order."""
    ordered = sorted(times)
    most = first = 0
    for last, moment in enumerate(ordered):
        while moment - ordered[first] >= 1:
            first += 1
        most = max(most, last - first + 1)
    return most


def rate_figures(sandbox: RunningSandbox, processes: int = PROCESSES, seconds: float = SECONDS) -> list[Figure]:
    """Have processes call as fast as the budget lets them, and count what the service has seen."""
    sandbox.reset()
    sandbox.misbehave(requests_per_second=LIMIT)
    context = multiprocessing.get_context("spawn")
    ready, start = context.Semaphore(0), context.Event()
    workers = [
        context.Process(target=_work, args=(dict(sandbox.environment), ready, start, seconds), daemon=True)
        for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    # A process that could not start must not be waited for without end.
    all_ready = all(ready.acquire(timeout=60) for _ in workers)
    start.set()
    for worker in workers:
        worker.join(seconds + 30)
    failed = sum(worker.exitcode != 0 for worker in workers)
    log = sandbox.get("requests")
    sandbox.misbehave(requests_per_second=0)
    times = sorted(datetime.fromisoformat(call["time"]).timestamp() for call in log)
    throttled = sum(call["http_status"] == 429 for call in log)
    most = most_in_a_second(times)
    rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0
    tried = f"{processes} processes, {len(times)} calls in {seconds:.0f} s"
    ended = all_ready and not failed
    return [
        Figure(
            f"Over all processes, at most {LIMIT} calls in any second",
            tried,
            f"most in a second {most}, {throttled} throttled" + ("" if ended else f", {failed} processes failed"),
            most <= LIMIT and not throttled and ended,
        ),
        Figure("The call budget is used in full", tried, f"{rate:.1f} calls a second", rate >= ENOUGH),
    ]


if __name__ == "__main__":
    sys.exit(alone(rate_figures))
