"""What `jwo-catalog doctor` finds wrong with credentials, permissions, bucket and ledger."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
import urllib3

from jwo_catalog_pipeline.doctor.aws import BLOCKS
from jwo_catalog_pipeline_tests.support.doctor import (
    Look,
    aws_that_says,
    found,
    http_server,
    permissions,
)
from jwo_catalog_pipeline_tests.support.project import Project

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


# What it also asks with --thorough, which the pipeline's role does not have.
BEYOND = {
    "s3:GetBucketVersioning": "versioning",
    "s3:GetBucketPublicAccessBlock": "public access",
    "dynamodb:DescribeTimeToLive": "ledger expiry",
    "dynamodb:DescribeContinuousBackups": "ledger recovery",
}


def test_credentials_that_have_expired_or_are_unknown_and_a_region_that_is_not_set(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    with aws_that_says("ExpiredToken"):
        said = found(look, "identity", "problem")
    assert "GetCallerIdentity with ExpiredToken -> the session has expired: log in again" in said
    with aws_that_says("InvalidClientTokenId"):
        assert "AWS does not know these keys: set AWS_PROFILE" in found(look, "identity", "problem")
    with aws_that_says("SignatureDoesNotMatch"):
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


def test_with_these_actions_it_looks_at_everything(look: Look) -> None:
    with permissions(*ACTIONS):
        every = look(*{"identity", "clock", *ACTIONS.values()})
    assert [each for each in every.values() if each.status not in ("ok", "warning")] == []


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_that_is_not_permitted_is_named(look: Look, action: str) -> None:
    with permissions(*set(ACTIONS) - {action}):
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
    with http_server(unconditional) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", url)
        said = found(look, "ledger", "problem")
    assert "takes a write whose condition does not hold: two uploads could interfere with each other" in said
    assert "-> check AWS_ENDPOINT_URL: this is not DynamoDB" in said


def test_what_the_pipelines_role_may_not_look_at_is_looked_at_only_when_asked(look: Look) -> None:
    for action, name in BEYOND.items():
        said = found(look, name, "skipped")
        assert f"not checked: the pipeline's role does not have {action} -> run jwo-catalog doctor --thorough" in said
    with permissions():  # moto asks for s3:ListBucket instead of s3:GetBucketPublicAccessBlock
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
    assert f"aws dynamodb update-continuous-backups --table-name {table}" in found(
        look, "ledger recovery", "warning", thorough=True
    )
    s3.delete_public_access_block(Bucket=bucket)
    assert "(BlockPublicAcls, BlockPublicPolicy, " in found(look, "public access", "warning", thorough=True)
