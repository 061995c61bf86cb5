"""An export of which 1 % has changed since it was uploaded: how many calls are sent, and how much CPU it takes.

The first upload is sent and settled; the second is read, mapped, checked, planned and sent in a process of its own.
"""

import math
import os
import sys
from pathlib import Path

import urllib3

from benchmarks.ground import MAPPING, make_export, requests_of, run_child, sandbox, spread
from jwo_catalog_pipeline.defs.resources import resources_from, settler
from jwo_catalog_pipeline.upload.results.polling import mark_reported

CHANGED_SHARE = 0.01
BATCH = 10_000  # items in a call, documented


def receive_all(control: str) -> None:
    """Have the sandbox process what it took, and take its messages into the ledger."""
    urllib3.request("POST", f"{control}/drain", timeout=600)
    resources = resources_from(os.environ)
    ledger, bucket = resources["storage"].open_ledger(), resources["storage"].open_bucket()
    inbox = resources["queue"].inbox(ledger, bucket)
    while inbox.receive(20):
        mark_reported(ledger)


def settle(upload: str, control: str) -> None:
    """Have the sandbox process what it took, and take the results back."""
    receive_all(control)
    resources = resources_from(os.environ)
    _, problems = settler(resources["storage"], resources["catalog_api"]).settle(upload)
    if resources["storage"].open_ledger().upload(upload).is_open:
        raise SystemExit(f"upload {upload} does not settle: {problems}")


def measure(rows: int, rounds: int, folder: Path) -> list[dict[str, str]]:
    """The second upload, each time against the first; the row of the table."""
    (folder / "mapping.yaml").write_text(MAPPING)
    make_export(rows, folder / "first.csv")
    make_export(rows, folder / "second.csv", CHANGED_SHARE)
    command = [sys.executable, "-m", "benchmarks.uploading"]
    # In processes of their own: clients are kept as long as their process, and each sandbox has its own address.
    settling = [sys.executable, "-m", "benchmarks.changing"]
    runs, calls = [], 0
    with sandbox("--delay", "86400") as control:
        run_child([*command, str(folder / "first.csv"), str(folder / "mapping.yaml"), "0"])
        run_child([*settling, "0", control])
        for number in range(1, rounds + 1):
            before, export = len(requests_of(control)), folder / ("second.csv" if number % 2 else "first.csv")
            runs.append(run_child([*command, str(export), str(folder / "mapping.yaml"), str(number)]))
            calls = requests_of(control)[before:]
            runs[-1]["changed"] = sum(call["items"] for call in calls)
            runs[-1]["needless"] = len(calls) - math.ceil(runs[-1]["changed"] / BATCH)
            run_child([*settling, str(number), control])
    return [
        {
            "rows": f"{rows:,}",
            "changed": spread([run["changed"] for run in runs], 0),
            "calls more than needed": spread([run["needless"] for run in runs], 0),
            "seconds": spread([run["ended"] - run["began"] for run in runs]),
            "CPU s in all": spread([run["cpu"] for run in runs]),
            "of these, until the last call": spread([run["cpu_steps"] for run in runs]),
            "peak MB": spread([run["peak_mb"] for run in runs], 0),
        }
    ]


if __name__ == "__main__":
    settle(sys.argv[1], sys.argv[2])
