"""Reports that come one at a time: each run reads what is new, and the table is that of one run for all of them."""

import json
from collections import Counter
from itertools import pairwise
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from jwo_catalog_pipeline.catalog_api import requests
from jwo_catalog_pipeline.defs.io_manager import table_version
from jwo_catalog_pipeline.defs.sensors import ingestion_results_sensor
from jwo_catalog_pipeline.storage import table_bytes
from jwo_catalog_pipeline.upload import so_far
from jwo_catalog_pipeline.upload.model import Batch
from jwo_catalog_pipeline.upload.outcomes import outcomes_key
from jwo_catalog_pipeline.upload.results import polling
from jwo_catalog_pipeline.upload.results.polling import mark_reported
from jwo_catalog_pipeline.upload.so_far import so_far_key
from jwo_catalog_pipeline_tests.support.calls import counted_calls
from jwo_catalog_pipeline_tests.support.parts import Parts, items
from jwo_catalog_pipeline_tests.support.project import HEADER, Project


@pytest.fixture(autouse=True)
def one_item_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MAX_ITEMS", 1)


def skus(count: int) -> list[str]:
    return [f"S{number:03}" for number in range(count)]


def ended_silently(parts: Parts, upload: str, count: int, price: str = "1.99") -> list[Batch]:
    """An upload whose ingestions have ended, one of them badly; no message about them came."""
    # Batches are sent at once: the one that is cancelled may be either of the two that Amazon rejects.
    parts.sandbox.misbehave(drop_notifications=count, reject_skus=["S001", "S002"], cancel=1)
    parts.apply(upload, items(*skus(count), standard_price=price))
    parts.sandbox.drain()
    return parts.ledger.batches(upload)


def report(parts: Parts, *batches: Batch) -> None:
    for batch in batches:
        status = parts.api.status(batch.ingestion_id)
        parts.ledger.keep_news(batch.ingestion_id, "queue", status.processing_status, status.report_url)
    mark_reported(parts.ledger)


def calls_of_one_report(parts: Parts, upload: str, batches: list[Batch]) -> Counter[str]:
    """The calls of a run with one new report, after half of an upload's reports came in; then the others come."""
    half = len(batches) // 2
    report(parts, *batches[:half])
    parts.results(upload)
    report(parts, batches[half])
    with counted_calls() as calls:
        parts.results(upload)
        parts.state()  # which fix_list reads in the same run
    report(parts, *batches[half + 1 :])
    parts.results(upload)
    return calls


def test_the_calls_of_a_run_depend_on_what_is_new_and_not_on_all(parts: Parts) -> None:
    few = calls_of_one_report(parts, "u1", ended_silently(parts, "u1", 6))
    many = calls_of_one_report(parts, "u2", ended_silently(parts, "u2", 30, "2.49"))
    assert few == many
    assert sum(few.values()) < 30


def test_reports_that_trickle_in_make_the_same_tables_as_reports_that_come_at_once(parts: Parts) -> None:
    batches = ended_silently(parts, "u1", 5)
    for batch in batches[::-1]:
        report(parts, batch)
        trickled, problems = parts.results("u1")
        assert problems == []
        assert table_bytes(parts.state()) == table_bytes(parts.rebuilt())
    assert set(trickled["outcome"]) == {"accepted", "rejected", "failed"}
    parts.bucket.client.delete_object(Bucket=parts.bucket.name, Key=so_far_key(batches[0]))
    at_once, _ = parts.results("u1")
    pd.testing.assert_frame_equal(trickled, at_once)
    assert table_version(trickled) == table_version(at_once)
    assert table_bytes(trickled) == table_bytes(at_once)


def test_what_was_cut_while_others_were_settled_is_in_the_table_once(parts: Parts, monkeypatch: Any) -> None:
    monkeypatch.setattr(requests, "MAX_ITEMS", 2)
    parts.sandbox.misbehave(refuse_skus=["S001"], delay=3600)
    parts.apply("u1", items(*skus(6)))
    parts.results("u1")
    outcomes = parts.settle("u1")
    assert outcomes["item_sku"].tolist() == skus(6)
    assert outcomes["outcome"].tolist() == ["accepted", "refused", *["accepted"] * 4]


def test_a_person_who_materializes_again_has_every_report_read_again(parts: Parts) -> None:
    batches = ended_silently(parts, "u1", 4)
    for batch in batches:
        report(parts, batch)
        first, _ = parts.results("u1")
    settled = next(batch for batch in parts.ledger.batches("u1") if batch.outcomes.get("accepted"))
    wrong = parts.bucket.get_table(outcomes_key(settled)).assign(message="misread")
    parts.bucket.put_table(outcomes_key(settled), wrong)
    second, problems = parts.results("u1")
    assert (problems, second.equals(first)) == ([], True)
    assert "misread" not in set(parts.bucket.get_table(outcomes_key(settled))["message"])
    assert "misread" not in set(parts.state()["reason"])


def test_runs_of_the_sensor_store_the_same_asset_as_one_run_for_all(project: Project) -> None:
    project.export(HEADER, *(f"{sku},4006381333931,Item,JWO-STORE-01,1.99" for sku in skus(4)))
    project.sandbox.misbehave(drop_notifications=4, reject_skus=["S002"])
    project.must_upload("u1")
    project.sandbox.drain()
    for batch in project.ledger.batches("u1"):
        message = json.dumps({"ingestionId": batch.ingestion_id, "processingStatus": "DONE"})
        project.sandbox.client("sqs").send_message(QueueUrl=project.env["JWO_QUEUE_URL"], MessageBody=message)
        (request,) = project.tick(ingestion_results_sensor).run_requests
        assert project.run("ingestion_results_job", request.partition_key, tags=dict(request.tags)).success
    trickled, version = project.table("ingestion_results", "u1"), version_of(project)
    assert project.run("ingestion_results_job", "u1").success
    pd.testing.assert_frame_equal(trickled, project.table("ingestion_results", "u1"))
    assert version == version_of(project)
    assert trickled["outcome"].tolist() == ["accepted", "accepted", "rejected", "accepted"]


def test_a_run_is_requested_once_all_announced_reports_are_marked(project: Project, monkeypatch: Any) -> None:
    monkeypatch.setattr(polling, "NEWS_A_TICK", 2)
    project.export(HEADER, *(f"{sku},4006381333931,Item,JWO-STORE-01,1.99" for sku in skus(3)))
    project.must_upload("u1")
    project.sandbox.drain()
    first, second = (project.tick(ingestion_results_sensor) for _ in range(2))
    assert first.skip_message == "more reports are announced than one tick records"
    assert [request.partition_key for request in second.run_requests] == ["u1"]
    assert {batch.state for batch in project.ledger.batches("u1")} == {"reported"}


def test_news_that_stays_keeps_no_upload_from_its_run(parts: Parts, monkeypatch: Any) -> None:
    monkeypatch.setattr(polling, "NEWS_A_TICK", 1)
    (batch, *_) = ended_silently(parts, "u1", 2)
    parts.ledger.keep_news(batch.ingestion_id, "queue", "DONE", None)
    assert mark_reported(parts.ledger)
    parts.ledger.keep_news(batch.ingestion_id, "queue", "DONE", None)
    assert not mark_reported(parts.ledger)


def test_what_is_known_so_far_is_written_anew_only_when_much_has_changed(parts: Parts, monkeypatch: Any) -> None:
    monkeypatch.setattr(so_far, "FEW_BATCHES", 2)
    batches = ended_silently(parts, "u1", 6)
    kept = []
    for reported in (batches[:1], batches[1:2], batches[2:4], batches[4:]):
        report(parts, *reported)
        parts.results("u1")
        kept.append(parts.bucket.get(so_far_key(batches[0])))
    assert [one == other for one, other in pairwise(kept)] == [True, False, False]
    assert table_bytes(parts.state()) == table_bytes(parts.rebuilt())


def version_of(project: Project) -> str | None:
    event = project.instance.get_latest_materialization_event(dg.AssetKey("ingestion_results"))
    assert event and event.asset_materialization and event.asset_materialization.tags
    return event.asset_materialization.tags["dagster/data_version"]
