"""`jwo-catalog close`: shows, asks, and records who ended the waiting, and why."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jwo_catalog_pipeline.cli.main import main
from jwo_catalog_pipeline_tests.support.project import Project


@pytest.fixture
def run(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Calls the command line in an empty folder, as a person would."""
    monkeypatch.chdir(tmp_path)
    project.sandbox.misbehave(delay=10**7)
    project.must_upload("u1")

    def call(*arguments: str, answer: str | None = None) -> Result:
        for name, value in project.env.items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(main, arguments, input=answer, catch_exceptions=False, env={"COLUMNS": "200"})

    return call


def test_it_shows_what_is_waited_for_and_asks(project: Project, run) -> None:
    result = run("close", "u1", "--reason", "Amazon lost it", answer="n\n")
    assert result.exit_code == 1
    assert "Upload u1: what is waited for" in result.output
    assert "End the waiting for 3 items of upload u1?" in result.output
    assert project.ledger.upload("u1").closed_at == 0
    result = run("close", "u1", "--reason", "Amazon lost it", answer="y\n")
    assert (result.exit_code, "Closed 1 batch of upload u1." in result.output) == (0, True)
    result = run("close", "u1", "--reason", "again")
    assert result.exit_code == 0
    assert "Upload u1 was closed on" in result.output
    assert "Amazon lost it" in result.output


def test_without_a_terminal_it_names_yes(project: Project, run) -> None:
    result = run("close", "u1", "--reason", "Amazon lost it")
    assert (result.exit_code, "add --yes" in result.output) == (1, True)
    assert "add --yes" in run("close", "u1", "--reason", "x", "--json").output
    assert "--reason is empty" in run("close", "u1", "--reason", " ", "--yes").output
    assert project.ledger.upload("u1").closed_at == 0


def test_a_script_gets_json_with_who_closed_it(project: Project, run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    closed = json.loads(run("close", "u1", "--reason", "Amazon lost it", "--yes", "--json").stdout)
    assert (closed["upload"], closed["closed"]["reason"]) == ("u1", "Amazon lost it")
    assert closed["closed"]["closed_by"].startswith("ada, arn:aws:")
    (batch,) = closed["batches"]
    assert (batch["batch"], batch["state"], batch["items"]) == ("0001", "submitted", 3)
    assert json.loads(run("close", "u1", "--reason", "again", "--yes", "--json").stdout)["batches"] == []
    assert json.loads(run("status", "--json").stdout)["closed"] == [closed["closed"]]
    assert "Closed by a person" in run("status").output


def test_without_aws_knowing_the_caller_the_user_is_recorded(
    project: Project, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jwo_catalog_pipeline.aws import _caller

    monkeypatch.setenv("LOGNAME", "ada")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    _caller.cache_clear()
    assert run("close", "u1", "--reason", "Amazon lost it", "--yes").exit_code == 0
    _caller.cache_clear()
    assert project.ledger.upload("u1").closed_by == "ada"


def test_an_upload_that_nobody_knows_is_an_error(run) -> None:
    result = run("close", "u9", "--reason", "x", "--yes")
    assert (result.exit_code, "nothing of upload u9 was ever sent" in result.output) == (1, True)


def test_a_resume_of_a_closed_upload_says_who_closed_it(run) -> None:
    run("close", "u1", "--reason", "Amazon lost it", "--yes")
    result = run("upload", "--resume", "u1")
    assert (result.exit_code, "upload u1 was closed on" in result.output) == (1, True)
