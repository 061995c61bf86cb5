"""`jwo-catalog doctor`: the command, the settings, and an installation in which all is well."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jwo_catalog_pipeline.cli.main import main
from jwo_catalog_pipeline.doctor.checks import Check, Finding, Installation, examine
from jwo_catalog_pipeline.doctor.configuration import CHECKS
from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline_tests.support.doctor import (
    Look,
    beat,
    complete_the_template,
    dagster_home,
    forget_clients,
    found,
    tick,
)
from jwo_catalog_pipeline_tests.support.project import Project

NAMES = [check.name for check in CHECKS]


def test_a_healthy_installation_has_nothing_to_mend(
    project: Project, look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete_the_template(project)
    project.must_upload("u1")
    project.settle("u1")
    with dagster_home(project, tmp_path / "home", monkeypatch) as instance:
        beat(instance)
        tick(instance)
        every = look(thorough=True)
    assert {name: finding.status for name, finding in every.items()} == dict.fromkeys(NAMES, "ok"), every
    assert {finding.remedy for finding in every.values()} == {""}
    assert "account 123456789012, arn:aws:" in every["identity"].found
    assert "can be read and written; newest upload: u1" in every["ledger"].found
    expires = project.ledger._get(keys.doctor())["expires_at"]
    assert 86_000 < expires - datetime.now(UTC).timestamp() < 86_500
    for name in (
        "jwo_catalog_pipeline 0.",
        "Python 3.",
        "dagster 1.",
        "dagster-webserver 1.",
        "duckdb 2.",
        "pandas 3.",
    ):
        assert name in every["versions"].found
    assert "3 rows, 0 quarantined (0.0%)" in every["mapping"].found
    assert "the last notification arrived on 20" in every["notifications"].found


def test_waiting_times_that_protect_from_nothing_are_published(project: Project, look: Look) -> None:
    project.env |= {"JWO_LEASE_SECONDS": "60", "JWO_DOUBT_MINUTES": "5", "JWO_ALERT_TOPIC_ARN": ""}
    finding = look()["settings"]
    assert finding.status == "warning"
    assert "JWO_LEASE_SECONDS is 60" in finding.found
    assert "JWO_DOUBT_MINUTES is 5" in finding.found


def test_an_upload_that_is_stopped_and_a_pause_are_published(project: Project, look: Look) -> None:
    assert look()["uploads"].found == "no upload is stopped"
    project.env["JWO_MAPPING"] = "/nowhere/mapping.yaml"
    project.upload("u1")
    finding = look()["uploads"]
    assert finding.status == "problem"
    assert "1 upload stopped; u1 (failed)" in finding.found
    project.ledger.pause("Ann", "the prices are wrong")
    assert "by Ann: the prices are wrong" in look()["uploads"].found


def test_every_setting_that_is_missing_or_cannot_be_read_is_named(project: Project, look: Look) -> None:
    project.env |= {"JWO_OVERDUE_MINUTES": "soon", "JWO_ARCHIVE": "yes", "JWO_LEASE_SECONDS": "0", "JWO_MAPPING": ""}
    project.env |= {"JWO_TOPIC_ARN": "amazon", "JWO_GUARDS": "price=2", "JWO_CATALOG_CRON": "at 3"}
    project.env["JWO_TIMEZONE"] = "Europe/Nowhere"
    del project.env["JWO_API_REGION"]
    every = look("settings", "bucket", "Catalog API", "mapping", "queue", "queue policy")
    assert every["settings"].status == "problem"
    for sentence in (
        "not set: JWO_MAPPING, JWO_API_REGION",
        "JWO_OVERDUE_MINUTES is 'soon'; it must be a number, 0 or more",
        "JWO_ARCHIVE is 'yes'; it must be on or off",
        "JWO_LEASE_SECONDS is '0'; it must be a whole number, above 0",
        "JWO_TOPIC_ARN is 'amazon'; it must be arn:aws:sns:REGION:ACCOUNT:NAME",
        "JWO_GUARDS: ",
        "JWO_CATALOG_CRON is 'at 3'; it must be a cron expression",
        "JWO_TIMEZONE is 'Europe/Nowhere'; it must be a name such as Europe/Berlin",
    ):
        assert sentence in every["settings"].found
    assert ".env" in every["settings"].remedy
    assert (every["bucket"].status, every["queue"].status) == ("ok", "ok")
    assert every["Catalog API"].found == "depends on settings: JWO_API_REGION is not set"
    assert every["mapping"].found == "depends on settings: JWO_MAPPING is not set"
    assert every["queue policy"].found == "depends on settings: JWO_TOPIC_ARN is 'amazon'"
    assert every["mapping"].status == "skipped"


def test_what_need_not_be_set_is_advised(project: Project, look: Look) -> None:
    project.env |= {"JWO_STORE_IDS": "", "JWO_ALERT_TOPIC_ARN": ""}
    said = found(look, "settings", "warning")
    assert "without JWO_ALERT_TOPIC_ARN no alert is published" in said
    assert "without JWO_STORE_IDS" in said
    assert "-> set JWO_ALERT_TOPIC_ARN and JWO_STORE_IDS" in said
    project.env["JWO_ARCHIVE"] = "on"
    assert "JWO_STORE_IDS is not set; set JWO_STORE_IDS to the complete list" in found(look, "settings", "problem")


def test_what_depends_on_a_failed_check_is_skipped_and_says_so(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    every = look()
    assert every["identity"].status == "problem"
    assert "Unable to locate credentials" in every["identity"].found
    assert "set AWS_PROFILE" in every["identity"].remedy
    assert every["clock"].status == "ok"  # without credentials too, for a wrong clock looks like wrong credentials
    assert {every[name].status for name in ("bucket", "versioning", "ledger", "queue", "role")} == {"skipped"}
    assert every["bucket"].found == "depends on identity"
    assert every["notifications"].found == "depends on ledger"
    assert every["Catalog API"].found == "depends on role and ledger"
    assert every["versions"].status == "ok"


def _installed(folder: Path, name: str, version: str, *lines: str) -> None:
    """What an installed distribution leaves for importlib.metadata to find."""
    (folder / f"{name}-{version}.dist-info").mkdir(parents=True)
    text = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines, ""])
    (folder / f"{name}-{version}.dist-info" / "METADATA").write_text(text)


def test_a_library_that_is_missing_or_of_another_version_is_named(
    look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _installed(tmp_path, "pandas", "2.2.0")
    monkeypatch.syspath_prepend(tmp_path)
    said = found(look, "versions", "problem")
    assert said.startswith("pandas is 2.2.0, and must be <4,>=3 -> install requirements.lock again")
    needs = ["Requires-Dist: nowhere_to_be_found", "Requires-Dist: never; extra == 'dev'"]
    _installed(tmp_path, "jwo_catalog_pipeline", "9.9", "Requires-Python: >=4", *needs)
    said = found(look, "versions", "problem")
    assert "Python is 3." in said
    assert "and must be >=4" in said
    assert "nowhere_to_be_found is not installed" in said
    assert "never" not in said


def test_a_bug_in_a_check_is_not_taken_for_a_finding() -> None:
    def broken(_: Installation) -> Finding:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        list(examine(Installation({}, {}), [Check("broken", broken, "")]))


def _run(project: Project, *arguments: str) -> Result:
    forget_clients()
    environment: dict[str, str | None] = {**project.env, "COLUMNS": "200"}
    return CliRunner().invoke(main, ["doctor", *arguments], catch_exceptions=False, env=environment)


def test_the_command_shows_a_table_gives_json_and_ends_with_1_where_there_is_a_problem(
    project: Project, look: Look, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    project.env["JWO_LEASE_SECONDS"] = "soon"
    shown = _run(project)
    assert shown.exit_code == 1
    for header in ("status", "check", "what was found", "what to do"):
        assert header in shown.stdout
    assert "DAGSTER_HOME is not set" in shown.stdout
    assert "JWO_LEASE_SECONDS is 'soon'" in shown.stdout
    assert "1 warning, 2 problem" in shown.stdout
    answer = _run(project, "--json")
    assert answer.exit_code == 1
    rows = json.loads(answer.stdout)
    assert [row["check"] for row in rows] == NAMES
    assert {tuple(row) for row in rows} == {("check", "status", "found", "remedy")}
    del project.env["JWO_LEASE_SECONDS"]
    with dagster_home(project, tmp_path / "home", monkeypatch) as instance:
        beat(instance)
        tick(instance)
        answer = _run(project, "--json", "--thorough")
    assert answer.exit_code == 0  # warnings alone
    assert {row["status"] for row in json.loads(answer.stdout)} == {"ok", "warning"}


def test_no_secret_is_shown(project: Project, look: Look, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    secret = os.environ["AWS_SECRET_ACCESS_KEY"]
    link = "https://bucket.s3.amazonaws.com/r?X-Amz-Signature=abcdef0123456789"
    project.ledger.keep_unreadable("m", f"{link} {secret}", "s3://b/k")
    said = _run(project, "--json").output + _run(project).output
    assert "1 message could not be read" in said
    assert "abcdef0123456789" not in said
    assert secret not in said


def test_help_stays_quick() -> None:
    """It imports neither Dagster nor pandas."""
    said = subprocess.run(
        [Path(sys.executable).with_name("jwo-catalog"), "doctor", "--help"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},
    )
    assert "Check this installation" in said.stdout
    imported = {line.rpartition("|")[2].strip() for line in said.stderr.splitlines()}
    assert "click" in imported
    assert not {"dagster", "pandas", "boto3"} & imported
