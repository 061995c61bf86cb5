"""The sandbox as a process: its command line, its isolation from the caller's AWS, and its end."""

import json
import os
import signal
from pathlib import Path

import pytest
import urllib3

from jwo_catalog_pipeline.sandbox.__main__ import _write_env_file
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox, item

DESCRIBED = {
    "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "JWO_BUCKET",
    "JWO_LEDGER_TABLE",
    "JWO_QUEUE_URL",
    "JWO_TOPIC_ARN",
    "JWO_VERIFY_SIGNATURES",
    "JWO_API_URL",
    "JWO_API_REGION",
    "JWO_API_ROLE_ARN",
    "JWO_STORE_IDS",
    "JWO_ALERT_TOPIC_ARN",
}


def test_a_killed_sandbox_takes_its_aws_with_it_and_used_nothing_of_the_callers(tmp_path: Path):
    """With a profile that does not exist and a proxy that leads nowhere, any use of them would fail the start."""
    env_file = tmp_path / "sandbox.env"
    hostile = {"AWS_PROFILE": "nobody", "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1"}
    running = RunningSandbox(
        *("--stores", "S1, S2", "--raw-delivery", "--report-shape", "2", "--env-file", str(env_file)),
        environ={**os.environ, **hostile},
    )
    try:
        assert set(running.environment) == DESCRIBED
        assert running.environment["JWO_API_REGION"] != running.environment["AWS_DEFAULT_REGION"]
        assert running.environment["JWO_STORE_IDS"] == "S1,S2"
        assert dict(line.split("=", 1) for line in env_file.read_text().splitlines()) == running.environment
        ingestion = running.upload(item(store="S2"))
        assert "errors" in running.report(ingestion)
        (body,) = running.messages()
        assert json.loads(body)["ingestionId"] == ingestion
    finally:
        running.process.send_signal(signal.SIGKILL)
        running.process.wait(10)
    # A connection to the dead child's socket is refused, or, if it is about to die, closed or reset.
    with pytest.raises(urllib3.exceptions.HTTPError):
        for _ in range(1000):
            running.http.request("GET", running.environment["AWS_ENDPOINT_URL"] + "/moto-api/data.json")


def test_the_environment_file_keeps_what_is_the_users(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("JWO_MAPPING=mine.yaml\nJWO_BUCKET=old\n")
    _write_env_file(path, {"JWO_BUCKET": "new", "JWO_API_REGION": "us-west-2"})
    assert path.read_text() == "JWO_MAPPING=mine.yaml\nJWO_BUCKET=new\nJWO_API_REGION=us-west-2\n"
