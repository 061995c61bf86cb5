"""`catalog_changes` in Dagster: guards that stop, overrides for one upload, and what a plan refuses to rest on."""

import pytest

from jwo_catalog_pipeline_tests.support.project import (
    HEADER,
    MANY,
    MAPPING,
    OTHER_STORE,
    ROWS,
    Project,
    failure,
    metadata,
)

# More than the few items below which no share is judged.
PLAN_ONLY = ["source_catalog", "jwo_catalog", "quarantined_items", "catalog_changes"]


def allow(*guards: str) -> dict:
    return {"catalog_changes": {"config": {"allow": list(guards)}}}


@pytest.mark.thorough
def test_a_missing_store_stops_the_upload_until_a_person_allows_it(project: Project) -> None:
    project.export(HEADER, *MANY, *OTHER_STORE)
    project.must_upload("u1")
    project.settle("u1")
    project.export(HEADER, *MANY, "NEW,4006381333931,New,JWO-STORE-01,1.99")
    result = project.upload("u2")
    sentence = failure(result)
    assert "JWO-STORE-02" in sentence
    assert "store_missing" in sentence
    checks = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    # The items of this export share one barcode, of which a check warns.
    assert {name for name, passed in checks.items() if not passed} == {"barcode_one_sku", "store_missing"}
    assert (project.table("catalog_changes", "u2")["change"] == "insert").sum() == 1
    assert "is stopped" in failure(project.run("catalog_upload_job", "u2", only=["ingestion_record"]))
    assert len(project.requests()) == 1
    assert project.ledger.upload("u2") is None
    project.must_upload("u2", ops=allow("store_missing"))
    assert len(project.requests()) == 2
    project.settle("u2")
    assert metadata(project.must_upload("u3"), "catalog_changes")["absent"] == 5  # known by now: no guard asks again


def test_a_guard_that_does_not_exist_cannot_be_allowed(project: Project) -> None:
    failed = [event for event in project.upload("u1", ops=allow("everything")).all_events if event.is_step_failure]
    said = "".join(event.step_failure_data.error_display_string for event in failed)
    assert "there is no guard everything; there are archive_share" in said
    assert project.requests() == []


@pytest.mark.thorough
def test_thresholds_come_from_the_configuration(project: Project) -> None:
    project.export(HEADER, *MANY)
    project.must_upload("u1")
    project.settle("u1")
    project.export(HEADER, *[row.replace(",Item", ",Thing") for row in MANY])
    assert "changed_share" in failure(project.upload("u2"))
    project.env["JWO_GUARDS"] = "changed_share=1"
    project.must_upload("u2")
    project.env["JWO_GUARDS"] = "changed_shares=1"
    assert "JWO_GUARDS" in failure(project.upload("u3"))


def test_archiving_without_the_stores_is_refused(project: Project) -> None:
    project.env["JWO_ARCHIVE"] = "on"
    project.env["JWO_STORE_IDS"] = ""
    assert "JWO_STORE_IDS is not set" in failure(project.upload("u1"))


@pytest.mark.thorough
def test_a_rejected_item_is_held_until_it_is_asked_for(project: Project) -> None:
    project.sandbox.misbehave(reject_skus=["A"])
    project.must_upload("u1")
    project.settle("u1")
    project.sandbox.misbehave(reject_skus=[])
    assert metadata(project.must_upload("u2"), "catalog_changes")["held"] == 1
    retry = {"catalog_changes": {"config": {"retry_rejected": True}}}
    assert metadata(project.must_upload("u3", ops=retry), "catalog_changes")["update"] == 1
    project.settle("u3")
    assert {item["item_sku"] for item in project.sandbox.get("catalog")} == {"A", "B", "C"}


def test_a_plan_does_not_mix_the_tables_of_two_runs(project: Project) -> None:
    project.must_upload("u1")
    project.export(HEADER, ROWS[0], *(f"X{n},123,No,JWO-STORE-01,x" for n in range(9)))
    assert "failed a check" in failure(project.upload("u2"))
    assert "stored by different runs" in failure(project.run("catalog_upload_job", "u3", only=["catalog_changes"]))


def test_an_export_is_not_mapped_in_another_way_than_it_was_read(project: Project) -> None:
    project.must_upload("u1")
    project.mapping(MAPPING + "source: {options: {delimiter: ';'}}\n")
    result = project.run("catalog_upload_job", "u2", only=["jwo_catalog", "quarantined_items"])
    assert "source part of the mapping file has changed since source_catalog was read" in failure(result)
    project.mapping(MAPPING.replace("clean(name)", "upper(name)"))
    assert project.run("catalog_upload_job", "u3", only=["jwo_catalog", "quarantined_items"]).success


def test_a_plan_shows_what_it_would_do(project: Project) -> None:
    project.must_upload("u1")
    project.settle("u1")
    project.export(HEADER, ROWS[0].replace("1.99", "2.49"), *ROWS[1:2], "D,96385074,Gum,JWO-STORE-01,0.99")
    result = project.run("catalog_upload_job", "u2", only=PLAN_ONLY)
    shown = metadata(result, "catalog_changes")
    counts = {kind: shown[kind] for kind in ("insert", "update", "unchanged", "absent", "requests")}
    assert counts == {"insert": 1, "update": 1, "unchanged": 1, "absent": 1, "requests": 1}
    (fields,) = [text for name, text in shown.items() if name.startswith("changed_fields")]
    assert "| standard\\_price | 1 |" in fields
    assert "1.99" in fields
    assert "2.49" in fields
    assert "archiving is off" in shown["why"]
    assert len(project.requests()) == 1
