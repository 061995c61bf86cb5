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
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import urllib3
from rich.console import Console
from rich.table import Table

from jwo_catalog_pipeline.catalog.mapping.loaded import load_mapping
from jwo_catalog_pipeline.catalog.mapping.transform import apply_mapping
from jwo_catalog_pipeline.catalog.source.options import ExportFile
from jwo_catalog_pipeline.catalog.source.reading import read_export
from jwo_catalog_pipeline.defs.failures import DemoError, RunFailed
from jwo_catalog_pipeline.defs.in_process import BrokenRule, Pipeline, follow, open_pipeline
from jwo_catalog_pipeline.defs.io_manager import table_key
from jwo_catalog_pipeline.defs.provenance import EXCLUDED, MERGED
from jwo_catalog_pipeline.defs.resources import StorageResource
from jwo_catalog_pipeline.defs.sensors import UPLOAD_JOB
from jwo_catalog_pipeline.demo.dagster_ui import POLL_SECONDS, check_port, serve_ui
from jwo_catalog_pipeline.storage import Bucket, NoSuchObject
from jwo_catalog_pipeline.table_file import TableFile
from jwo_catalog_pipeline.upload.model import upload_key
from jwo_catalog_pipeline.upload.queries import not_accepted, outcome_counts, upload_outcomes
from jwo_catalog_pipeline.wording import plural
from jwo_catalog_pipeline.work_folder import work_folder

HOME = Path(".demo")
SAMPLE = Path(__file__).parent / "sample"
PROCESSING_SECONDS = 2.0  # the sandbox takes this long over an ingestion; Amazon up to an hour
SETTLE_SECONDS = 300  # then the demo stops with an error


def run_demo(
    source: Path | None, mapping: Path | None, ui_port: int | None, *, as_json: bool, max_invalid_share: float = 0.05
) -> None:
    """Run the demo; with a UI it ends by Ctrl-C.

    Raises:
        PipelineError: the demo could not be started, or the catalog could not be read or sent, or did not settle.
    """
    if ui_port:
        check_port(ui_port)
    # However the demo is stopped, it stops the processes that it started.
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
        raise DemoError(f"the sandbox did not start (exit code {process.wait()})", "see its message above")
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
    bucket = StorageResource(bucket=os.environ["JWO_BUCKET"], ledger_table="").open_bucket()
    bucket.client.upload_file(str(source), bucket.name, f"source/{source.name}")
    os.environ["JWO_SOURCE_URI"] = uri


def _register_stores(source: Path, mapping_path: Path, control: str) -> None:
    """Tell the sandbox, as Amazon would know, which stores the retailer has: those of its own export."""
    mapping = load_mapping(mapping_path)
    with work_folder() as folder:
        rows = read_export([ExportFile(source, str(source))], mapping.source, folder / "source.parquet")
        items = apply_mapping(mapping, rows, folder).items
        stores = items.frame(["store_id"])["store_id"].dropna().unique()
    urllib3.request("POST", f"{control}/stores", json={"stores": sorted(stores)}, timeout=10)
    os.environ["JWO_STORE_IDS"] = ",".join(sorted(stores))


def _send_and_follow(console: Console, max_invalid_share: float) -> dict[str, Any]:
    """Run the upload and settle it, showing how far it is."""
    # Imported now, for it reads the environment.
    from jwo_catalog_pipeline.definitions import build_defs

    storage = StorageResource(bucket=os.environ["JWO_BUCKET"], ledger_table=os.environ["JWO_LEDGER_TABLE"])
    ledger, bucket = storage.open_ledger(), storage.open_bucket()
    upload = upload_key(datetime.now(UTC))

    def send(pipeline: Pipeline) -> list[BrokenRule]:
        ops = {"jwo_catalog": {"config": {"max_invalid_share": max_invalid_share}}}
        try:
            broken = pipeline.run(UPLOAD_JOB, upload, ops)
        except RunFailed as error:
            if kept := _keep_quarantined(bucket):
                where = f"the rows and their reasons are in {kept}"
                raise DemoError(error.problem, f"{error.remedy}; {where}" if error.remedy else where) from None
            raise
        _keep_quarantined(bucket)
        return broken

    with open_pipeline(build_defs(), os.environ["DAGSTER_HOME"]) as pipeline:
        start, doing = partial(send, pipeline), "read, map, check, plan"
        broken = follow(console, pipeline, ledger, upload, start, doing, SETTLE_SECONDS, POLL_SECONDS)
        with work_folder() as folder:
            return _summary(pipeline, upload, broken, upload_outcomes(ledger, bucket, upload, folder), bucket)


def _keep_quarantined(bucket: Bucket) -> Path | None:
    """The worklist as a file that outlives the sandbox; None where the run did not come so far."""
    try:
        rows = bucket.get_table(table_key("quarantined_items"))
    except NoSuchObject:
        return None
    target = HOME / "quarantined_items.csv"
    rows.to_csv(target, index=False)
    return target


def _summary(
    pipeline: Pipeline, upload: str, broken: list[BrokenRule], outcomes: TableFile, bucket: Bucket
) -> dict[str, Any]:
    """What happened, as plain values."""
    left_out = bucket.get_table(table_key("quarantined_items")).attrs
    return {
        "upload": upload,
        "source": os.environ["JWO_SOURCE_URI"],
        "source_rows": pipeline.row_count("source_catalog"),
        "items": {
            **outcome_counts(outcomes),
            "quarantined": pipeline.row_count("quarantined_items"),
            **{name: count for name in (EXCLUDED, MERGED) if (count := left_out.get(name))},
        },
        "quarantine_reasons": {rule.name: rule.rows for rule in broken if rule.stops},
        "warnings": {rule.name: rule.rows for rule in broken if not rule.stops},
        "rejection_reasons": not_accepted(outcomes).to_dict("records"),
        "files": {
            "ledger": f"DynamoDB table {os.environ['JWO_LEDGER_TABLE']}",
            "batches, reports and outcomes": bucket.uri(f"uploads/{upload}/"),
            "assets": bucket.uri("assets/"),
            "quarantined rows and their reasons": str(HOME / "quarantined_items.csv"),
        },
    }


def _show(console: Console, summary: dict[str, Any]) -> None:
    console.print(f"\n[bold]Upload {summary['upload']}[/bold]: {plural(summary['source_rows'], 'source row')}")
    table = Table()
    table.add_column("outcome")
    table.add_column("items", justify="right")
    for outcome, count in summary["items"].items():
        table.add_row(outcome, f"{count:,}")
    console.print(table)
    rejections = [
        (row["items"], f"{row['code'] or row['outcome']}, such as: {row['example']}")
        for row in summary["rejection_reasons"]
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
    console.print("\n[bold]Where the files are[/bold] (S3 and DynamoDB exist until the sandbox stops)")
    for name, place in summary["files"].items():
        console.print(f"  {name}: {place}", markup=False, soft_wrap=True)
