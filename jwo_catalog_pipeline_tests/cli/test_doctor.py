"""`jwo-catalog doctor`: each kind of broken installation is found, and what is said of it helps."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest
import urllib3
from click.testing import CliRunner, Result
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
from jwo_catalog_pipeline.cli.main import main
from jwo_catalog_pipeline.defs import resources
from jwo_catalog_pipeline.defs.instance import SENSORS
from jwo_catalog_pipeline.doctor import configuration as installation
from jwo_catalog_pipeline.doctor.aws import BLOCKS
from jwo_catalog_pipeline.doctor.checks import Check, Finding, Installation, examine
from jwo_catalog_pipeline.doctor.configuration import CHECKS
from jwo_catalog_pipeline.sandbox.aws import API_ROLE
from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline_tests.support.project import MAPPING, Project

Look = Callable[..., dict[str, Finding]]
NAMES = [check.name for check in CHECKS]
ALERTS = "arn:aws:sns:us-east-1:123456789012:alerts"
# What the command asks of AWS; sts:GetCallerIdentity needs no permission there, but in moto it does.
ACTIONS = {
    "s3:PutObject": "bucket",
    "s3:GetObject": "bucket",
    "s3:ListBucket": "bucket",
    "dynamodb:DescribeTable": "ledger",
    "dynamodb:GetItem": "ledger",
    "dynamodb:PutItem": "ledger",
    "dynamodb:Query": "notifications",
    "sqs:GetQueueAttributes": "queue",
    "sqs:GetQueueUrl": "dead-letter queue",
    "sts:AssumeRole": "role",
}
# What it asks besides where it is told to be thorough, which the pipeline's role does not have.
BEYOND = {
    "s3:GetBucketVersioning": "versioning",
    "s3:GetBucketPublicAccessBlock": "public access",
    "dynamodb:DescribeTimeToLive": "ledger expiry",
}


@pytest.fixture
def look(project: Project) -> Iterator[Look]:
    """Runs the named checks, or all, over the project as it is then."""
    project.env["JWO_ALERT_TOPIC_ARN"] = ALERTS
    before = _aws_environment()
    _seen.clear()  # whatever other tests left
    _forget_clients(before)

    def run(*names: str, **more: Any) -> dict[str, Finding]:
        _forget_clients()
        wanted = [check for check in CHECKS if not names or check.name in names]
        return {finding.check: finding for finding in examine(Installation.of(project.env, **more), wanted)}

    yield run
    _forget_clients(before)


def _aws_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def _forget_clients(environment: dict[str, str] | None = None) -> None:
    """Clients and sessions keep the credentials that they were made with; making them again takes a second a look."""
    for name in ("_credentials", "_signing_clock"):
        getattr(resources, name).cache_clear()
    global _seen
    if (environment := environment or _aws_environment()) != _seen:
        for cached in (aws_client, dynamodb_table, resources._budget):
            cached.cache_clear()
        boto3.DEFAULT_SESSION = None  # the next client makes one
        _seen = environment


_seen: dict[str, str] = {}


def found(look: Look, name: str, status: str, **more: Any) -> str:
    """What a check says, and what to do, in one text."""
    finding = look(name, **more)[name]
    assert finding.status == status, finding
    assert bool(finding.remedy) == (status != "ok")
    return f"{finding.found} -> {finding.remedy}"


def _as_the_template_says(project: Project) -> None:
    """Does to bucket and table what moto leaves out of the template."""
    s3, bucket = boto3.client("s3"), project.env["JWO_BUCKET"]
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(BLOCKS, True))
    expiry = {"Enabled": True, "AttributeName": "expires_at"}
    table = project.env["JWO_LEDGER_TABLE"]
    boto3.client("dynamodb").update_time_to_live(TableName=table, TimeToLiveSpecification=expiry)


def test_a_healthy_installation_has_nothing_to_mend(
    project: Project, look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_the_template_says(project)
    project.must_upload("u1")
    project.settle("u1")
    with _dagster_home(project, tmp_path / "home", monkeypatch) as instance:
        _beat(instance)
        _tick(instance)
        every = look(thorough=True)
    assert {name: finding.status for name, finding in every.items()} == dict.fromkeys(NAMES, "ok"), every
    assert {finding.remedy for finding in every.values()} == {""}
    assert "account 123456789012, arn:aws:" in every["identity"].found
    assert "can be read and written; newest upload: u1" in every["ledger"].found
    expires = project.ledger._get(keys.doctor())["expires_at"]
    assert 86_000 < expires - datetime.now(UTC).timestamp() < 86_500
    for name in (
        "jwo_catalog_pipeline 0.",
        "Python 3.",
        "dagster 1.",
        "dagster-webserver 1.",
        "duckdb 2.",
        "pandas 3.",
    ):
        assert name in every["versions"].found
    assert "3 rows, 0 quarantined (0.0%)" in every["mapping"].found
    assert "the last notification arrived on 20" in every["notifications"].found


def test_every_setting_that_is_missing_or_cannot_be_read_is_named(project: Project, look: Look) -> None:
    project.env |= {"JWO_OVERDUE_MINUTES": "soon", "JWO_ARCHIVE": "yes", "JWO_LEASE_SECONDS": "0", "JWO_MAPPING": ""}
    project.env |= {"JWO_TOPIC_ARN": "amazon", "JWO_GUARDS": "price=2", "JWO_CATALOG_CRON": "at 3"}
    project.env["JWO_TIMEZONE"] = "Europe/Nowhere"
    del project.env["JWO_API_REGION"]
    every = look("settings", "bucket", "Catalog API", "mapping", "queue", "queue policy")
    assert every["settings"].status == "problem"
    for sentence in (
        "not set: JWO_MAPPING, JWO_API_REGION",
        "JWO_OVERDUE_MINUTES is 'soon'; it must be a number, 0 or more",
        "JWO_ARCHIVE is 'yes'; it must be on or off",
        "JWO_LEASE_SECONDS is '0'; it must be a whole number, above 0",
        "JWO_TOPIC_ARN is 'amazon'; it must be arn:aws:sns:REGION:ACCOUNT:NAME",
        "JWO_GUARDS: ",
        "JWO_CATALOG_CRON is 'at 3'; it must be a cron expression",
        "JWO_TIMEZONE is 'Europe/Nowhere'; it must be a name such as Europe/Berlin",
    ):
        assert sentence in every["settings"].found
    assert ".env" in every["settings"].remedy
    assert (every["bucket"].status, every["queue"].status) == ("ok", "ok")
    assert every["Catalog API"].found == "depends on settings: JWO_API_REGION is not set"
    assert every["mapping"].found == "depends on settings: JWO_MAPPING is not set"
    assert every["queue policy"].found == "depends on settings: JWO_TOPIC_ARN is 'amazon'"
    assert every["mapping"].status == "skipped"


def test_what_need_not_be_set_is_advised(project: Project, look: Look) -> None:
    project.env |= {"JWO_STORE_IDS": "", "JWO_ALERT_TOPIC_ARN": ""}
    said = found(look, "settings", "warning")
    assert "without JWO_ALERT_TOPIC_ARN no alert is published" in said
    assert "without JWO_STORE_IDS" in said
    assert "-> set JWO_ALERT_TOPIC_ARN and JWO_STORE_IDS" in said
    project.env["JWO_ARCHIVE"] = "on"
    assert "JWO_STORE_IDS is not set; set JWO_STORE_IDS to the complete list" in found(look, "settings", "problem")


def test_what_depends_on_a_failed_check_is_skipped_and_says_so(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    every = look()
    assert every["identity"].status == "problem"
    assert "Unable to locate credentials" in every["identity"].found
    assert "set AWS_PROFILE" in every["identity"].remedy
    assert every["clock"].status == "ok"  # without credentials too, for a wrong clock looks like wrong credentials
    assert {every[name].status for name in ("bucket", "versioning", "ledger", "queue", "role")} == {"skipped"}
    assert every["bucket"].found == "depends on identity"
    assert every["notifications"].found == "depends on ledger"
    assert every["Catalog API"].found == "depends on role and ledger"
    assert every["versions"].status == "ok"


def test_credentials_that_have_expired_or_are_unknown_and_a_region_that_is_not_set(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _aws_that_says("ExpiredToken"):
        said = found(look, "identity", "problem")
    assert "GetCallerIdentity with ExpiredToken -> the session has expired: log in again" in said
    with _aws_that_says("InvalidClientTokenId"):
        assert "AWS does not know these keys: set AWS_PROFILE" in found(look, "identity", "problem")
    with _aws_that_says("SignatureDoesNotMatch"):
        assert "see the clock check" in found(look, "identity", "problem")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert "set AWS_DEFAULT_REGION to the region of the stack" in found(look, "identity", "problem")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert "check the network" in found(look, "identity", "problem")


def test_an_endpoint_that_is_no_url_and_a_file_of_aws_that_cannot_be_read_stop_nothing_else(
    look: Look, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "localhost:4566")
        every = look()
    assert every["identity"].found == "AWS cannot be reached: Invalid endpoint: localhost:4566"
    assert every["identity"].remedy.startswith("AWS_ENDPOINT_URL must be a URL")
    assert (every["bucket"].found, every["versions"].status) == ("depends on identity", "ok")
    (tmp_path / "config").write_text("[profile\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    said = found(look, "identity", "problem")
    assert f"Unable to parse config file: {tmp_path}/config -> fix that file" in said


@contextmanager
def _aws_that_says(code: str) -> Iterator[None]:
    """An STS that answers every call so, as moto judges no credentials."""
    text = f"<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
    with _server(lambda *_: (403, text.encode())) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", url)
        yield


@contextmanager
def _server(answer: Callable[[bytes, Mapping[str, str]], tuple[int, bytes]]) -> Iterator[str]:
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
def _permissions(*actions: str, trusted: bool = True) -> Iterator[None]:
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


def test_with_these_actions_it_looks_at_everything(look: Look) -> None:
    with _permissions(*ACTIONS):
        every = look(*{"identity", "clock", *ACTIONS.values()})
    assert [each for each in every.values() if each.status not in ("ok", "warning")] == []


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_that_is_not_permitted_is_named(look: Look, action: str) -> None:
    with _permissions(*set(ACTIONS) - {action}):
        finding = look("identity", "ledger", "queue", ACTIONS[action])[ACTIONS[action]]
    assert finding.status == "problem"
    assert action in finding.found + finding.remedy
    assert "cloudformation.yaml" in finding.remedy or "JwoApiRoleArn" in finding.remedy or "(deploy" in finding.remedy


@pytest.mark.parametrize(
    ("seconds", "status", "says"),
    [(30, "ok", "30 s ahead"), (-90, "warning", "90 s behind"), (400, "problem", "400 s ahead")],
)
def test_a_clock_that_is_off_is_found(look: Look, seconds: int, status: str, says: str) -> None:
    finding = look("clock", now=lambda: datetime.now(UTC) + timedelta(seconds=seconds))["clock"]
    assert finding.status == status
    assert says.split()[1:] == finding.found.split()[5:7]
    assert abs(int(finding.found.split()[4]) - abs(seconds)) <= 2
    assert ("NTP" in finding.remedy) == (status != "ok")


def test_a_bucket_that_is_not_there(project: Project, look: Look) -> None:
    project.env["JWO_BUCKET"] = "no-such-bucket-anywhere"
    assert "deploy deploy/cloudformation.yaml and set JWO_BUCKET" in found(look, "bucket", "problem")


def test_a_table_that_is_not_there_or_has_other_keys(project: Project, look: Look) -> None:
    project.env["JWO_LEDGER_TABLE"] = "nowhere"
    said = found(look, "ledger", "problem")
    assert "DescribeTable with ResourceNotFoundException -> deploy deploy/cloudformation.yaml" in said
    boto3.client("dynamodb").create_table(
        TableName="nowhere",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    said = found(look, "ledger", "problem")
    assert "the keys of table nowhere are id (S, HASH); the ledger's are pk (S, HASH), sk (S, RANGE)" in said
    assert "-> set JWO_LEDGER_TABLE to LedgerTableName" in said


def test_a_table_that_writes_whatever_the_condition_says(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    def unconditional(sent: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        request = {name: value for name, value in json.loads(sent).items() if name != "ConditionExpression"}
        kept = {name: value for name, value in headers.items() if name.lower() not in ("host", "content-length")}
        answer = urllib3.request("POST", aws, body=json.dumps(request), headers=kept)
        return answer.status, answer.data

    aws = os.environ["AWS_ENDPOINT_URL"]
    with _server(unconditional) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", url)
        said = found(look, "ledger", "problem")
    assert "takes a write whose condition does not hold: two uploads could interfere with each other" in said
    assert "-> check AWS_ENDPOINT_URL: this is not DynamoDB" in said


def test_what_the_pipelines_role_may_not_look_at_is_looked_at_only_when_asked(look: Look) -> None:
    for action, name in BEYOND.items():
        said = found(look, name, "skipped")
        assert f"not checked: the pipeline's role does not have {action} -> run jwo-catalog doctor --thorough" in said
    with _permissions():  # moto asks for s3:ListBucket instead of s3:GetBucketPublicAccessBlock
        every = look(*BEYOND.values(), thorough=True)
    for action, name in BEYOND.items():
        assert every[name].status == "skipped"
        assert every[name].found == f"could not be checked: this identity has no permission for {action}"
        assert "with an identity that has this permission" in every[name].remedy


def test_a_bucket_without_versions_or_open_to_the_public_and_a_ledger_that_keeps_links(
    project: Project, look: Look
) -> None:
    s3, bucket, table = boto3.client("s3"), project.env["JWO_BUCKET"], project.env["JWO_LEDGER_TABLE"]
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(BLOCKS[:3], True))
    deploy = "-> deploy deploy/cloudformation.yaml again"
    said = found(look, "versioning", "warning", thorough=True)
    assert f"s3://{bucket} keeps no versions: overwritten objects cannot be recovered {deploy}" in said
    said = found(look, "public access", "warning", thorough=True)
    assert f"s3://{bucket} does not block public access (RestrictPublicBuckets) {deploy}" in said
    said = found(look, "ledger expiry", "warning", thorough=True)
    assert f"table {table} does not delete by expires_at: expired links to reports stay in it {deploy}" in said
    other = {"Enabled": True, "AttributeName": "another_attribute"}
    boto3.client("dynamodb").update_time_to_live(TableName=table, TimeToLiveSpecification=other)
    assert "does not delete by expires_at" in found(look, "ledger expiry", "warning", thorough=True)
    s3.delete_public_access_block(Bucket=bucket)
    assert "(BlockPublicAcls, BlockPublicPolicy, " in found(look, "public access", "warning", thorough=True)


def _policy(project: Project, *statements: dict[str, Any]) -> None:
    policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)}) if statements else ""
    boto3.client("sqs").set_queue_attributes(QueueUrl=project.env["JWO_QUEUE_URL"], Attributes={"Policy": policy})


def test_a_queue_that_is_not_there(project: Project, look: Look) -> None:
    project.env["JWO_QUEUE_URL"] += "x"
    said = found(look, "queue", "problem")
    assert "NonExistentQueue -> deploy deploy/cloudformation.yaml" in said
    assert "AWS_DEFAULT_REGION" in said


def test_a_queue_that_admits_others_or_nobody(project: Project, look: Look) -> None:
    topic = project.env["JWO_TOPIC_ARN"]
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
    amazon = {**everybody, "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}
    other = {"ArnEquals": {"aws:SourceArn": "arn:aws:sns:us-east-1:123456789012:other"}}
    for wrong in (
        everybody,
        {**everybody, "Condition": other},
        {**everybody, "Condition": {"ArnNotEquals": {"aws:SourceArn": topic}}},
        {**everybody, "Condition": {"ArnEqualsIfExists": {"aws:SourceArn": topic}}},
        {**everybody, "Condition": {"ArnEquals": {"aws:SourceArn": [topic, "arn:aws:sns:us-east-1:1:x"]}}},
        {**everybody, "Action": ["sqs:ReceiveMessage", "SQS:*"]},
        {**everybody, "Action": "sqs:S*Message"},
    ):
        _policy(project, amazon, wrong)
        said = found(look, "queue policy", "problem")
        assert "admits others than Amazon's topic -> deploy" in said
        assert f"JwoTopicArn={topic}; no other sender" in said
    reader = {**everybody, "Action": "sqs:ReceiveMessage"}
    _policy(project, reader, {**everybody, "Effect": "Deny"})
    said = found(look, "queue policy", "problem")
    assert "admits no sender" in said
    assert f"JwoTopicArn={topic}" in said
    _policy(project, reader, amazon)
    assert f"admits {topic} only" in found(look, "queue policy", "ok")
    boto3.client("sqs").send_message(QueueUrl=project.env["JWO_QUEUE_URL"], MessageBody="{}")
    assert "about 1 message" in found(look, "queue", "ok")


def test_messages_in_the_dead_letter_queue_and_a_queue_without_one(project: Project, look: Look) -> None:
    sqs, url = boto3.client("sqs"), project.env["JWO_QUEUE_URL"]
    policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]["RedrivePolicy"]
    dead = sqs.get_queue_url(QueueName=json.loads(policy)["deadLetterTargetArn"].split(":")[-1])["QueueUrl"]
    sqs.send_message(QueueUrl=dead, MessageBody="{}")
    said = found(look, "dead-letter queue", "problem")
    assert "holds about 1 message." in said
    assert "docs/runbook.md" in said
    project.env["JWO_QUEUE_URL"] = sqs.create_queue(QueueName="plain")["QueueUrl"]
    said = found(look, "dead-letter queue", "problem")
    assert "has no dead-letter queue" in said
    assert "-> deploy deploy/cloudformation.yaml again" in said


def test_notifications_that_never_came_or_could_not_be_read(project: Project, look: Look) -> None:
    said = found(look, "notifications", "warning")
    assert (
        "no notification has arrived yet; whether Amazon's topic is subscribed cannot be seen from this account" in said
    )
    assert "-> this is normal before the first upload; after it, ask your Amazon contact" in said
    boto3.client("sqs").send_message(QueueUrl=project.env["JWO_QUEUE_URL"], MessageBody="not json")
    project.must_upload("u1")
    project.settle("u1")
    said = found(look, "notifications", "warning")
    assert "1 message could not be read, the newest: not JSON" in said
    assert "inbox/unreadable/" in said


def test_a_role_that_cannot_be_assumed(project: Project, look: Look) -> None:
    project.sandbox.misbehave(sts_down=99)
    said = found(look, "role", "problem")
    assert f"sts:AssumeRole of {project.env['JWO_API_ROLE_ARN']} is answered with ServiceUnavailable" in said
    assert "trust policy must name the identity found above" in said
    project.sandbox.misbehave(sts_down=0)
    with _permissions("sts:AssumeRole", trusted=False):
        said = found(look, "role", "problem")
    assert "is answered with AccessDenied" in said
    assert "trust policy must name the identity found above" in said
    project.env["JWO_API_ROLE_ARN"] = "short"
    assert "-> check JWO_API_ROLE_ARN" in found(look, "role", "problem")
    project.env["JWO_API_ROLE_ARN"] = ""
    assert "the pipeline's own identity signs" in found(look, "role", "ok")


def test_a_signature_that_is_refused_and_a_call_that_is_not_permitted(project: Project, look: Look) -> None:
    assert "the test ingestion does not exist" in found(look, "Catalog API", "ok")
    project.sandbox.misbehave(forbid=1)
    said = found(look, "Catalog API", "problem")
    assert "the signature is accepted, but the call is not permitted: the Catalog API answered 403" in said
    assert f"-> allow execute-api:Invoke on the API to {project.env['JWO_API_ROLE_ARN']}; if it is allowed, ask" in said
    assert "JWO_API_REGION" not in said
    project.env["JWO_API_REGION"] = "eu-west-1"
    said = found(look, "Catalog API", "problem")
    assert "the signature is rejected: the Catalog API answered 403 'Credential should be scoped" in said
    assert "-> JWO_API_REGION is eu-west-1: it must be the signing region that Amazon handed out" in said
    assert "execute-api:Invoke" not in said
    project.env["JWO_API_REGION"] = "us-west-2"
    project.sandbox.misbehave(signature_seconds=0)
    said = found(look, "Catalog API", "problem")
    assert "the signature is rejected because of its time" in said
    assert "-> set this machine's clock by NTP" in said


def test_an_api_that_cannot_be_reached_or_is_something_else(project: Project, look: Look) -> None:
    url = project.env["JWO_API_URL"]
    project.env["JWO_API_URL"] = "http://127.0.0.1:9"
    assert "cannot connect to the Catalog API at 127.0.0.1:9" in (said := found(look, "Catalog API", "problem"))
    assert "-> check JWO_API_URL and the network" in said
    project.env["JWO_API_URL"] = project.env["AWS_ENDPOINT_URL"]
    assert "-> check JWO_API_URL" in found(look, "Catalog API", "problem")
    project.env["JWO_API_URL"] = "api.example"
    assert "-> it must be scheme and host" in found(look, "Catalog API", "problem")
    with _server(lambda *_: (400, b"<html>Bad Request</html>")) as project.env["JWO_API_URL"]:
        assert "400 '<html>Bad Request</html>', which is not how" in (said := found(look, "Catalog API", "problem"))
        assert "-> check JWO_API_URL and the proxy" in said
    project.env["JWO_API_URL"] = f"{url}/v1"
    said = found(look, "Catalog API", "problem")
    assert "the host has no Catalog API: the Catalog API answered 403 'Missing Authentication Token' -> check" in said
    assert "without /v1" in said


def test_an_api_that_is_busy_or_out_of_order(project: Project, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    project.sandbox.misbehave(throttle=1)
    assert "429" in (said := found(look, "Catalog API", "warning"))
    assert "-> run this again in a minute" in said
    project.sandbox.misbehave(error_retry=1)
    assert "does not respond as expected: the Catalog API answered 500" in (
        said := found(look, "Catalog API", "problem")
    )
    assert "may have been ingested" not in said
    monkeypatch.setattr(installation, "API_TIMEOUT", urllib3.Timeout(connect=1, read=0.3))
    project.sandbox.misbehave(hang_before_ingesting=1)
    assert "no answer from the Catalog API" in (said := found(look, "Catalog API", "problem"))
    assert "-> run this again in a few minutes" in said


def test_a_mapping_that_does_not_fit_and_a_source_that_is_missing(project: Project, look: Look) -> None:
    project.mapping(MAPPING.replace("item_sku: sku", "item_sku: nowhere"))
    said = found(look, "mapping", "problem")
    assert said.startswith(f"{project.env['JWO_MAPPING']}, line 4, fields.item_sku: the export has no")
    assert "nowhere" in said
    assert "; jwo-catalog mapping review EXPORT shows what the mapping does" in said
    project.mapping(MAPPING)
    project.env["JWO_SOURCE_URI"] += ".gone"
    said = found(look, "mapping", "problem")
    assert "export.csv.gone" in said
    assert "it does not exist -> check JWO_SOURCE_URI" in said
    project.env["JWO_MAPPING"] += ".gone"
    assert "mapping.yaml.gone" in found(look, "mapping", "problem")


def test_an_export_of_which_many_rows_are_invalid(project: Project, look: Look) -> None:
    project.export("sku,barcode,name,store,price", "A,123,Pen,JWO-STORE-01,1.00", "B,4006381333932,Ink,JWO-STORE-01,1")
    said = found(look, "mapping", "problem")
    assert "2 rows, 1 quarantined (50.0%) -> jwo-catalog mapping review EXPORT" in said
    assert "more than 5% stop an upload" in said
    valid = [f"V{n},4006381333931,Ink,JWO-STORE-01,1.00" for n in range(30)]
    project.export("sku,barcode,name,store,price", "B,4006381333932,Ink,JWO-STORE-01,1", *valid)
    assert "31 rows, 1 quarantined (3.2%)" in found(look, "mapping", "warning")


@contextmanager
def _dagster_home(project: Project, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    folder.mkdir()
    project.env["DAGSTER_HOME"] = str(folder)
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    with dg.DagsterInstance.get() as instance:
        yield instance


def _beat(instance: dg.DagsterInstance, *without: str, seconds_ago: float = 0) -> None:
    """As the daemon does."""
    at = datetime.now(UTC).timestamp() - seconds_ago
    for name in set(instance.get_required_daemon_types()) - set(without):
        instance.add_daemon_heartbeat(DaemonHeartbeat(at, name, "one", []))


def _tick(
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


def test_dagster_without_a_home_or_with_one_that_does_not_open(
    project: Project, look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = found(look, "Dagster", "problem")
    assert (
        "DAGSTER_HOME is not set: Dagster keeps its history in a folder that is deleted when the process ends" in said
    )
    assert "-> set it to a folder that stays" in said
    project.env["DAGSTER_HOME"] = str(tmp_path / "nowhere")
    monkeypatch.setenv("DAGSTER_HOME", project.env["DAGSTER_HOME"])
    said = found(look, "Dagster", "problem")
    assert "nowhere cannot be opened" in said
    assert "must be the absolute path of a folder" in said
    password = "of-the-database"
    for text, says in (
        ("storage: [", "while parsing a flow node (line 1 of dagster.yaml)"),
        (f"storage: {{mysql: {{mysql_url: 'mysql://u:{password}@h/d'}}}}", "import module dagster_mysql"),
        (f"storage: {{postgres: {{postgres_url: 'postgresql://u:{password}@h/d'}}}}", "No module named 'psycopg'"),
        (f"storage: {{password: {password}}}", "loading dagster instance config at dagster.yaml"),
    ):
        (tmp_path / "dagster.yaml").write_text(text)
        project.env["DAGSTER_HOME"] = str(tmp_path)
        monkeypatch.setenv("DAGSTER_HOME", project.env["DAGSTER_HOME"])
        said = found(look, "Dagster", "problem")
        assert f"the instance of {tmp_path} cannot be opened: " in said
        assert says in said
        assert password not in said
        assert "check its dagster.yaml, the libraries that it needs" in said


def test_a_daemon_that_does_not_run(
    project: Project, look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _dagster_home(project, tmp_path / "home", monkeypatch) as instance:
        said = found(look, "Dagster", "problem")
        assert "Dagster keeps its runs in SqliteRunStorage; the daemon never ran" in said
        assert "-> start dagster-daemon run, or dagster dev, with the same DAGSTER_HOME" in said
        _beat(instance, seconds_ago=400)
        assert "the daemon last reported on 20" in found(look, "Dagster", "problem")
        _beat(instance, "SENSOR")
        assert "some of the daemon's parts are silent (SENSOR)" in found(look, "Dagster", "problem")


def test_limits_of_pools_are_shown(
    project: Project, look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _dagster_home(project, tmp_path / "home", monkeypatch) as instance:
        instance.event_log_storage.set_concurrency_slots("catalog", 2)
        assert "SqliteRunStorage; catalog: 2 at once; the daemon" in found(look, "Dagster", "problem")
    (tmp_path / "home" / "dagster.yaml").write_text("concurrency: {pools: {default_limit: 3}}")
    assert "catalog: 2 at once; any other pool: 3 at once;" in found(look, "Dagster", "problem")


def test_sensors_that_are_switched_off_or_never_tick(
    project: Project, look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _dagster_home(project, tmp_path / "home", monkeypatch) as instance:
        _beat(instance)
        said = found(look, "Dagster", "problem")
        assert "these sensors do not: ingestion_results_sensor, overdue_ingestions_sensor, alerts_sensor" in said
        assert "-> check in the UI, Deployment, whether the code location" in said
        _tick(instance, *SENSORS[:2])
        _tick(instance, "alerts_sensor", seconds_ago=700)
        assert "these sensors do not: alerts_sensor" in found(look, "Dagster", "problem")
    with _dagster_home(project, tmp_path / "other", monkeypatch) as instance:
        _beat(instance)
        _tick(instance, "alerts_sensor", status=InstigatorStatus.STOPPED)
        assert "switched off: alerts_sensor -> switch them on in the UI, Automation" in found(
            look, "Dagster", "problem"
        )


def _installed(folder: Path, name: str, version: str, *lines: str) -> None:
    """What an installed distribution leaves for importlib.metadata to find."""
    (folder / f"{name}-{version}.dist-info").mkdir(parents=True)
    text = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines, ""])
    (folder / f"{name}-{version}.dist-info" / "METADATA").write_text(text)


def test_a_library_that_is_missing_or_of_another_version_is_named(
    look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _installed(tmp_path, "pandas", "2.2.0")
    monkeypatch.syspath_prepend(tmp_path)
    said = found(look, "versions", "problem")
    assert said.startswith("pandas is 2.2.0, and must be <4,>=3 -> install requirements.lock again")
    needs = ["Requires-Dist: nowhere_to_be_found", "Requires-Dist: never; extra == 'dev'"]
    _installed(tmp_path, "jwo_catalog_pipeline", "9.9", "Requires-Python: >=4", *needs)
    said = found(look, "versions", "problem")
    assert "Python is 3." in said
    assert "and must be >=4" in said
    assert "nowhere_to_be_found is not installed" in said
    assert "never" not in said


def test_a_bug_in_a_check_is_not_taken_for_a_finding() -> None:
    def broken(_: Installation) -> Finding:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        list(examine(Installation({}, {}), [Check("broken", broken, "")]))


def _run(project: Project, *arguments: str) -> Result:
    _forget_clients()
    environment: dict[str, str | None] = {**project.env, "COLUMNS": "200"}
    return CliRunner().invoke(main, ["doctor", *arguments], catch_exceptions=False, env=environment)


def test_the_command_shows_a_table_gives_json_and_ends_with_1_where_there_is_a_problem(
    project: Project, look: Look, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    project.env["JWO_LEASE_SECONDS"] = "soon"
    shown = _run(project)
    assert shown.exit_code == 1
    for header in ("status", "check", "what was found", "what to do"):
        assert header in shown.stdout
    assert "DAGSTER_HOME is not set" in shown.stdout
    assert "JWO_LEASE_SECONDS is 'soon'" in shown.stdout
    assert "1 warning, 2 problem" in shown.stdout
    answer = _run(project, "--json")
    assert answer.exit_code == 1
    rows = json.loads(answer.stdout)
    assert [row["check"] for row in rows] == NAMES
    assert {tuple(row) for row in rows} == {("check", "status", "found", "remedy")}
    del project.env["JWO_LEASE_SECONDS"]
    with _dagster_home(project, tmp_path / "home", monkeypatch) as instance:
        _beat(instance)
        _tick(instance)
        answer = _run(project, "--json", "--thorough")
    assert answer.exit_code == 0  # warnings alone
    assert {row["status"] for row in json.loads(answer.stdout)} == {"ok", "warning"}


def test_no_secret_is_shown(project: Project, look: Look, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    secret = os.environ["AWS_SECRET_ACCESS_KEY"]
    link = "https://bucket.s3.amazonaws.com/r?X-Amz-Signature=abcdef0123456789"
    project.ledger.keep_unreadable("m", f"{link} {secret}", "s3://b/k")
    said = _run(project, "--json").output + _run(project).output
    assert "1 message could not be read" in said
    assert "abcdef0123456789" not in said
    assert secret not in said


def test_help_stays_quick() -> None:
    """It imports neither Dagster nor pandas."""
    said = subprocess.run(
        [Path(sys.executable).with_name("jwo-catalog"), "doctor", "--help"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},
    )
    assert "Check this installation" in said.stdout
    imported = {line.rpartition("|")[2].strip() for line in said.stderr.splitlines()}
    assert "click" in imported
    assert not {"dagster", "pandas", "boto3"} & imported
