"""An outage heals by itself, and a person's word counts: what goes on without anybody, and what does not."""

import time

import dagster as dg
import pytest

from jwo_catalog_pipeline import failpoints
from jwo_catalog_pipeline.catalog_api import requests
from jwo_catalog_pipeline.defs.sensors import source_catalog_sensor
from jwo_catalog_pipeline.defs.unfinished import unfinished_uploads_sensor
from jwo_catalog_pipeline.upload import resuming
from jwo_catalog_pipeline.upload.send import retrying
from jwo_catalog_pipeline_tests.support.project import HEADER, MANY, ROWS, Project, failure


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of one item, and two tries at each."""
    monkeypatch.setattr(requests, "MAX_ITEMS", 1)
    monkeypatch.setattr(retrying, "ATTEMPTS_A_RUN", 1)
    monkeypatch.setattr(resuming, "LONGEST_PAUSE_SECONDS", 0)


def out(project: Project) -> None:
    project.sandbox.misbehave(error_retry=99, operation="upload")


def back(project: Project) -> None:
    project.sandbox.misbehave(error_retry=0, operation="upload")


def asked(project: Project) -> dg.RunRequest:
    (request,) = project.tick(unfinished_uploads_sensor).run_requests
    return request


def skipped(project: Project) -> str:
    return str(project.tick(unfinished_uploads_sensor).skip_message)


def resume(project: Project, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    only = [key.path[-1] for key in request.asset_selection] if request.asset_selection else None
    return project.run("catalog_upload_job", str(request.partition_key), dict(request.run_config), only)


def test_what_an_outage_stopped_is_resumed_and_not_planned_again(project: Project) -> None:
    out(project)
    assert not project.upload("u1").success
    (stop,) = project.ledger.stops()
    assert (stop.upload, stop.kind) == ("u1", "outage")
    request = asked(project)
    assert (request.partition_key, [key.path[-1] for key in request.asset_selection]) == ("u1", ["ingestion_record"])
    back(project)
    assert resume(project, request).success
    project.sandbox.drain()
    assert {item["item_sku"] for item in project.sandbox.get("catalog")} == {"A", "B", "C"}
    assert project.ledger.stops() == []
    assert skipped(project) == "no upload is unfinished"


def test_an_upload_that_failed_before_it_was_recorded_is_started_again_with_what_a_person_said(
    project: Project,
) -> None:
    uri = project.env["JWO_SOURCE_URI"]
    project.env["JWO_SOURCE_URI"] = uri + ".late"
    said = {"ops": {"catalog_changes": {"config": {"allow": ["changed_share"]}}}}
    assert not project.upload("u1", **said).success
    request = asked(project)
    assert (request.partition_key, request.asset_selection) == ("u1", None)
    assert request.run_config["ops"] == said["ops"]
    project.env["JWO_SOURCE_URI"] = uri
    assert resume(project, request).success
    assert len(project.requests()) == 3


def test_the_pause_between_two_tries_grows_up_to_half_an_hour(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resuming, "LONGEST_PAUSE_SECONDS", 1800)
    out(project)
    assert not project.upload("u1").success
    assert "upload u1, 3 batches not sent: 1 run failed; the next starts after" in skipped(project)


def test_what_a_guard_stopped_waits_for_something_new(project: Project) -> None:
    project.export(HEADER, *MANY)
    project.must_upload("u1")
    project.export(HEADER, MANY[0])
    assert not project.upload("u2").success
    (stop,) = project.ledger.stops()
    assert stop.kind == "guard"
    assert "upload u2 is stopped (guard): newly missing from the source" in skipped(project)
    project.export(HEADER, *MANY)
    assert project.tick(source_catalog_sensor).run_requests


def test_what_a_person_must_mend_is_not_tried_again(project: Project) -> None:
    mapping = project.env["JWO_MAPPING"]
    project.env["JWO_MAPPING"] = "/nowhere/mapping.yaml"
    assert not project.upload("u1").success
    assert "upload u1 is stopped (failed)" in skipped(project)
    project.env["JWO_MAPPING"] = mapping


def test_a_cancelled_upload_is_not_resumed_until_somebody_asks(project: Project) -> None:
    out(project)
    assert not project.upload("u1").success
    back(project)
    job = project.defs.resolve_job_def("catalog_upload_job")
    run = project.instance.create_run_for_job(job, tags={"dagster/partition": "u1"})
    project.instance.report_run_canceled(run)
    for _ in range(3):
        assert f"a person cancelled run {run.run_id} of upload u1" in skipped(project)
    assert project.run("catalog_upload_job", "u1", only=["ingestion_record"]).success
    assert skipped(project) == "no upload is unfinished"


def test_while_sending_is_paused_nothing_is_started_and_afterwards_it_goes_on(project: Project) -> None:
    project.ledger.pause("Ann", "the prices are wrong")
    assert "all sending has been held since" in failure(project.upload("u1"))
    assert project.requests() == []
    assert "by Ann: the prices are wrong" in skipped(project)
    project.ledger.end_pause()
    assert resume(project, asked(project)).success
    assert len(project.requests()) == 3


def test_what_nobody_has_tried_for_a_day_is_left_to_the_next_export(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    out(project)
    assert not project.upload("u1").success
    monkeypatch.setattr(resuming, "FORGOTTEN_SECONDS", -1)
    assert "it was last tried on" in skipped(project)


def test_an_export_counts_as_dealt_with_when_it_was_applied_and_not_when_it_was_read(project: Project) -> None:
    project.instance.add_dynamic_partitions("catalog_uploads", ["u0"])
    assert project.run("catalog_upload_job", "u0", only=["source_catalog"]).success
    (request,) = project.tick(source_catalog_sensor).run_requests
    project.must_upload(str(request.partition_key))
    assert f"upload {request.partition_key} was made of it" in project.tick(source_catalog_sensor).skip_message


def test_a_version_that_was_read_by_the_schedules_upload_is_not_started_twice(project: Project) -> None:
    out(project)
    assert not project.upload("2026-11-23T030000Z").success
    assert "upload 2026-11-23T030000Z was made of it" in project.tick(source_catalog_sensor).skip_message
    project.export(HEADER, *ROWS[:1])
    project.ledger.pause("Ann", "the prices are wrong")
    assert not project.upload("2026-11-23T040000Z").success
    assert "of upload 2026-11-23T040000Z, failure, was started" in project.tick(source_catalog_sensor).skip_message


def test_runs_of_two_triggers_read_their_own_tables(project: Project) -> None:
    """Two runs failed at each other's tables, and nothing tried again."""
    first, then = ["source_catalog", "jwo_catalog", "quarantined_items"], ["catalog_changes", "ingestion_record"]
    assert project.run("catalog_upload_job", "u1", only=first).success
    project.export(HEADER, *ROWS[:2])
    assert project.run("catalog_upload_job", "u2", only=["source_catalog"]).success
    assert project.run("catalog_upload_job", "u1", only=then[:1]).success
    assert len(project.table("catalog_changes", "u1")) == 3
    assert project.run("catalog_upload_job", "u2", only=first[1:]).success
    assert project.run("catalog_upload_job", "u2", only=then).success
    assert len(project.table("catalog_changes", "u2")) == 2
    # A plan that was made apart is refused where a newer export was applied; nothing of it is left to send.
    assert "upload u2, of a newer export, was applied before u1" in failure(
        project.run("catalog_upload_job", "u1", only=then[1:])
    )
    assert project.ledger.stops() == []
    assert len(project.requests()) == 2
    assert [key for key, _ in project.bucket.list("uploads/") if "/tables/" in key] == []


def test_a_run_that_finds_another_applied_plans_again_and_shows_it(project: Project) -> None:
    """Its own plan was made against another state; the newest export is what Amazon holds in the end."""
    project.instance.add_dynamic_partitions("catalog_uploads", ["u1", "u2"])
    overtaken: list[str] = []

    def overtake(point: str) -> None:
        if point == "before bucket: items" and not overtaken:
            overtaken.append(point)
            failpoints.disarm()
            assert project.run("catalog_upload_job", "u1", only=["catalog_changes", "ingestion_record"]).success

    project.must_upload("u0")
    project.settle("u0")
    project.export(HEADER, *[row.replace("1.99", "2.99") for row in ROWS])
    assert project.run("catalog_upload_job", "u1", only=["source_catalog", "jwo_catalog", "quarantined_items"]).success
    project.export(HEADER, *[row.replace("1.99", "3.99") for row in ROWS])
    failpoints.arm(overtake)
    try:
        result = project.upload("u2")
    finally:
        failpoints.disarm()
    assert result.success, failure(result)
    assert overtaken
    planned = [
        event for event in result.get_asset_materialization_events() if event.asset_key.path[-1] == "catalog_changes"
    ]
    assert len(planned) == 2
    assert project.ledger.head().upload == "u2"


def test_a_person_who_made_the_tables_again_plans_with_them(project: Project) -> None:
    assert project.run("catalog_upload_job", "u1", only=["source_catalog", "jwo_catalog", "quarantined_items"]).success
    project.export(HEADER, *ROWS[:2])
    graph = project.defs
    job = graph.get_implicit_global_asset_job_def()
    keys = [dg.AssetKey(name) for name in ("source_catalog", "jwo_catalog", "quarantined_items")]
    time.sleep(1.1)  # S3 has whole seconds
    assert job.execute_in_process(instance=project.instance, asset_selection=keys).success
    assert project.run("catalog_upload_job", "u1", only=["catalog_changes"]).success
    assert len(project.table("catalog_changes", "u1")) == 2


def test_a_run_that_was_overtaken_while_it_worked_ends_without_a_failure(project: Project) -> None:
    overtaken: list[str] = []

    def overtake(point: str) -> None:
        if point == "before bucket: assets/catalog_changes" and not overtaken:
            overtaken.append(point)
            failpoints.disarm()
            project.export(HEADER, *ROWS[:2])
            project.must_upload("u2")

    failpoints.arm(overtake)
    try:
        result = project.upload("u1")
    finally:
        failpoints.disarm()
    assert overtaken
    assert result.success, failure(result)
    assert (project.ledger.head().upload, project.ledger.upload("u1"), project.ledger.stops()) == ("u2", None, [])
    assert len(project.requests()) == 2


def test_a_run_that_only_plans_leaves_no_stop_that_a_sensor_would_have_to_end(project: Project) -> None:
    """Nothing repeats it, so half an hour later people would have read that it is tried again by itself."""
    project.env["JWO_SOURCE_URI"] += ".late"
    only = ["source_catalog", "jwo_catalog", "quarantined_items", "catalog_changes"]
    assert not project.run("catalog_upload_job", "u1", only=only).success
    assert project.ledger.stops() == []
    assert not project.upload("u1").success
    assert [stop.kind for stop in project.ledger.stops()] == ["outage"]
