"""What a person waits for: `dagster dev` until its UI lists the assets, a run until its first step, results, --help."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import urllib3

from benchmarks.ground import MAPPING, make_export, put_source, run_child, sandbox, spread

ROOT = Path(__file__).parents[1]
EMPTY_PROJECT = """import dagster as dg


@dg.asset
def nothing() -> None:
    pass


defs = dg.Definitions(assets=[nothing])
"""
POLL_SECONDS, LONGEST_SECONDS = 0.05, 180
ROWS = 1000  # of the upload whose results are waited for


class Ui:
    """A starting or running `dagster dev`."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/graphql"

    def ask(self, query: str, **variables: Any) -> Any:
        """The answer to a GraphQL query."""
        body = {"query": query, "variables": variables}
        return urllib3.request("POST", self._url, json=body, timeout=20, retries=False).json()["data"]

    def until(self, question: Callable[["Ui"], Any]) -> Any:
        """Ask until there is an answer."""
        deadline = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < deadline:
            with suppress(urllib3.exceptions.HTTPError):
                if answer := question(self):
                    return answer
            time.sleep(POLL_SECONDS)
        raise SystemExit(f"nothing happened in {LONGEST_SECONDS} s")


@contextmanager
def dagster_dev(module: str, folder: Path) -> Iterator[tuple[Ui, float]]:
    """`dagster dev` with the assets listed, and after how many seconds they were."""
    with socket.socket() as probe, tempfile.TemporaryDirectory() as home:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        Path(home, "dagster.yaml").write_text("telemetry: {enabled: false}\nnux: {enabled: false}\n")
        command = [sys.executable, "-m", "dagster", "dev", "-m", module, "-p", str(port)]
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "DAGSTER_HOME": home},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            ui = Ui(port)
            ui.until(lambda it: it.ask("{ assetNodes { id } }")["assetNodes"])
            yield ui, time.monotonic() - began
        finally:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _launch(ui: Ui) -> float:
    """Start a run as the UI's button does; seconds until its first step began."""
    (repository,) = ui.ask(
        "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"
    )["repositoriesOrError"]["nodes"]
    of = {"repositoryName": repository["name"], "repositoryLocationName": repository["location"]["name"]}
    add = (
        'mutation($of: RepositorySelector!) { addDynamicPartition(partitionsDefName: "catalog_uploads", '
        'partitionKey: "by-hand", repositorySelector: $of) { __typename } }'
    )
    ui.ask(add, of=of)
    start = (
        "mutation($params: ExecutionParams!) { launchRun(executionParams: $params) "
        "{ __typename ... on LaunchRunSuccess { run { runId } } } }"
    )
    params = {
        "selector": {**of, "jobName": "catalog_upload_job"},
        "mode": "default",
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": "by-hand"}]},
    }
    began = time.time()
    run = ui.ask(start, params=params)["launchRun"]["run"]["runId"]
    steps = "query($run: ID!) { runOrError(runId: $run) { ... on Run { stepStats { startTime } } } }"
    return (
        min(
            step["startTime"]
            for step in ui.until(
                lambda it: [
                    step for step in it.ask(steps, run=run)["runOrError"]["stepStats"] if step["startTime"] is not None
                ]
            )
        )
        - began
    )


def _results(ui: Ui, control: str) -> float:
    """Have Amazon's message sent; seconds until the results are materialized."""
    query = (
        '{ assetNodeOrError(assetKey: {path: ["ingestion_results"]}) '
        "{ ... on AssetNode { assetMaterializations(limit: 1) { timestamp } } } }"
    )
    began = time.time()
    urllib3.request("POST", f"{control}/drain", timeout=60)
    found = ui.until(lambda it: it.ask(query)["assetNodeOrError"]["assetMaterializations"])
    return float(found[0]["timestamp"]) / 1000 - began


def measure(rounds: int, folder: Path) -> list[dict[str, str]]:
    """Ours and an empty project in turn; a row for each thing that is waited for."""
    (folder / "empty_project.py").write_text(EMPTY_PROJECT)
    (folder / "mapping.yaml").write_text(MAPPING)
    make_export(ROWS, folder / "export.csv")
    found: dict[str, list[float]] = {name: [] for name in ("empty", "ours", "first step", "results", "help", "python")}
    for number in range(rounds):
        with dagster_dev("empty_project", folder) as (_, seconds):
            found["empty"].append(seconds)
        with sandbox("--delay", "86400") as control:
            put_source(folder / "export.csv", folder / "mapping.yaml")
            steps = [sys.executable, "-m", "benchmarks.uploading"]
            run_child([*steps, str(folder / "export.csv"), str(folder / "mapping.yaml"), "sent-before"])
            with dagster_dev("jwo_catalog_pipeline.definitions", ROOT) as (ui, seconds):
                found["ours"].append(seconds)
                time.sleep(3 * number)  # at another moment between two ticks each time
                found["results"].append(_results(ui, control))
                found["first step"].append(_launch(ui))
        help_command = [str(Path(sys.executable).with_name("jwo-catalog")), "--help"]
        for name, command in {"help": help_command, "python": [sys.executable, "-c", ""]}.items():
            began = time.monotonic()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            found[name].append(time.monotonic() - began)
    against = {"ours": "empty", "help": "python"}
    names = {
        "empty": "`dagster dev` until the assets are listed: an empty project",
        "ours": "`dagster dev` until the assets are listed: this one",
        "first step": "a run, from the click to its first step",
        "results": "a message on SQS until the results are materialized",
        "python": "Python alone",
        "help": "`jwo-catalog --help`",
    }
    return [
        {
            "what is waited for": text,
            "seconds": spread(found[name]),
            "ratio": spread([a / b for a, b in zip(found[name], found[against[name]], strict=True)])
            if name in against
            else "",
        }
        for name, text in names.items()
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(measure(1, Path(name)), indent=1))
