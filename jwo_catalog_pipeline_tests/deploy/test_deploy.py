"""What deploy/ says beside the resources: image, services, Dagster's settings. `make test-production` runs them."""

import re
from typing import Any

import pytest
import yaml

from benchmarks import costing
from jwo_catalog_pipeline.definitions import ASSETS
from jwo_catalog_pipeline.defs.merchants import UPLOAD_POOL
from jwo_catalog_pipeline.settings import VARIABLES
from jwo_catalog_pipeline_tests.support import DEPLOY, ROOT
from jwo_catalog_pipeline_tests.support.templates import (
    TemplateLoader,
    allowed_statements,
    dockerfile,
    ecs,
    template_resources,
)

IN_IMAGE = {"JWO_MAPPING"}
FROM_STACK = {"JWO_ALERT_TOPIC_ARN"}  # which makes the topic
ALARM = "AWS::CloudWatch::Alarm"
READINESS = (ROOT / "docs" / "readiness.md").read_text(encoding="utf-8")
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


def test_the_bill_is_of_the_database_the_alarms_and_the_secrets_that_are_deployed() -> None:
    (database,) = properties("AWS::RDS::DBInstance").values()
    prices = [name for name in costing.PRICES if name.startswith("RDS: db.")]
    assert prices == [f"RDS: {database['DBInstanceClass']} hour"]
    assert f"| {prices[0]} |" in READINESS
    assert int(database["AllocatedStorage"]) == costing.DISK_GB
    alarms = [*properties(ALARM).values(), *(each for each in template_resources().values() if "AlarmActions" in each)]
    billed = sum(max(1, sum("MetricStat" in each for each in alarm.get("Metrics", []))) for alarm in alarms)
    assert billed == costing.ALARMS
    assert f"| CloudWatch: an alarm | {billed:.2f} |" in READINESS
    assert len(properties("AWS::SecretsManager::Secret")) == costing.SECRETS


def test_every_alarm_tells_people_through_the_topic_of_the_resources_and_names_a_section_that_helps() -> None:
    alarms = properties(ALARM)
    assert set(alarms) == {"DatabaseDiskFull", "CodeNotRunning", "DaemonNotRunning", "WebserverNotRunning"}
    for alarm in alarms.values():
        assert alarm["AlarmActions"] == alarm["OKActions"]
        assert "${ResourcesStack}-AlertTopicArn" in str(alarm["AlarmActions"])
        (section,) = re.findall(r'docs/runbook\.md, "([^"]+)"', alarm["AlarmDescription"])
        assert f"\n## {section}\n" in (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")


def test_an_alarm_rings_before_the_databases_disk_is_full() -> None:
    alarm, (database,) = properties(ALARM)["DatabaseDiskFull"], properties("AWS::RDS::DBInstance")
    assert alarm["Dimensions"] == [{"Name": "DBInstanceIdentifier", "Value": {"Ref": database}}]
    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == ("AWS/RDS", "FreeStorageSpace", "Minimum")
    # RDS enlarges the disk when 10 % are free; an alarm above that would go off although nothing is to be done.
    enlarged_at = 0.1 * int(properties("AWS::RDS::DBInstance")[database]["AllocatedStorage"]) * 2**30
    assert 0 < alarm["Threshold"] < enlarged_at
    assert alarm["ComparisonOperator"] == "LessThanThreshold"


@pytest.mark.parametrize("service", ["Code", "Daemon", "Webserver"])
def test_an_alarm_rings_where_a_service_does_not_stay_up(service: str) -> None:
    """A task that ends again and again is started again and again, and nothing else says so."""
    alarm = properties(ALARM)[f"{service}NotRunning"]
    shown, *measured = alarm["Metrics"]
    metrics = {each["Id"]: each["MetricStat"] for each in measured}
    names = {name: (each["Metric"]["MetricName"], each["Stat"]) for name, each in metrics.items()}
    assert names == {"desired": ("DesiredTaskCount", "Maximum"), "running": ("RunningTaskCount", "Minimum")}
    for each in metrics.values():
        assert each["Metric"]["Namespace"] == "ECS/ContainerInsights"  # which the cluster sends
        assert each["Metric"]["Dimensions"] == [
            {"Name": "ClusterName", "Value": {"Ref": "Cluster"}},
            {"Name": "ServiceName", "Value": {"GetAtt": f"{service}Service.Name"}},
        ]
    assert shown["Expression"] == "desired - FILL(running, 0)"
    assert [each.get("ReturnData", True) for each in alarm["Metrics"]] == [True, False, False]
    # A deployment replaces the one daemon within three minutes.
    assert alarm["DatapointsToAlarm"] > 3
    (cluster,) = properties("AWS::ECS::Cluster").values()
    assert cluster["ClusterSettings"] == [{"Name": "containerInsights", "Value": "enabled"}]


@pytest.mark.parametrize("name", ["cloudformation.yaml", "ecs.yaml"])
def test_a_template_can_be_deployed_from_its_file(name: str) -> None:
    """A larger one would have to be in a bucket first."""
    assert len((DEPLOY / name).read_bytes()) <= 51_200
