"""The pipeline on an emulator of AWS that is not moto: nothing may depend on the habits of one emulator.

S3, SNS, SQS, DynamoDB and CloudFormation are MiniStack's; sessions of STS are moto's.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.cli.main import main
from jwo_catalog_pipeline.defs.sensors import ingestion_results_sensor, overdue_ingestions_sensor
from jwo_catalog_pipeline.source_file import fetch_source, find_source
from jwo_catalog_pipeline_tests.production import emulator, packages
from jwo_catalog_pipeline_tests.support import expectation
from jwo_catalog_pipeline_tests.support.arrival import account, catalog
from jwo_catalog_pipeline_tests.support.doctor import forget_clients
from jwo_catalog_pipeline_tests.support.project import HEADER, MANY, ROWS, SAMPLE, Project, failure, metadata
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

RAW = "--raw-delivery"
ENVELOPES = pytest.mark.parametrize("sandbox_elsewhere", [""], ids=["envelopes"], indirect=True)
ENVELOPES_AND_RAW = pytest.mark.parametrize("sandbox_elsewhere", ["", RAW], ids=["envelopes", "raw"], indirect=True)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    installed = tmp_path_factory.mktemp("emulator")
    packages.install_or_skip(emulator.EMULATOR, installed)
    with emulator.running(installed, tmp_path_factory.mktemp("running")) as url:
        yield url


@pytest.fixture(scope="module")
def sandbox_elsewhere(endpoint: str, request: pytest.FixtureRequest) -> Iterator[RunningSandbox]:
    sandbox = RunningSandbox("--requests-per-second", "0", "--emulator", endpoint, *request.param.split())
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sandbox.environment.items():
            if name.startswith("AWS_"):
                patch.setenv(name, value)
        forget_clients()
        yield sandbox
    forget_clients()
    assert sandbox.stop() == 0


@pytest.fixture
def fresh(sandbox_elsewhere: RunningSandbox) -> RunningSandbox:
    """Takes the place of the sandbox on moto for `project`, `mailbox` and all that is made of them."""
    sandbox_elsewhere.reset()
    return sandbox_elsewhere


def test_where_the_emulator_cannot_be_had_the_reason_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(pytest.skip.Exception, match="cannot be installed: ERROR: No matching distribution"):
        packages.install_or_skip(emulator.EMULATOR, tmp_path)


def export_to(project: Project, key: str, content: bytes) -> None:
    boto3.client("s3").put_object(Bucket=project.env["JWO_BUCKET"], Key=key, Body=content)


@pytest.fixture
def exports(project: Project) -> str:
    """A prefix for exports, with the folder's marker in it."""
    export_to(project, "exports/", b"")
    project.env["JWO_SOURCE_URI"] = f"s3://{project.env['JWO_BUCKET']}/exports/"
    return "exports/"


@ENVELOPES_AND_RAW
def test_the_newest_export_under_a_prefix_arrives_and_every_row_is_accounted_for(
    project: Project, exports: str
) -> None:
    rows, sent = expectation.expected(SAMPLE / "grocery.csv", expectation.grocery)
    accepted = {key: item for key, item in sent.items() if expectation.service_accepts(item)}
    project.mapping((SAMPLE / "mapping.yaml").read_text(encoding="utf-8"))
    export_to(project, f"{exports}2026-11-26.csv", "\n".join([HEADER, *ROWS]).encode())
    export_to(project, f"{exports}2026-11-27.csv", (SAMPLE / "grocery.csv").read_bytes())

    assert metadata(project.must_upload("u1"), "source_catalog")["dagster/row_count"] == rows
    project.settle("u1")

    assert catalog(project) == accepted
    assert account(project, rows) == {"accepted": set(accepted), "rejected": set(sent) - set(accepted)}


@ENVELOPES
def test_only_what_changed_is_sent_and_the_ledger_can_be_rebuilt_from_the_bucket(
    project: Project, exports: str
) -> None:
    export_to(project, f"{exports}1.csv", "\n".join([HEADER, *ROWS]).encode())
    project.must_upload("u1")
    project.settle("u1")
    export_to(project, f"{exports}2.csv", "\n".join([HEADER, *ROWS]).replace("1.99", "2.49").encode())
    project.must_upload("u2")
    project.settle("u2")
    assert project.table("catalog_changes", "u2")["change"].value_counts().to_dict() == {"update": 1}
    assert [call["items"] for call in project.requests()] == [3, 1]
    assert catalog(project)["JWO-STORE-01", "A"]["standard_price"] == "2.49"
    rebuilt = CliRunner(env=project.env).invoke(main, ["state", "rebuild"], catch_exceptions=False)
    assert "the same bytes" in rebuilt.output


@ENVELOPES
def test_an_export_that_was_replaced_while_it_was_read_is_not_sent(project: Project, tmp_path: Path) -> None:
    uri = project.env["JWO_SOURCE_URI"]
    found = find_source(uri, boto3.client("s3"))
    project.export(HEADER, *MANY)
    with pytest.raises(SourceFileError, match="it was replaced while it was being read"):
        fetch_source(found, tmp_path, boto3.client("s3"))
    project.env["JWO_SOURCE_URI"] = f"{uri}.gone"
    assert "it does not exist" in failure(project.upload("u1"))


@ENVELOPES
def test_a_notification_that_never_came_is_replaced_by_the_status_api(project: Project) -> None:
    project.env["JWO_OVERDUE_MINUTES"] = "0"
    project.sandbox.misbehave(drop_notifications=1)
    project.must_upload("u1")
    project.sandbox.drain()
    (request,) = project.tick(overdue_ingestions_sensor).run_requests
    assert request.partition_key == "u1"
    assert project.run("ingestion_results_job", "u1").success
    assert set(project.table("ingestion_results", "u1")["outcome"]) == {"accepted"}


@ENVELOPES
def test_a_link_that_has_expired_is_asked_for_again(project: Project) -> None:
    project.sandbox.misbehave(expire_links=1)
    project.must_upload("u1")
    assert set(project.settle("u1")["outcome"]) == {"accepted"}
    assert [call["operation"] for call in project.sandbox.get("requests")] == ["upload", "status"]


@ENVELOPES_AND_RAW
def test_a_message_that_cannot_be_read_is_kept_and_leaves_the_queue(project: Project) -> None:
    queue = {"QueueUrl": project.env["JWO_QUEUE_URL"]}
    boto3.client("sqs").send_message(**queue, MessageBody="not JSON")
    project.tick(ingestion_results_sensor)
    kept = boto3.client("s3").list_objects_v2(Bucket=project.env["JWO_BUCKET"], Prefix="inbox/unreadable/")
    assert kept["KeyCount"] == 1
    left = boto3.client("sqs").get_queue_attributes(**queue, AttributeNames=["All"])["Attributes"]
    assert {left[name] for name in left if name.startswith("ApproximateNumber")} == {"0"}


@ENVELOPES
def test_people_are_published_once_through_the_topic(project: Project, messages_sent: Any) -> None:
    project.export(HEADER, *[row.replace("4006381333931", "4006381333932") for row in MANY])
    project.upload("u1")
    ((subject, text),) = messages_sent()
    assert subject == "JWO catalog: invalid_share blocks upload u1"
    assert "15 of 15 rows" in text
