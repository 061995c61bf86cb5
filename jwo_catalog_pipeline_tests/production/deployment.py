"""The whole deployment: deploy/'s templates in the local AWS, its processes on this machine, PostgreSQL for Dagster.

What differs from AWS is in this file: three resources that moto does not make, addresses, and shorter pauses.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import urllib3

from jwo_catalog_pipeline_tests.production.fargate import Fargate, fargate
from jwo_catalog_pipeline_tests.production.postgres import Postgres
from jwo_catalog_pipeline_tests.support import ROOT
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

DEPLOY = ROOT / "deploy"
STACK, PASSWORD = "prod", "of-this-test-alone"
SERVICES = {"code": "127.77.0.10", "daemon": "127.77.0.20", "webserver": "127.77.0.30"}
UI = "http://127.77.0.30:3000"
SECONDS = 180  # for anything to happen
NOT_IN_MOTO = ("Namespace", "CodeName", "DatabasePassword")
PAUSES = {"poll_interval_seconds: 30": "poll_interval_seconds: 3"}
PASSED_ON = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "JWO_QUEUE_URL")


class UiError(Exception):
    """The UI's answer was an error, as is the first after the database was away."""


class Deployment:
    """A running deployment. `settings` of the pipeline may be changed before a task is started."""

    def __init__(self, sandbox: RunningSandbox, postgres: Postgres, tasks: Fargate) -> None:
        self.sandbox, self.postgres, self.tasks = sandbox, postgres, tasks
        self.settings = tasks.outside
        self.services: dict[str, str] = {}

    def serve(self, *names: str) -> None:
        """What ECS does for a service that has no task: start one."""
        for name in names:
            self.services[name] = self.tasks.run(f"{STACK}-{name}", SERVICES[name])

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

    def launch(self, job: str, upload: str, only: Sequence[str] = ()) -> str:
        """Start a run as a person does in the UI, of all assets of the job or of some; gives its id."""
        add = """mutation($key: String!, $of: RepositorySelector!) { addDynamicPartition(
          partitionKey: $key, partitionsDefName: "catalog_uploads", repositorySelector: $of) { __typename } }"""
        of = {"repositoryName": "__repository__", "repositoryLocationName": "jwo_catalog_pipeline"}
        fine = ("AddDynamicPartitionSuccess", "DuplicateDynamicPartitionError")
        self.until(
            "the partition", lambda: self.ask(add, key=upload, of=of)["addDynamicPartition"]["__typename"] in fine
        )
        start = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
          __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
        tags = [{"key": "dagster/partition", "value": upload}]
        assets = {"assetSelection": [{"path": [name]} for name in only]} if only else {}
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


def deploy(sandbox: RunningSandbox, source_uri: str) -> tuple[str, dict[str, Any]]:
    """Create the stack of deploy/ecs.yaml; gives the cluster's name, and the network of a task."""
    ec2, secrets = sandbox.client("ec2"), sandbox.client("secretsmanager")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    zones = {"us-east-1a": "10.9.0.0/24", "us-east-1b": "10.9.1.0/24"}
    made = [ec2.create_subnet(VpcId=vpc, CidrBlock=of, AvailabilityZone=zone) for zone, of in zones.items()]
    subnets = [each["Subnet"]["SubnetId"] for each in made]
    words = json.dumps({"username": "dagster", "password": PASSWORD})
    secret = secrets.create_secret(Name="database", SecretString=words)["ARN"]
    text = (DEPLOY / "ecs.yaml").read_text()
    for name in NOT_IN_MOTO:
        text, cut = re.subn(rf"\n  {name}:\n(?:    .*\n|\n)+", "\n", text)
        assert cut == 1, name
    text = re.sub(r"\n *ServiceRegistries:.*", "", text)
    text = text.replace("!Ref DatabasePassword", secret).replace("${DatabasePassword}", secret)
    env = sandbox.environment
    parameters = {
        "Image": "registry.example/jwo:1",
        "ResourcesStack": "jwo-sandbox",
        "VpcId": vpc,
        "SubnetIds": ",".join(subnets),
        "SourceUri": source_uri,
        "JwoTopicArn": env["JWO_TOPIC_ARN"],
        "ApiUrl": env["JWO_API_URL"],
        "ApiRegion": env["JWO_API_REGION"],
        "JwoApiRoleArn": env["JWO_API_ROLE_ARN"],
        "StoreIds": env["JWO_STORE_IDS"],
        "VerifySignatures": env["JWO_VERIFY_SIGNATURES"],
    }
    cloudformation = sandbox.client("cloudformation")
    cloudformation.create_stack(
        StackName=STACK,
        TemplateBody=text,
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )
    (stack,) = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    _with_what_moto_forgets(sandbox.client("ecs"))
    # moto would end every task by itself.
    lasting = {"model_name": "ecs::task", "transition": {"progression": "time", "seconds": 1_000_000}}
    urllib3.request("POST", f"{env['AWS_ENDPOINT_URL']}/moto-api/state-manager/set-transition", json=lasting)
    cluster = next(each["OutputValue"] for each in stack["Outputs"] if each["OutputKey"] == "ClusterName")
    group = ec2.create_security_group(GroupName="tasks", Description="tasks", VpcId=vpc)["GroupId"]
    network = {"subnets": subnets[:1], "securityGroups": [group], "assignPublicIp": "DISABLED"}
    return cluster, {"awsvpcConfiguration": network}


def _with_what_moto_forgets(ecs: Any) -> None:
    """Task definitions from a template have no network mode in moto, and containers want memory of their own."""
    for arn in ecs.list_task_definitions()["taskDefinitionArns"]:
        found = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        ecs.register_task_definition(
            family=found["family"],
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="1024",
            memory="2048",
            containerDefinitions=[{**each, "memoryReservation": 512} for each in found["containerDefinitions"]],
        )


def image_files(folder: Path) -> None:
    """What is in the image's /opt/dagster."""
    settings = (DEPLOY / "dagster.yaml").read_text().replace("/tmp/dagster-logs", str(folder / "printed"))
    for long, short in PAUSES.items():
        assert long in settings
        settings = settings.replace(long, short)
    (folder / "dagster.yaml").write_text(settings)
    (folder / "workspace.yaml").write_text((DEPLOY / "workspace.yaml").read_text())


@contextmanager
def deployment(folder: Path, mapping: Path, source_key: str) -> Iterator[Deployment]:
    """A deployment with a sandbox of its own, whose services are not started yet.

    Args:
        folder: for everything that it stores.
        mapping: the field mapping file.
        source_key: of the export, in the bucket of the sandbox.
    """
    with ExitStack() as stack:
        sandbox = RunningSandbox()
        stack.callback(sandbox.stop)
        env = sandbox.environment
        cluster, network = deploy(sandbox, f"s3://{env['JWO_BUCKET']}/{source_key}")
        postgres = Postgres(folder / "postgres", PASSWORD)
        stack.callback(postgres.kill)
        home = folder / "opt"
        home.mkdir()
        image_files(home)
        outside = {
            **{name: env[name] for name in PASSED_ON},
            "JWO_MAPPING": str(mapping),
            "DAGSTER_POSTGRES_HOST": "127.0.0.1",
            "DAGSTER_POSTGRES_PORT": str(postgres.port),
            "DAGSTER_CODE_HOST": SERVICES["code"],
            "DAGSTER_RUN_TASK_DEFINITION": f"{STACK}-run",
        }
        tasks = stack.enter_context(fargate(sandbox.client, cluster, home, network, outside))
        yield Deployment(sandbox, postgres, tasks)
