"""What arrived at Amazon, and where every row of an export is. No tests here."""

from jwo_catalog_pipeline_tests.support.project import Project


def catalog(project: Project) -> dict[tuple[str, str], dict]:
    """What Amazon holds, by store and SKU."""
    return {(item["store_id"], item["item_sku"]): item for item in project.sandbox.get("catalog")}


def account(project: Project, rows: int) -> dict[str, set[tuple[str, str]]]:
    """Every source row is in exactly one place: quarantined, or an item with one outcome."""
    outcomes, quarantined = project.table("ingestion_results", "u1"), project.table("quarantined_items")
    places = {
        str(outcome): set(zip(group["store_id"], group["item_sku"], strict=True))
        for outcome, group in outcomes.groupby("outcome")
    }
    assert sum(map(len, places.values())) == len(outcomes) == len(set().union(*places.values()))
    sent_rows = set(project.table("jwo_catalog")["source_row"])
    assert sent_rows.isdisjoint(quarantined["source_row"])
    assert sent_rows | set(quarantined["source_row"]) == set(range(1, rows + 1))
    assert len(outcomes) == len(sent_rows)
    assert quarantined["reasons"].notna().all()
    return places
