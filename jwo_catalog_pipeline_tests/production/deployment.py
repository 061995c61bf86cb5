"""The whole deployment: deploy/'s templates in the local AWS, its processes on this machine, PostgreSQL for Dagster.

What differs from AWS is in this file: three resources that moto does not make, addresses, and shorter pauses.
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import urllib3

from jwo_catalog_pipeline.defs.merchants import asset_key, uploads_of
from jwo_catalog_pipeline_tests.production.fargate import Fargate, fargate
from jwo_catalog_pipeline_tests.production.postgres import Postgres
from jwo_catalog_pipeline_tests.support import ROOT
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

DEPLOY = ROOT / "deploy"
STACK, PASSWORD = "prod", "of-this-test-alone"
# Each process that runs tests has addresses of its own: ports are what they are in deploy/.
HERE = f"127.{77 + os.getpid() % 100}.{os.getpid() // 100 % 250}"
SERVICES = {"code": f"{HERE}.10", "daemon": f"{HERE}.20", "webserver": f"{HERE}.30", "another": f"{HERE}.40"}
UI = f"http://{SERVICES['webserver']}:3000"
SECONDS = 180  # for anything to happen
NOT_IN_MOTO = ("Namespace", "CodeName", "DatabasePassword")  # their first mention is the resource
SECRET = "database"
PAUSES = {"poll_interval_seconds: 30": "poll_interval_seconds: 3"}
PASSED_ON = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
LOCATION = "jwo_catalog_pipeline"


class UiError(Exception):
    """The UI's answer was an error, as is the first after the database was away."""


class Deployment:
    """A running deployment. `settings` of the pipeline may be changed before a task is started."""

    def __init__(self, sandbox: RunningSandbox, postgres: Postgres, tasks: Fargate, subnets: list[str]) -> None:
        self.sandbox, self.postgres, self.tasks, self.subnets = sandbox, postgres, tasks, subnets
        self.settings = tasks.outside
        self.services: dict[str, str] = {}

    def serve(self, *names: str) -> None:
        """What ECS does for a service that has no task: start one."""
        for name in names:
            self.services[name] = self.tasks.run(f"{STACK}-{name}", SERVICES[name])

    def add_merchant(self, stack: str, resources: str, **parameters: str) -> None:
        """Create the stack of a second merchant, which shares this Dagster instance, and start its code location.

        Args:
            stack: its name.
            resources: the merchant's stack of cloudformation.yaml.
            parameters: of ecs.yaml.
        """
        shared = {"DagsterStack": STACK, "ResourcesStack": resources}
        create(self.sandbox, stack, self.subnets, {**parameters, **shared})
        self.services[stack] = self.tasks.run(f"{stack}-code", SERVICES["another"])

    def kill(self, *names: str) -> None:
        for name in names:
            self.tasks.kill(self.services[name])

    def runs(self) -> list[str]:
        """The tasks of runs, in the order in which they were started."""
        return [arn for arn in self.tasks.processes if arn not in self.services.values()]

    def ask(self, query: str, **variables: Any) -> Any:
        body = {"query": query, "variables": variables}
        answer = urllib3.request("POST", f"{UI}/graphql", json=body, timeout=30, retries=False).json()
        if "errors" in answer:
            raise UiError(json.dumps(answer["errors"])[:2000])
        return answer["data"]

    def until(self, what: str, question: Callable[[], Any], seconds: float = SECONDS) -> Any:
        """Ask until the answer is true; other processes work meanwhile."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if answer := question():
                    return answer
            except (urllib3.exceptions.HTTPError, UiError):
                pass
            time.sleep(0.2)
        ends = "\n".join(f"-- {arn}: {self.tasks.log(arn)[-1500:]}" for arn in list(self.tasks.processes)[-4:])
        raise AssertionError(f"{what}: not within {seconds} s\n{ends}")

    def launch(self, job: str, upload: str, only: Sequence[str] = (), merchant: str = "") -> str:
        """Start a run as a person does in the UI, of all assets of the job or of some; gives its id.

        A merchant's code location has its name.
        """
        add = """mutation($key: String!, $name: String!, $of: RepositorySelector!) { addDynamicPartition(
          partitionKey: $key, partitionsDefName: $name, repositorySelector: $of) { __typename } }"""
        of = {"repositoryName": "__repository__", "repositoryLocationName": merchant or LOCATION}
        partitions = str(uploads_of(merchant).name)
        fine = ("AddDynamicPartitionSuccess", "DuplicateDynamicPartitionError")
        self.until(
            "the partition",
            lambda: self.ask(add, key=upload, name=partitions, of=of)["addDynamicPartition"]["__typename"] in fine,
        )
        start = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
          __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
        tags = [{"key": "dagster/partition", "value": upload}]
        assets = {"assetSelection": [{"path": asset_key(merchant, name).path} for name in only]} if only else {}
        params = {"selector": {**of, "jobName": job, **assets}, "mode": "default", "executionMetadata": {"tags": tags}}
        answer = self.ask(start, params=params)["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def terminate(self, run: str) -> None:
        """Stop a run as a person does in the UI."""
        query = "mutation($run: String!) { terminateRun(runId: $run) { __typename } }"
        assert self.ask(query, run=run)["terminateRun"]["__typename"] == "TerminateRunSuccess"

    def run_records(self) -> list[dict[str, Any]]:
        """Every run, newest first: id, job, status, its upload, and of which run it is the retry."""
        query = """query { runsOrError { ... on Runs { results {
          runId jobName status startTime endTime parentRunId tags { key value } } } } }"""
        found = self.ask(query)["runsOrError"]["results"]
        return [{**each, "tags": {tag["key"]: tag["value"] for tag in each["tags"]}} for each in found]

    def status_of(self, upload: str, job: str = "catalog_upload_job") -> list[str]:
        """How the runs of a job for an upload stand, oldest first."""
        mine = [each for each in self.run_records() if each["tags"].get("dagster/partition") == upload]
        return [each["status"] for each in reversed(mine) if each["jobName"] == job]


def deploy(sandbox: RunningSandbox, source_uri: str, **parameters: str) -> tuple[str, dict[str, Any]]:
    """Create the stack of deploy/ecs.yaml; gives the cluster's name, and the network of a task."""
    ec2, secrets = sandbox.client("ec2"), sandbox.client("secretsmanager")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    zones = {"us-east-1a": "10.9.0.0/24", "us-east-1b": "10.9.1.0/24"}
    made = [ec2.create_subnet(VpcId=vpc, CidrBlock=of, AvailabilityZone=zone) for zone, of in zones.items()]
    subnets = [each["Subnet"]["SubnetId"] for each in made]
    secrets.create_secret(Name=SECRET, SecretString=json.dumps({"username": "dagster", "password": PASSWORD}))
    outputs = create(sandbox, STACK, subnets, {"ResourcesStack": "jwo-sandbox", "SourceUri": source_uri, **parameters})
    # moto would end every task by itself.
    lasting = {"model_name": "ecs::task", "transition": {"progression": "time", "seconds": 1_000_000}}
    endpoint = sandbox.environment["AWS_ENDPOINT_URL"]
    urllib3.request("POST", f"{endpoint}/moto-api/state-manager/set-transition", json=lasting)
    group = ec2.create_security_group(GroupName="tasks", Description="tasks", VpcId=vpc)["GroupId"]
    network = {"subnets": subnets, "securityGroups": [group], "assignPublicIp": "DISABLED"}
    return outputs["ClusterName"], {"awsvpcConfiguration": network}


def create(sandbox: RunningSandbox, name: str, subnets: list[str], parameters: dict[str, str]) -> dict[str, str]:
    """Create a stack of deploy/ecs.yaml; gives its outputs."""
    secret = sandbox.client("secretsmanager").describe_secret(SecretId=SECRET)["ARN"]
    text = (DEPLOY / "ecs.yaml").read_text()
    for resource in NOT_IN_MOTO:
        text, cut = re.subn(rf"\n  {resource}:\n(?:    .*\n|\n)+", "\n", text, count=1)
        assert cut == 1, resource
    text = re.sub(r"\n *ServiceRegistries:.*", "", text).replace("!Ref Namespace", "namespace")
    text = text.replace("!Ref DatabasePassword", secret).replace("${DatabasePassword}", secret)
    if parameters.get("DagsterStack"):  # moto makes the exports of outputs whose condition does not hold, too
        text = re.sub(r"(?m)^  \w+:\n    Condition: OwnsDagster\n(?:    .*\n)+", "", text)
    # The newest revision: see `_with_what_moto_forgets`.
    text = text.replace('"${RunTask}"', '"${AWS::StackName}-run"')
    env = sandbox.environment
    usual = {
        "Image": "registry.example/jwo:1",
        "VpcId": "vpc-1",
        "SubnetIds": ",".join(subnets),
        "JwoTopicArn": env["JWO_TOPIC_ARN"],
        "ApiUrl": env["JWO_API_URL"],
        "ApiRegion": env["JWO_API_REGION"],
        "JwoApiRoleArn": env["JWO_API_ROLE_ARN"],
        "StoreIds": env["JWO_STORE_IDS"],
        "VerifySignatures": env["JWO_VERIFY_SIGNATURES"],
    }
    cloudformation = sandbox.client("cloudformation")
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=text,
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in {**usual, **parameters}.items()],
    )
    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    _with_what_moto_forgets(sandbox, name)
    return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}


def _with_what_moto_forgets(sandbox: RunningSandbox, stack: str) -> None:
    """Task definitions from a template have no network mode in moto, and containers want memory of their own.

    The address of a queue has the host of the real SQS in moto.
    """
    ecs, endpoint = sandbox.client("ecs"), sandbox.environment["AWS_ENDPOINT_URL"]
    for arn in ecs.list_task_definitions()["taskDefinitionArns"]:
        found = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        if not found["family"].startswith(f"{stack}-"):
            continue
        (container,) = found["containerDefinitions"]
        for setting in container["environment"]:
            setting["value"] = re.sub(r"^https://sqs\.[a-z0-9-]+\.amazonaws\.com", endpoint, setting["value"])
        ecs.register_task_definition(
            family=found["family"],
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="1024",
            memory="2048",
            containerDefinitions=[{**container, "memoryReservation": 512}],
        )


def image_files(folder: Path, workspace: str) -> None:
    """What is in the image's /opt/dagster."""
    settings = (DEPLOY / "dagster.yaml").read_text().replace("/tmp/dagster-logs", str(folder / "printed"))
    for long, short in PAUSES.items():
        assert long in settings
        settings = settings.replace(long, short)
    (folder / "dagster.yaml").write_text(settings)
    (folder / "workspace.yaml").write_text(workspace)


@contextmanager
def deployment(
    folder: Path, mapping: Path, source_key: str, workspace: str = "", **parameters: str
) -> Iterator[Deployment]:
    """A deployment with a sandbox of its own, whose services are not started yet.

    Args:
        folder: for everything that it stores.
        mapping: the field mapping file.
        source_key: of the export, in the bucket of the sandbox.
        workspace: its text; "": that of deploy/workspace.yaml.
        parameters: of ecs.yaml, that differ from the sandbox's.
    """
    with ExitStack() as stack:
        sandbox = RunningSandbox()
        stack.callback(sandbox.stop)
        env = sandbox.environment
        cluster, network = deploy(sandbox, f"s3://{env['JWO_BUCKET']}/{source_key}", **parameters)
        postgres = Postgres(folder / "postgres", PASSWORD)
        stack.callback(postgres.kill)
        home = folder / "opt"
        home.mkdir()
        image_files(home, workspace or (DEPLOY / "workspace.yaml").read_text())
        outside = {
            **{name: env[name] for name in PASSED_ON},
            "JWO_MAPPING": str(mapping),
            "DAGSTER_POSTGRES_HOST": "127.0.0.1",
            "DAGSTER_POSTGRES_PORT": str(postgres.port),
            "DAGSTER_CODE_HOST": SERVICES["code"],
            "DAGSTER_RUN_TASK_DEFINITION": f"{STACK}-run",
        }
        tasks = stack.enter_context(fargate(sandbox.client, cluster, home, network, outside))
        yield Deployment(sandbox, postgres, tasks, network["awsvpcConfiguration"]["subnets"])
