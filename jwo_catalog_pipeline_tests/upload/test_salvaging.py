"""A ledger that was lost, or is older than the bucket, is brought up to what was sent; nothing is lost or forgotten."""

from typing import Any

import boto3
import pandas as pd
import pytest

from jwo_catalog_pipeline.upload.errors import UploadStopped
from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.queries import overview
from jwo_catalog_pipeline.upload.recovery import applied_uploads, salvage
from jwo_catalog_pipeline.upload.results.in_doubt import reconcile_orphans
from jwo_catalog_pipeline.upload.waiting import Waits
from jwo_catalog_pipeline_tests.support.parts import FIELDS, Parts, items

STORES = ["JWO-STORE-01", "JWO-STORE-02", "JWO-STORE-03"]


def all_items(parts: Parts) -> list[dict[str, Any]]:
    return boto3.resource("dynamodb").Table(parts.ledger.table_name).scan(ConsistentRead=True)["Items"]


def restore(parts: Parts, backup: list[dict[str, Any]]) -> None:
    table = boto3.resource("dynamodb").Table(parts.ledger.table_name)
    for item in all_items(parts):
        table.delete_item(Key=keys.key_of(item))
    for item in backup:
        table.put_item(Item=item)


def states(parts: Parts, upload: str) -> list[str]:
    return [str(batch.state) for batch in parts.ledger.batches(upload)]


@pytest.fixture
def shop(parts: Parts) -> Parts:
    """The clock of the ledger is that of the bucket, as in life."""
    parts.ledger._now = parts.clock = pd.Timestamp.now().timestamp
    return parts


def test_a_lost_ledger_comes_back_with_what_is_settled(shop: Parts) -> None:
    shop.sandbox.misbehave(reject_skus=["C"])
    shop.apply("u1", items("A", "B", "C"))
    shop.settle("u1")
    shop.apply("u2", items("B", "C", standard_price="2.99"), archive_stores=STORES)
    shop.settle("u2")
    before = shop.state()
    restore(shop, [])
    assert salvage(shop.ledger, shop.bucket, write=False) != []
    assert all_items(shop) == []
    found = salvage(shop.ledger, shop.bucket, write=True)
    assert {(row["upload"], row["was"], row["state"]) for row in found} == {
        ("u1", None, "settled"),
        ("u2", None, "settled"),
    }
    assert applied_uploads(shop.ledger) == ["u2", "u1"]
    after = shop.state()
    same = ["store_id", "item_sku", "content_hash", "operation", "state", "reason", "upload", "batch", "doubted_at"]
    pd.testing.assert_frame_equal(after[same], before[same])
    assert overview(shop.ledger, Waits(), 10)["open_batches"] == []
    assert salvage(shop.ledger, shop.bucket, write=True) == []


def test_what_was_in_flight_is_in_doubt_until_its_news_comes(shop: Parts) -> None:
    shop.sandbox.misbehave(delay=3600)
    shop.apply("u1", items("A", "B"))
    restore(shop, [])
    salvage(shop.ledger, shop.bucket, write=True)
    assert states(shop, "u1") == ["in_doubt"]
    # Newer content waits; the same content is what Amazon has, or will have.
    assert set(shop.plan("u2", items("A", "B", standard_price="3.00"))["change"]) == {"in_flight"}
    shop.sandbox.drain()
    shop.inbox().receive(20)
    reconcile_orphans(shop.ledger, shop.bucket, shop.settler().fetch)
    outcomes = shop.settle("u1")
    assert outcomes["outcome"].tolist() == ["accepted", "accepted"]
    # Which content Amazon took of these items is not known, so they go once more.
    assert set(shop.plan("u2", items("A", "B"))["change"]) == {"update"}


def test_a_ledger_restored_to_before_an_upload_learns_of_it(shop: Parts) -> None:
    shop.apply("u1", items("A"))
    shop.settle("u1")
    backup = all_items(shop)
    shop.apply("u2", items("A", "B", standard_price="2.00"))
    shop.settle("u2")
    restore(shop, backup)
    (found,) = salvage(shop.ledger, shop.bucket, write=True)
    assert (found["upload"], found["was"], found["state"], found["items"]) == ("u2", None, "settled", 2)
    assert applied_uploads(shop.ledger) == ["u2", "u1"]
    assert shop.published() == {("JWO-STORE-01", "A"): "accepted", ("JWO-STORE-01", "B"): "accepted"}
    assert set(shop.plan("u3", items("A", "B", standard_price="2.00"))["change"]) == {"unchanged"}


def test_a_batch_that_the_older_ledger_has_as_planned_is_in_doubt(shop: Parts) -> None:
    plan = shop.plan("u1", items("A"))
    shop.sandbox.misbehave(throttle=99)
    with pytest.raises(UploadStopped):
        shop.sender().apply("u1", plan, FIELDS)
    assert states(shop, "u1") == ["planned"]
    (found,) = salvage(shop.ledger, shop.bucket, write=True)
    assert (found["was"], found["state"]) == ("planned", "in_doubt")
    assert [batch.upload for batch in shop.ledger.doubtful()] == ["u1"]
    assert salvage(shop.ledger, shop.bucket, write=True) == []


def test_a_refused_batch_that_was_cut_comes_back_in_its_parts(shop: Parts) -> None:
    shop.sandbox.misbehave(refuse_skus=["C"])
    shop.apply("u1", items("A", "B", "C", "D"))
    shop.settle("u1")
    before = shop.published()
    restore(shop, [])
    salvage(shop.ledger, shop.bucket, write=True)
    assert shop.ledger.upload("u1").items == 4
    after = shop.published()
    assert {key: state for key, state in after.items() if key[1] != "C"} == {
        key: state for key, state in before.items() if key[1] != "C"
    }
    assert after["JWO-STORE-01", "C"] == "in_flight"  # nobody knows any more that it was refused


def test_a_ledger_that_lacks_nothing_is_left_alone(shop: Parts) -> None:
    shop.sandbox.misbehave(delay=3600)
    shop.apply("u1", items("A"))
    before = all_items(shop)
    assert salvage(shop.ledger, shop.bucket, write=True) == []
    assert all_items(shop) == before
