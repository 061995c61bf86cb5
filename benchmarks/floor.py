"""How near does an upload come to the API's floor, which is 10 calls a second of 10,000 items each?

    .venv/bin/python benchmarks/floor.py [--rows 200000] [--rounds 3]

Reads, maps, checks, plans and sends an export to a sandbox that keeps Amazon's limit; one batch at a time and ten at
once in turn, each time in a process of its own. The first call's time is that at which it reached the service.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import urllib3
from mapping import MAPPING, make_export
from unchanged import sandbox

LIMIT = 10  # calls a second, documented
# Amazon's own work is done on its own machines, minutes later; here it would take the pipeline's two cores.
LATER = ("--read-late", "--delay", "3600")
SIDES = {"one batch at a time": 1, "ten at once": 10}


def run(export: Path, mapping_path: Path, upload: str, at_once: int) -> dict[str, float]:
    """One upload as the assets do it; when it began, and how many seconds each step took."""
    from jwo_catalog_pipeline.catalog.applying import apply_mapping
    from jwo_catalog_pipeline.catalog.mapping import load_mapping
    from jwo_catalog_pipeline.catalog.reading import read_source
    from jwo_catalog_pipeline.catalog.schema import ITEM_FIELDS
    from jwo_catalog_pipeline.catalog.validation import validate
    from jwo_catalog_pipeline.resources import resources_from
    from jwo_catalog_pipeline.upload.planning import PlanSettings, make_plan
    from jwo_catalog_pipeline.upload.sending import Sender

    resources, fields = resources_from(os.environ), list(ITEM_FIELDS)
    ledger, bucket = resources["storage"].open_ledger(), resources["storage"].open_bucket()
    steps = {"began": time.time()}
    mapping = load_mapping(mapping_path)
    source = read_source(export, mapping.source, str(export))
    steps["read"] = time.time()
    found = validate(apply_mapping(mapping, source))
    steps["mapped"] = time.time()
    plan = make_plan(ledger, bucket, upload, found.valid, found.quarantined, fields, PlanSettings())
    steps["planned"] = time.time()
    sender = Sender(ledger, bucket, resources["catalog_api"].client(ledger), owner="benchmark", at_once=at_once)
    sender.apply(upload, plan.changes, fields)
    return {**steps, "sent": time.time()}


def measure(rows: int, at_once: int, folder: Path) -> dict[str, float]:
    """One upload to a fresh sandbox: seconds of each step, and the calls' time as a multiple of their floor."""
    with sandbox(LIMIT, *LATER) as control:
        urllib3.request("POST", f"{control}/stores", json={"stores": ["S1", "S2", "S3", "S4"]}, timeout=10)
        command = [sys.executable, __file__, "--child", str(folder), "--at-once", str(at_once)]
        steps = json.loads(subprocess.check_output(command))
        calls = urllib3.request("GET", f"{control}/requests", timeout=60).json()
    times = sorted(datetime.fromisoformat(call["time"]).timestamp() for call in calls)
    return {
        "requests": len(times),
        "read": steps["read"] - steps["began"],
        "map and check": steps["mapped"] - steps["read"],
        "plan": steps["planned"] - steps["mapped"],
        "record": times[0] - steps["planned"],
        "before the first call": times[0] - steps["began"],
        "from the first call to the end": steps["sent"] - times[0],
        "ratio": (steps["sent"] - times[0]) / (len(times) / LIMIT),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--at-once", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        found = run(options.child / "export.csv", options.child / "mapping.yaml", "upload", options.at_once)
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_export(options.rows, folder / "export.csv")
        (folder / "mapping.yaml").write_text(MAPPING)
        found = {side: [] for side in SIDES}
        for _ in range(options.rounds):
            for side, at_once in SIDES.items():
                found[side].append(measure(options.rows, at_once, folder))
    print(f"{options.rows:,} rows, {found['ten at once'][0]['requests']:.0f} requests, median of {options.rounds}")
    for side, rounds in found.items():
        print(f"\n{side}")
        for figure in rounds[0]:
            values = [each[figure] for each in rounds]
            print(f"  {figure:32}{statistics.median(values):8.2f}   ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    main()
