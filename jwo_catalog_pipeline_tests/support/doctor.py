"""What the tests of `jwo-catalog doctor` share: looking, and an AWS, an STS or a server that gives a set response."""

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest
import urllib3
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, SensorInstigatorData
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.types import DaemonHeartbeat

from jwo_catalog_pipeline.aws import aws_client, dynamodb_table
from jwo_catalog_pipeline.defs import resources
from jwo_catalog_pipeline.defs.instance import SENSORS
from jwo_catalog_pipeline.doctor.aws import BLOCKS
from jwo_catalog_pipeline.doctor.checks import Finding
from jwo_catalog_pipeline.sandbox.aws import API_ROLE
from jwo_catalog_pipeline_tests.support.project import Project

Look = Callable[..., dict[str, Finding]]


seen_environment: dict[str, str] = {}  # that of the clients which are kept
ALERTS = "arn:aws:sns:us-east-1:123456789012:alerts"


def aws_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def forget_clients(environment: dict[str, str] | None = None) -> None:
    """Clients and sessions keep the credentials that they were made with; making them again takes a second a look."""
    for name in ("_credentials", "_signing_clock"):
        getattr(resources, name).cache_clear()
    if (environment := environment or aws_environment()) != seen_environment:
        for cached in (aws_client, dynamodb_table, resources._budget):
            cached.cache_clear()
        boto3.DEFAULT_SESSION = None  # the next client makes one
        seen_environment.clear()
        seen_environment.update(environment)


def found(look: Look, name: str, status: str, **more: Any) -> str:
    """What a check says, and what to do, in one text."""
    finding = look(name, **more)[name]
    assert finding.status == status, finding
    assert bool(finding.remedy) == (status != "ok")
    return f"{finding.found} -> {finding.remedy}"


@contextmanager
def http_server(answer: Callable[[bytes, Mapping[str, str]], tuple[int, bytes]]) -> Iterator[str]:
    """Answers every POST, given its body and headers; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            status, body = answer(sent, {**self.headers})
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def aws_that_says(code: str) -> Iterator[None]:
    """An STS that answers every call so, as moto judges no credentials."""
    text = f"<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
    with http_server(lambda *_: (403, text.encode())) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", url)
        yield


@contextmanager
def permissions(*actions: str, trusted: bool = True) -> Iterator[None]:
    """As a user who may do these actions, and is trusted by the API's role, while moto judges by policies."""
    iam = boto3.client("iam")
    name = f"user-{abs(hash(actions))}"
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    if trusted:
        trust = {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        iam.update_assume_role_policy(RoleName=API_ROLE, PolicyDocument=document)
    allowed = {"Effect": "Allow", "Action": ["sts:GetCallerIdentity", *actions], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    judge = f"{os.environ['AWS_ENDPOINT_URL']}/moto-api/reset-auth"
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
            patch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
            assert urllib3.request("POST", judge, body="0").status == 200
            yield
    finally:
        urllib3.request("POST", judge, body="inf")


def complete_the_template(project: Project) -> None:
    """Does to bucket and table what moto leaves out of the template."""
    s3, bucket = boto3.client("s3"), project.env["JWO_BUCKET"]
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(BLOCKS, True))
    expiry = {"Enabled": True, "AttributeName": "expires_at"}
    table = project.env["JWO_LEDGER_TABLE"]
    boto3.client("dynamodb").update_time_to_live(TableName=table, TimeToLiveSpecification=expiry)
    recovery = {"PointInTimeRecoveryEnabled": True}
    boto3.client("dynamodb").update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=recovery)


@contextmanager
def dagster_home(project: Project, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    folder.mkdir()
    project.env["DAGSTER_HOME"] = str(folder)
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    with dg.DagsterInstance.get() as instance:
        yield instance


def beat(instance: dg.DagsterInstance, *without: str, seconds_ago: float = 0) -> None:
    """As the daemon does."""
    at = datetime.now(UTC).timestamp() - seconds_ago
    for name in set(instance.get_required_daemon_types()) - set(without):
        instance.add_daemon_heartbeat(DaemonHeartbeat(at, name, "one", []))


def tick(
    instance: dg.DagsterInstance,
    *sensors: str,
    status: InstigatorStatus = InstigatorStatus.DECLARED_IN_CODE,
    seconds_ago: float = 0,
) -> None:
    """As the daemon does when it has evaluated these sensors, or all."""
    location = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name="m"))
    data = SensorInstigatorData(last_tick_timestamp=datetime.now(UTC).timestamp() - seconds_ago)
    for name in sensors or SENSORS:
        origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "r"), name)
        instance.add_instigator_state(InstigatorState(origin, InstigatorType.SENSOR, status, data))
