"""ECS's part: moto keeps tasks, and starts nothing. Here every task of the cluster is a process while it lasts.

A task's process has the command and the environment of its task definition, and what the launcher adds for this task,
as a container would. Whoever stops the task at ECS stops the process; when the process ends, the task has stopped.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import urllib3

from jwo_catalog_pipeline_tests.support import ROOT

BIN = Path(sys.executable).parent
LOOK = 0.3  # seconds between looks at ECS
STOP_TIMEOUT = 30  # seconds, ECS's default `stopTimeout`


class Fargate:
    """The tasks of one cluster, each with an address of its own in 127.77.0.0/16.

    Args:
        client: gives the boto3 client of a service.
        cluster: name of the cluster.
        folder: stands for /opt/dagster of the image; logs of the tasks come here.
        network: of tasks that are started here, as run_task takes it.
        outside: what a container finds that no task definition says: where AWS is, and what is at another place here.
    """

    def __init__(
        self, client: Callable[[str], Any], cluster: str, folder: Path, network: dict[str, Any], outside: dict[str, str]
    ) -> None:
        self.client, self.cluster, self.folder, self.network, self.outside = client, cluster, folder, network, outside
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.seen: set[tuple[str, str]] = set()  # container, and what it asked of ECS and its like: "ecs:RunTask"
        self.before_stopped: Callable[[str], None] = lambda arn: (
            None
        )  # a task's process has ended; ECS does not know yet
        self._addresses: dict[str, str] = {}
        self._asked_to_end: dict[str, float] = {}
        self._ended, self._starting = threading.Event(), threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._agent = threading.Thread(target=self._work, daemon=True)
        self._agent.start()

    def run(self, family: str, address: str) -> str:
        """Start a task, as a service would that is short of one; gives its ARN."""
        with self._starting:  # or the agent might be faster
            started = self.client("ecs").run_task(
                cluster=self.cluster, taskDefinition=family, launchType="FARGATE", networkConfiguration=self.network
            )
            arn = str(started["tasks"][0]["taskArn"])
            self._addresses[arn] = address
            self._start(started["tasks"][0])
        return arn

    def environment(self, family: str) -> dict[str, str]:
        """What a task of this family finds in its environment."""
        found = self.client("ecs").describe_task_definition(taskDefinition=family)["taskDefinition"]
        return self._environment("none", found["containerDefinitions"][0], {})

    def kill(self, arn: str) -> None:
        """As a lost machine would have it. ECS learns of it from the agent."""
        with suppress(ProcessLookupError):
            os.killpg(self.processes[arn].pid, signal.SIGKILL)
        self.processes[arn].wait(10)

    def log(self, arn: str) -> str:
        return self._log(arn).read_text()

    def close(self) -> None:
        self._ended.set()
        self._agent.join(20)
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
        self._server.shutdown()
        self._server.server_close()

    def _work(self) -> None:
        while not self._ended.wait(LOOK):
            with self._starting:
                tasks = self._tasks()
                for task in tasks:
                    self._look_after(task)

    def _look_after(self, task: dict[str, Any]) -> None:
        arn, stopped = task["taskArn"], task["lastStatus"] == "STOPPED"
        process = self.processes.get(arn)
        if process is None:
            if not stopped:
                self._start(task)
        elif stopped and process.poll() is None:
            self._end(arn, process)
        elif not stopped and process.poll() is not None:
            self.before_stopped(arn)
            reason = "Essential container in task exited"
            self.client("ecs").stop_task(cluster=self.cluster, task=arn, reason=reason)

    def _end(self, arn: str, process: subprocess.Popen[bytes]) -> None:
        """As ECS does: SIGTERM once, and SIGKILL if the process has not ended some time after."""
        if arn not in self._asked_to_end:
            self._asked_to_end[arn] = time.monotonic()
            process.terminate()
        elif time.monotonic() > self._asked_to_end[arn] + STOP_TIMEOUT:
            process.kill()

    def _tasks(self) -> list[dict[str, Any]]:
        arns = self.client("ecs").list_tasks(cluster=self.cluster)["taskArns"]
        stopped = self.client("ecs").list_tasks(cluster=self.cluster, desiredStatus="STOPPED")["taskArns"]
        arns = list(dict.fromkeys([*arns, *stopped]))
        return self.client("ecs").describe_tasks(cluster=self.cluster, tasks=arns)["tasks"] if arns else []

    def _start(self, task: dict[str, Any]) -> None:
        found = self.client("ecs").describe_task_definition(taskDefinition=task["taskDefinitionArn"])
        (container,) = found["taskDefinition"]["containerDefinitions"]
        overrides = next(iter(task.get("overrides", {}).get("containerOverrides", [])), {})
        arn = task["taskArn"]
        address = self._addresses.setdefault(arn, f"127.77.1.{len(self._addresses) + 1}")
        in_image = {"/opt/dagster": str(self.folder), "0.0.0.0": address}
        command = [_replaced(word, in_image) for word in overrides.get("command") or container["command"]]
        with self._log(arn).open("wb") as output:
            self.processes[arn] = subprocess.Popen(
                command,
                env=self._environment(arn, container, overrides),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _environment(self, arn: str, container: dict[str, Any], overrides: dict[str, Any]) -> dict[str, str]:
        front = f"{self.url}/{container['name']}"
        given = [*container["environment"], *overrides.get("environment", [])]
        secrets = {each["name"]: self.secret(each["valueFrom"]) for each in container.get("secrets", [])}
        return {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),  # the code of this tree, wherever the environment has it from
            "DAGSTER_HOME": str(self.folder),
            "ECS_CONTAINER_METADATA_URI_V4": f"{self.url}/{arn}",
            **{f"AWS_ENDPOINT_URL_{service}": front for service in ("ECS", "EC2", "LOGS", "SECRETS_MANAGER")},
            **{each["name"]: each["value"] for each in given},
            **secrets,
            **self.outside,
        }

    def secret(self, value_from: str) -> str:
        """What ECS puts into the variable: ARN:key:: is the value of a key in the secret's JSON."""
        arn, key = value_from.removesuffix("::").rsplit(":", 1)
        found = self.client("secretsmanager").get_secret_value(SecretId=arn)
        return str(json.loads(found["SecretString"])[key])

    def _log(self, arn: str) -> Path:
        return self.folder / f"{arn.rpartition('/')[2]}.log"

    def with_exit_codes(self, answer: bytes) -> bytes:
        """What ECS says of tasks, by what moto says, to whom every container has ended with 0."""
        found = json.loads(answer)
        for task in found["tasks"]:
            process = self.processes.get(task["taskArn"])
            for container in task["containers"]:
                container["exitCode"] = process.poll() if process else None
        return json.dumps(found).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fargate = self

        class Handler(BaseHTTPRequestHandler):
            """The metadata endpoint, by which a task knows which it is; and ECS and its like, as moto has them."""

            def do_GET(self) -> None:
                arn = self.path.removeprefix("/").removesuffix("/task")
                self._answer(200, json.dumps({"Cluster": fargate.cluster, "TaskARN": arn}).encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service = self.headers["Authorization"].split("/")[3]
                action = self.headers.get("X-Amz-Target", "").rpartition(".")[2] or parse_qs(body.decode())["Action"][0]
                fargate.seen.add((self.path.strip("/"), f"{service}:{action}"))
                moto = fargate.outside["AWS_ENDPOINT_URL"]
                answer = urllib3.request("POST", moto, body=body, headers=dict(self.headers), retries=False)
                told = answer.status == 200 and action == "DescribeTasks"
                self._answer(answer.status, fargate.with_exit_codes(answer.data) if told else answer.data)

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: Any) -> None:
                """Says nothing."""

        return Handler


def _replaced(word: str, by: dict[str, str]) -> str:
    for old, new in by.items():
        word = word.replace(old, new)
    return word


@contextmanager
def fargate(*arguments: Any) -> Iterator[Fargate]:
    """Ends every process with the block."""
    found = Fargate(*arguments)
    try:
        yield found
    finally:
        found.close()
