"""What all benchmarks stand on: an export, a sandbox, and processes that are watched."""

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import duckdb
import urllib3

STORES = ["S1", "S2", "S3", "S4"]
MAPPING = """version: 1
fields:
  item_sku: sku
  external_product_id: restore_barcode(barcode)
  external_product_id_type: barcode_type(restore_barcode(barcode))
  item_name: clean(brand || ' ' || name)
  store_id: {expr: branch, values: {"012": S1, "045": S2, "101": S3, "102": S4}}
  standard_price: price(gross)
  brand_name: clean(brand)
  product_tax_code: {expr: tax, values: {"F": A_FOOD_GEN, "S": A_GEN_TAX}}
  product_category: category
"""
# Amazon's own work is done on its own machines, minutes later; here it would take the pipeline's two cores.
AMAZON_WORKS_ELSEWHERE = ("--read-late", "--delay", "86400")
WATCH_SECONDS = 0.02  # between two looks at a process's memory


def make_export(rows: int, path: Path, changed_share: float = 0.0) -> None:
    """A grocery export of 4 stores with 13-digit barcodes, one in a thousand with a wrong check digit.

    Args:
        rows: how many.
        path: a CSV file.
        changed_share: the share of the rows that have another price than in the export without this.
    """
    changed = f"i % {round(1 / changed_share)} = 3" if changed_share else "false"
    duckdb.sql(f"""COPY (
      WITH codes AS (
        SELECT i, printf('%012d', 200000000000 + (i // 4) * 7) AS body FROM range({rows}) t(i)
      ), digits AS (
        SELECT i, body, list_sum([CAST(body[n] AS INT) * CASE WHEN n % 2 = 0 THEN 3 ELSE 1 END
                                  FOR n IN range(1, 13)]) AS total FROM codes
      )
      SELECT 'A' || (i // 4) AS sku,
             body || (CASE WHEN i % 1000 = 7 THEN total + 5 ELSE 10 - total % 10 END) % 10 AS barcode,
             'Brand ' || i // 4 % 900 AS brand, 'Product no. ' || i // 4 || ' of the range' AS name,
             ['012', '045', '101', '102'][i % 4 + 1] AS branch,
             printf('%d.%02d', i % 90 + CASE WHEN {changed} THEN 100 ELSE 1 END, i % 100) AS gross,
             ['F', 'S'][i % 2 + 1] AS tax, 'Category ' || i % 30 AS category
      FROM digits ORDER BY i) TO '{path}' (HEADER)""")


@contextmanager
def sandbox(*options: str, limit: int = 0) -> Iterator[str]:
    """A sandbox of so many calls a second, whose environment is this process's; gives the address of its control."""
    command = [sys.executable, "-m", "jwo_catalog_pipeline.sandbox", "--requests-per-second", str(limit)]
    command += ["--stores", ",".join(STORES), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            description = json.loads(process.stdout.readline())
            os.environ.update({**description["environment"], "JWO_API_REQUESTS_PER_SECOND": str(limit)})
            yield description["control"]
        finally:
            process.terminate()


def requests_of(control: str) -> list[dict[str, Any]]:
    """The calls that reached the service."""
    return urllib3.request("GET", f"{control}/requests", timeout=60).json()


def put_source(export: Path, mapping: Path) -> None:
    """Put the export where the pipeline looks for it: in S3."""
    key = f"source/{export.name}"
    boto3.client("s3").upload_file(str(export), os.environ["JWO_BUCKET"], key)
    os.environ.update(JWO_SOURCE_URI=f"s3://{os.environ['JWO_BUCKET']}/{key}", JWO_MAPPING=str(mapping))


def run_child(command: Sequence[str], memory: int | None = None) -> dict[str, Any]:
    """Run a command to its end, with at most so many bytes of memory, those of its files in memory among them.

    Returns:
        What it printed as JSON in its last line, if it did, and `cpu` seconds and `peak_mb` of its process.
    """
    with (
        _memory_group(memory) as join,
        subprocess.Popen([*join, *command], stdout=subprocess.PIPE, text=True) as process,
    ):
        with ThreadPoolExecutor(1) as watcher:
            peak = watcher.submit(_peak_mb, process.pid)
            output = process.stdout.read()
            _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {output[-2000:]}")
    last = output.strip().splitlines()[-1] if output.strip() else ""
    found = json.loads(last) if last.startswith("{") else {}
    return {**found, "cpu": used.ru_utime + used.ru_stime, "peak_mb": peak.result()}


@contextmanager
def _memory_group(memory: int | None) -> Iterator[list[str]]:
    """What a command must begin with to run in a control group of so much memory; nothing where there is no limit.

    https://docs.kernel.org/admin-guide/cgroup-v1/memory.html; the second version has other names for the same.
    """
    if memory is None:
        yield []
        return
    first = Path("/sys/fs/cgroup/memory").is_dir()
    group = Path("/sys/fs/cgroup", "memory" if first else "", f"jwo-bench-{os.getpid()}")
    try:
        group.mkdir()
        (group / ("memory.limit_in_bytes" if first else "memory.max")).write_text(str(memory))
    except OSError as error:
        raise SystemExit(f"no control group can be made here ({error}): run this as root") from None
    try:
        yield ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]
    finally:
        group.rmdir()


def _peak_mb(pid: int) -> float:
    """Watch a process to its end; its resource usage would not do, for that counts what its parent had at the fork."""
    peak = 0
    while True:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except FileNotFoundError:
            return peak / 1024
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        if not found:  # it has ended, and nobody has asked for its exit code yet
            return peak / 1024
        peak = int(found[1])
        time.sleep(WATCH_SECONDS)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median, lowest and highest, for a table."""
    shown = [f"{value:,.{digits}f}" for value in (statistics.median(values), min(values), max(values))]
    return shown[0] if len(values) == 1 else f"{shown[0]} ({shown[1]} to {shown[2]})"
