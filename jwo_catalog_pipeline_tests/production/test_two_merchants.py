"""Two merchants on one Dagster instance: two code locations, each with a stack, settings and runs of its own."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from jwo_catalog_pipeline.sandbox.aws import TEMPLATE
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline_tests.production.deployment import DEPLOY, SERVICES, STACK, Deployment, deployment
from jwo_catalog_pipeline_tests.support.project import HEADER, MAPPING

KEY = "source/export.csv"
SOUTH = "jwo-south"  # the stack, as in deploy/workspace-merchants.yaml
WORKSPACE = (DEPLOY / "workspace-merchants.yaml").read_text()


@dataclass(frozen=True)
class Merchant:
    """A merchant's own things in AWS."""

    world: Deployment
    name: str
    store: str
    bucket: str
    ledger_table: str

    @property
    def ledger(self) -> Ledger:
        return Ledger(boto3.resource("dynamodb").Table(self.ledger_table))

    def export(self, text: str) -> None:
        self.world.sandbox.client("s3").put_object(Bucket=self.bucket, Key=KEY, Body=text.encode())

    def export_items(self) -> None:
        rows = [f"{self.name}{n},4006381333931,Pen,{self.store},1.99" for n in range(3)]
        self.export("\n".join([HEADER, *rows, ""]))

    def launch(self, upload: str) -> str:
        return self.world.launch("catalog_upload_job", upload, merchant=self.name)

    def runs(self, upload: str) -> list[dict[str, Any]]:
        """Those that send an upload, newest first."""
        return [
            run
            for run in self.world.run_records()
            if run["tags"].get("dagster/partition") == upload
            and run["tags"].get("jwo_catalog/merchant") == self.name
            and run["jobName"] == "catalog_upload_job"
        ]

    def alert_subjects(self) -> list[str]:
        return [alert.key for alert in self.ledger.alerts() if alert.key.startswith("run/")]


Two = tuple[Merchant, Merchant]


@pytest.fixture(scope="module")
def two() -> Iterator[Two]:
    with tempfile.TemporaryDirectory(prefix="production-") as name:
        folder = Path(name)
        (folder / "mapping.yaml").write_text(MAPPING)
        workspace = WORKSPACE.replace(f"{SOUTH}.jwo-dagster.internal", SERVICES["another"])
        assert SERVICES["another"] in workspace
        with (
            deployment(folder, folder / "mapping.yaml", KEY, workspace, Merchant="north") as world,
            pytest.MonkeyPatch.context() as patch,
        ):
            for variable, value in world.sandbox.environment.items():
                if variable.startswith("AWS_"):
                    patch.setenv(variable, value)
            boto3.setup_default_session()
            yield _started(world)
    boto3.setup_default_session()


def _started(world: Deployment) -> Two:
    env = world.sandbox.environment
    outputs = _resources(world)
    source = f"s3://{outputs['BucketName']}/{KEY}"
    world.serve("code", "daemon", "webserver")
    world.add_merchant(SOUTH, outputs["StackName"], Merchant="south", SourceUri=source)
    query = """query { workspaceOrError { ... on Workspace { locationEntries {
      name locationOrLoadError { __typename } } } } }"""

    def loaded() -> bool:
        entries = world.ask(query)["workspaceOrError"]["locationEntries"]
        return [each["locationOrLoadError"]["__typename"] for each in entries] == ["RepositoryLocation"] * 2

    world.until("both code locations", loaded)
    return (
        Merchant(world, "north", "JWO-STORE-01", env["JWO_BUCKET"], env["JWO_LEDGER_TABLE"]),
        Merchant(
            world,
            "south",
            "JWO-STORE-02",
            outputs["BucketName"],
            outputs["LedgerTableName"],
        ),
    )


def _resources(world: Deployment) -> dict[str, str]:
    """The second merchant's stack of cloudformation.yaml, with its queue subscribed to Amazon's topic."""
    env, name = world.sandbox.environment, "jwo-catalog-south"
    cloudformation = world.sandbox.client("cloudformation")
    topic = {"ParameterKey": "JwoTopicArn", "ParameterValue": env["JWO_TOPIC_ARN"]}
    cloudformation.create_stack(
        StackName=name, TemplateBody=TEMPLATE.read_text(), Capabilities=["CAPABILITY_IAM"], Parameters=[topic]
    )
    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
    world.sandbox.client("sns").subscribe(TopicArn=env["JWO_TOPIC_ARN"], Protocol="sqs", Endpoint=outputs["QueueArn"])
    return {**outputs, "StackName": name}


def test_both_upload_at_once_and_each_is_settled_by_its_own_sensors(two: Two) -> None:
    """With the same key: neither takes the other's run, partition or place in the pool."""
    for merchant in two:
        merchant.export_items()
    for merchant in two:
        merchant.launch("u1")
    world = two[0].world
    for merchant in two:

        def settled(of: Merchant = merchant) -> bool:
            record = of.ledger.upload("u1")
            return record is not None and not record.is_open

        world.until(f"{merchant.name}'s upload settled", settled)
        assert len(merchant.runs("u1")) == 1
    held = {(each["store_id"], each["item_sku"]) for each in world.sandbox.get("catalog")}
    assert held == {(merchant.store, f"{merchant.name}{n}") for merchant in two for n in range(3)}
    for merchant in two:
        assert sum(batch.items for batch in merchant.ledger.batches("u1")) == 3


def test_a_run_has_the_task_of_its_merchant(two: Two) -> None:
    """One daemon starts the runs of both: with the settings and the role of the merchant's stack."""
    ecs, world = boto3.client("ecs"), two[0].world
    families = {}
    for merchant, stack in zip(two, (STACK, SOUTH), strict=True):
        (run,) = merchant.runs("u1")
        (task,) = ecs.describe_tasks(cluster=world.tasks.cluster, tasks=[run["tags"]["ecs/task_arn"]])["tasks"]
        families[task["taskDefinitionArn"].rpartition("/")[2].partition(":")[0]] = f"{stack}-run"
    assert families == {name: name for name in families.values()}
    assert len(families) == 2


def test_a_failed_run_of_one_is_published_by_that_one_alone(two: Two) -> None:
    north, south = two
    south.export("nothing,that,is,mapped\n1,2,3,4\n")
    south.launch("u2")
    south.world.until("the alert", south.alert_subjects)
    query = """query($of: SensorSelector!) { sensorOrError(sensorSelector: $of) { ... on Sensor {
      sensorState { ticks(limit: 1) { timestamp status } } } } }"""
    of = {
        "repositoryName": "__repository__",
        "repositoryLocationName": "north",
        "sensorName": "alerts_sensor",
    }
    (run,) = south.runs("u2")

    def looked() -> bool:
        (tick,) = north.world.ask(query, of=of)["sensorOrError"]["sensorState"]["ticks"]
        return bool(tick["timestamp"] > run["endTime"] and tick["status"] == "SKIPPED")

    north.world.until("north's sensor has looked since", looked)
    assert north.alert_subjects() == []
    assert north.runs("u2") == []
