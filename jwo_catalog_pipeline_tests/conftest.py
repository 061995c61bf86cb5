"""Fixtures: the running sandbox, and the pipeline's parts wired to it."""

import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import dagster as dg
import pytest
from hypothesis import settings

from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline_tests.support.mailbox import mailbox, messages_sent
from jwo_catalog_pipeline_tests.support.parts import Clock, Parts, api_client
from jwo_catalog_pipeline_tests.support.project import Project
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox, fresh, sandbox

__all__ = ["fresh", "mailbox", "messages_sent", "sandbox"]

# How long an example takes says how busy the machine is.
settings.register_profile("without deadlines", deadline=None)
settings.load_profile("without deadlines")


# They come first: a long file that comes last keeps one worker busy while the others have nothing to do.
LONGEST = ("test_any_history.py", "test_chaos_kills.py", "test_dagster_dev.py", "test_secrets.py")


NETWORK = {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session", autouse=True)
def only_the_sandbox(sandbox: RunningSandbox) -> Iterator[None]:
    """Tests see the sandbox's AWS and nothing of the caller's."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("AWS_", "JWO_", "DAGSTER_")) or name.upper() in NETWORK:
                patch.delenv(name)
        for name, value in sandbox.environment.items():
            if name.startswith("AWS_"):
                patch.setenv(name, value)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        yield


@pytest.fixture
def parts(fresh: RunningSandbox) -> Parts:
    env = fresh.environment
    clock = Clock()
    table = boto3.resource("dynamodb").Table(env["JWO_LEDGER_TABLE"])
    bucket = Bucket(boto3.client("s3"), env["JWO_BUCKET"])
    return Parts(fresh, bucket, Ledger(table, clock), api_client(fresh), clock)


@pytest.fixture(scope="session")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def project(fresh: RunningSandbox, instance: dg.DagsterInstance, tmp_path: Path) -> Project:
    instance.wipe()
    return Project(fresh, instance, tmp_path)
