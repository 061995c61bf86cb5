"""The AWS bill of a month, from the calls that uploads and idle sensors were seen to make.

Not in it: what leaves AWS for the Catalog API (data transfer out is counted, Amazon's own API costs nothing), tax,
support, and free tiers. Sizes of updated items are taken as 1 KB, which holds for all but batches with long messages.
"""

import json
import math
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import dagster as dg

from benchmarks.changing import CHANGED_SHARE, receive_all
from benchmarks.ground import MAPPING, make_export, put_source, run_child, sandbox

# US dollars, list prices of us-east-1 in 2026 as far as known; put in your own before you budget.
PRICES = {
    "S3: 1,000 writes": 0.005,
    "S3: 1,000 reads": 0.0004,
    "S3: GB stored for a month": 0.023,
    "DynamoDB: 1,000,000 write units": 0.625,
    "DynamoDB: 1,000,000 read units": 0.125,
    "SQS and SNS: 1,000,000 calls": 0.40,
    "CloudWatch: a metric": 0.30,
    "CloudWatch: an alarm": 0.10,
    "CloudWatch: GB of logs": 0.50,
    "Fargate: vCPU hour": 0.04048,
    "Fargate: GB hour": 0.004445,
    "RDS: db.t4g.small hour": 0.032,
    "RDS: GB of disk for a month": 0.115,
    "network: GB out": 0.09,
    "network: NAT gateway hour": 0.045,
    "network: GB through NAT": 0.045,
    "Secrets Manager: a secret": 0.40,
}
FULL_A_DAY, DELTAS_A_DAY, DAYS, HOURS = 1, 24, 30, 730
KEPT_DAYS = 365  # of what each upload leaves in the bucket: nothing expires by itself
OVERWRITTEN_DAYS = 90  # of tables that the next run overwrites: NoncurrentDays of deploy/cloudformation.yaml
_OVERWRITTEN = re.compile(r"assets/[^/]+\.parquet")
SERVICES_VCPU, SERVICES_GB = 3 * 0.5, 3 * 1.0  # webserver, daemon, code location
RUN_VCPU, RUN_GB, RUN_OVERHEAD_SECONDS = 2, 4, 90  # a run's task, and what starting a task and the first step takes
DISK_GB, LOG_GB, SECRETS, METRICS = 20, 2, 1, 1
ALARMS = 5 + 3 * 2  # those of services compare two metrics, and each is billed
TICKS_A_DAY = {
    "ingestion_results_sensor": 86_400 // 5,
    "overdue_ingestions_sensor": 1440,
    "waiting_items_sensor": 2880,
    "alerts_sensor": 1440,
    "source_catalog_sensor": 1440,
}
Counts = Counter[str]


def count_calls(counts: Counts) -> None:
    """Count what every client that this process makes from now on asks of AWS, in the units of its price."""

    def asked(params: dict[str, Any], model: Any, **_: Any) -> None:
        service, operation = model.service_model.service_name, model.name
        if service == "s3":
            counts["S3 writes" if operation in ("PutObject", "ListObjectsV2") else "S3 reads"] += 1
            if operation == "PutObject":
                kept = "overwritten" if _OVERWRITTEN.fullmatch(params["Key"]) else "kept"
                counts[f"bytes {kept}"] += len(params["Body"])
                counts["bytes sent"] += len(params["Body"]) if "/batches/" in params["Key"] else 0
        elif service == "dynamodb":
            counts["DynamoDB writes"] += _write_units(operation, params)
        else:
            counts["messages"] += service in ("sqs", "sns")

    def answered(parsed: dict[str, Any], model: Any, **_: Any) -> None:
        if model.service_model.service_name == "dynamodb" and model.name in ("GetItem", "Query"):
            found = parsed.get("Items") or parsed.get("Item") or ""
            counts["DynamoDB reads"] += max(1, math.ceil(len(str(found)) / 4096))

    boto3.setup_default_session()
    events = boto3.DEFAULT_SESSION.events
    events.register("provide-client-params", asked)
    events.register("after-call", answered)


def _write_units(operation: str, params: dict[str, Any]) -> int:
    if operation == "TransactWriteItems":
        items = [part.get("Put", {}).get("Item", {}) for part in params["TransactItems"]]
        return sum(2 * math.ceil(max(1, len(str(item))) / 1024) for item in items)
    if operation in ("PutItem", "UpdateItem", "DeleteItem"):
        return math.ceil(max(1, len(str(params.get("Item", "")))) / 1024)
    return 0


def upload_and_settle(export: Path, mapping: Path, upload: str, control: str) -> dict[str, float]:
    """One upload with its results, as Dagster runs it."""
    put_source(export, mapping)
    counts: Counts = Counter()
    count_calls(counts)
    began = time.time()
    from jwo_catalog_pipeline.definitions import defs

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("catalog_uploads", [upload])
        for job in ("catalog_upload_job", "ingestion_results_job"):
            defs.resolve_job_def(job).execute_in_process(instance=instance, partition_key=upload)
            if job == "catalog_upload_job":
                receive_all(control)
    return {**counts, "seconds": time.time() - began}


def idle_ticks() -> dict[str, float]:
    """What one tick of each sensor asks while nothing happens, times the ticks of a day."""
    from jwo_catalog_pipeline.defs import sensors
    from jwo_catalog_pipeline.defs.resources import resources_from

    total: Counts = Counter()
    with dg.DagsterInstance.ephemeral() as instance:
        for name, ticks in TICKS_A_DAY.items():
            sensor, counts = getattr(sensors, name), Counter[str]()
            everything = resources_from(os.environ)
            needed = {key: everything[key] for key in sensor.required_resource_keys}
            with dg.build_sensor_context(instance=instance, resources=needed) as context:
                sensor(context)  # the first makes the clients, and may have something to do
                count_calls(counts)
                _forget_clients()
                sensor(context)
            total.update({unit: count * ticks for unit, count in counts.items()})
    return dict(total)


def _forget_clients() -> None:
    from jwo_catalog_pipeline import aws
    from jwo_catalog_pipeline.defs import resources

    for cached in (
        aws.aws_client,
        aws.dynamodb_table,
        resources._budget,
        resources._credentials,
    ):
        cached.cache_clear()


def bill(full: dict[str, float], delta: dict[str, float], idle: dict[str, float]) -> list[tuple[str, float, float]]:
    """The lines of a month's bill: what, how much of it in the unit of its price, US dollars."""

    def a_month(unit: str) -> float:
        uploads = FULL_A_DAY * full.get(unit, 0) + DELTAS_A_DAY * delta.get(unit, 0)
        return DAYS * (uploads + idle.get(unit, 0))

    runs = FULL_A_DAY * 2 + DELTAS_A_DAY * 2  # one that sends, one that takes the results
    busy = FULL_A_DAY * full["seconds"] + DELTAS_A_DAY * delta["seconds"] + runs * RUN_OVERHEAD_SECONDS
    run_hours, sent_gb = DAYS * busy / 3600, a_month("bytes sent") / 1e9
    stored = a_month("bytes kept") * KEPT_DAYS / DAYS + a_month("bytes overwritten") * OVERWRITTEN_DAYS / DAYS
    used = {
        "S3: 1,000 writes": a_month("S3 writes") / 1e3,
        "S3: 1,000 reads": a_month("S3 reads") / 1e3,
        "S3: GB stored for a month": stored / 1e9,
        "DynamoDB: 1,000,000 write units": a_month("DynamoDB writes") / 1e6,
        "DynamoDB: 1,000,000 read units": a_month("DynamoDB reads") / 1e6,
        "SQS and SNS: 1,000,000 calls": a_month("messages") / 1e6,
        "CloudWatch: a metric": METRICS,
        "CloudWatch: an alarm": ALARMS,
        "CloudWatch: GB of logs": LOG_GB,
        "Fargate: vCPU hour": HOURS * SERVICES_VCPU + run_hours * RUN_VCPU,
        "Fargate: GB hour": HOURS * SERVICES_GB + run_hours * RUN_GB,
        "RDS: db.t4g.small hour": HOURS,
        "RDS: GB of disk for a month": DISK_GB,
        "network: GB out": sent_gb,
        "network: NAT gateway hour": HOURS,
        "network: GB through NAT": 2 * sent_gb,
        "Secrets Manager: a secret": SECRETS,
    }
    return [(name, amount, amount * PRICES[name]) for name, amount in used.items()]


def measure(rows: int, folder: Path) -> list[dict[str, str]]:
    """The bill as a table, with its total."""
    (folder / "mapping.yaml").write_text(MAPPING)
    make_export(rows, folder / "first.csv")
    make_export(rows, folder / "second.csv", CHANGED_SHARE)
    command = [sys.executable, "-m", "benchmarks.costing"]
    with sandbox("--delay", "86400") as control:
        full, delta = (
            run_child([*command, str(folder / f"{name}.csv"), str(folder / "mapping.yaml"), name, control])
            for name in ("first", "second")
        )
        idle = run_child([*command, "idle"])
    lines = bill(full, delta, idle)
    table = [{"what": name, "a month": f"{amount:,.2f}", "US$": f"{cost:,.2f}"} for name, amount, cost in lines]
    return [*table, {"what": f"in all, {rows:,} items", "a month": "", "US$": f"{sum(line[2] for line in lines):,.2f}"}]


if __name__ == "__main__":
    given = sys.argv[1:]
    found: Callable[[], dict[str, float]] = (
        idle_ticks if given == ["idle"] else lambda: upload_and_settle(Path(given[0]), Path(given[1]), *given[2:])
    )
    print(json.dumps(found()))
