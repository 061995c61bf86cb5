"""The demo's second half: `dagster dev`, with schedule and sensors running, until Ctrl-C."""

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import urllib3
from rich.console import Console

from jwo_catalog_pipeline.defs.failures import DemoError

POLL_SECONDS = 0.3

_REPOSITORY = """query { repositoriesOrError { ... on RepositoryConnection { nodes {
  name location { name } schedules { name } sensors { name } } } } }"""
_START_SCHEDULE = "mutation($of: ScheduleSelector!) { startSchedule(scheduleSelector: $of) { __typename } }"
_START_SENSOR = "mutation($of: SensorSelector!) { startSensor(sensorSelector: $of) { __typename } }"


def check_port(port: int) -> None:
    """Raise DemoError where something listens on the port already, before the demo has begun."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise DemoError(f"port {port} is in use", "stop what uses it, or choose another with --port")


def serve_ui(console: Console, home: Path, port: int) -> None:
    """Run `dagster dev` until Ctrl-C; its log goes to `home`.

    Raises:
        DemoError: it stopped by itself.
    """
    # In its own folder: `dagster dev` would load a .env beside it, which may point to a real account.
    command = [sys.executable, "-m", "dagster", "dev", "-m", "jwo_catalog_pipeline.definitions", "-p", str(port)]
    log = home / "dagster-dev.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=home, stdout=output, stderr=subprocess.STDOUT)
    url = f"http://localhost:{port}"
    try:
        with console.status(f"starting Dagster's UI at {url}"):
            _start_automation(process, url, log)
        console.print(f"\nDagster's UI is at [bold]{url}[/bold], the lineage at {url}/asset-groups")
        console.print("Schedule and sensors are running. Ctrl-C stops everything, including the sandbox.")
        process.wait()
        raise DemoError("Dagster's UI stopped", f"its log: {log}")
    except KeyboardInterrupt:
        console.print("stopping")
    finally:
        process.terminate()
        process.wait()


def _start_automation(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Wait until the code location is loaded, then switch on its schedule and sensors."""

    def ask(query: str, **variables: Any) -> Any:
        body = {"query": query, "variables": variables}
        answer = urllib3.request("POST", f"{url}/graphql", json=body, timeout=10, retries=False)
        return answer.json()["data"]

    repository = None
    while repository is None:
        if process.poll() is not None:
            raise DemoError("Dagster's UI did not start", f"its log: {log}")
        time.sleep(POLL_SECONDS)
        try:
            nodes = ask(_REPOSITORY)["repositoriesOrError"].get("nodes")
            repository = nodes[0] if nodes else None
        except urllib3.exceptions.HTTPError:
            continue
    place = {"repositoryName": repository["name"], "repositoryLocationName": repository["location"]["name"]}
    for schedule in repository["schedules"]:
        ask(_START_SCHEDULE, of={**place, "scheduleName": schedule["name"]})
    for sensor in repository["sensors"]:
        ask(_START_SENSOR, of={**place, "sensorName": sensor["name"]})
