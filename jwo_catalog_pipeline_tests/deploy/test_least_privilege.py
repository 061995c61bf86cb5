"""The pipeline's role may do what the pipeline was seen to do, on what it was seen to do it to, and nothing else.

A whole life is lived against the sandbox, through the jobs, sensors and commands, while botocore's events tell every
call that the project's own code makes; the Catalog API's calls are those that the sandbox saw.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner

from jwo_catalog_pipeline.aws import aws_client, dynamodb_table
from jwo_catalog_pipeline.cli.main import main
from jwo_catalog_pipeline.defs import resources
from jwo_catalog_pipeline.defs.sensors import (
    alerts_sensor,
    ingestion_results_sensor,
    overdue_ingestions_sensor,
    source_catalog_sensor,
    waiting_items_sensor,
)
from jwo_catalog_pipeline.upload.plan.guards import GUARDS
from jwo_catalog_pipeline_tests.support import ROOT
from jwo_catalog_pipeline_tests.support.project import HEADER, ROWS, Project, failure
from jwo_catalog_pipeline_tests.support.templates import allowed_statements, template_resources

Seen = set[tuple[str, str]]  # an action and what it is done to

CODE, TESTS = f"{Path(resources.__file__).parents[1]}/", f"{ROOT / 'jwo_catalog_pipeline_tests'}/"
EXPORTS, AMAZONS_TOPIC = "exports-of-the-retailer", "jwo-catalog-ingestions"
S3_ACTIONS = {
    "ListObjectsV2": "ListBucket",
    "HeadObject": "GetObject",
    "GetObject": "GetObject",
    "PutObject": "PutObject",
    "CopyObject": "PutObject",  # and GetObject, which each run also uses
    "DeleteObjects": "DeleteObject",
}
TRANSACTION_PARTS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem"}
API_CALLS = {"upload": "upload", "archive": "archive", "status": "getCatalogUploadStatus"}
NAMES = {"SourceBucketName": "exports", "sns:": "topic", ":role/": "role"}
# AWS asks for no permission to say who one is.
FREE = {"sts:GetCallerIdentity"}
CACHES = [aws_client, dynamodb_table, resources._budget, resources._credentials]


def _made_by_the_project() -> bool:
    """Whether the call comes from the project's code, and not from a test or the sandbox: who is nearest decides."""
    frame: Any = sys._getframe(2)  # behind the recorder
    while frame:
        name = frame.f_code.co_filename
        if name.startswith((CODE, TESTS)):
            return name.startswith(CODE) and "/sandbox/" not in name
        frame = frame.f_back
    return False


class Recorder:
    """What the project's code asks of AWS."""

    def __init__(self, env: dict[str, str]) -> None:
        self.env, self.seen = env, set[tuple[str, str]]()

    def note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        if not _made_by_the_project():
            return
        service, operation = model.service_model.endpoint_prefix, model.name
        if service == "s3":
            self._add("s3", S3_ACTIONS.get(operation, operation), self._bucket(params["Bucket"]))
        elif service == "dynamodb":
            table = "LedgerTable"
            if operation == "TransactWriteItems":
                for part in params["TransactItems"]:
                    (kind,) = part
                    self._add("dynamodb", TRANSACTION_PARTS.get(kind, f"{kind}Item"), table)
            else:
                self._add("dynamodb", operation, table)
        elif service == "sqs":
            url = params.get("QueueUrl") or params["QueueName"]
            self._add("sqs", operation.removesuffix("Batch"), "DeadLetterQueue" if "DeadLetter" in url else "Queue")
        elif service == "sns":
            self._add("sns", operation, "topic" if AMAZONS_TOPIC in params["TopicArn"] else "AlertTopic")
        elif service == "sts":
            self._add("sts", operation, "role")
        else:
            self._add({"monitoring": "cloudwatch"}.get(service, service), operation, "*")

    def _bucket(self, name: str) -> str:
        return "Bucket" if name == self.env["JWO_BUCKET"] else "exports"

    def note_missing(self, parsed: dict[str, Any], **_: Any) -> None:
        """That an object is not there is said only to those who may list the bucket; to others it is forbidden."""
        if parsed.get("Error", {}).get("Code") in ("NoSuchKey", "404") and _made_by_the_project():
            self._add("s3", "ListBucket", "Bucket")

    def _add(self, service: str, operation: str, resource: str) -> None:
        if f"{service}:{operation}" not in FREE:
            self.seen.add((f"{service}:{operation}", resource))


@pytest.fixture
def recorder(project: Project) -> Iterator[Recorder]:
    """Listens to every client that is made from now on."""
    boto3.setup_default_session()
    found = Recorder(project.env)
    events = boto3.DEFAULT_SESSION.events
    events.register("before-parameter-build", found.note)
    events.register("after-call.s3", found.note_missing)
    for cached in CACHES:
        cached.cache_clear()
    yield found
    boto3.setup_default_session()
    for cached in CACHES:
        cached.cache_clear()


def command(project: Project, *arguments: str) -> None:
    result = CliRunner(env=project.env).invoke(main, [*arguments, "--json"], catch_exceptions=False)
    assert json.loads(result.stdout) is not None


def live(project: Project) -> None:
    """Everything that an installation does in its life, good days and bad ones."""
    alerts = boto3.client("sns").create_topic(Name="alerts")["TopicArn"]
    project.env |= {"JWO_ALERT_TOPIC_ARN": alerts, "JWO_OVERDUE_MINUTES": "0", "JWO_ARCHIVE": "on"}
    project.env["JWO_STORE_IDS"] = "JWO-STORE-01,JWO-STORE-02,JWO-STORE-03"
    boto3.client("s3").create_bucket(Bucket=EXPORTS)
    s3, queue = boto3.client("s3"), boto3.client("sqs")
    for number, rows in enumerate([ROWS, [*ROWS[:2], "C,036000291452,Tissues,JWO-STORE-02,2.60"], ROWS[:2], ROWS[:1]]):
        # Files that bear the numbers 0 to 3 would be the parts of one export.
        name = f"2026-11-2{number}.csv"
        s3.put_object(Bucket=EXPORTS, Key=f"in/{name}", Body="\n".join([HEADER, *rows, ""]).encode())
        project.env["JWO_SOURCE_URI"] = f"s3://{EXPORTS}/in/{'' if number else name}"
        project.tick(source_catalog_sensor)
        if number == 1:  # an answer that never comes, so that a doubt is to be ended
            project.sandbox.misbehave(error_after_ingesting=1)
        project.must_upload(f"u{number}", ops={"catalog_changes": {"config": {"allow": list(GUARDS)}}})
        if number == 0:
            project.sandbox.misbehave(drop_notifications=1)
        project.sandbox.drain()
        for sensor in (ingestion_results_sensor, overdue_ingestions_sensor, waiting_items_sensor):
            project.tick(sensor)
        project.run("ingestion_results_job", f"u{number}")
    queue.send_message(QueueUrl=project.env["JWO_QUEUE_URL"], MessageBody="not json")
    confirmation = {"Type": "SubscriptionConfirmation", "TopicArn": project.env["JWO_TOPIC_ARN"], "Token": "t" * 20}
    queue.send_message(QueueUrl=project.env["JWO_QUEUE_URL"], MessageBody=json.dumps(confirmation))
    project.tick(ingestion_results_sensor)
    project.env["JWO_SOURCE_URI"] = f"s3://{project.env['JWO_BUCKET']}/source/export.csv"
    project.upload("u9")
    project.mapping("version: 1\nfields: {item_sku: nowhere}\n")
    failure(project.upload("u10"))
    project.tick(alerts_sensor)
    command(project, "status")
    command(project, "item", "A")
    command(project, "state", "rebuild")
    command(project, "state", "salvage")
    command(project, "doctor")
    project.env["JWO_KEEP_DAYS"] = "0.0000001"
    command(project, "state", "prune", "--yes")


def _what(resource: Any) -> str:
    """The logical name of what a statement is about, as the recorder calls it."""
    text = json.dumps(resource)
    if found := re.search(r"(Bucket|LedgerTable|DeadLetterQueue|Queue|AlertTopic|KmsKey)\b", text):
        return found[1]
    return next((name for part, name in NAMES.items() if part in text), "*")


def granted(**parameters: str) -> Seen:
    """What the role's policy allows, without the Catalog API."""
    (policy,) = template_resources(SourceBucketName=EXPORTS, **parameters)["PipelineRole"]["Policies"]
    found: Seen = set()
    for statement in allowed_statements(policy["PolicyDocument"]):
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        of = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        found |= {(action, _what(one)) for action in actions for one in of}
    return found


@pytest.mark.thorough
def test_the_role_may_do_what_was_seen_and_nothing_else(project: Project, recorder: Recorder) -> None:
    live(project)
    topic = f"arn:aws:sns:us-east-1:123456789012:{AMAZONS_TOPIC}"
    role = "arn:aws:iam::123456789012:role/jwo"
    assert recorder.seen == granted(JwoTopicArn=topic, JwoApiRoleArn=role)
    calls = {API_CALLS[call["operation"]] for call in project.sandbox.get("requests")}
    (policy,) = template_resources(JwoTopicArn=topic)["PipelineRole"]["Policies"]
    paths = re.findall(r"POST/v1/catalog/(\w+)", json.dumps(policy))
    assert sorted(paths) == sorted(calls)
