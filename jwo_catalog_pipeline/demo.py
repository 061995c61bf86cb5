"""`jwo-catalog demo`: a catalog goes the whole way against the sandbox, with a progress display, in one command.

It runs the same jobs and sensors that `dagster dev` runs, in this process; the UI comes afterwards.
"""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import boto3
import dagster as dg
import pandas as pd
import urllib3
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from jwo_catalog_pipeline.assets import catalog_uploads
from jwo_catalog_pipeline.catalog.applying import apply_mapping
from jwo_catalog_pipeline.catalog.errors import CatalogError
from jwo_catalog_pipeline.catalog.mapping import load_mapping
from jwo_catalog_pipeline.catalog.reading import read_source
from jwo_catalog_pipeline.demo_ui import POLL_SECONDS, check_port, serve_ui
from jwo_catalog_pipeline.failures import DemoError
from jwo_catalog_pipeline.resources import StorageResource
from jwo_catalog_pipeline.sensors import ingestion_results_sensor
from jwo_catalog_pipeline.storage import Bucket, NoSuchObject
from jwo_catalog_pipeline.upload.records import upload_key
from jwo_catalog_pipeline.upload.settling import not_accepted, upload_outcomes

T = TypeVar("T")

HOME = Path(".demo")
SAMPLE = Path(__file__).parent / "sample"
PROCESSING_SECONDS = 2.0  # the sandbox takes this long over an ingestion; Amazon up to an hour
SETTLE_SECONDS = 300  # after which the demo gives up and says so


@dataclass(frozen=True)
class Pipeline:
    """The pipeline's definitions and instance in this process."""

    defs: dg.Definitions
    instance: dg.DagsterInstance

    def run(self, job: str, upload: str, ops: dict[str, Any] | None = None) -> list[dg.AssetCheckEvaluation]:
        """Run a job for an upload and give its checks; a failure's own sentence becomes the error."""
        result = self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            partition_key=upload,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}, "ops": ops or {}},
        )
        if not result.success:
            failures = [event for event in result.all_events if event.is_step_failure]
            raise DemoError(_sentence(failures[0]) if failures else f"{job} failed before its first step")
        return list(result.get_asset_check_evaluations())

    def fetch_results(self, upload: str) -> None:
        """One tick of the results sensor, and the run that it asks for."""
        needed = {key: (self.defs.resources or {})[key] for key in ingestion_results_sensor.required_resource_keys}
        with dg.build_sensor_context(instance=self.instance, resources=needed) as context:
            tick = ingestion_results_sensor(context)
        if isinstance(tick, dg.SensorResult):
            self.run("ingestion_results_job", upload)

    def row_count(self, asset: str) -> int:
        """Rows of an asset's newest materialization."""
        event = self.instance.get_latest_materialization_event(dg.AssetKey(asset))
        found = event.asset_materialization if event else None
        return int(found.metadata["dagster/row_count"].value) if found else 0  # type: ignore[arg-type]


def run_demo(
    source: Path | None, mapping: Path | None, ui_port: int | None, *, as_json: bool, max_invalid_share: float = 0.05
) -> None:
    """Run the demo; with a UI it ends by Ctrl-C.

    Raises:
        DemoError: the catalog could not be sent, or did not settle.
    """
    if ui_port:
        check_port(ui_port)
    # Whoever ends the demo, and however, ends what it started as well.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    console = Console(stderr=as_json, highlight=False)
    source, mapping = (source or SAMPLE / "grocery.csv").resolve(), (mapping or SAMPLE / "mapping.yaml").resolve()
    logging.disable(logging.INFO)  # the progress display says it
    shutil.rmtree(HOME, ignore_errors=True)
    home = (HOME / "dagster_home").resolve()
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\nnux:\n  enabled: false\n")
    with _sandbox(console) as (environment, control):
        _configure({**environment, "DAGSTER_HOME": str(home), "JWO_MAPPING": str(mapping)})
        _put_source(source)
        if source.parent != SAMPLE:
            _register_stores(source, mapping, control)
        summary = _send_and_follow(console, max_invalid_share)
        if as_json:
            sys.stdout.write(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
        else:
            _show(console, summary)
        if ui_port:
            serve_ui(console, HOME, ui_port)


@contextmanager
def _sandbox(console: Console) -> Iterator[tuple[dict[str, str], str]]:
    command = [sys.executable, "-m", "jwo_catalog_pipeline.sandbox", "--delay", str(PROCESSING_SECONDS)]
    with console.status("starting the sandbox: a local AWS and a local JWO service"):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise DemoError(f"the sandbox did not start (exit code {process.wait()}); its message stands above")
    description = json.loads(line)
    try:
        yield description["environment"], description["control"]
    finally:
        process.terminate()
        process.wait()


def _configure(environment: dict[str, str]) -> None:
    """Nothing of the caller's own configuration may leak in: a demo must never reach a real account."""
    for name in list(os.environ):
        if name.startswith(("JWO_", "AWS_", "DAGSTER_")):
            del os.environ[name]
    os.environ.update(environment)
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull


def _put_source(source: Path) -> None:
    uri = f"s3://{os.environ['JWO_BUCKET']}/source/{source.name}"
    boto3.client("s3").upload_file(str(source), os.environ["JWO_BUCKET"], f"source/{source.name}")
    os.environ["JWO_SOURCE_URI"] = uri


def _register_stores(source: Path, mapping_path: Path, control: str) -> None:
    """Tell the sandbox, as Amazon would know, which stores the retailer has: those of its own export."""
    try:
        mapping = load_mapping(mapping_path)
        stores = apply_mapping(mapping, read_source(source, mapping.source, str(source)))["store_id"].dropna().unique()
    except CatalogError as error:
        raise DemoError(str(error)) from None
    urllib3.request("POST", f"{control}/stores", json={"stores": sorted(stores)})
    os.environ["JWO_STORE_IDS"] = ",".join(sorted(stores))


def _send_and_follow(console: Console, max_invalid_share: float) -> dict[str, Any]:
    """Run the upload and settle it, showing how far it is."""
    # Imported now, for it reads the environment.
    from jwo_catalog_pipeline.definitions import build_defs

    storage = StorageResource(bucket=os.environ["JWO_BUCKET"], ledger_table=os.environ["JWO_LEDGER_TABLE"])
    ledger, bucket = storage.open_ledger(), storage.open_bucket()
    pipeline = Pipeline(build_defs(), dg.DagsterInstance.get())
    upload = upload_key(datetime.now(UTC))
    pipeline.instance.add_dynamic_partitions(str(catalog_uploads.name), [upload])
    with _progress(console) as progress, ThreadPoolExecutor(1) as pool:
        reading = progress.add_task("read, map, check, plan", total=None)
        sending = progress.add_task("batches accepted", total=None, visible=False)
        settling = progress.add_task("items settled", total=None, visible=False)

        def show() -> None:
            if record := ledger.upload(upload):
                batches = ledger.batches(upload)
                accepted = sum(bool(batch.ingestion_id) for batch in batches)
                settled = sum(batch.items for batch in batches if batch.state.final)
                progress.update(reading, total=1, completed=1)
                progress.update(sending, total=record["batches"], completed=accepted, visible=True)
                progress.update(settling, total=record["items"], completed=settled, visible=True)

        ops = {"jwo_catalog": {"config": {"max_invalid_share": max_invalid_share}}}
        try:
            checks = _until_done(pool.submit(pipeline.run, "catalog_upload_job", upload, ops), show)
        except DemoError as error:
            if kept := _keep_quarantined(bucket):
                raise DemoError(f"{error}. The rows and their reasons are in {kept}") from None
            raise
        _keep_quarantined(bucket)
        deadline = time.monotonic() + SETTLE_SECONDS
        while (record := ledger.upload(upload)) and record["state"] == "open":
            if time.monotonic() > deadline:
                raise DemoError(f"upload {upload} has not settled after {SETTLE_SECONDS} s; see `dagster dev`'s logs")
            _until_done(pool.submit(pipeline.fetch_results, upload), show)
            time.sleep(POLL_SECONDS)
        show()
    return _summary(pipeline, upload, checks, upload_outcomes(ledger, bucket, upload), bucket)


def _keep_quarantined(bucket: Bucket) -> Path | None:
    """The worklist as a file that outlives the sandbox; None where the run did not come so far."""
    try:
        rows = bucket.get_table("assets/quarantined_items.parquet")
    except NoSuchObject:
        return None
    target = HOME / "quarantined_items.csv"
    rows.to_csv(target, index=False)
    return target


def _until_done(work: Future[T], show: Callable[[], None]) -> T:
    while not work.done():
        show()
        time.sleep(POLL_SECONDS)
    return work.result()


def _progress(console: Console) -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console)


def _summary(
    pipeline: Pipeline, upload: str, checks: list[dg.AssetCheckEvaluation], outcomes: pd.DataFrame, bucket: Bucket
) -> dict[str, Any]:
    """What happened, as plain values."""
    broken: dict[dg.AssetCheckSeverity, dict[str, Any]] = {severity: {} for severity in dg.AssetCheckSeverity}
    for check in checks:
        if not check.passed:
            broken[check.severity][check.check_name] = check.metadata["rows"].value
    return {
        "upload": upload,
        "source": os.environ["JWO_SOURCE_URI"],
        "source_rows": pipeline.row_count("source_catalog"),
        "items": {
            **{str(name): int(count) for name, count in outcomes["outcome"].value_counts().items()},
            "quarantined": pipeline.row_count("quarantined_items"),
        },
        "quarantine_reasons": broken[dg.AssetCheckSeverity.ERROR],
        "warnings": broken[dg.AssetCheckSeverity.WARN],
        "rejection_reasons": not_accepted(outcomes).to_dict("records"),
        "files": {
            "ledger": f"DynamoDB table {os.environ['JWO_LEDGER_TABLE']}",
            "batches, reports and outcomes": bucket.uri(f"uploads/{upload}/"),
            "assets": bucket.uri("assets/"),
            "quarantined rows and their reasons": str(HOME / "quarantined_items.csv"),
        },
    }


def _show(console: Console, summary: dict[str, Any]) -> None:
    console.print(f"\n[bold]Upload {summary['upload']}[/bold]: {summary['source_rows']:,} source rows")
    table = Table()
    table.add_column("outcome")
    table.add_column("items", justify="right")
    for outcome, count in summary["items"].items():
        table.add_row(outcome, f"{count:,}")
    console.print(table)
    rejections = [
        (each["items"], f"{each['code'] or each['outcome']}, such as: {each['example']}")
        for each in summary["rejection_reasons"]
    ]
    for title, reasons in (
        ("Not accepted by the service, items by code", rejections),
        (
            "Quarantined before sending, rows by rule (a row may break several)",
            [(n, rule) for rule, n in summary["quarantine_reasons"].items()],
        ),
        ("Warnings, rows by rule (a warning stops no row)", [(n, rule) for rule, n in summary["warnings"].items()]),
    ):
        if reasons:
            console.print(f"\n[bold]{title}[/bold]")
            for count, reason in reasons:
                console.print(f"  {count:6,}  {reason}", markup=False)
    console.print("\n[bold]Where the files are[/bold] (s3 and DynamoDB in the sandbox, until it stops)")
    for name, place in summary["files"].items():
        console.print(f"  {name}: {place}", markup=False, soft_wrap=True)


def _sentence(event: dg.DagsterEvent) -> str:
    """What a failed step's own error says."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    while error and error.cause:
        error = error.cause
    return error.message.strip() if error else f"step {event.step_key} failed"
