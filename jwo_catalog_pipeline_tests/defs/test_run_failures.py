"""Alerts about runs: each cause is published once, only of this code location, and none is forgotten."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from jwo_catalog_pipeline.defs.run_failures import OVERLAP_SECONDS, failed_runs
from jwo_catalog_pipeline.upload.alert_publishing import MOST_MESSAGES, AlertPublisher
from jwo_catalog_pipeline_tests.support.mailbox import Mailbox
from jwo_catalog_pipeline_tests.support.project import Project


def test_runs_are_looked_at_from_the_last_look_on(project: Project) -> None:
    project.mapping("version: 1\nfields: {item_sku: nowhere}\n")
    project.upload("u1")
    now = datetime.now(UTC)
    (alert,), looked_at = failed_runs(project.instance, None, now)
    assert abs(now.timestamp() - OVERLAP_SECONDS - looked_at) < 30
    assert failed_runs(project.instance, now.timestamp() + 1, now) == ([], now.timestamp() + 1)
    assert failed_runs(project.instance, looked_at, now) == ([alert], looked_at)


def test_a_run_that_never_reached_a_step_is_published(project: Project) -> None:
    job = project.defs.resolve_job_def("catalog_upload_job")
    run = project.instance.create_run_for_job(job, tags={"dagster/partition": "u1"})
    project.instance.report_run_failed(run, "the run's process is gone")
    (alert,), _ = failed_runs(project.instance, None, datetime.now(UTC))
    assert alert.subject == "JWO catalog: catalog_upload_job of upload u1 failed"
    assert "failed: the run's process is gone" in alert.text


def failed(project: Project, upload: str, message: str) -> None:
    job = project.defs.resolve_job_def("catalog_upload_job")
    run = project.instance.create_run_for_job(job, tags={"dagster/partition": upload})
    project.instance.report_run_failed(run, message)


def test_a_hundred_failures_at_once_are_one_message_and_the_next_one_is_published(
    project: Project, mailbox: Mailbox
) -> None:
    """120 runs failed within a minute, the cursor stuck, and the nightly failure was never published."""
    cursor = None
    most = MOST_MESSAGES + 1
    for n in range(most + 3):
        failed(project, f"u{n:03}", f"cause {chr(97 + n)}")
    for _ in range(3):
        alerts, cursor = failed_runs(project.instance, cursor, datetime.now(UTC), most)
        parts_of_it = AlertPublisher(project.ledger, mailbox.sns, None, mailbox.topic)
        parts_of_it.publish(alerts)
    messages = mailbox.take()
    assert len(messages) <= 1 + 3
    assert messages[0][0] == f"JWO catalog: {most} alerts at once"
    failed(project, "nightly", "the export is gone")
    alerts, _ = failed_runs(project.instance, cursor, datetime.now(UTC), most)
    assert any("the export is gone" in alert.text for alert in alerts)


def test_another_teams_failed_job_is_not_told(project: Project) -> None:
    @dg.op
    def theirs() -> None: ...

    @dg.job
    def their_job() -> None:
        theirs()

    run = project.instance.create_run_for_job(their_job)
    project.instance.report_run_failed(run, "their secret plans")
    assert failed_runs(project.instance, None, datetime.now(UTC))[0] == []


def test_an_error_that_differs_in_numbers_and_ids_alone_is_published_once_a_day(project: Project) -> None:
    for n in range(3):
        failed(
            project, f"2026-11-2{n}T030000Z", f"the API answered 503 (request id 0f8fad5b-d9cb-469f-a165-7086772{n}895)"
        )
    alerts, _ = failed_runs(project.instance, None, datetime.now(UTC))
    assert len({alert.key for alert in alerts}) == 1


def test_a_failed_run_is_published_once_however_often_it_fails_in_the_same_way(
    project: Project, messages_sent: Any
) -> None:
    project.mapping("version: 1\nfields: {item_sku: nowhere}\n")
    project.upload("u1")
    ((subject, text),) = messages_sent()
    assert subject == "JWO catalog: catalog_upload_job of upload u1 failed"
    assert "failed at source_catalog: " in text
    assert "mapping.yaml" in text
    assert "start the job again for this upload" in text
    project.upload("u1")
    assert messages_sent() == []
    project.upload("u2")  # for the same cause, on the same day
    assert messages_sent() == []
    project.mapping("version: 2\n")
    project.upload("u3")
    assert [subject for subject, _ in messages_sent()] == ["JWO catalog: catalog_upload_job of upload u3 failed"]


def test_a_run_that_is_retried_is_not_published(project: Project, messages_sent: Any) -> None:
    project.mapping("version: 1\nfields: {item_sku: nowhere}\n")
    project.run("catalog_upload_job", "u1", tags={"dagster/will_retry": "true"})
    assert messages_sent() == []
