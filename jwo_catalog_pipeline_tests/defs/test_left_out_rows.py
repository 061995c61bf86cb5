"""Rows that the mapping excludes or merges: counted and shown, and an item that becomes excluded counts as absent."""

from jwo_catalog_pipeline_tests.support.project import HEADER, MANY, MAPPING, ROWS, Project, failure, metadata

PUBLISHED = MAPPING + "where: [{expr: name <> 'Tissues', note: sold elsewhere}, name <> 'Total']\nmerge: barcodes\n"


def test_excluded_and_merged_rows_are_in_the_account_of_every_row(project: Project) -> None:
    project.mapping(PUBLISHED)
    project.export(HEADER, *ROWS, ROWS[0].replace("4006381333931", "4011"), "D,1,Total,JWO-STORE-01,1")
    result = project.must_upload("u1")
    rows = metadata(result, "source_catalog")["dagster/row_count"]
    plan = metadata(result, "catalog_changes")
    counted = {name: plan[name] for name in ("insert", "quarantined", "excluded", "merged")}
    assert counted == {"insert": 2, "quarantined": 0, "excluded": 2, "merged": 1}
    assert sum(counted.values()) == rows
    for asset in ("jwo_catalog", "quarantined_items"):
        shown = metadata(result, asset)
        assert (shown["excluded"], shown["merged"]) == (2, 1)
        assert "sold elsewhere" in shown["excluded_by"]
        assert "Tissues" in shown["excluded_sample"]
        assert "4011" in shown["merged_sample"]


def test_an_item_that_becomes_excluded_is_absent_and_a_guard_sees_many(project: Project) -> None:
    project.export(HEADER, *MANY)
    project.must_upload("u1")
    project.settle("u1")
    project.mapping(MAPPING + "where: name <> 'Item 1'\n")
    assert metadata(project.must_upload("u2"), "catalog_changes")["absent"] == 1
    project.mapping(MAPPING + "where: name < 'Item 11'\n")
    assert "newly missing from the source: 11 of 14" in failure(project.upload("u3"))


def test_a_condition_that_excludes_every_row_sends_nothing_and_says_so(project: Project) -> None:
    project.mapping(MAPPING + "where: name = 'nothing'\n")
    sentence = failure(project.upload("u1"))
    assert "`where` and `stores` of the field mapping exclude all of 3 rows: nothing is sent" in sentence
    assert project.requests() == []


def test_excluded_rows_are_not_in_the_share_of_invalid_ones(project: Project) -> None:
    """Drafts without a barcode no longer need a higher limit, which would let real errors pass."""
    drafts = [f"X{number},,draft,JWO-STORE-01," for number in range(20)]
    project.mapping(MAPPING + "where: name <> 'draft'\n")
    project.export(HEADER, *MANY[:9], "Y,1,broken,JWO-STORE-01,1", *drafts)
    assert "1 of 10 rows (10.0%) failed a check" in failure(project.upload("u1"))
