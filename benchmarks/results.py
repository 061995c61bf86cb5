"""From Amazon's messages to the outcome of every item, against DuckDB alone reading the same reports.

The upload is sent first, and the sandbox writes its reports; then the sensors' ticks are measured, and the run that
they ask for. Each side has a sandbox of its own.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import duckdb
import urllib3

from benchmarks.ground import MAPPING, make_export, put_source, run_child, sandbox, spread
from benchmarks.uploading import DAGSTER, STEPS, UPLOAD, run_in_dagster

ALONE = "DuckDB alone"
TICKING, SETTLING = "ticking", "settling"


def duckdb_alone(reports: Path) -> dict[str, float]:
    """The reports' items in one statement, from JSON to Parquet."""
    with duckdb.connect() as db:
        begin = time.perf_counter()
        db.execute(f"""
            COPY (
              SELECT ingestionId AS ingestion_id, item.store_id, item.item_sku,
                     CASE item.status WHEN 'SUCCESS' THEN 'accepted' ELSE 'rejected' END AS outcome,
                     item.errors[1].code AS code, item.errors[1].message AS message
              FROM (
                SELECT ingestionId, unnest(itemResults) AS item
                FROM read_json('{reports}/*.json', format = 'auto', maximum_object_size = 20000000, columns = {{
                  ingestionId: 'VARCHAR',
                  itemResults: 'STRUCT(item_sku VARCHAR, store_id VARCHAR, status VARCHAR,
                                       errors STRUCT(code VARCHAR, message VARCHAR)[])[]'
                }})
              )
            ) TO '{reports}/outcomes.parquet' (FORMAT parquet, COMPRESSION zstd)""")
        return {"seconds": time.perf_counter() - begin}


def settling() -> dict[str, float]:
    """What the asset does, without Dagster and its stored table."""
    from jwo_catalog_pipeline.defs.resources import resources_from, settler
    from jwo_catalog_pipeline.work_folder import work_folder

    resources = resources_from(os.environ)
    began = time.time()
    with work_folder() as folder:
        outcomes, problems = settler(resources["storage"], resources["catalog_api"]).settle(UPLOAD, folder)
        if problems:
            raise SystemExit(f"upload {UPLOAD} does not settle: {problems}")
        return {"began": began, "ended": time.time(), "items": outcomes.rows}


def ticking() -> dict[str, float]:
    """Evaluate the sensors until all reports are announced; how long the longest evaluation took."""
    from jwo_catalog_pipeline.defs.resources import resources_from
    from jwo_catalog_pipeline.defs.sensors import ingestion_results_sensor, overdue_ingestions_sensor
    from jwo_catalog_pipeline.upload.model import BatchState

    resources = resources_from(os.environ)
    ledger = resources["storage"].open_ledger()
    found: dict[str, list[float]] = {"results": [], "overdue": []}
    sensors = {"results": ingestion_results_sensor, "overdue": overdue_ingestions_sensor}
    began = time.time()
    with dg.DagsterInstance.ephemeral() as instance:
        while any(batch.state is not BatchState.REPORTED for batch in ledger.batches(UPLOAD)):
            for name, sensor in sensors.items():
                needed = {key: resources[key] for key in sensor.required_resource_keys}
                with dg.build_sensor_context(instance=instance, resources=needed) as context:
                    begin = time.perf_counter()
                    sensor(context)
                    found[name].append(time.perf_counter() - begin)
    return {
        "ticks": len(found["results"]),
        "all_ticks": time.time() - began,
        "longest_results_tick": max(found["results"]),
        "longest_overdue_tick": max(found["overdue"]),
    }


def run(side: str, folder: Path) -> dict[str, Any]:
    """One upload's results, and DuckDB alone over its reports."""
    this = [sys.executable, "-m", "benchmarks.results"]
    with sandbox("--delay", "86400") as control:
        put_source(folder / "export.csv", folder / "mapping.yaml")
        if side == DAGSTER:
            run_in_dagster()
        else:
            command = [sys.executable, "-m", "benchmarks.uploading"]
            run_child([*command, str(folder / "export.csv"), str(folder / "mapping.yaml"), UPLOAD])
        urllib3.request("POST", f"{control}/drain", timeout=1200)
        ticks = run_child([*this, TICKING])
        if side == DAGSTER:
            found = run_in_dagster(job="ingestion_results_job", step="ingestion_results")
        else:
            found = run_child([*this, SETTLING])
        reports = folder / "reports"
        _fetch_reports(reports)
        alone = run_child([*this, ALONE, str(reports)])["seconds"]
    seconds = found["ended"] - found["began"]
    del ticks["cpu"], ticks["peak_mb"]
    return {**ticks, **found, "seconds": seconds, "alone": alone, "to_alone": seconds / alone}


def _fetch_reports(folder: Path) -> None:
    """The reports as the pipeline has stored them."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    client, bucket = boto3.client("s3"), os.environ["JWO_BUCKET"]
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"uploads/{UPLOAD}/")
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", []) if "/reports/" in entry["Key"]]
    for number, key in enumerate(keys):
        client.download_file(bucket, key, str(folder / f"{number:04}.json"))


def measure(rows: int, rounds: int, folder: Path) -> list[dict[str, str]]:
    """Both sides in turn; a row of the table for each."""
    make_export(rows, folder / "export.csv")
    (folder / "mapping.yaml").write_text(MAPPING)
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in (DAGSTER, STEPS)}
    for _ in range(rounds):
        for side, runs in found.items():
            runs.append(run(side, folder))
    return [
        {
            "rows": f"{rows:,}",
            "side": side,
            "seconds": spread([one["seconds"] for one in runs]),
            "DuckDB alone, s": spread([one["alone"] for one in runs]),
            "time to DuckDB alone": spread([one["to_alone"] for one in runs]),
            "CPU µs an item": spread([1e6 * one["cpu"] / rows for one in runs], 1),
            "peak MB": spread([one["peak_mb"] for one in runs], 0),
            "ticks": spread([one["ticks"] for one in runs], 0),
            "longest tick of results, s": spread([one["longest_results_tick"] for one in runs]),
            "longest tick of overdue, s": spread([one["longest_overdue_tick"] for one in runs]),
        }
        for side, runs in found.items()
    ]


if __name__ == "__main__":
    what = sys.argv[1]
    if what == ALONE:
        print(json.dumps(duckdb_alone(Path(sys.argv[2]))))
    else:
        print(json.dumps({TICKING: ticking, SETTLING: settling}[what]()))
