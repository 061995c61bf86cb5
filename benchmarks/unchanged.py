"""How much CPU does it take to recognise that a catalog has not changed? And is anything sent?

    .venv/bin/python benchmarks/unchanged.py [--rows 1000000]

Uploads a catalog to the sandbox and settles it, then reads, maps, checks and plans the same export again in a process
of its own. The CPU time is that of all of the process's threads.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import urllib3
from mapping import MAPPING, make_export

CPU_TARGET_SECONDS = 8


def run(export: Path, mapping_path: Path, upload: str) -> dict[str, object]:
    """One upload as the assets do it; CPU seconds of each step, and what was sent."""
    from jwo_catalog_pipeline.catalog.applying import apply_mapping
    from jwo_catalog_pipeline.catalog.changes import counts_by_kind
    from jwo_catalog_pipeline.catalog.mapping import load_mapping
    from jwo_catalog_pipeline.catalog.reading import read_source
    from jwo_catalog_pipeline.catalog.schema import ITEM_FIELDS
    from jwo_catalog_pipeline.catalog.validation import validate
    from jwo_catalog_pipeline.resources import resources_from
    from jwo_catalog_pipeline.upload.planning import PlanSettings, make_plan
    from jwo_catalog_pipeline.upload.sending import Sender

    resources, fields = resources_from(os.environ), list(ITEM_FIELDS)
    ledger, bucket = resources["storage"].open_ledger(), resources["storage"].open_bucket()
    cpu, begin = {}, time.process_time()

    def step(name: str) -> None:
        nonlocal begin
        cpu[name], begin = round(time.process_time() - begin, 2), time.process_time()

    mapping = load_mapping(mapping_path)
    source = read_source(export, mapping.source, str(export))
    step("read")
    found = validate(apply_mapping(mapping, source))
    step("map and check")
    del source
    plan = make_plan(ledger, bucket, upload, found.valid, found.quarantined, fields, PlanSettings())
    step("plan")
    sender = Sender(ledger, bucket, resources["catalog_api"].client(ledger), owner="benchmark")
    batches = sender.apply(upload, plan.changes, fields)
    step("send")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    counts = {kind: count for kind, count in counts_by_kind(plan.changes).items() if count}
    return {"cpu": cpu, "counts": counts, "batches": len(batches), "peak_mb": round(peak)}


def settle(upload: str) -> None:
    """Take the results back."""
    from jwo_catalog_pipeline.resources import resources_from, settler
    from jwo_catalog_pipeline.upload.settling import mark_reported

    resources = resources_from(os.environ)
    ledger, bucket = resources["storage"].open_ledger(), resources["storage"].open_bucket()
    inbox = resources["queue"].inbox(ledger, bucket)
    for _ in range(20):  # a receive takes at most 20 s
        inbox.receive(20)
        mark_reported(ledger)
        _, problems = settler(resources["storage"], resources["catalog_api"]).settle(upload)
        if ledger.upload(upload)["state"] == "settled":
            return
    raise SystemExit(f"upload {upload} does not settle: {problems}")


@contextmanager
def sandbox(limit: int = 0, *extra: str) -> Iterator[str]:
    """A sandbox of so many calls a second, whose environment is this process's; gives the address of its control."""
    command = [sys.executable, "-m", "jwo_catalog_pipeline.sandbox", "--requests-per-second", str(limit), *extra]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            description = json.loads(process.stdout.readline())
            os.environ.update(
                {**description["environment"], "JWO_STORE_IDS": "", "JWO_API_REQUESTS_PER_SECOND": str(limit)}
            )
            yield description["control"]
        finally:
            process.terminate()


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        export, mapping_path, upload = arguments.child
        print(json.dumps(run(Path(export), Path(mapping_path), upload)))
        return
    with tempfile.TemporaryDirectory() as folder, sandbox() as control:
        export, mapping_path = Path(folder) / "export.csv", Path(folder) / "mapping.yaml"
        make_export(arguments.rows, export)
        mapping_path.write_text(MAPPING)
        urllib3.request("POST", f"{control}/stores", json={"stores": ["S1", "S2", "S3", "S4"]}, timeout=10)
        found = []
        for upload in ("first", "unchanged"):
            command = [sys.executable, __file__, "--child", str(export), str(mapping_path), upload]
            found.append(json.loads(subprocess.check_output(command)))
            print(upload, json.dumps(found[-1]), flush=True)
            if upload == "first":
                settle(upload)
    again = found[-1]
    seconds = again["cpu"]["plan"]
    print(f"\n{arguments.rows:,} rows: recognised as unchanged in {seconds} s of CPU (target {CPU_TARGET_SECONDS}), ")
    print(f"{sum(again['cpu'].values()):.1f} s from reading the export on; {again['batches']} requests sent")


if __name__ == "__main__":
    main()
