"""docs/deploy.md as a person follows it: its commands, with the AWS CLI itself, against a local AWS.

Docker is not there, so the image is taken as built.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from jwo_catalog_pipeline.cli.main import main
from jwo_catalog_pipeline.sandbox.aws import ACCESS_KEY_ID, AWS_REGION, SECRET_ACCESS_KEY
from jwo_catalog_pipeline_tests.production import emulator, packages
from jwo_catalog_pipeline_tests.production.deployment import STACK, Deployment, deployment
from jwo_catalog_pipeline_tests.support import DEPLOY, ROOT
from jwo_catalog_pipeline_tests.support.project import HEADER, MAPPING, ROWS
from jwo_catalog_pipeline_tests.support.templates import TemplateLoader

AWS_CLI = "awscli==1.46.3"  # Apache licence; needs one exact version of botocore
DOCUMENT = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
KEY = "source/export.csv"

Shell = Callable[..., subprocess.CompletedProcess[str]]


def commands(section: str) -> str:
    """The commands of a section of the document."""
    (text,) = re.findall(rf"^## (?:\d\. )?{section}\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    return "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    installed = tmp_path_factory.mktemp("emulator")
    packages.install_or_skip(emulator.EMULATOR, installed)
    with emulator.running(installed, tmp_path_factory.mktemp("running")) as url:
        yield url


@pytest.fixture(scope="module")
def aws_cli(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the program `aws`."""
    folder = tmp_path_factory.mktemp("aws")
    packages.install_or_skip(AWS_CLI, folder / "installed")
    program = folder / "aws"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={folder / "installed"} exec {sys.executable} -m awscli "$@"\n')
    program.chmod(0o755)
    return folder


def shell(aws_cli: Path, folder: Path, environ: dict[str, str]) -> Shell:
    """What runs commands as a person would type them."""
    own = {name: value for name, value in environ.items() if name.startswith("AWS_")}

    def run(script: str, **more: str) -> subprocess.CompletedProcess[str]:
        path = f"{aws_cli}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env={"PATH": path, "HOME": str(folder), **own, **more},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


def test_the_commands_of_the_document_make_the_resources_and_the_registry(
    aws_cli: Path, endpoint: str, tmp_path: Path
) -> None:
    """On MiniStack, as moto cannot update a stack by a change set that has references between resources."""
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    topic = "arn:aws:sns:us-east-1:123456789012:results"
    said = {
        **{"PEOPLE@EXAMPLE.COM": "people@example.com", "BUCKET_OF_THE_EXPORT": "exports", "TOPIC_OF_AMAZON": topic},
        "ROLE_OF_AMAZON": "arn:aws:iam::123456789012:role/api",
        **{"REGION": "us-east-1", "ACCOUNT": "123456789012", "VERSION": "1"},
    }
    own = {"AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": AWS_REGION}
    run = shell(
        aws_cli, tmp_path, {**own, "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY}
    )
    docker = 'docker() { [ "$1" != login ] || [ -n "$(cat)" ]; echo "docker $1"; }\n'
    printed = ""
    for section in ("Resources, and the role ARN for Amazon", "Queue ARN, topic, subscription", "Image"):
        printed += done(run(docker + replaced(commands(section), said))).stdout
    assert "PipelineRoleArn" in printed
    assert re.findall(r"docker (\w+)", printed) == ["login", "build", "push"]
    asked = "aws ecr describe-repositories --query 'repositories[].repositoryName' --output text"
    assert done(run(asked)).stdout.split() == ["jwo-catalog"]
    asked = "aws cloudformation describe-stacks --stack-name jwo-catalog --query 'Stacks[0].Parameters' --output text"
    given = done(run(asked)).stdout
    assert {topic, "people@example.com", "exports"} <= set(given.split())  # the second deployment keeps the first's


def test_the_command_for_the_services_gives_every_parameter_that_is_needed() -> None:
    given = set(
        re.findall(r"(\w+)=", commands("Services on Fargate").partition("--parameter-overrides")[2].split("\naws")[0])
    )
    parameters = yaml.load((DEPLOY / "ecs.yaml").read_text(), TemplateLoader)["Parameters"]
    assert {name for name, found in parameters.items() if "Default" not in found} <= given <= set(parameters)


def replaced(text: str, by: dict[str, str]) -> str:
    for old, new in by.items():
        text = text.replace(old, new)
    return text


def done(process: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert process.returncode == 0, process.stdout + process.stderr
    return process


@pytest.fixture(scope="module")
def world() -> Iterator[Deployment]:
    with tempfile.TemporaryDirectory(prefix="production-") as name:
        folder = Path(name)
        (folder / "mapping.yaml").write_text(MAPPING)
        with deployment(folder, folder / "mapping.yaml", KEY) as found:
            found.tasks.before_stopped = lambda arn: print_to_cloudwatch(found, arn)
            yield found


def print_to_cloudwatch(world: Deployment, arn: str) -> None:
    """As the log driver of ECS does it with what a container prints."""
    outputs = world.sandbox.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]["Outputs"]
    (group,) = [each["OutputValue"] for each in outputs if each["OutputKey"] == "LogGroup"]
    stream = {"logGroupName": group, "logStreamName": f"run/run/{arn.rpartition('/')[2]}"}
    now, printed = int(time.time() * 1000), world.tasks.log(arn).splitlines()
    lines = [{"timestamp": now + n, "message": line} for n, line in enumerate(printed) if line]
    logs = world.sandbox.client("logs")
    logs.create_log_stream(**stream)
    logs.put_log_events(**stream, logEvents=lines)


def test_a_command_of_the_runbook_runs_in_the_deployment(world: Deployment, aws_cli: Path, tmp_path: Path) -> None:
    env = world.sandbox.environment
    export = "\n".join([HEADER, *ROWS]).encode()
    world.sandbox.client("s3").put_object(Bucket=env["JWO_BUCKET"], Key=KEY, Body=export)
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    here = {"STACK": STACK, "POLL_SECONDS": "0.3", "AWS_ENDPOINT_URL_ECS": f"{world.tasks.url}/person"}
    run = shell(aws_cli, tmp_path, env)

    asked = run("deploy/run jwo-catalog upload", **here)
    assert asked.returncode == 1, asked.stderr
    assert "insert" in asked.stdout, asked.stderr
    assert "--yes" in asked.stdout, asked.stdout[-3000:]
    assert world.sandbox.get("catalog") == []
    assert "is settled" in done(run("deploy/run jwo-catalog upload --yes", **here)).stdout
    assert len(world.sandbox.get("catalog")) == 3
    assert "the same bytes" in done(run("deploy/run jwo-catalog state rebuild", **here)).stdout
    printed = done(run("""deploy/run python -c 'print("a \\\\ b", "c")'""", **here)).stdout
    assert printed == "a \\ b c\n"


def test_every_command_that_the_document_runs_in_the_deployment_exists() -> None:
    for line in re.findall(r"^deploy/run (.*)$", DOCUMENT, re.MULTILINE):
        words = [word for word in line.partition("#")[0].split() if word.islower() or word.startswith("--")]
        assert words[0] == "jwo-catalog"
        names = [word for word in words if not word.startswith("--")]
        shown = CliRunner().invoke(main, [*names[1:], "--help"])
        assert shown.exit_code == 0, line
        assert all(word in shown.output for word in words if word.startswith("--")), line
