"""What `jwo-catalog doctor` finds wrong with Dagster's instance, its daemon and sensors."""

from pathlib import Path

import pytest
from dagster._core.scheduler.instigation import InstigatorStatus

from jwo_catalog_pipeline.defs.instance import SENSORS
from jwo_catalog_pipeline_tests.support.doctor import Look, beat, dagster_home, found, tick
from jwo_catalog_pipeline_tests.support.project import Project


def test_dagster_without_a_home_or_with_one_that_does_not_open(
    project: Project, look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = found(look, "Dagster", "problem")
    assert (
        "DAGSTER_HOME is not set: Dagster keeps its history in a folder that is deleted when the process ends" in said
    )
    assert "-> set it to a folder that stays" in said
    project.env["DAGSTER_HOME"] = str(tmp_path / "nowhere")
    monkeypatch.setenv("DAGSTER_HOME", project.env["DAGSTER_HOME"])
    said = found(look, "Dagster", "problem")
    assert "nowhere cannot be opened" in said
    assert "must be the absolute path of a folder" in said
    password = "of-the-database"
    for text, says in (
        ("storage: [", "while parsing a flow node (line 1 of dagster.yaml)"),
        (f"storage: {{mysql: {{mysql_url: 'mysql://u:{password}@h/d'}}}}", "import module dagster_mysql"),
        (f"storage: {{postgres: {{postgres_url: 'postgresql://u:{password}@h/d'}}}}", "No module named 'psycopg'"),
        (f"storage: {{password: {password}}}", "loading dagster instance config at dagster.yaml"),
    ):
        (tmp_path / "dagster.yaml").write_text(text)
        project.env["DAGSTER_HOME"] = str(tmp_path)
        monkeypatch.setenv("DAGSTER_HOME", project.env["DAGSTER_HOME"])
        said = found(look, "Dagster", "problem")
        assert f"the instance of {tmp_path} cannot be opened: " in said
        assert says in said
        assert password not in said
        assert "check its dagster.yaml, the libraries that it needs" in said


def test_a_daemon_that_does_not_run(
    project: Project, look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dagster_home(project, tmp_path / "home", monkeypatch) as instance:
        said = found(look, "Dagster", "problem")
        assert "Dagster keeps its runs in SqliteRunStorage; the daemon never ran" in said
        assert "-> start dagster-daemon run, or dagster dev, with the same DAGSTER_HOME" in said
        beat(instance, seconds_ago=400)
        assert "the daemon last reported on 20" in found(look, "Dagster", "problem")
        beat(instance, "SENSOR")
        assert "some of the daemon's parts are silent (SENSOR)" in found(look, "Dagster", "problem")


def test_limits_of_pools_are_shown(
    project: Project, look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dagster_home(project, tmp_path / "home", monkeypatch) as instance:
        instance.event_log_storage.set_concurrency_slots("catalog", 2)
        assert "SqliteRunStorage; catalog: 2 at once; the daemon" in found(look, "Dagster", "problem")
    (tmp_path / "home" / "dagster.yaml").write_text("concurrency: {pools: {default_limit: 3}}")
    assert "catalog: 2 at once; any other pool: 3 at once;" in found(look, "Dagster", "problem")


def test_sensors_that_are_switched_off_or_never_tick(
    project: Project, look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dagster_home(project, tmp_path / "home", monkeypatch) as instance:
        beat(instance)
        said = found(look, "Dagster", "problem")
        names = "ingestion_results_sensor, overdue_ingestions_sensor, unfinished_uploads_sensor, alerts_sensor"
        assert f"these sensors do not: {names}" in said
        assert "-> check in the UI, Deployment, whether the code location" in said
        tick(instance, *SENSORS[:2])
        tick(instance, "alerts_sensor", seconds_ago=700)
        assert "these sensors do not: unfinished_uploads_sensor, alerts_sensor" in found(look, "Dagster", "problem")
    with dagster_home(project, tmp_path / "other", monkeypatch) as instance:
        beat(instance)
        tick(instance, "alerts_sensor", status=InstigatorStatus.STOPPED)
        assert "switched off: alerts_sensor -> switch them on in the UI, Automation" in found(
            look, "Dagster", "problem"
        )
