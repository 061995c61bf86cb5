"""Items that had to wait: the next upload starts by itself when the results are in, and not before."""

import pytest

from jwo_catalog_pipeline.defs.sensors import AFTER_TAG, waiting_items_sensor
from jwo_catalog_pipeline.upload.results.polling import mark_reported
from jwo_catalog_pipeline.upload.waiting import Waits, waiting_items
from jwo_catalog_pipeline_tests.support.parts import Parts, items
from jwo_catalog_pipeline_tests.support.project import HEADER, ROWS, Project

DEARER = "A,4006381333931,Highlighter,JWO-STORE-01,2.99"


def wait(project: Project) -> None:
    """A changed price meets an upload that is in flight."""
    project.sandbox.misbehave(delay=3600)
    project.must_upload("u1")
    project.export(HEADER, DEARER, *ROWS[1:])
    project.must_upload("u2")


@pytest.mark.thorough
def test_what_waited_is_sent_when_the_results_are_in(project: Project) -> None:
    wait(project)
    said = project.tick(waiting_items_sensor).skip_message
    assert said.startswith("1 item waiting for 1 batch, first for batch 0001 of upload u1, submitted since")
    project.settle("u1")
    (request,) = project.tick(waiting_items_sensor).run_requests
    assert request.tags[AFTER_TAG] == "u2"
    project.must_upload(request.partition_key)
    project.settle(request.partition_key)
    prices = {item["item_sku"]: item["standard_price"] for item in project.sandbox.get("catalog")}
    assert str(prices["A"]) == "2.99"
    assert len(project.requests()) == 2
    assert project.tick(waiting_items_sensor).skip_message == "no item waits"


@pytest.mark.thorough
def test_after_a_failed_run_the_next_one_is_asked_for_later(project: Project) -> None:
    """A run whose process was lost: nothing says that a person must fix something."""
    wait(project)
    project.settle("u1")
    job = project.defs.resolve_job_def("catalog_upload_job")
    run = project.instance.create_run_for_job(job, tags={AFTER_TAG: "u2", "dagster/partition": "u3"})
    project.instance.report_run_failed(run)
    said = project.tick(waiting_items_sensor).skip_message
    assert said.startswith("1 item can be sent; 1 run failed; the next starts after")


@pytest.mark.thorough
def test_what_a_person_must_fix_is_not_started_again(project: Project) -> None:
    wait(project)
    project.settle("u1")
    project.env["JWO_MAPPING"] = "/nowhere/mapping.yaml"
    assert not project.run("catalog_upload_job", "u3", tags={AFTER_TAG: "u2"}).success
    said = project.tick(waiting_items_sensor).skip_message
    assert "upload u3 is stopped (failed): the field mapping /nowhere/mapping.yaml does not exist" in said


def test_what_a_person_has_cancelled_is_not_started_again(project: Project) -> None:
    """It was, at the next tick, three times of three."""
    wait(project)
    project.settle("u1")
    job = project.defs.resolve_job_def("catalog_upload_job")
    run = project.instance.create_run_for_job(job, tags={AFTER_TAG: "u2", "dagster/partition": "u3"})
    project.instance.report_run_canceled(run)
    for _ in range(3):
        assert "a person cancelled run" in project.tick(waiting_items_sensor).skip_message


def test_what_a_guard_has_stopped_is_not_started_again(project: Project) -> None:
    """It was, 19 times in a night, with 19 mails."""
    wait(project)
    project.settle("u1")
    project.export(HEADER, DEARER)
    project.env["JWO_GUARDS"] = "missing_share=0"
    assert not project.run("catalog_upload_job", "u3", tags={AFTER_TAG: "u2"}).success
    said = project.tick(waiting_items_sensor).skip_message
    assert "upload u3 is stopped (guard): no row of the source is for JWO-STORE-02" in said
    assert project.tick(waiting_items_sensor).skip_message == said


def test_items_that_are_in_flight_unchanged_wait_for_nothing(parts: Parts) -> None:
    parts.sandbox.misbehave(delay=3600)
    parts.apply("u1", items("A", "B"))
    parts.apply("u2", items("A", "B"))
    assert waiting_items(parts.ledger, Waits()).items == 0


def test_without_news_or_without_a_word_in_the_report_waiting_ends_after_the_set_hours(parts: Parts) -> None:
    parts.sandbox.misbehave(delay=3600, report_shape="unknown")
    parts.apply("u1", items("A", "B"))
    parts.apply("u2", items("A", "B", standard_price="5.00"))
    waiting = waiting_items(parts.ledger, Waits())
    assert (waiting.upload, waiting.items, len(waiting.blocked_by)) == ("u2", 2, 1)
    parts.sandbox.drain()
    parts.inbox().receive(20)
    mark_reported(parts.ledger)
    parts.results("u1")
    assert waiting_items(parts.ledger, Waits()).blocked_by
    parts.clock.seconds += 24 * 3600
    assert waiting_items(parts.ledger, Waits()).blocked_by
    parts.clock.seconds += 1
    assert not waiting_items(parts.ledger, Waits()).blocked_by
    assert len(parts.apply("u3", items("A", "B", standard_price="5.00"))) == 1
