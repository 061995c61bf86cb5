"""A stopped service does not look healthy: what a sensor cannot do for 15 minutes is an alert and a failed check."""

from dataclasses import replace
from typing import Any

import boto3
import dagster as dg
import pytest

from jwo_catalog_pipeline.defs.resources import resources_from
from jwo_catalog_pipeline.defs.sensor_health import (
    OUTAGE_SECONDS,
    WATCHED,
    Health,
    check_name,
    health_after,
    keep_health,
    known_health,
    sensor_checks,
    watched,
)
from jwo_catalog_pipeline.defs.sensors import (
    alerts_sensor,
    ingestion_results_sensor,
    overdue_ingestions_sensor,
    waiting_items_sensor,
)
from jwo_catalog_pipeline.defs.unfinished import unfinished_uploads_sensor
from jwo_catalog_pipeline.errors import PipelineError
from jwo_catalog_pipeline_tests.support.mailbox import Mailbox
from jwo_catalog_pipeline_tests.support.project import HEADER, ROWS, Project

SENSORS = [
    ingestion_results_sensor,
    overdue_ingestions_sensor,
    waiting_items_sensor,
    unfinished_uploads_sensor,
    alerts_sensor,
]


@pytest.fixture
def alerted(project: Project, mailbox: Mailbox) -> Project:
    project.env |= {"JWO_ALERT_TOPIC_ARN": mailbox.topic}
    for sensor in WATCHED:  # wiping an instance leaves what it keeps of sensors
        keep_health(project.instance, alerts(project), sensor, Health())
    return project


def alerts(project: Project) -> Any:
    return resources_from(project.env)["alerts"]


def minutes_pass(project: Project, minutes: int) -> None:
    """As if what fails now had begun to fail so long before."""
    for sensor, health in known_health(project.instance, alerts(project), list(WATCHED)).items():
        if health.since:
            keep_health(project.instance, alerts(project), sensor, replace(health, since=health.since - minutes * 60))


def check_of(project: Project, sensor: dg.SensorDefinition) -> tuple[bool, str] | None:
    """Whether the newest evaluation of a sensor's check passed, and what it says."""
    key = dg.AssetCheckKey(dg.AssetKey(WATCHED[sensor.name]), check_name(sensor.name))
    (record,) = project.instance.event_log_storage.get_asset_check_execution_history(key, limit=1) or [None]
    if record is None:
        return None
    evaluation = record.event.dagster_event.asset_check_evaluation_data
    return evaluation.passed, evaluation.description or ""


def without_ledger(project: Project) -> str:
    there, project.env["JWO_LEDGER_TABLE"] = project.env["JWO_LEDGER_TABLE"], "no-such-table"
    for sensor in WATCHED:
        keep_health(project.instance, alerts(project), sensor, Health())
    return there


def test_a_first_tick_makes_the_check_green(alerted: Project) -> None:
    noted: list[Any] = []

    @watched("ingestion_results")
    def a_new_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        noted.append(context)
        return dg.SkipReason("nothing")

    try:
        with dg.build_sensor_context(instance=alerted.instance) as context:
            a_new_sensor(context=context, alerts=alerts(alerted))
        key = dg.AssetCheckKey(dg.AssetKey("ingestion_results"), "a_new_sensor_works")
        (record,) = alerted.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        assert record.event.dagster_event.asset_check_evaluation_data.passed
    finally:
        del WATCHED["a_new_sensor"]


@pytest.mark.parametrize("sensor", SENSORS, ids=lambda sensor: sensor.name)
def test_what_a_sensor_cannot_do_for_15_minutes_is_one_alert_and_a_failed_check_until_it_can(
    alerted: Project, mailbox: Mailbox, sensor: dg.SensorDefinition
) -> None:
    """Every sensor was grey and "2 minutes ago" green while nothing could be reached."""
    there = without_ledger(alerted)
    assert "no-such-table" in alerted.tick(sensor).skip_message
    minutes_pass(alerted, 14)
    alerted.tick(sensor)
    assert mailbox.take() == []
    minutes_pass(alerted, 1)
    for _ in range(3):
        alerted.tick(sensor)
        minutes_pass(alerted, 60)
    ((subject, text),) = mailbox.take()
    assert subject == f"JWO catalog: {sensor.name} cannot do its work"
    assert "cannot use the ledger table no-such-table: it does not exist" in text
    assert 'docs/runbook.md, "A sensor that cannot work"' in text
    passed, description = check_of(alerted, sensor) or (True, "")
    assert not passed
    assert "no-such-table" in description
    boto3.client("dynamodb").create_table(**table_like(there, "no-such-table"))
    try:
        alerted.tick(sensor)
    finally:
        boto3.client("dynamodb").delete_table(TableName="no-such-table")
    assert check_of(alerted, sensor) == (True, "the sensor does its work")
    alerted.tick(sensor)
    minutes_pass(alerted, 15)
    alerted.tick(sensor)  # a second outage
    assert len(mailbox.take()) == 1


def table_like(name: str, copy: str) -> dict[str, Any]:
    table = boto3.client("dynamodb").describe_table(TableName=name)["Table"]
    return {
        "TableName": copy,
        "KeySchema": table["KeySchema"],
        "AttributeDefinitions": table["AttributeDefinitions"],
        "BillingMode": "PAY_PER_REQUEST",
    }


def test_an_outage_that_stops_several_sensors_is_one_message_that_names_them_all(
    alerted: Project, mailbox: Mailbox
) -> None:
    without_ledger(alerted)
    for _ in range(2):
        for sensor in SENSORS:
            alerted.tick(sensor)
        minutes_pass(alerted, 15)
    ((subject, text),) = mailbox.take()
    assert subject == f"JWO catalog: {len(SENSORS)} sensors cannot do their work"
    assert all(sensor.name in text for sensor in SENSORS)
    assert [(check_of(alerted, sensor) or (True,))[0] for sensor in SENSORS] == [False] * len(SENSORS)


def test_a_queue_that_is_gone_is_published(alerted: Project, mailbox: Mailbox) -> None:
    alerted.env["JWO_QUEUE_URL"] += "-gone"
    alerted.tick(ingestion_results_sensor)
    minutes_pass(alerted, 15)
    alerted.tick(ingestion_results_sensor)
    assert [subject for subject, _ in mailbox.take()] == ["JWO catalog: ingestion_results_sensor cannot do its work"]


def test_an_api_that_cannot_be_reached_is_published_and_results_are_fetched_all_the_same(
    alerted: Project, mailbox: Mailbox
) -> None:
    alerted.must_upload("u1")
    alerted.sandbox.drain()
    alerted.tick(ingestion_results_sensor)  # u1 is reported
    alerted.sandbox.misbehave(delay=3600)
    alerted.export(HEADER, *ROWS, "D,4006381333931,Pen,JWO-STORE-01,1.99")
    alerted.must_upload("u2")
    alerted.env |= {"JWO_API_URL": "http://127.0.0.1:9", "JWO_OVERDUE_MINUTES": "0"}
    for _ in range(2):
        assert [run.partition_key for run in alerted.tick(overdue_ingestions_sensor).run_requests] == ["u1"]
        minutes_pass(alerted, 15)
    ((subject, text),) = mailbox.take()
    assert subject == "JWO catalog: overdue_ingestions_sensor cannot do its work"
    assert "127.0.0.1:9" in text or "connection" in text


def test_where_people_cannot_be_told_the_check_fails_and_they_are_published_as_soon_as_they_can(
    alerted: Project, mailbox: Mailbox
) -> None:
    without_ledger(alerted)
    alerted.env["JWO_ALERT_TOPIC_ARN"] = mailbox.topic + "-gone"
    alerted.tick(waiting_items_sensor)
    minutes_pass(alerted, 15)
    assert "no-such-table" in alerted.tick(waiting_items_sensor).skip_message
    assert (check_of(alerted, waiting_items_sensor) or (True,))[0] is False
    alerted.env["JWO_ALERT_TOPIC_ARN"] = mailbox.topic
    alerted.tick(waiting_items_sensor)
    assert len(mailbox.take()) == 1


def test_alerts_that_cannot_be_published_fail_the_check(alerted: Project, mailbox: Mailbox) -> None:
    alerted.mapping("version: 1\nfields: {item_sku: nowhere}\n")
    alerted.upload("u1")
    alerted.env["JWO_ALERT_TOPIC_ARN"] = mailbox.topic + "-gone"
    alerted.tick(alerts_sensor)
    minutes_pass(alerted, 15)
    alerted.tick(alerts_sensor)
    passed, description = check_of(alerted, alerts_sensor) or (True, "")
    assert (passed, "could not be published" in description) == (False, True)


def test_an_unexpected_error_counts_and_fails_its_tick(alerted: Project, mailbox: Mailbox) -> None:
    @watched("ingestion_results")
    def broken(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        raise KeyError("a bug")

    try:
        for _ in range(2):
            with dg.build_sensor_context(instance=alerted.instance) as context, pytest.raises(KeyError):
                broken(context=context, alerts=alerts(alerted))
            minutes_pass(alerted, 15)
    finally:
        del WATCHED["broken"]
    ((subject, text),) = mailbox.take()
    assert (subject, "KeyError: 'a bug'" in text) == ("JWO catalog: broken cannot do its work", True)


def test_an_outage_begins_with_its_first_failure_and_ends_with_the_first_success() -> None:
    first = health_after(Health(), PipelineError("gone", "look"), 100)
    later = health_after(first, PipelineError("away", "look"), 100 + OUTAGE_SECONDS)
    assert (first.since, later.since, later.problem) == (100, 100, "away")
    assert health_after(later, None, 200) == Health()


def test_every_watched_sensor_has_a_check_that_no_job_runs(project: Project) -> None:
    keys = {key for check in sensor_checks() for key in check.check_keys}
    assert {key.name for key in keys} == {check_name(sensor.name) for sensor in SENSORS}
    for job in ("catalog_upload_job", "ingestion_results_job"):
        assert not [node.name for node in project.defs.resolve_job_def(job).nodes if "sensor" in node.name]


def test_a_person_who_runs_a_check_sees_what_the_sensor_reported_last(alerted: Project) -> None:
    down = Health(since=1, problem="the ledger is gone", failed=True)
    keep_health(alerted.instance, alerts(alerted), "alerts_sensor", down)
    (check,) = [check for check in sensor_checks() if "alerts_sensor_works" in {key.name for key in check.check_keys}]
    result = check(dg.build_asset_check_context(instance=alerted.instance), alerts=alerts(alerted))
    assert (result.passed, "the ledger is gone" in (result.description or "")) == (False, True)
