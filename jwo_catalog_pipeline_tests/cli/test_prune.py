"""`jwo-catalog state prune` and the weekly job, with Dagster's partitions."""

import json
import time
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from jwo_catalog_pipeline.cli.main import main
from jwo_catalog_pipeline.defs.pruning import PRUNE_JOB
from jwo_catalog_pipeline.defs.upload_assets import catalog_uploads
from jwo_catalog_pipeline.settings import read_settings
from jwo_catalog_pipeline.upload.recovery import applied_uploads
from jwo_catalog_pipeline_tests.support.project import HEADER, ROWS, Project, metadata

NOW = 0.0000001  # days: whatever has settled is old


@pytest.fixture
def three(project: Project) -> Project:
    """Three settled uploads: of the first, of nothing, and of one changed item."""
    for upload in ("u1", "u2", "u3"):
        if upload == "u3":
            project.export(HEADER, *ROWS[:2], "C,036000291452,Tissues,JWO-STORE-02,2.60")
        project.must_upload(upload)
        if upload != "u2":
            project.settle(upload)
    time.sleep(1.1)  # ages are whole seconds: now all of it is older than the setting
    project.env["JWO_KEEP_DAYS"] = str(NOW)
    return project


def prune(project: Project, *arguments: str, answer: str | None = None) -> Result:
    env = {**project.env, "COLUMNS": "200", "DAGSTER_HOME": ""}
    return CliRunner(env=env).invoke(main, ["state", "prune", *arguments], input=answer)


def test_it_shows_what_it_would_remove_and_asks(three: Project) -> None:
    asked = prune(three, answer="n\n")
    assert asked.exit_code == 1
    assert "Older than 1e-07 days and not needed" in asked.output
    assert "Remove 2 uploads, and the rest of this?" in asked.output
    assert applied_uploads(three.ledger) == ["u3", "u2", "u1"]
    agreed = prune(three, answer="y\n")
    assert agreed.exit_code == 0, agreed.output
    assert "Removed. Dagster's partitions stay: DAGSTER_HOME is not set." in agreed.output
    assert applied_uploads(three.ledger) == ["u3"]
    assert "Nothing is old." in prune(three).output


def test_without_a_terminal_it_names_the_option_that_is_needed(three: Project) -> None:
    refused = prune(three, answer="")
    assert refused.exit_code == 2
    assert "add --yes" in refused.output
    assert applied_uploads(three.ledger) == ["u3", "u2", "u1"]


def test_a_script_sees_first_and_removes_with_yes(three: Project) -> None:
    seen = json.loads(prune(three, "--json").stdout)
    assert (seen["removed"], seen["uploads"]) == (False, 2)
    kinds = {row["kind"]: row["number"] for row in seen["found"]}
    assert (kinds["uploads"], kinds["tables"], kinds["reports"]) == (2, 5, 1)
    assert all(row["bytes"] > 0 for row in seen["found"] if row["kind"] in ("tables", "batches", "items"))
    assert applied_uploads(three.ledger) == ["u3", "u2", "u1"]
    done = json.loads(prune(three, "--json", "--yes").stdout)
    assert done == {**seen, "removed": True}
    assert json.loads(prune(three, "--json").stdout)["found"] == []


def test_the_weekly_job_removes_the_partitions_too_and_the_next_upload_is_as_ever(three: Project) -> None:
    three.instance.add_dynamic_partitions(str(catalog_uploads.name), ["2020-01-01T000000Z"])
    result = three.defs.resolve_job_def(PRUNE_JOB).execute_in_process(instance=three.instance)
    assert result.success
    assert three.instance.get_dynamic_partitions(str(catalog_uploads.name)) == ["u3"]
    assert [key for key, _ in three.bucket.list("assets/") if "/u1." in key or "/u2." in key] == []
    assert [key for key, _ in three.bucket.list("assets/") if "/u3." in key] != []
    assert metadata(three.must_upload("u4"), "catalog_changes")["unchanged"] == 3
    state = json.loads(CliRunner(env=three.env).invoke(main, ["state", "rebuild", "--json"]).stdout)
    assert (state["items"], state["same_bytes"]) == (3, True)
    shown = json.loads(CliRunner(env=three.env).invoke(main, ["item", "A", "--json"]).stdout)
    assert shown["planned"] == [{"store_id": "JWO-STORE-01", "change": "unchanged", "reason": None}]


def test_the_schedule_is_weekly_and_on(project: Project) -> None:
    schedule = project.defs.resolve_schedule_def("state_prune_schedule")
    assert (schedule.cron_schedule, schedule.default_status) == ("17 5 * * 0", dg.DefaultScheduleStatus.RUNNING)
    assert read_settings({}).keep_days == 400


def test_an_upload_that_changes_nothing_leaves_at_most_100_kb_with_its_tables_and_pages(project: Project) -> None:
    rows = [f"S{n:04},4006381333931,Item {n} of the shop,JWO-STORE-01,1.99" for n in range(3_000)]
    project.export(HEADER, *rows)
    project.must_upload("u1")
    project.settle("u1")
    project.must_upload("u2")
    before = {entry.key for entry in project.bucket.listed("")}
    project.must_upload("u3")
    left = {entry.key: entry.size for entry in project.bucket.listed("") if entry.key not in before}
    assert sum(left.values()) < 50_000, left
    assert Path(min(left)).parts[0] == "assets"
