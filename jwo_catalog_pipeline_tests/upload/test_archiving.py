"""Archiving: only what is gone everywhere, never beside an upload of the same SKU, and undone by an upload."""

import json

import pandas as pd
import pytest

from jwo_catalog_pipeline.catalog_api.operations import ARCHIVE
from jwo_catalog_pipeline.upload.model import BatchState
from jwo_catalog_pipeline.upload.outcomes import body_key
from jwo_catalog_pipeline_tests.support.parts import Parts, items

S1, S2 = "JWO-STORE-01", "JWO-STORE-02"
STORES = ["JWO-STORE-01", "JWO-STORE-02", "JWO-STORE-03"]


@pytest.fixture
def shop(parts: Parts) -> Parts:
    """A in two stores, B in one; all accepted."""
    parts.apply("u1", pd.concat([items("A", "B"), items("A", store=S2)]))
    parts.settle("u1")
    return parts


def kinds(plan: pd.DataFrame) -> dict[str, str]:
    return {f"{row.item_sku}@{row.store_id[-2:]}": row.change for row in plan.itertuples()}


def held(parts: Parts) -> list[str]:
    return [f"{each['item_sku']}@{each['store_id'][-2:]}" for each in parts.sandbox.get("catalog")]


def test_absence_removes_nothing_while_archiving_is_off(shop: Parts) -> None:
    plan = shop.plan("u2", items("B"))
    assert kinds(plan) == {"A@01": "absent", "A@02": "absent", "B@01": "unchanged"}
    assert "archiving is off" in plan["reason"].iloc[0]


def test_a_sku_gone_from_all_stores_is_archived_with_the_full_list_of_stores(shop: Parts) -> None:
    (batch,) = shop.apply("u2", items("B"), archive_stores=STORES)
    assert (batch.operation, batch.items, batch.state) == (ARCHIVE, 2, BatchState.SUBMITTED)
    assert json.loads(shop.bucket.get(body_key(batch))) == {"itemSkus": ["A"], "allApplicableStores": STORES}
    assert kinds(shop.plan("u3", items("B"), archive_stores=STORES)) == {
        "A@01": "in_flight",
        "A@02": "in_flight",
        "B@01": "unchanged",
    }
    assert shop.settle("u2")["outcome"].tolist() == ["accepted", "accepted"]
    assert held(shop) == ["B@01"]
    assert kinds(shop.plan("u4", items("B"), archive_stores=STORES)) == {"B@01": "unchanged"}


def test_a_sku_that_one_store_keeps_or_the_quarantine_holds_is_not_archived(shop: Parts) -> None:
    some = shop.plan("u2", items("A", "B"), archive_stores=STORES)
    assert kinds(some) == {"A@01": "unchanged", "A@02": "absent", "B@01": "unchanged"}
    quarantined = shop.plan("u3", items("B"), items("A", store="unknown"), archive_stores=STORES)
    assert kinds(quarantined) == {"A@01": "absent", "A@02": "absent", "B@01": "unchanged"}


def test_a_quarantined_row_without_sku_may_be_any_item_so_nothing_is_archived(shop: Parts) -> None:
    nameless = items("X").assign(item_sku=pd.Series([None], dtype="str"))
    plan = shop.plan("u2", items("B"), nameless, archive_stores=STORES)
    assert kinds(plan)["A@01"] == "absent"
    assert "1 quarantined rows have a barcode but no SKU" in plan["reason"].iloc[0]


def test_an_item_that_comes_back_is_uploaded_and_so_reactivated(shop: Parts) -> None:
    shop.apply("u2", items("B"), archive_stores=STORES)
    shop.settle("u2")
    back = items("A", "B")
    assert kinds(shop.plan("u3", back, archive_stores=STORES)) == {"A@01": "insert", "B@01": "unchanged"}
    shop.apply("u3", back, archive_stores=STORES)
    shop.settle("u3")
    assert held(shop) == ["A@01", "B@01"]


def test_an_item_that_comes_back_for_another_store_waits_while_its_sku_is_being_archived(shop: Parts) -> None:
    shop.apply("u2", items("B"), archive_stores=STORES)
    plan = shop.plan("u3", pd.concat([items("B"), items("A", store=STORES[2])]), archive_stores=STORES)
    assert kinds(plan)["A@03"] == "in_flight"
    assert "being archived by upload u2" in str(plan.loc[plan["store_id"] == STORES[2], "reason"].iloc[0])


def test_a_sku_is_not_archived_while_one_store_s_upload_is_open(shop: Parts) -> None:
    shop.apply("u2", pd.concat([items("A", "B"), items("A", store=S2, item_name="New")]))
    assert kinds(shop.plan("u3", items("B"), archive_stores=STORES)) == {
        "A@01": "in_flight",
        "A@02": "in_flight",
        "B@01": "unchanged",
    }


def test_still_on_planogram_is_held_and_tried_again_a_day_later_or_when_asked(shop: Parts) -> None:
    shop.sandbox.misbehave(still_on_planogram=["A"])
    shop.apply("u2", items("B"), archive_stores=STORES)
    assert set(shop.settle("u2")["code"]) == {"ON_PLANOGRAM"}
    plan = shop.plan("u3", items("B"), archive_stores=STORES)
    assert kinds(plan)["A@01"] == "held"
    assert "planogram" in plan["reason"].iloc[0]
    assert kinds(shop.plan("u4", items("B"), archive_stores=STORES, retry_rejected=True))["A@01"] == "archive"
    shop.clock.seconds += 25 * 3600
    assert kinds(shop.plan("u5", items("B"), archive_stores=STORES))["A@02"] == "archive"


@pytest.mark.parametrize("shape", ["1", "2", "3"])
def test_already_archived_counts_as_done(shop: Parts, shape: str) -> None:
    shop.sandbox.misbehave(report_shape=shape)
    shop.sandbox.archive("A")
    shop.sandbox.drain()
    shop.apply("u2", items("B"), archive_stores=STORES)
    assert shop.settle("u2")["outcome"].tolist() == ["accepted", "accepted"]
    assert shop.published() == {(S1, "B"): "accepted"}


def test_an_archive_with_a_missing_store_is_refused_and_the_reason_kept(shop: Parts) -> None:
    (batch,) = shop.apply("u2", items("B"), archive_stores=[S1, S2])
    assert batch.state is BatchState.REFUSED
    assert shop.published()[S1, "A"] == "rejected"
    assert kinds(shop.plan("u3", items("B"), archive_stores=STORES))["A@01"] == "archive"


def test_ten_thousand_skus_fit_one_archive_request_and_one_more_does_not(shop: Parts) -> None:
    many = pd.DataFrame(items("X").loc[[0] * 10_000]).assign(item_sku=[f"X{i:05}" for i in range(10_000)])
    shop.apply("u2", pd.concat([many, items("A", "B"), items("A", store=S2)]), archive_stores=STORES)
    shop.settle("u2")
    plan = shop.make_plan("u3", items("B"), archive_stores=STORES)
    assert plan.requests == 2
    batches = shop.sender().apply("u3", plan.changes, list(items("B").columns))
    assert [batch.items for batch in batches] == [10_001, 1]  # SKUs in order: A in two stores, and 9,999 others
    shop.settle("u3")
    assert held(shop) == ["B@01"]


@pytest.mark.parametrize("shape", ["1", "2", "3"])
def test_archiving_what_amazon_never_took_is_done(parts: Parts, shape: str) -> None:
    """Whether Amazon holds an earlier version cannot be known, so it is asked to archive the item all the same."""
    stores = parts.sandbox.environment["JWO_STORE_IDS"].split(",")
    parts.sandbox.misbehave(reject_skus=["A"], report_shape=shape)
    parts.apply("u1", items("A", "B"))
    parts.settle("u1")
    parts.apply("u2", items("B"), archive_stores=stores)
    parts.settle("u2")
    assert parts.published() == {("JWO-STORE-01", "B"): "accepted"}
    assert set(parts.plan("u3", items("B"), archive_stores=stores)["change"]) == {"unchanged"}
