"""What deploy/ says beside the resources: image, services, Dagster's settings. `make test-production` runs them."""

import re
from typing import Any

import pytest
import yaml

from benchmarks import costing
from jwo_catalog_pipeline.definitions import ASSETS
from jwo_catalog_pipeline.defs.upload_assets import UPLOAD_POOL
from jwo_catalog_pipeline.settings import VARIABLES
from jwo_catalog_pipeline_tests.support import DEPLOY, ROOT
from jwo_catalog_pipeline_tests.support.templates import TemplateLoader, allowed_statements, dockerfile, ecs

IN_IMAGE = {"JWO_MAPPING"}
FROM_STACK = {"JWO_ALERT_TOPIC_ARN"}  # which makes the topic
TASKS = ("RunTask", "CodeTask", "DaemonTask", "WebserverTask")
# These have no ARN to be named by, or are given for everything only.
FOR_EVERYTHING = {
    "ecr:GetAuthorizationToken",
    "ecs:DescribeTaskDefinition",
    "ec2:DescribeNetworkInterfaces",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
}


def properties(kind: str) -> dict[str, Any]:
    return {name: found["Properties"] for name, found in ecs().items() if found["Type"] == kind}


def container(task: str) -> dict[str, Any]:
    (found,) = ecs()[task]["Properties"]["ContainerDefinitions"]
    return found


def environment(task: str) -> dict[str, Any]:
    return {each["Name"]: each["Value"] for each in container(task)["Environment"]}


def dagster_yaml() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "dagster.yaml").read_text())


def helm_values() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "helm-values.yaml").read_text())


def test_nothing_is_public() -> None:
    for name, service in properties("AWS::ECS::Service").items():
        assert service["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] == "DISABLED", name
    (database,) = properties("AWS::RDS::DBInstance").values()
    assert database["PubliclyAccessible"] is False
    assert database["StorageEncrypted"] is True
    assert properties("AWS::ElasticLoadBalancingV2::LoadBalancer") == {}
    ways_in = [*properties("AWS::EC2::SecurityGroupIngress").values()]
    for group in properties("AWS::EC2::SecurityGroup").values():
        ways_in += group.get("SecurityGroupIngress", [])
    assert len(ways_in) == 3  # code location, database, and whoever asks people who they are
    assert all("SourceSecurityGroupId" in way and "CidrIp" not in way for way in ways_in)


def test_without_a_load_balancer_nobody_gets_to_the_ui() -> None:
    assert ecs()["UiFromLoadBalancer"]["Condition"] == "HasUiSource"
    assert (
        yaml.load((DEPLOY / "ecs.yaml").read_text(), TemplateLoader)["Parameters"]["UiSourceGroupId"]["Default"] == ""
    )


@pytest.mark.parametrize("task", TASKS)
def test_every_task_finds_what_dagster_yaml_asks_for(task: str) -> None:
    asked = set(re.findall(r"\{env: (\w+)\}", (DEPLOY / "dagster.yaml").read_text()))
    if task in ("RunTask", "CodeTask"):  # which start no run
        asked -= {"DAGSTER_RUN_TASK_DEFINITION"}
    secrets = {each["Name"] for each in container(task)["Secrets"]}
    assert asked <= environment(task).keys() | secrets
    assert secrets == {"DAGSTER_POSTGRES_PASSWORD"}


def test_the_code_location_and_runs_have_the_pipelines_settings_and_the_others_have_not() -> None:
    assert environment("RunTask") == environment("CodeTask")
    assert {name for name in environment("RunTask") if name.startswith("JWO_")} == VARIABLES.keys() - IN_IMAGE
    for task in ("DaemonTask", "WebserverTask"):
        assert {name for name in environment(task) if name.startswith("JWO_")} == {"JWO_BUCKET"}
        assert "DAGSTER_CODE_HOST" in environment(task)


@pytest.mark.parametrize("name", sorted(VARIABLES.keys() - IN_IMAGE - FROM_STACK))
def test_a_setting_has_the_same_default_on_ecs_and_on_kubernetes(name: str) -> None:
    variable, (code,) = VARIABLES[name], helm_values()["dagster-user-deployments"]["deployments"]
    on_kubernetes = {each["name"]: each["value"] for each in code["env"]}
    assert {each for each in on_kubernetes if each.startswith("JWO_")} == VARIABLES.keys() - IN_IMAGE
    assert all(isinstance(value, str) for value in on_kubernetes.values())
    if not variable.needed:
        assert (environment("RunTask")[name], on_kubernetes[name]) == (variable.default, variable.default)


def test_tasks_have_the_role_that_they_need() -> None:
    roles = {task: str(ecs()[task]["Properties"]["TaskRoleArn"]) for task in TASKS}
    assert "PipelineRoleArn" in roles["RunTask"]
    assert roles["CodeTask"] == roles["RunTask"]
    assert "DaemonRole" in roles["DaemonTask"]
    assert "WebserverRole" in roles["WebserverTask"]


@pytest.mark.parametrize("role", ["ExecutionRole", "DaemonRole", "WebserverRole"])
def test_a_role_is_for_named_things(role: str) -> None:
    for policy in ecs()[role]["Properties"]["Policies"]:
        for statement in allowed_statements(policy["PolicyDocument"]):
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            assert not any("*" in action for action in actions)
            if statement["Resource"] == "*":
                assert set(actions) <= FOR_EVERYTHING


def test_there_is_never_more_than_one_daemon() -> None:
    service = ecs()["DaemonService"]["Properties"]
    assert (service["DesiredCount"], service["DeploymentConfiguration"]["MaximumPercent"]) == (1, 100)


def test_one_run_uploads_at_a_time_and_retries_do_not_multiply() -> None:
    settings = dagster_yaml()
    (pool,) = {op.pool for asset in ASSETS for op in [asset.op] if op.pool}
    assert pool == UPLOAD_POOL
    assert settings["concurrency"]["pools"] == {"granularity": "run", "default_limit": 1}
    assert settings["run_retries"]["retry_on_asset_or_op_failure"] is False
    assert settings["telemetry"] == {"enabled": False}


def test_the_values_for_kubernetes_say_the_same() -> None:
    settings, values = dagster_yaml(), helm_values()
    more, daemon = values["additionalInstanceConfig"], values["dagsterDaemon"]
    assert more["nux"] == settings["nux"]
    assert more["concurrency"]["pools"] == settings["concurrency"]["pools"]
    queue = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    assert queue["maxConcurrentRuns"] == settings["concurrency"]["runs"]["max_concurrent_runs"]
    retries = {"retry_on_asset_or_op_failure": "retryOnAssetOrOpFailure"}
    for ours, theirs in (("run_monitoring", "runMonitoring"), ("run_retries", "runRetries")):
        for name, value in settings[ours].items():
            first, *others = name.split("_")
            assert daemon[theirs][retries.get(name, first + "".join(other.title() for other in others))] == value
    database = settings["storage"]["postgres"]["postgres_db"]
    assert values["postgresql"]["postgresqlScheme"] == database["scheme"]
    assert values["postgresql"]["postgresqlParams"] == database["params"]
    assert values["runLauncher"]["config"]["k8sRunLauncher"]["failPodOnRunFailure"] is True
    assert values["telemetry"] == settings["telemetry"]
    logs = values["computeLogManager"]["config"]["s3ComputeLogManager"]
    ours = settings["compute_logs"]["config"]
    assert (logs["prefix"], logs["uploadInterval"]) == (ours["prefix"], ours["upload_interval"])
    assert values["ingress"] == {"enabled": False}
    (code,) = values["dagster-user-deployments"]["deployments"]
    assert code["dagsterApiGrpcArgs"] == container("CodeTask")["Command"][-2:]
    (memory,) = re.findall(r"memory: (\w+)", str(values["runLauncher"]).replace("'", ""))[:1]
    assert f"{int(ecs()['RunTask']['Properties']['Memory']) // 1024}Gi" == memory


def test_the_image_is_made_of_what_is_there_locked_and_runs_as_nobody_in_particular() -> None:
    for copied in dockerfile("COPY"):
        *sources, _ = [word for word in copied.split() if not word.startswith("--")]
        if "--from" not in copied:
            assert all((ROOT / source).exists() for source in sources if "$" not in source), copied
    (mapping,) = [default for default in dockerfile("ARG") if default.startswith("MAPPING=")]
    assert (ROOT / mapping.removeprefix("MAPPING=")).exists()
    assert dockerfile("USER") == ["10001"]
    assert all(":" in image for image in dockerfile("FROM"))
    assert eval(dockerfile("CMD")[0])[1:3] == ["api", "grpc"]
    given = " ".join(dockerfile("ENV"))
    assert "DAGSTER_HOME=/opt/dagster" in given
    assert "JWO_MAPPING=/opt/jwo/mapping.yaml" in given


def test_the_image_has_the_tested_versions_and_nothing_that_only_tests_need() -> None:
    image, tested = ((folder / "requirements.lock").read_text().splitlines() for folder in (DEPLOY, ROOT))
    assert set(image) <= set(tested)
    names = {line.partition("==")[0] for line in image}
    assert {"dagster", "dagster-aws", "dagster-postgres", "duckdb"} <= names
    assert not names & {"moto", "pytest", "mypy", "ruff", "playwright"}


def test_the_bill_is_of_the_tasks_that_are_deployed() -> None:
    services = [ecs()[task]["Properties"] for task in TASKS[1:]]
    assert sum(int(task["Cpu"]) for task in services) / 1024 == costing.SERVICES_VCPU
    assert sum(int(task["Memory"]) for task in services) / 1024 == costing.SERVICES_GB
    run = ecs()["RunTask"]["Properties"]
    assert (int(run["Cpu"]) / 1024, int(run["Memory"]) / 1024) == (costing.RUN_VCPU, costing.RUN_GB)
