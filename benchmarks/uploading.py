"""An upload against the API's floor, against a plain script, and against dlt with a custom destination.

The floor is what Amazon's limit allows: 10 calls a second of at most 10,000 items each. Each side sends the same export
to a sandbox of its own, in a process of its own; when a call came in, the sandbox says.
"""

import json
import os
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import dagster as dg

from benchmarks import reading
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

LIMIT = 10  # calls a second, documented
UPLOAD = "benchmark"
DAGSTER, STEPS, PLAIN, DLT = "the whole run in Dagster", "the pipeline's steps", "plain script", "dlt"
SIDES = [DAGSTER, STEPS, PLAIN, DLT]


def run_steps(export: Path, mapping_path: Path, upload: str) -> dict[str, float]:
    """One upload as the assets do it, without Dagster and its stored tables: when each step ended, CPU of all."""
    from jwo_catalog_pipeline.catalog.mapping.loaded import load_mapping
    from jwo_catalog_pipeline.catalog.mapping.transform import apply_mapping
    from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS
    from jwo_catalog_pipeline.catalog.rules.validation import validate
    from jwo_catalog_pipeline.catalog.source.options import ExportFile
    from jwo_catalog_pipeline.catalog.source.reading import read_export
    from jwo_catalog_pipeline.defs.resources import resources_from
    from jwo_catalog_pipeline.upload.plan.plan import PlanSettings, make_plan
    from jwo_catalog_pipeline.upload.send.sender import Sender
    from jwo_catalog_pipeline.work_folder import work_folder

    resources, fields = resources_from(os.environ), list(ITEM_FIELDS)
    ledger, bucket = resources["storage"].open_ledger(), resources["storage"].open_bucket()
    steps, cpu = {"began": time.time()}, time.process_time()
    mapping = load_mapping(mapping_path)
    with work_folder() as folder:
        source = read_export([ExportFile(export, str(export))], mapping.source, folder / "source.parquet")
        steps["read"] = time.time()
        found = validate(apply_mapping(mapping, source, folder).items, folder)
        steps["mapped and checked"] = time.time()
        plan = make_plan(ledger, bucket, upload, found.valid, found.quarantined, fields, PlanSettings(), folder)
        steps["planned"] = time.time()
        sender = Sender(ledger, bucket, resources["catalog_api"].client(ledger), owner="benchmark")
        sender.apply(upload, plan.changes, fields)
    return {**steps, "ended": time.time(), "cpu_steps": time.process_time() - cpu}


def run_in_dagster(
    upload: str = UPLOAD, memory: int | None = None, job: str = "catalog_upload_job", step: str = "ingestion_record"
) -> dict[str, float]:
    """A job as Dagster runs it, in a process of its own, see `run_child`; when the run began, and a step ended."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["DAGSTER_HOME"] = home
        Path(home, "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        with dg.DagsterInstance.get() as instance:
            instance.add_dynamic_partitions("catalog_uploads", [upload])
            command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "jwo_catalog_pipeline.definitions"]
            command += ["-j", job, "--tags", json.dumps({"dagster/partition": upload})]
            # Its log goes nowhere: the events are what is read.
            found = run_child(["sh", "-c", 'exec "$@" 2>/dev/null', "sh", *command], memory)
            (run,) = instance.get_run_records()
            times = {
                record.dagster_event.event_type_value: record.timestamp
                for record in instance.all_logs(run.dagster_run.run_id)
                if record.dagster_event and record.dagster_event.step_key in (None, step)
            }
    return {**found, "began": times["PIPELINE_START"], "ended": times["STEP_SUCCESS"]}


def run(side: str, folder: Path, limit: int, memory: int | None = None) -> dict[str, float]:
    """One upload to a fresh sandbox: what `run_child` gives, and what the calls say."""
    export, mapping = folder / "export.csv", folder / "mapping.yaml"
    with sandbox(*AMAZON_WORKS_ELSEWHERE, limit=limit) as control:
        if side == DAGSTER:
            put_source(export, mapping)
            found = run_in_dagster(memory=memory)
        else:
            script = {STEPS: "uploading", PLAIN: "plain_script", DLT: "dlt_script"}[side]
            command = [sys.executable, "-m", f"benchmarks.{script}", str(export), str(mapping), UPLOAD]
            found = run_child(command, memory)
        calls = requests_of(control)
    first = min(datetime.fromisoformat(call["time"]).timestamp() for call in calls)
    accepted = [call for call in calls if call["http_status"] == 201]
    sending = found["ended"] - first
    return {
        **found,
        "first": first,
        "in_all": found["ended"] - found["began"],
        "before": first - found["began"],
        "sending": sending,
        "items": sum(call["items"] for call in accepted),
        "to_floor": sending / (len(accepted) / LIMIT),
        "before_to_floor": (first - found["began"]) / (len(accepted) / LIMIT),
        "items_a_second": sum(call["items"] for call in accepted) / sending,
        "needless": len(calls) - len(accepted),
    }


def measure(
    rows: int, rounds: int, folder: Path, limit: int = LIMIT, sides: list[str] = SIDES
) -> tuple[list[dict[str, str]], dict[str, list[dict[str, float]]]]:
    """All sides in turn; the rows of the table, and the figures."""
    make_export(rows, folder / "export.csv")
    (folder / "mapping.yaml").write_text(MAPPING)
    found: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for _ in range(rounds):
        alone = run_child([sys.executable, "-m", "benchmarks.reading", reading.ALONE, str(folder)])["seconds"]
        for side, runs in found.items():
            runs.append(run(side, folder, limit))
            runs[-1]["before_to_alone"] = runs[-1]["before"] / alone
    if len({one["items"] for runs in found.values() for one in runs}) > 1:
        raise SystemExit(f"the sides sent different numbers of items: {found}")
    table = [_row(rows, side, runs, found.get(PLAIN)) for side, runs in found.items()]
    return table, found


def _row(rows: int, side: str, runs: list[dict[str, float]], plain: list[dict[str, float]] | None) -> dict[str, str]:
    def ratio(figure: str) -> str:
        if not plain:
            return ""
        return spread([one[figure] / other[figure] for one, other in zip(runs, plain, strict=True)])

    return {
        "rows": f"{rows:,}",
        "side": side,
        "before the first call, s": spread([one["before"] for one in runs]),
        "that, to DuckDB alone": spread([one["before_to_alone"] for one in runs]),
        "from it to the last acceptance, s": spread([one["sending"] for one in runs]),
        "that, to the floor": spread([one["to_floor"] for one in runs]),
        "time to plain script": ratio("in_all"),
        "CPU to plain script": ratio("cpu"),
        "CPU µs an item": spread([1e6 * one["cpu"] / rows for one in runs], 1),
        "peak MB": spread([one["peak_mb"] for one in runs], 0),
        "calls too many": spread([one["needless"] for one in runs], 0),
    }


if __name__ == "__main__":
    print(json.dumps(run_steps(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])))
