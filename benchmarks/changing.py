"""An export of which 1 % has changed since it was uploaded: how many calls are sent, and how much CPU it takes.

The first upload is sent and settled; the second is read, mapped, checked, planned and sent in a process of its own.
"""

import math
import os
import sys
from pathlib import Path

import urllib3

from benchmarks.ground import (
    AMAZON_WORKS_ELSEWHERE,
    MAPPING,
    make_export,
    put_source,
    requests_of,
    run_child,
    sandbox,
    spread,
)
from benchmarks.uploading import DAGSTER, STEPS, run_in_dagster
from jwo_catalog_pipeline.defs.resources import resources_from, settler
from jwo_catalog_pipeline.upload.results.polling import mark_reported
from jwo_catalog_pipeline.work_folder import work_folder

CHANGED_SHARE = 0.01
BATCH = 10_000  # items in a call, documented


def receive_all(control: str) -> None:
    """Have the sandbox process what it took, and take its messages into the ledger."""
    urllib3.request("POST", f"{control}/drain", timeout=600)
    resources = resources_from(os.environ)
    ledger, bucket = resources["storage"].open_ledger(), resources["storage"].open_bucket()
    inbox = resources["queue"].inbox(ledger, bucket)
    while inbox.receive(20) or mark_reported(ledger):
        pass


def settle(upload: str, control: str) -> None:
    """Have the sandbox process what it took, and take the results back."""
    receive_all(control)
    resources = resources_from(os.environ)
    with work_folder() as folder:
        _, problems = settler(resources["storage"], resources["catalog_api"]).settle(upload, folder)
    if resources["storage"].open_ledger().upload(upload).is_open:
        raise SystemExit(f"upload {upload} does not settle: {problems}")


def measure(rows: int, rounds: int, folder: Path) -> list[dict[str, str]]:
    """The second upload, each time against the first, and the plain script, which sends all; a row for each side."""
    (folder / "mapping.yaml").write_text(MAPPING)
    make_export(rows, folder / "first.csv")
    make_export(rows, folder / "second.csv", CHANGED_SHARE)
    # In processes of their own: clients are kept as long as their process, and each sandbox has its own address.
    settling = [sys.executable, "-m", "benchmarks.changing"]
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in (DAGSTER, STEPS)}
    plain = [_plain(folder) for _ in range(rounds)]
    for side, found in runs.items():
        with sandbox("--delay", "86400") as control:
            for number in range(rounds + 1):
                before, export = len(requests_of(control)), folder / ("second.csv" if number % 2 else "first.csv")
                found.append(_upload(side, export, folder / "mapping.yaml", str(number)))
                calls = requests_of(control)[before:]
                found[-1]["changed"] = sum(call["items"] for call in calls)
                found[-1]["needless"] = len(calls) - math.ceil(found[-1]["changed"] / BATCH)
                run_child([*settling, str(number), control])
    return [
        {
            "rows": f"{rows:,}",
            "side": side,
            "changed": spread([run["changed"] for run in found[1:]], 0),
            "calls more than needed": spread([run["needless"] for run in found[1:]], 0),
            "seconds": spread([run["ended"] - run["began"] for run in found[1:]]),
            "CPU s": spread([run["cpu"] for run in found[1:]]),
            "CPU to plain script": spread(
                [run["cpu"] / other["cpu"] for run, other in zip(found[1:], plain, strict=True)]
            ),
            "peak MB": spread([run["peak_mb"] for run in found[1:]], 0),
        }
        for side, found in runs.items()
    ]


def _upload(side: str, export: Path, mapping: Path, upload: str) -> dict[str, float]:
    if side == DAGSTER:
        put_source(export, mapping)
        return run_in_dagster(upload)
    return run_child([sys.executable, "-m", "benchmarks.uploading", str(export), str(mapping), upload])


def _plain(folder: Path) -> dict[str, float]:
    """The plain script compares nothing, so it sends all."""
    with sandbox(*AMAZON_WORKS_ELSEWHERE):
        command = [sys.executable, "-m", "benchmarks.plain_script"]
        return run_child([*command, str(folder / "second.csv"), str(folder / "mapping.yaml"), "0"])


if __name__ == "__main__":
    settle(sys.argv[1], sys.argv[2])
