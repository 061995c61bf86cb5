"""The assets as Dagster runs them: what they store, what they show, and what stops them with nothing sent."""

import gzip
from pathlib import Path

import boto3
import dagster as dg
import pytest

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.source_file import fetch_source, find_source
from jwo_catalog_pipeline.upload.model import BatchState
from jwo_catalog_pipeline_tests.support.project import HEADER, MAPPING, ROWS, Project, failure, metadata


def test_an_upload_runs_from_the_source_to_the_record(project: Project) -> None:
    result = project.must_upload("u1")
    assert metadata(result, "source_catalog") | {"dagster/row_count": 3, "unchanged": False} == metadata(
        result, "source_catalog"
    )
    assert metadata(result, "jwo_catalog")["items_by_store"] == {"JWO-STORE-01": 2, "JWO-STORE-02": 1}
    changes = metadata(result, "catalog_changes")
    assert (changes["insert"], changes["update"], changes["unchanged"]) == (3, 0, 0)
    assert metadata(result, "ingestion_record")["batches_by_state"] == {"submitted": 1}
    assert project.settle("u1")["outcome"].tolist() == ["accepted"] * 3


@pytest.mark.thorough
def test_a_resumed_upload_waits_for_the_lease_of_a_run_that_may_be_dead(project: Project) -> None:
    """As run monitoring starts it: the run that was lost held a batch, and nobody else will resume the upload."""
    project.sandbox.misbehave(forbid=1)
    assert "was not accepted" in failure(project.upload("u1"))
    (batch,) = project.ledger.batches("u1")
    until = project.ledger.now() + 2
    assert project.ledger._try_change(batch, state=BatchState.SENDING, owner="lost", lease_until=until)
    result = project.run("catalog_upload_job", "u1", only=["ingestion_record"])
    assert result.success
    # The step waits by itself: a retry would also revive what a person has stopped.
    assert not [event for event in result.all_events if event.is_step_up_for_retry]
    assert [call["http_status"] for call in project.requests()] == [403, 201]
    (batch,) = project.ledger.batches("u1")
    assert (str(batch.state), batch.doubts) == ("submitted", 1)  # what the lost run began may have been ingested
    assert project.ledger.now() > until


def test_the_source_says_what_it_read_and_whether_it_has_changed(project: Project) -> None:
    first, second = (metadata(project.upload(upload), "source_catalog") for upload in ("u1", "u2"))
    head = boto3.client("s3").head_object(Bucket=project.env["JWO_BUCKET"], Key="source/export.csv")
    assert first["uri"] == project.env["JWO_SOURCE_URI"]
    assert first["etag"] == head["ETag"].strip('"')
    assert first["bytes"] == head["ContentLength"]
    assert len(first["sha256"]) == 64
    assert first["columns"] == HEADER.split(",")
    assert (first["unchanged"], second["unchanged"]) == (False, True)
    project.export(HEADER, *ROWS[:2])
    assert metadata(project.upload("u3"), "source_catalog")["unchanged"] is False


def test_an_unchanged_catalog_sends_nothing_and_succeeds(project: Project) -> None:
    project.upload("u1")
    project.settle("u1")
    result = project.upload("u2")
    assert result.success
    assert metadata(result, "catalog_changes")["unchanged"] == 3
    assert metadata(result, "ingestion_record")["dagster/row_count"] == 0
    assert len(project.requests()) == 1


def test_the_newest_object_below_a_prefix_is_the_source(project: Project) -> None:
    project.raw_export("zz.csv.gz", gzip.compress("\n".join([HEADER, *ROWS, ""]).encode()))
    project.env["JWO_SOURCE_URI"] = f"s3://{project.env['JWO_BUCKET']}/source/"
    result = project.must_upload("u1")
    assert metadata(result, "source_catalog")["uri"].endswith("/zz.csv.gz")
    assert metadata(result, "fix_list")["file"].endswith("/fix_list.csv")


@pytest.mark.thorough
def test_equal_content_has_an_equal_data_version(project: Project) -> None:
    def version(result: dg.ExecuteInProcessResult, asset: str) -> str:
        events = [e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey(asset)]
        return events[0].materialization.tags["dagster/data_version"]

    first, second = project.upload("u1"), project.upload("u2")
    project.export(HEADER, *ROWS[1:])
    third = project.upload("u3")
    for asset in ("source_catalog", "jwo_catalog"):
        assert version(first, asset) == version(second, asset) != version(third, asset)


def test_invalid_rows_are_set_aside_with_reasons_and_the_rest_goes_on(project: Project) -> None:
    project.export(HEADER, *ROWS, "D,4006381333932,Wrong check digit,JWO-STORE-01,1.00", "E,,No barcode,NOWHERE,x")
    result = project.upload("u1", ops={"jwo_catalog": {"config": {"max_invalid_share": 0.5}}})
    assert result.success
    quarantined = project.table("quarantined_items")
    assert quarantined["source_row"].tolist() == [4, 5]
    assert "4006381333932" in quarantined["reasons"][0]
    assert "NOWHERE" in quarantined["reasons"][1]
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    failed = {name for name, check in checks.items() if not check.passed}
    assert len(failed) >= 3
    assert all(checks[name].metadata["rows"].value for name in failed)
    assert "4006381333932" in "".join(str(checks[name].metadata["samples"].value) for name in failed)
    assert sorted(project.table("jwo_catalog")["item_sku"]) == ["A", "B", "C"]


def test_the_mapping_is_shown_on_the_catalog(project: Project) -> None:
    project.export(HEADER, *ROWS)
    result = project.must_upload("u1")
    shown = metadata(result, "jwo_catalog")
    assert "| standard\\_price | price(price) | price | 100.0% |  |" in shown["field_mapping"]
    assert shown["dagster/column_lineage"].deps_by_column["external_product_id"] == [
        dg.TableColumnDep(asset_key="source_catalog", column_name="barcode")
    ]
    columns = {column.name: column for column in shown["dagster/column_schema"].columns}
    assert not columns["item_sku"].constraints.nullable
    assert columns["brand_name"].constraints.nullable
    assert any("check digit" in promise for promise in columns["external_product_id"].constraints.other)
    page = project.bucket.get(shown["review"].removeprefix(f"s3://{project.env['JWO_BUCKET']}/"))
    assert b"Field mapping review" in page
    assert b"restore_barcode(barcode)" in page


def test_a_changed_mapping_is_another_code_version(project: Project) -> None:
    def versions() -> set[str | None]:
        specs = project.defs.resolve_asset_graph()
        return {specs.get(dg.AssetKey(name)).code_version for name in ("jwo_catalog", "quarantined_items")}

    before = versions()
    assert versions() == before
    project.mapping(MAPPING.replace("clean(name)", "upper(name)"))
    assert versions().isdisjoint(before)


def test_too_many_invalid_rows_block_but_the_worklist_is_stored(project: Project) -> None:
    project.export(HEADER, *ROWS, "D,4006381333932,Wrong check digit,JWO-STORE-01,1.00")
    result = project.upload("u1")
    assert "1 of 4 rows (25.0%) failed a check; the limit is 5.0%: nothing is sent" in failure(result)
    assert len(project.table("quarantined_items")) == 1
    (share,) = [check for check in result.get_asset_check_evaluations() if check.check_name == "invalid_share"]
    assert not share.passed
    assert project.requests() == []


def test_no_rows_at_all_block(project: Project) -> None:
    project.export(HEADER)
    assert "the source has no rows: nothing is sent" in failure(project.upload("u1"))
    assert project.requests() == []


def test_items_that_became_invalid_after_planning_are_not_sent(project: Project) -> None:
    """A failed check stops nothing by itself: what is sent is checked again when it is sent."""
    project.upload("u1")
    project.settle("u1")
    project.export(HEADER, *ROWS[:2], ROWS[2].replace("2.50", "2.75"))
    assert project.run("catalog_upload_job", "u2", only=["source_catalog", "jwo_catalog", "quarantined_items"]).success
    assert project.run("catalog_upload_job", "u2", only=["catalog_changes"]).success
    project.env["JWO_STORE_IDS"] = "JWO-STORE-01"
    sentence = failure(project.run("catalog_upload_job", "u2", only=["ingestion_record"]))
    assert "items that must not be sent: store_known (1 items, such as JWO-STORE-02 C)" in sentence
    assert len(project.requests()) == 1


def test_a_source_that_is_replaced_while_it_is_read_is_said_so(project: Project, tmp_path: Path) -> None:
    s3 = boto3.client("s3")
    found = find_source(project.env["JWO_SOURCE_URI"], s3)
    project.export(HEADER, ROWS[0])
    with pytest.raises(SourceFileError, match="it was replaced while it was being read; materialize source_catalog"):
        fetch_source(found, tmp_path, s3)


def test_a_name_that_looks_like_markup_stays_text_in_the_ui(project: Project) -> None:
    project.export(HEADER, "A,4006381333931,<img src=x onerror=alert(1)> | [x](javascript:y),JWO-STORE-01,1.99")
    sample = metadata(project.upload("u1"), "jwo_catalog")["sample"]
    assert "<img" not in sample
    assert "&lt;img src=x" in sample
    assert "\\[x](javascript" in sample


def test_a_plan_that_is_applied_cannot_be_made_again(project: Project) -> None:
    project.upload("u1")
    assert "upload u1 has been applied" in failure(project.upload("u1"))


def test_every_asset_that_goes_stale_says_so(project: Project) -> None:
    specs = {spec.key.to_user_string(): spec for spec in project.defs.resolve_all_asset_specs()}
    assert [name for name, spec in specs.items() if spec.freshness_policy is None] == ["fix_list"]


def test_a_plan_does_without_the_bytes_of_old_batches(project: Project) -> None:
    """A lifecycle rule had removed them, and every plan failed, because it wanted to show the old price."""
    project.must_upload("u1")
    project.settle("u1")
    for key, _ in project.bucket.list("uploads/u1/"):
        if "/batches/" in key:
            project.bucket.client.delete_object(Bucket=project.bucket.name, Key=key)
    project.export(HEADER, *(row.replace("1.99", "2.49") for row in ROWS))
    result = project.must_upload("u2")
    assert metadata(result, "catalog_changes")["update"] == 1
    project.settle("u2")
    assert "2.49" in {item["standard_price"] for item in project.sandbox.get("catalog")}


def test_a_blocked_upload_does_not_fail_the_results_of_another(project: Project) -> None:
    project.sandbox.misbehave(delay=3600)
    project.must_upload("u1")
    project.export(HEADER, ROWS[0], *(f"X{n},123,No,JWO-STORE-01,x" for n in range(9)))
    assert not project.upload("u2").success
    project.sandbox.drain()
    project.settle("u1")  # which asserts that the run succeeds
    event = project.instance.get_latest_materialization_event(dg.AssetKey("fix_list"))
    assert "jwo_catalog was made from another export" in event.asset_materialization.metadata["lacks"].value
    assert len(project.table("fix_list")) == 9


def test_a_fix_list_that_cannot_be_made_fails_no_run(project: Project) -> None:
    project.must_upload("u1")
    assert project.run("catalog_upload_job", "u2", only=["source_catalog"]).success
    project.export(HEADER, *ROWS[:1])
    assert project.run("catalog_upload_job", "u3", only=["source_catalog"]).success
    assert project.settle("u1")["outcome"].tolist() == ["accepted"] * 3
