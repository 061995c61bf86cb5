"""Whole Dagster runs killed: assets, the IO manager, Dagster's own records, and the sensors' requests.

    python -m jwo_catalog_pipeline_tests.chaos.runs

The other kills are of the upload protocol, thousands of times. Here fewer, of what stands on it: what Dagster has noted
of a run that was killed must not keep the next one from ending what that one began.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from jwo_catalog_pipeline import failpoints
from jwo_catalog_pipeline.defs.sensors import ingestion_results_sensor, overdue_ingestions_sensor
from jwo_catalog_pipeline.upload.results.polling import uploads_to_fetch
from jwo_catalog_pipeline_tests.chaos.checker import inspect, look
from jwo_catalog_pipeline_tests.chaos.figures import Figure, alone
from jwo_catalog_pipeline_tests.chaos.observers import at, die
from jwo_catalog_pipeline_tests.chaos.retailer import ended
from jwo_catalog_pipeline_tests.support.project import HEADER, ROWS, Project
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

LEASE_SECONDS = 1  # so that whoever takes over need not wait for long
DOUBT_SECONDS = 1  # for which items wait of which a killed run may have sent more; each day ends with nothing in flight
TRIES = 4


class Installation:
    """A retailer's installation whose Dagster instance is on disk, and outlives the processes that use it."""

    def __init__(self, sandbox: RunningSandbox, folder: Path):
        sandbox.reset()
        self.sandbox, self.folder, self.version = sandbox, folder, 1
        (folder / "dagster").mkdir(exist_ok=True)

    def day(self, upload: str) -> None:
        """The export has new prices; an upload is run, the results come, the sensor asks for a run, which is run."""
        with dg.DagsterInstance.local_temp(str(self.folder / "dagster")) as instance:
            project = Project(self.sandbox, instance, self.folder)
            project.env |= {"JWO_LEASE_SECONDS": str(LEASE_SECONDS), "JWO_API_ROLE_ARN": "", "JWO_OVERDUE_MINUTES": "0"}
            project.env["JWO_IN_FLIGHT_HOURS"] = str(DOUBT_SECONDS / 3600)
            project.export(HEADER, *(row.rpartition(",")[0] + f",{self.version}.00" for row in ROWS))
            for _ in range(TRIES):
                only = ["ingestion_record"] if project.ledger.upload(upload) else None
                if project.run("catalog_upload_job", upload, only=only).success:
                    break
                time.sleep(LEASE_SECONDS)  # whoever was killed holds its batch for so long
            else:
                raise AssertionError(f"{upload} cannot be resumed")
            self.sandbox.drain()
            project.tick(ingestion_results_sensor)
            project.tick(overdue_ingestions_sensor)  # for a message that a killed tick has taken and not kept
            # As a person would: to the sensors, a run that was killed is at work until it has been silent for an hour.
            for waiting in uploads_to_fetch(project.ledger):
                project.run("ingestion_results_job", waiting)

    def in_a_process(self, upload: str, observer: Callable[[str], None] | None = None) -> int:
        """A day in a process of its own; gives how it ended."""
        pid = os.fork()
        if pid:
            return ended(pid)
        code = 1
        try:
            if observer:
                failpoints.arm(observer)
            self.day(upload)
            code = 0
        except AssertionError as error:
            sys.stderr.write(f"{error}\n")
        finally:
            os._exit(code)

    def expected(self) -> dict[tuple[str, str], dict[str, Any]]:
        """What Amazon must hold."""
        items = {}
        for row in ROWS:
            sku, barcode, name, store, _ = row.split(",")
            items[store, sku] = {
                "item_sku": sku,
                "external_product_id": barcode,
                "external_product_id_type": {8: "EAN8", 12: "UPC", 13: "EAN"}[len(barcode)],
                "item_name": name,
                "store_id": store,
                "standard_price": f"{self.version}.00",
            }
        return items


def run_figures(sandbox: RunningSandbox, kills: int | None = None) -> list[Figure]:
    """Kill a run at every point of a day, or at so many, and let the next one go on."""
    with tempfile.TemporaryDirectory() as folder:
        shop = Installation(sandbox, Path(folder))
        noted = Path(folder) / "points"

        def note(point: str) -> None:
            with noted.open("a") as file:
                file.write(point + "\n")

        if shop.in_a_process("u00000", note):
            raise RuntimeError("a day without a kill failed")
        points = list(dict.fromkeys(noted.read_text().splitlines()))
        random.Random(1).shuffle(points)
        killed, stuck = 0, 0
        for number, point in enumerate(points[:kills], start=1):
            shop.version += 1
            killed += shop.in_a_process(f"u{number:05}", at(point, 1, die)) == -signal.SIGKILL
            for again in ("", "b"):  # the next run of the same upload; and, as the schedule would, another upload
                if shop.in_a_process(f"u{number:05}{again}"):
                    stuck += 1
                    sys.stderr.write(f"killed at {point}: u{number:05}{again} cannot be run\n")
        shop.in_a_process("u99999")  # for items that had to wait in the last one
        found = inspect(look(sandbox), shop.expected())
    for each in (*found.lost, *found.stale, *found.unaccounted, *found.unrecorded):
        sys.stderr.write(f"runs: {each}\n")
    wrong = f"{len(found.lost)} lost, {len(found.stale)} stale, {len(found.unaccounted)} unaccounted"
    return [
        Figure(
            "Whole Dagster runs killed",
            f"{killed} runs, each at a different point",
            f"{stuck} runs stuck afterwards; {wrong}; {found.duplicates} ingested twice",
            found.clean and not stuck and killed > 0 and found.duplicates <= killed,
        )
    ]


def main() -> int:
    """Kill runs in a sandbox of one's own, and print the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=12, help="at so many points, 0: at all (default: 12)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    return alone(lambda sandbox: run_figures(sandbox, options.kills or None))


if __name__ == "__main__":
    sys.exit(main())
