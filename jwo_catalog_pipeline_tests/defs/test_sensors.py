"""Sensors and schedule: what a tick does, what it asks for, and that its requests follow from stored state."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from jwo_catalog_pipeline.defs.resources import resources_from
from jwo_catalog_pipeline.defs.schedules import build_catalog_schedule
from jwo_catalog_pipeline.defs.sensors import (
    ingestion_results_sensor,
    overdue_ingestions_sensor,
    source_catalog_sensor,
)
from jwo_catalog_pipeline.errors import ConfigurationError
from jwo_catalog_pipeline.settings import read_settings
from jwo_catalog_pipeline_tests.support.project import HEADER, ROWS, Project, failure

NOW = datetime(2026, 11, 23, 19, 7, tzinfo=UTC)


def test_results_come_through_the_queue_and_are_asked_for_once(project: Project) -> None:
    project.sandbox.misbehave(delay=3600)
    project.upload("u1")
    assert project.tick(ingestion_results_sensor).skip_message == "no report to fetch"
    project.settle("u1")
    assert project.tick(ingestion_results_sensor).skip_message == "no report to fetch"
    assert project.ledger.upload("u1").state == "settled"


def test_a_tick_whose_requests_were_lost_is_made_up_for_by_the_next(project: Project) -> None:
    """The message is deleted by now; the request comes from the ledger."""
    project.upload("u1")
    project.sandbox.drain()
    for _ in range(2):
        (request,) = project.tick(ingestion_results_sensor).run_requests
        assert (request.partition_key, request.run_key) == ("u1", None)


def test_an_upload_settles_without_the_queue(project: Project) -> None:
    project.env["JWO_OVERDUE_MINUTES"] = "0"
    project.sandbox.misbehave(drop_notifications=1)
    project.upload("u1")
    project.sandbox.drain()
    (request,) = project.tick(overdue_ingestions_sensor).run_requests
    assert project.run("ingestion_results_job", request.partition_key).success
    assert project.table("ingestion_results", "u1")["outcome"].tolist() == ["accepted"] * 3


def test_an_upload_whose_partition_is_gone_from_dagster_is_still_fetched(project: Project) -> None:
    project.upload("u1")
    project.sandbox.drain()
    project.instance.delete_dynamic_partition("catalog_uploads", "u1")
    result = project.tick(ingestion_results_sensor)
    assert result.dynamic_partitions_requests[0].partition_keys == ["u1"]


def test_a_report_that_cannot_be_had_fails_its_run_after_storing_the_rest(project: Project) -> None:
    project.sandbox.misbehave(expire_links=99)
    project.upload("u1")
    project.sandbox.drain()
    project.tick(ingestion_results_sensor)
    assert "the report's link answered 403" in failure(project.run("ingestion_results_job", "u1"))
    assert project.table("ingestion_results", "u1")["outcome"].tolist() == ["in_flight"] * 3
    assert "1 run failed" in project.tick(ingestion_results_sensor).skip_message


def test_an_ingestion_is_not_asked_for_before_its_time(project: Project) -> None:
    project.upload("u1")
    project.tick(overdue_ingestions_sensor)
    assert [call["operation"] for call in project.sandbox.get("requests")] == ["upload"]


def test_after_a_real_failed_run_the_sensor_waits(project: Project) -> None:
    project.upload("u1")
    project.sandbox.drain()
    project.tick(ingestion_results_sensor)
    (batch,) = project.ledger.batches("u1")
    key = f"uploads/u1/{batch.plan}/items/0001.parquet"
    kept = project.bucket.get(key)
    project.bucket.client.delete_object(Bucket=project.bucket.name, Key=key)
    assert not project.run("ingestion_results_job", "u1").success
    assert "1 run failed; the next starts after" in project.tick(ingestion_results_sensor).skip_message
    project.bucket.put(key, kept)
    assert project.run("ingestion_results_job", "u1").success


def test_a_new_and_a_changed_source_start_an_upload_and_an_unchanged_one_does_not(project: Project) -> None:
    first = project.tick(source_catalog_sensor)
    (request,) = first.run_requests
    assert first.dynamic_partitions_requests[0].partition_keys == [request.partition_key]
    project.upload(request.partition_key)
    assert "has not changed" in project.tick(source_catalog_sensor).skip_message
    project.export(HEADER, *ROWS[:1])
    (again,) = project.tick(source_catalog_sensor).run_requests
    assert again.run_key != request.run_key


def test_a_missing_source_is_a_reason_to_skip(project: Project) -> None:
    project.env["JWO_SOURCE_URI"] += ".gone"
    assert "does not exist" in project.tick(source_catalog_sensor).skip_message


def test_without_configuration_the_sensors_skip_and_say_what_is_not_set(project: Project) -> None:
    project.env.clear()
    said = {
        sensor.name: project.tick(sensor).skip_message
        for sensor in (source_catalog_sensor, ingestion_results_sensor, overdue_ingestions_sensor)
    }
    assert "JWO_SOURCE_URI is not set" in said["source_catalog_sensor"]
    assert "JWO_LEDGER_TABLE is not set" in said["ingestion_results_sensor"]
    assert "JWO_LEDGER_TABLE is not set" in said["overdue_ingestions_sensor"]


def test_the_schedule_starts_one_upload_for_a_time_however_often_it_is_evaluated(tmp_path: Path) -> None:
    schedule = build_catalog_schedule("0 3 * * *", "Europe/Berlin")
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        # As a context manager: left open, it would stay the process's current instance.
        with dg.build_schedule_context(instance=instance, scheduled_execution_time=NOW) as context:
            requests = [schedule(context) for _ in range(2)]
        assert instance.get_dynamic_partitions("catalog_uploads") == ["2026-11-23T190700Z"]
    assert {(request.run_key, request.partition_key) for request in requests} == {
        ("2026-11-23T190700Z", "2026-11-23T190700Z")
    }
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 3 * * *", "Europe/Berlin")


def test_what_sends_data_starts_stopped_and_what_collects_results_starts_running(project: Project) -> None:
    states = {sensor.name: sensor.default_status.value for sensor in project.defs.sensors or []}
    assert states == {
        "source_catalog_sensor": "STOPPED",
        "ingestion_results_sensor": "RUNNING",
        "overdue_ingestions_sensor": "RUNNING",
        "unfinished_uploads_sensor": "RUNNING",
        "waiting_items_sensor": "RUNNING",
        "alerts_sensor": "RUNNING",
    }
    assert build_catalog_schedule("0 3 * * *", "UTC").default_status is dg.DefaultScheduleStatus.STOPPED


def test_an_hour_that_comes_twice_starts_two_uploads(tmp_path: Path) -> None:
    schedule = build_catalog_schedule("0 * * * *", "Europe/Berlin")
    moments = [datetime(2026, 10, 25, hour, tzinfo=UTC).astimezone(ZoneInfo("Europe/Berlin")) for hour in (0, 1)]
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        keys = []
        for moment in moments:
            with dg.build_schedule_context(instance, scheduled_execution_time=moment) as context:
                keys.append(schedule(context).partition_key)
    assert keys == ["2026-10-25T000000Z", "2026-10-25T010000Z"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("JWO_API_REQUESTS_PER_SECOND", "0.5"),
        ("JWO_API_REQUESTS_PER_SECOND", "inf"),
        ("JWO_OVERDUE_MINUTES", "-1"),
        ("JWO_LEASE_SECONDS", "soon"),
        ("JWO_VERIFY_SIGNATURES", "maybe"),
    ],
)
def test_a_setting_that_cannot_be_read_is_named(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=variable):
        resources_from({variable: value})


def test_an_empty_setting_is_as_good_as_none() -> None:
    empty = dict.fromkeys(("JWO_API_REQUESTS_PER_SECOND", "JWO_VERIFY_SIGNATURES", "JWO_ARCHIVE"), "")
    assert resources_from(empty)["queue"].verify_signatures
    assert read_settings({"JWO_CATALOG_CRON": ""}).catalog_cron == "0 3 * * *"
