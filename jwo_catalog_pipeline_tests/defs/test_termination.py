"""Terminate, SIGTERM and Ctrl-C for real: a process sends 30 batches, one a second, and is asked to stop early."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from jwo_catalog_pipeline.defs.unfinished import unfinished_uploads_sensor
from jwo_catalog_pipeline_tests.support import ROOT
from jwo_catalog_pipeline_tests.support.project import HEADER, Project

BATCHES = 30
ROWS = [f"S{n:02},4006381333931,Item {n},JWO-STORE-01,1.99" for n in range(BATCHES)]
# As a run worker starts, with batches of one item.
WORKER = """
import dagster as dg
from dagster._utils.interrupts import capture_interrupts, setup_interrupt_handlers
from jwo_catalog_pipeline.catalog_api import requests
requests.MAX_ITEMS = 1
setup_interrupt_handlers()
from jwo_catalog_pipeline.definitions import defs
with dg.DagsterInstance.get() as instance, capture_interrupts():
    instance.add_dynamic_partitions("catalog_uploads", ["u1"])
    job = defs.resolve_job_def("catalog_upload_job")
    job.execute_in_process(instance=instance, partition_key="u1", raise_on_error=False)
"""
COMMAND = """
from jwo_catalog_pipeline.catalog_api import requests
requests.MAX_ITEMS = 1
from jwo_catalog_pipeline.cli.main import main
main(["upload", "--yes"])
"""


@dataclass
class Sending:
    """A process that sends, and the Dagster instance of its run."""

    project: Project
    process: subprocess.Popen[str]
    instance: dg.DagsterInstance

    @property
    def run(self) -> dg.DagsterRun:
        return self.instance.get_runs(limit=1)[0]

    def sent(self) -> int:
        return len(self.project.requests())

    def until_sent(self, count: int) -> None:
        deadline = time.monotonic() + 60
        while self.sent() < count and time.monotonic() < deadline and self.process.poll() is None:
            time.sleep(0.1)  # another process sends meanwhile
        assert self.sent() >= count, self.process.communicate(timeout=1)

    def states(self) -> Counter[str]:
        return Counter(str(batch.state) for batch in self.project.ledger.batches(self.upload))

    @property
    def upload(self) -> str:
        return self.project.ledger.head().upload

    def stop(self, how: Callable[[], None]) -> str:
        """Stop it, and see that it keeps to its word: no batch after 2 s, and an end within 15 s."""
        began = time.monotonic()
        how()
        time.sleep(2)  # the promise: after two seconds no batch is begun
        sent = self.sent()
        output, _ = self.process.communicate(timeout=15 - (time.monotonic() - began))
        assert self.sent() == sent < BATCHES
        assert self.states() == {"submitted": sent, "planned": BATCHES - sent}
        return output


@pytest.fixture
def start(project: Project, tmp_path: Path) -> Iterator[Callable[[str], Sending]]:
    project.export(HEADER, *ROWS)
    home = tmp_path / "home"
    home.mkdir()
    processes: list[subprocess.Popen[str]] = []
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(home)) as instance:

        def started(code: str) -> Sending:
            environment = {**os.environ, **project.env, "DAGSTER_HOME": str(home), "JWO_API_REQUESTS_PER_SECOND": "1"}
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-c", code],
                    env=environment,
                    cwd=ROOT,
                    text=True,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
            return Sending(project, processes[-1], instance)

        yield started
    for process in processes:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # Dagster's own children, too, which copy what runs print
        process.wait(10)


def test_terminate_stops_the_sending_and_nothing_revives_it(start: Callable[[str], Sending]) -> None:
    """The step went up for retry, resumed after 20 s, sent all 30, and the run ended in SUCCESS."""
    sending = start(WORKER)
    sending.until_sent(3)

    def terminate() -> None:
        sending.instance.report_run_canceling(sending.run)
        sending.process.send_signal(signal.SIGTERM)

    sending.stop(terminate)
    assert sending.run.status is dg.DagsterRunStatus.CANCELED
    (stop,) = sending.project.ledger.stops()
    assert (stop.upload, stop.kind, stop.problem) == ("u1", "cancelled", "a person terminated the run")
    sending.project.instance = sending.instance
    for _ in range(3):
        assert "a person cancelled run" in sending.project.tick(unfinished_uploads_sensor).skip_message


@pytest.mark.thorough
def test_terminate_works_where_the_signal_is_lost(start: Callable[[str], Sending]) -> None:
    sending = start(WORKER)
    sending.until_sent(3)
    sending.stop(lambda: sending.instance.report_run_canceling(sending.run))
    assert sending.run.status is dg.DagsterRunStatus.CANCELED


@pytest.mark.thorough
def test_sigterm_of_the_platform_ends_as_quickly_and_the_upload_goes_on_by_itself(
    start: Callable[[str], Sending],
) -> None:
    sending = start(WORKER)
    sending.until_sent(3)
    sending.stop(lambda: sending.process.send_signal(signal.SIGTERM))
    assert sending.run.status is dg.DagsterRunStatus.FAILURE
    (stop,) = sending.project.ledger.stops()
    assert stop.kind == "interrupted"
    sending.project.instance = sending.instance
    assert "1 run failed; the next starts after" in sending.project.tick(unfinished_uploads_sensor).skip_message


def test_ctrl_c_ends_the_command_in_one_line_that_says_what_was_sent(start: Callable[[str], Sending]) -> None:
    """It printed "Aborted!", once with a fatal error of Python, while all batches went out."""
    sending = start(COMMAND)
    sending.until_sent(3)
    output = sending.stop(lambda: sending.process.send_signal(signal.SIGINT))
    last = output.strip().splitlines()[-1]
    sent, upload = sending.sent(), sending.upload
    assert last == (
        f"Error: stopped; sent of upload {upload}: {sent} of {BATCHES} batches, the rest stays planned; "
        f"jwo-catalog upload --resume {upload} sends it"
    )
    assert sending.process.returncode == 130
    (stop,) = sending.project.ledger.stops()
    assert (stop.upload, stop.kind) == (upload, "cancelled")
