"""`dagster dev` for real, with its daemon: the source sensor is switched on, and everything else follows by itself."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3

from jwo_catalog_pipeline_tests.support import ROOT
from jwo_catalog_pipeline_tests.support.project import SAMPLE
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

ASSETS = [
    "source_catalog",
    "jwo_catalog",
    "quarantined_items",
    "catalog_changes",
    "ingestion_record",
    "ingestion_results",
    "fix_list",
]
SECONDS = 120  # for anything to happen; the slowest takes about 30
CHROMIUM = shutil.which("chromium")


@dataclass(frozen=True)
class Ui:
    """A running `dagster dev`."""

    url: str
    log: Path

    def ask(self, query: str, **variables: Any) -> Any:
        body = {"query": query, "variables": variables}
        answer = urllib3.request("POST", f"{self.url}/graphql", json=body, timeout=20, retries=False).json()
        assert "errors" not in answer, json.dumps(answer["errors"])[:2000]
        return answer["data"]

    def until(self, question: Callable[[], Any]) -> Any:
        """Ask until there is an answer; another process works meanwhile."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            try:
                if (answer := question()) is not None:
                    return answer
            except urllib3.exceptions.HTTPError:
                pass
            time.sleep(0.25)
        pytest.fail(f"nothing happened in {SECONDS} s; the log of dagster dev ends: {self.log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """`dagster dev` with a sandbox of its own and the sample, settled."""
    folder = tmp_path_factory.mktemp("dagster_dev")
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\nnux: {enabled: false}\n")
    sandbox = RunningSandbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = sandbox.environment
    s3 = boto3.client("s3", endpoint_url=env["AWS_ENDPOINT_URL"])
    s3.upload_file(str(SAMPLE / "grocery.csv"), env["JWO_BUCKET"], "source/grocery.csv")
    environment = {
        **os.environ,
        **env,
        "JWO_SOURCE_URI": f"s3://{env['JWO_BUCKET']}/source/",
        "JWO_MAPPING": str(SAMPLE / "mapping.yaml"),
        "DAGSTER_HOME": str(folder),
    }
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(ROOT / "workspace.yaml"), "-p", str(port)]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        found = Ui(f"http://127.0.0.1:{port}", log)
        _let_it_run(found)
        yield found
    finally:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)  # where the machine is busy, its daemon takes longer to end
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        sandbox.stop()


def _let_it_run(ui: Ui) -> None:
    query = "query { repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"
    repository = ui.until(lambda: next(iter(ui.ask(query)["repositoriesOrError"].get("nodes", [])), None))
    selector = {
        "repositoryName": repository["name"],
        "repositoryLocationName": repository["location"]["name"],
        "sensorName": "source_catalog_sensor",
    }
    start = "mutation($of: SensorSelector!) { startSensor(sensorSelector: $of) { __typename } }"
    assert ui.ask(start, of=selector)["startSensor"]["__typename"] == "Sensor"
    ended = """query { runsOrError(filter: {pipelineName: "ingestion_results_job", statuses: [SUCCESS]}) {
      ... on Runs { results { runId } } } }"""
    ui.until(lambda: ui.ask(ended)["runsOrError"]["results"] or None)


def materializations(ui: Ui) -> dict[str, list[dict[str, Any]]]:
    """The newest materialization of each asset: its metadata, and its partition."""
    query = """query { assetNodes { assetKey { path } assetMaterializations(limit: 1) { partition metadataEntries {
      label ... on IntMetadataEntry { intValue } } } } }"""
    return {"/".join(node["assetKey"]["path"]): node["assetMaterializations"] for node in ui.ask(query)["assetNodes"]}


def test_everything_is_materialized_by_the_sensors_alone(ui: Ui) -> None:
    found = materializations(ui)
    assert sorted(found) == sorted(ASSETS)
    numbers = {
        asset: {entry["label"]: entry.get("intValue") for entry in events[0]["metadataEntries"]}
        for asset, events in found.items()
    }
    rows = {asset: values["dagster/row_count"] for asset, values in numbers.items()}
    items = rows["jwo_catalog"]
    assert rows == {
        "source_catalog": items + rows["quarantined_items"],
        "jwo_catalog": items,
        "quarantined_items": 60,
        "catalog_changes": items,
        "ingestion_record": 1,
        "ingestion_results": items,
        "fix_list": 60 + (numbers["ingestion_results"]["rejected"] or 0),
    }
    assert numbers["ingestion_results"]["accepted"] + numbers["ingestion_results"]["rejected"] == items > 2000
    uploads = {events[0]["partition"] for asset, events in found.items() if asset.startswith("ingestion_")}
    assert len(uploads) == 1


def test_every_rule_is_a_check_with_its_result(ui: Ui) -> None:
    query = """query { assetNodeOrError(assetKey: {path: ["jwo_catalog"]}) { ... on AssetNode { assetChecksOrError {
      ... on AssetChecks { checks { name blocking executionForLatestMaterialization { status evaluation {
      severity success } } } } } } } }"""
    checks = {
        check["name"]: (check["blocking"], check["executionForLatestMaterialization"]["evaluation"])
        for check in ui.ask(query)["assetNodeOrError"]["assetChecksOrError"]["checks"]
    }
    assert {name for name, (blocking, _) in checks.items() if blocking} == {"structure", "invalid_share"}
    assert checks["structure"][1]["success"]
    assert checks["barcode_check_digit"][1] == {"severity": "ERROR", "success": False}
    assert checks["item_name_ascii"][1] == {"severity": "WARN", "success": False}
    assert len(checks) > 20


def test_the_schedule_sensors_and_jobs_have_their_names(ui: Ui) -> None:
    query = """query { repositoriesOrError { ... on RepositoryConnection { nodes {
      schedules { name scheduleState { status } } sensors { name sensorState { status } } jobs { name } } } } }"""
    (repository,) = ui.ask(query)["repositoriesOrError"]["nodes"]
    assert [(each["name"], each["scheduleState"]["status"]) for each in repository["schedules"]] == [
        ("catalog_schedule", "STOPPED"),
        ("state_prune_schedule", "RUNNING"),
    ]
    # Those that collect results, and send what had to wait for them, run from the start; what begins to send data to
    # Amazon waits to be switched on, as here.
    assert {each["name"]: each["sensorState"]["status"] for each in repository["sensors"]} == {
        "alerts_sensor": "RUNNING",
        "ingestion_results_sensor": "RUNNING",
        "overdue_ingestions_sensor": "RUNNING",
        "source_catalog_sensor": "RUNNING",
        "unfinished_uploads_sensor": "RUNNING",
        "waiting_items_sensor": "RUNNING",
    }
    assert {each["name"] for each in repository["jobs"]} >= {"catalog_upload_job", "ingestion_results_job"}


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; .ci/run installs it")
def test_the_lineage_page_shows_the_way_of_a_catalog(ui: Ui, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    picture = Path(os.environ.get("SCREENSHOTS", tmp_path), "lineage.png")  # SCREENSHOTS: see the Makefile
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 2100, "height": 640})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{ui.url}/asset-groups")
        for asset in ASSETS:
            page.locator(f"text={asset} >> visible=true").last.wait_for(timeout=SECONDS * 1000)
        loaded = "() => !document.body.innerText.includes('Loading')"  # how each asset stands comes after its name
        page.wait_for_function(loaded, timeout=SECONDS * 1000)
        places = [page.locator(f"text={asset} >> visible=true").last.bounding_box() for asset in ASSETS]
        page.screenshot(path=picture)
        browser.close()
    assert errors == []
    left_to_right = [places[number]["x"] for number in (0, 1, 3, 4, 5) if places[number]]  # type: ignore[index]
    assert len(left_to_right) == 5
    assert left_to_right == sorted(left_to_right)
