"""docs/runbook.md, "A lost or restored ledger": each of its commands is run, as written, against the deployed stack.

moto has no command line of AWS's; what a command says is carried out through boto3. `ecs.yaml` is read, for moto makes
too little of it.
"""

import json
import re
import shlex
from typing import Any

import boto3
import pytest
from click.testing import CliRunner

from jwo_catalog_pipeline.cli.main import main
from jwo_catalog_pipeline_tests.support import ROOT
from jwo_catalog_pipeline_tests.support.project import HEADER, ROWS, Project
from jwo_catalog_pipeline_tests.support.templates import TEMPLATE, ecs, template_resources

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
SECTION = RUNBOOK.split("## A lost or restored ledger\n")[1].split("\n## ")[0]
NEW = "restored-ledger"


def commands(project: Project) -> list[list[str]]:
    """The section's commands in their order, with the names of this installation."""
    text = "\n".join(re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)).replace("\\\n", " ")
    names = {"OLD": project.env["JWO_LEDGER_TABLE"], "NEW": NEW}
    text = re.sub(r"\b(OLD|NEW)\b", lambda found: names[found[1]], text)
    text = text.replace("--stack-name jwo-catalog ", "--stack-name jwo-sandbox ")
    return [words for line in text.splitlines() if (words := shlex.split(line, comments=True))]


def value(text: str) -> Any:
    if "=" not in text:
        return text
    pairs = (pair.split("=") for pair in text.split(","))
    return {name: word == "true" if word in ("true", "false") else word for name, word in pairs}


def run_aws(project: Project, words: list[str]) -> None:
    service, operation, *rest = words
    options: dict[str, Any] = {}
    for word in rest[operation == "wait" :]:
        if word.startswith("--"):
            name, options[word[2:]] = word[2:], True
        else:
            options[name] = word
    client = boto3.client(service)
    if (service, operation) == ("cloudformation", "deploy"):
        deploy(client, options, value(options["parameter-overrides"]))
    elif operation == "wait":
        client.get_waiter(rest[0].replace("-", "_")).wait(TableName=options["table-name"])
    else:
        camel = {"".join(map(str.title, name.split("-"))): each for name, each in options.items()}
        given = {name: each if each is True else value(each) for name, each in camel.items()}
        getattr(client, operation.replace("-", "_"))(**given)


def deploy(client: Any, options: dict[str, Any], changed: dict[str, str]) -> None:
    """As the command does: parameters that are not named keep their values."""
    text = (ROOT / options["template-file"]).read_text()
    assert {f"  {name}:" for name in changed} <= set(text.splitlines())
    if options["stack-name"] != "jwo-sandbox":
        return
    (stack,) = client.describe_stacks(StackName=options["stack-name"])["Stacks"]
    given = {one["ParameterKey"]: one["ParameterValue"] for one in stack.get("Parameters", [])} | changed
    parameters = [{"ParameterKey": name, "ParameterValue": each} for name, each in given.items()]
    client.update_stack(
        StackName=options["stack-name"], TemplateBody=text, Parameters=parameters, Capabilities=["CAPABILITY_IAM"]
    )


def outputs(stack: str = "jwo-sandbox") -> dict[str, str]:
    (found,) = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}


def policy() -> str:
    """What the deployed role may do; of a stack of its own, for moto's update of a stack leaves roles as they are."""
    cloudformation, iam = boto3.client("cloudformation"), boto3.client("iam")
    given = [{"ParameterKey": "LedgerTableName", "ParameterValue": NEW}]
    cloudformation.create_stack(
        StackName="new", TemplateBody=TEMPLATE.read_text(), Parameters=given, Capabilities=["CAPABILITY_IAM"]
    )
    role = outputs("new")["PipelineRoleArn"].rpartition("/")[2]
    return str(iam.get_role_policy(RoleName=role, PolicyName="pipeline")["PolicyDocument"])


def test_every_step_of_the_runbook_works_and_role_alarms_and_setting_follow(project: Project) -> None:
    project.must_upload("u1")
    project.settle("u1")
    old = project.env["JWO_LEDGER_TABLE"]
    backups = {"PointInTimeRecoveryEnabled": True}  # moto leaves it out of the template
    boto3.client("dynamodb").update_continuous_backups(TableName=old, PointInTimeRecoverySpecification=backups)
    ran = []
    for words in commands(project):
        ran.append(" ".join(words[:3]))
        if words[0] == "aws":
            run_aws(project, words[1:])
            continue
        project.env["JWO_LEDGER_TABLE"] = outputs()["LedgerTableName"]
        result = CliRunner(env=project.env).invoke(main, words[1:], input="y\n")
        assert result.exit_code == 0, result.output
    assert ran[0] == "aws dynamodb restore-table-to-point-in-time"
    assert len(ran) == 10
    assert outputs()["LedgerTableName"] == NEW
    assert set(re.findall(r"dynamodb:[\w-]*:\d*:table/([\w.-]+)", policy())) == {NEW}
    for alarm in boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]:
        if alarm["Namespace"] == "JwoCatalog":
            assert [dimension["Value"] for dimension in alarm["Dimensions"]] == [NEW]
    table = boto3.client("dynamodb")
    expiry = table.describe_time_to_live(TableName=NEW)["TimeToLiveDescription"]
    assert (expiry["TimeToLiveStatus"], expiry["AttributeName"]) == ("ENABLED", "expires_at")
    doctor = CliRunner(env=project.env).invoke(main, ["doctor", "--thorough", "--json"])
    assert doctor.exception is None or isinstance(doctor.exception, SystemExit), doctor.exception
    found = {each["check"]: each for each in json.loads(doctor.stdout)}
    assert {found[name]["status"] for name in ("ledger", "ledger expiry", "ledger recovery")} == {"ok"}
    project.export(HEADER, *ROWS[:2], "C,036000291452,Tissues,JWO-STORE-02,2.60")
    project.must_upload("u2")
    assert len(project.settle("u2")) == 1


@pytest.mark.parametrize("name", ["StuckIngestions", "NobodyLooks"])
def test_the_alarms_watch_the_restored_ledger(name: str) -> None:
    alarm = template_resources(LedgerTableName=NEW)[name]
    assert alarm["Dimensions"] == [{"Name": "Ledger", "Value": NEW}]


def test_every_task_uses_the_restored_ledger_and_without_one_what_the_stack_made() -> None:
    for given, expected in ((NEW, NEW), ("", {"Fn::ImportValue": {"Fn::Sub": "${ResourcesStack}-LedgerTableName"}})):
        found = [
            variable["Value"]
            for resource in ecs(LedgerTableName=given).values()
            for container in resource.get("Properties", {}).get("ContainerDefinitions", [])
            for variable in container.get("Environment", [])
            if variable["Name"] == "JWO_LEDGER_TABLE"
        ]
        assert len(found) >= 2
        assert all(each == expected for each in found)
