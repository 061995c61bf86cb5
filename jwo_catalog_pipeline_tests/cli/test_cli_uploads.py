"""The commands about uploads, as a person and as a script use them, against the sandbox."""

import json
import os
import re
from pathlib import Path

import boto3
import pytest
from click.testing import CliRunner, Result

from jwo_catalog_pipeline.cli import upload as upload_command
from jwo_catalog_pipeline.cli.main import main
from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.snapshots import read_before
from jwo_catalog_pipeline_tests.support.project import HEADER, MANY, OTHER_STORE, ROWS, Project


@pytest.fixture
def run(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(upload_command, "POLL_SECONDS", 0.05)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)

    def call(*arguments: str, answer: str | None = None) -> Result:
        for name in [name for name in os.environ if name.startswith("JWO_")]:
            monkeypatch.delenv(name)
        for name, value in project.env.items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(main, arguments, input=answer, catch_exceptions=False, env={"COLUMNS": "200"})

    return call


def test_a_plan_is_shown_and_sent_only_when_a_person_agrees(project: Project, run) -> None:
    planned = run("upload", "--dry-run")
    assert [key for key, _ in project.bucket.list("uploads/") if "/tables/" in key] == []
    assert planned.exit_code == 0, planned.output
    assert "insert" in planned.output
    assert "Nothing was sent" in planned.output
    assert run("upload", answer="n\n").exit_code == 1
    assert project.requests() == []
    done = run("upload", answer="y\n")
    assert done.exit_code == 0, done.output
    assert "Send 1 request to Amazon?" in done.output
    assert "is settled" in done.output
    assert len(project.sandbox.get("catalog")) == 3


def test_where_nobody_can_confirm_nothing_is_sent_and_the_option_is_named(project: Project, run) -> None:
    """As in a task of ECS: it ended with "Aborted!"."""
    asked = run("upload")
    assert asked.exit_code == 1
    assert "no terminal" in asked.output
    assert "--yes" in asked.output
    assert "Aborted" not in asked.output
    assert project.requests() == []
    (upload,) = re.findall(r"--resume (\S+),", asked.output)
    assert run("upload", "--resume", upload).exit_code == 0
    assert len(project.sandbox.get("catalog")) == 3
    assert run("upload").exit_code == 0  # nothing to send, nothing to ask


def test_a_script_gets_json_and_an_unchanged_catalog_sends_nothing(project: Project, run) -> None:
    assert run("upload", "--json").exit_code == 2
    first = json.loads(run("upload", "--yes", "--json").stdout)
    assert (first["counts"]["insert"], first["requests"], first["items"]) == (3, 1, {"accepted": 3})
    again = json.loads(run("upload", "--yes", "--json", "--allow", "changed_share").stdout)
    assert (again["counts"]["unchanged"], again["requests"], again["items"]) == (3, 0, {})
    assert again["compared_with"] == first["upload"]
    assert len(project.requests()) == 1


@pytest.mark.thorough
def test_a_guard_stops_the_upload_and_names_its_override(project: Project, run) -> None:
    project.export(HEADER, *MANY, *OTHER_STORE)
    run("upload", "--yes")
    project.export(HEADER, *MANY)
    stopped = run("upload", "--yes")
    assert stopped.exit_code == 1
    assert "JWO-STORE-02" in stopped.output
    assert "--allow store_missing" in stopped.output
    assert "absent" in stopped.output
    assert json.loads(run("upload", "--yes", "--json").stdout)["stopped_by"]
    assert "there is no guard nothing" in run("upload", "--allow", "nothing").output
    assert run("upload", "--yes", "--allow", "store_missing").exit_code == 0


@pytest.mark.thorough
def test_an_upload_that_stopped_is_resumed(project: Project, run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jwo_catalog_pipeline.upload.send.retrying.BACKOFF", lambda _: 0.0)
    project.sandbox.misbehave(error_retry=5)
    stopped = run("upload", "--yes")
    assert stopped.exit_code == 1
    assert "was not accepted" in stopped.output
    (upload,) = project.ledger.open_uploads()
    (only,) = json.loads(run("status", "--json").stdout)["open_batches"]
    assert (only["upload"], only["state"]) == (upload, "in_doubt")
    resumed = json.loads(run("upload", "--resume", upload, "--json").stdout)
    assert (resumed["state"], resumed["items"]) == ("settled", {"accepted": 3})


@pytest.mark.thorough
def test_the_status_says_what_is_open_and_what_waits(project: Project, run) -> None:
    assert "Nothing has been sent yet" in run("status").output
    project.sandbox.misbehave(delay=3600)
    unsettled = run("upload", "--yes", "--follow-minutes", "0")
    assert unsettled.exit_code == 1
    assert "has not settled" in unsettled.output
    project.export(HEADER, ROWS[0].replace("1.99", "2.99"), *ROWS[1:])
    assert run("upload", "--yes").exit_code == 0
    found = json.loads(run("status", "--json").stdout)
    assert [each["state"] for each in found["uploads"]] == ["settled", "open"]
    (batch,) = found["open_batches"]
    assert (batch["state"], batch["items"]) == ("submitted", 3)
    assert found["waiting"] == {"items": 1, "for": [f"batch 0001 of upload {batch['upload']}"]}
    assert "Waiting for batch 0001 of upload" in run("status").output


@pytest.mark.thorough
def test_an_items_history_has_every_version_and_what_amazon_said(project: Project, run) -> None:
    run("upload", "--yes")
    project.sandbox.misbehave(reject_skus=["A"])
    project.export(HEADER, ROWS[0].replace("1.99", "2.99").replace("Highlighter", "\x1b[31mRed"), *ROWS[1:])
    run("upload", "--yes")
    found = json.loads(run("item", "A", "--json").stdout)
    assert [(each["outcome"], str(each["item"]["standard_price"])) for each in found["sent"]] == [
        ("accepted", "1.99"),
        ("rejected", "2.99"),
    ]
    assert found["published"][0]["state"] == "rejected"
    shown = run("item", "A", "--store", "JWO-STORE-01").output
    assert "rejected on purpose" in shown
    assert "\x1b[31mRed" not in shown
    assert run("item", "A", "--store", "elsewhere").exit_code == 1
    assert "was never sent" in run("item", "Z").output


@pytest.mark.thorough
def test_a_quarantined_item_is_found(project: Project, run) -> None:
    project.export(HEADER, *ROWS * 10, "Q,96385075,Wrong digit,JWO-STORE-01,0.99")
    project.export(HEADER, *MANY, *OTHER_STORE, "Q,96385075,Wrong digit,JWO-STORE-01,0.99")
    run("upload", "--yes")
    found = json.loads(run("item", "Q", "--json").stdout)
    assert (found["sent"], len(found["quarantined"])) == ([], 1)
    written = run("fix-list")
    assert "wrote fix_list.csv: 1 row to fix" in written.output
    assert "Q,96385075" in Path("fix_list.csv").read_text(encoding="utf-8")


@pytest.mark.thorough
def test_the_state_is_rebuilt_and_restored(project: Project, run) -> None:
    run("upload", "--yes")
    project.export(HEADER, ROWS[0].replace("1.99", "2.49"), *ROWS[1:])
    run("upload", "--yes")
    assert json.loads(run("state", "rebuild", "--json").stdout) == {"items": 3, "same_bytes": True, "restored": None}
    head = project.ledger.head().upload
    snapshot = read_before(project.bucket, head, project.ledger.upload(head).plan).snapshot
    project.bucket.client.delete_object(Bucket=project.bucket.name, Key=snapshot)
    lost = run("state", "rebuild")
    assert lost.exit_code == 1
    assert "NOT the same" in lost.output
    assert "--restore" in lost.output
    restored = run("state", "rebuild", "--restore")
    assert (restored.exit_code, "the same bytes" in restored.output) == (0, True)
    assert json.loads(run("upload", "--yes", "--json").stdout)["counts"]["unchanged"] == 3


def test_a_missing_setting_is_a_sentence(project: Project, run) -> None:
    project.env["JWO_LEDGER_TABLE"] = ""
    for arguments in (["status"], ["item", "A"], ["state", "rebuild"], ["upload", "--dry-run"]):
        result = run(*arguments)
        assert result.exit_code == 1
        assert "JWO_LEDGER_TABLE is not set" in result.output


def test_settings_come_from_the_env_file_too(project: Project, run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWO_LEDGER_TABLE", "so that what the file sets is taken back afterwards")
    Path(".env").write_text(f"JWO_LEDGER_TABLE={project.env.pop('JWO_LEDGER_TABLE')}\n")
    assert "Nothing has been sent yet" in run("status").output


@pytest.mark.thorough
def test_a_lost_ledger_is_salvaged_only_when_asked_to_write(project: Project, run) -> None:
    run("upload", "--yes")
    assert "The ledger lacks nothing" in run("state", "salvage").output
    table = boto3.resource("dynamodb").Table(project.env["JWO_LEDGER_TABLE"])
    for item in table.scan()["Items"]:
        table.delete_item(Key=keys.key_of(item))
    looked = run("state", "salvage")
    assert looked.exit_code == 0
    assert "settled" in looked.output
    assert "Nothing was written. Stop the daemon and every run" in looked.output
    assert project.ledger.head().upload == ""
    (batch,) = json.loads(run("state", "salvage", "--write", "--json").stdout)["batches"]
    assert (batch["was"], batch["state"], batch["items"]) == (None, "settled", 3)
    assert project.ledger.head().upload == batch["upload"]
    assert json.loads(run("upload", "--yes", "--json").stdout)["counts"]["unchanged"] == 3
