"""What deploy/ shows for two merchants on one Dagster instance."""

import re

import yaml

from jwo_catalog_pipeline.settings import VARIABLES
from jwo_catalog_pipeline_tests.support import DEPLOY
from jwo_catalog_pipeline_tests.support.templates import TemplateLoader, ecs

SECOND = {"DagsterStack": "jwo-dagster", "Merchant": "south"}


def test_the_stack_of_a_second_merchant_has_no_dagster_of_its_own() -> None:
    """It runs its code location and its runs in the first one's cluster, network and database."""
    first, second = ecs(), ecs(**SECOND)
    gone = first.keys() - second.keys()
    assert gone >= {"Cluster", "Database", "DatabasePassword", "DaemonService", "WebserverService", "Namespace"}
    assert second.keys() - first.keys() == {"RunsOfThisMerchant"}
    left = str({name: each["Properties"] for name, each in second.items() if name != "UiFromLoadBalancer"})
    assert not [name for name in gone if re.search(rf"'(Ref|GetAtt)': \W?'?{name}['.]", left)]
    (service,) = [each for each in second.values() if each["Type"] == "AWS::ECS::Service"]
    assert "jwo-dagster-ClusterName" in str(service).replace("${DagsterStack}", "jwo-dagster")


def test_what_the_stack_of_a_second_merchant_imports_is_exported_by_the_first() -> None:
    template = yaml.load((DEPLOY / "ecs.yaml").read_text(), TemplateLoader)
    exported = {str(each["Export"]["Name"]) for each in template["Outputs"].values() if "Export" in each}
    imported = set(re.findall(r"\$\{DagsterStack\}-(\w+)", str(ecs(**SECOND))))
    assert {f"{{'Sub': '${{AWS::StackName}}-{name}'}}" for name in imported} <= exported
    assert imported


def test_the_runs_of_a_code_location_have_its_settings_and_its_role() -> None:
    """The daemon is one for all merchants, and starts what the code location names."""
    for parameters in ({}, SECOND):
        (code,) = ecs(**parameters)["CodeTask"]["Properties"]["ContainerDefinitions"]
        command = code["Command"]
        assert "${RunTask}" in command[command.index("--container-context") + 1]["Sub"]
    actions = ecs(**SECOND)["RunsOfThisMerchant"]["Properties"]["PolicyDocument"]["Statement"]
    assert {each["Action"] for each in actions} == {"ecs:RunTask", "iam:PassRole", "logs:GetLogEvents"}


def test_two_merchants_are_shown_for_fargate_and_for_kubernetes() -> None:
    workspace = yaml.safe_load((DEPLOY / "workspace-merchants.yaml").read_text())["load_from"]
    values = yaml.safe_load((DEPLOY / "helm-merchants.yaml").read_text())
    code = values["dagster-user-deployments"]["deployments"]
    names = [each["name"] for each in code]
    assert names == [each["grpc_server"]["location_name"] for each in workspace] == ["north", "south"]
    settings = [{each["name"]: each["value"] for each in one["env"]} for one in code]
    assert [each["JWO_MERCHANT"] for each in settings] == names
    needed = {name for name, variable in VARIABLES.items() if variable.needed} - {"JWO_MAPPING"}
    for name in ("JWO_BUCKET", "JWO_LEDGER_TABLE", "JWO_QUEUE_URL", "JWO_ALERT_TOPIC_ARN", "JWO_SOURCE_URI"):
        assert settings[0][name] != settings[1][name]
    for each in settings:
        assert needed <= each.keys()
        assert {name for name in each if name.startswith("JWO_")} <= VARIABLES.keys()
