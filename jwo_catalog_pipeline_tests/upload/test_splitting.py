"""A refused batch does not sink its items: it is cut until what Amazon refuses stands alone."""

import json

import pandas as pd
import pytest

from jwo_catalog_pipeline.catalog_api.errors import RequestRefused
from jwo_catalog_pipeline.catalog_api.requests import join_body, split_body
from jwo_catalog_pipeline.catalog_api.responses import Response, raise_for_status
from jwo_catalog_pipeline.upload.model import Batch, BatchState, leaf_batches
from jwo_catalog_pipeline.upload.outcomes import body_key
from jwo_catalog_pipeline.upload.queries import overview
from jwo_catalog_pipeline.upload.send import bisect as splitting
from jwo_catalog_pipeline.upload.waiting import Waits
from jwo_catalog_pipeline_tests.support.parts import FIELDS, Parts, items

STORES = ["JWO-STORE-01", "JWO-STORE-02", "JWO-STORE-03"]


def skus(count: int) -> list[str]:
    return [f"S{n:05}" for n in range(count)]


def refused(parts: Parts, upload: str) -> list[Batch]:
    return [each for each in leaf_batches(parts.ledger.batches(upload)) if each.state is BatchState.REFUSED]


@pytest.mark.thorough
def test_one_bad_item_in_ten_thousand_stands_alone_after_at_most_thirty_calls(parts: Parts) -> None:
    parts.sandbox.misbehave(refuse_skus=["S07777"])
    parts.apply("u1", items(*skus(10_000)))
    assert parts.sent() <= 30
    (alone,) = refused(parts, "u1")
    assert (alone.items, alone.refusal) == (1, "one_item")
    assert "Invalid request body" in alone.message
    outcomes = parts.settle("u1")
    assert outcomes["outcome"].value_counts().to_dict() == {"accepted": 9_999, "refused": 1}
    assert len(parts.sandbox.get("catalog")) == 9_999
    assert parts.ledger.upload("u1").state == "settled"


def test_the_refused_item_is_held_until_it_changes_and_the_others_are_done(parts: Parts) -> None:
    parts.sandbox.misbehave(refuse_skus=["B"])
    parts.apply("u1", items("A", "B", "C"))
    parts.settle("u1")
    plan = parts.plan("u2", items("A", "B", "C"))
    assert dict(zip(plan["item_sku"], plan["change"], strict=True)) == {"A": "unchanged", "B": "held", "C": "unchanged"}
    assert "Invalid request body" in plan["reason"][1]
    assert list(parts.plan("u2", items("B", item_name="Mended"))["change"])[1] == "update"


def test_an_unknown_store_is_parted_from_the_others_and_goes_again_with_the_next_upload(parts: Parts) -> None:
    rows = pd.concat([items(*skus(20), store=store) for store in (STORES[0], "NO-SUCH-STORE")], ignore_index=True)
    rows = rows.sort_values(["store_id", "item_sku"], ignore_index=True)
    parts.apply("u1", rows)
    assert parts.sent() == 3
    (store,) = refused(parts, "u1")
    assert (store.items, store.refusal) == (20, "one_store")
    assert len(parts.settle("u1")) == 40
    plan = parts.plan("u2", rows)
    assert plan.groupby("store_id")["change"].unique().map(list).to_dict() == {
        STORES[0]: ["unchanged"],
        "NO-SUCH-STORE": ["update"],
    }


def test_a_refused_archive_is_cut_by_sku(parts: Parts) -> None:
    rows = pd.concat([items("A", "B", "C", "D", store=store) for store in STORES], ignore_index=True)
    parts.apply("u1", rows)
    parts.settle("u1")
    parts.sandbox.misbehave(refuse_skus=["C"])
    parts.apply("u2", rows[rows["item_sku"] == "D"].reset_index(drop=True), archive_stores=STORES)
    parts.settle("u2")
    (alone,) = refused(parts, "u2")
    assert json.loads(parts.bucket.get(body_key(alone)))["itemSkus"] == ["C"]
    assert {each["item_sku"] for each in parts.sandbox.get("catalog")} == {"C", "D"}


def test_a_page_of_something_on_the_way_refuses_no_item_for_good() -> None:
    """Only Amazon's own message is held against an item; test_chaos_network tries it with a real proxy."""
    for body, explained in ((b"<html>bad store id</html>", False), (b'{"errorMsg": "store id"}', True)):
        with pytest.raises(RequestRefused) as raised:
            raise_for_status(Response(400, {}, body))
        assert raised.value.explained == explained


@pytest.mark.parametrize(
    "text",
    [
        "Invalid price for item S050, storeId JWO-STORE-01",
        "The request holds restored items",
        "Store is required",
        "One or more StoreID's present in the request is incorrect for item S050",
    ],
)
def test_a_refusal_that_only_mentions_a_store_costs_one_item(parts: Parts, text: str) -> None:
    """Of 100 good items 99 were never sent, for the message was taken for one about the whole store."""
    parts.sandbox.misbehave(refuse_skus=["S050"], refuse_text=text)
    parts.apply("u1", items(*(f"S{n:03}" for n in range(100))))
    (alone,) = refused(parts, "u1")
    assert (alone.items, alone.refusal) == (1, "one_item")
    parts.settle("u1")
    assert {item["item_sku"] for item in parts.sandbox.get("catalog")} == {f"S{n:03}" for n in range(100)} - {"S050"}


@pytest.mark.parametrize(
    ("text", "about_stores"),
    [
        ("One or more StoreID's present in the request is incorrect", True),
        ("One or more StoreID\u2019s present in the request is incorrect.", True),
        ("List of store ID's present in the request are either incorrect/not associated with same retailer", True),
        ("list of store IDs present in the request are either incorrect / not associated with same retailer", True),
        ("allApplicableStores is not the complete list of the retailer's stores", True),
        ("storeId JWO-STORE-01 is incorrect", False),
        ("Request body is invalid", False),
    ],
)
def test_only_the_documented_sentences_are_about_a_whole_store(text: str, about_stores: bool) -> None:
    with pytest.raises(RequestRefused) as raised:
        raise_for_status(Response(400, {}, json.dumps({"errorMsg": text}).encode()))
    assert raised.value.about_stores == about_stores


def test_where_everything_is_refused_the_cutting_ends(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "MAX_PARTS", 10)
    parts.sandbox.misbehave(refuse_skus=skus(64))
    parts.apply("u1", items(*skus(64)))
    assert parts.sent() <= 1 + 10
    assert sum(each.items for each in refused(parts, "u1")) == 64
    outcomes = parts.outcomes("u1")
    assert sorted(outcomes["item_sku"]) == skus(64)


def test_the_parts_carry_the_very_documents_of_the_whole(parts: Parts) -> None:
    parts.sandbox.misbehave(refuse_skus=["B"])
    parts.apply("u1", items("A", "B", "C", item_name='Brackets ] } " and \\ חלב'))
    whole, *others = parts.ledger.batches("u1")
    _, documents, _ = split_body(parts.bucket.get(body_key(whole)))
    leaves = [split_body(parts.bucket.get(body_key(each)))[1] for each in others if not each.split]
    assert sorted(document for leaf in leaves for document in leaf) == sorted(documents)


def test_a_request_taken_apart_and_put_together_is_the_same() -> None:
    for body in (
        b'{"catalogItems":[{"a":"]},{"},{"b":"\\"["}]}',
        b'{"itemSkus":["a]","b"],"allApplicableStores":["s"]}',
    ):
        assert join_body(*split_body(body)) == body


def test_a_worker_that_dies_between_refusal_and_record_leaves_nothing_behind(parts: Parts) -> None:
    """The parts are named by their place, so that cutting again writes the same objects and batches."""
    parts.sandbox.misbehave(refuse_skus=["B"])
    plan = parts.plan("u1", items("A", "B", "C"))
    client, died = parts.bucket.client, []

    def die(params: dict, **_: object) -> None:
        if params["Key"].endswith("batches/0001.2.upload.json") and not died:
            died.append(True)
            raise KeyboardInterrupt

    client.meta.events.register("before-parameter-build.s3.PutObject", die)
    with pytest.raises(KeyboardInterrupt):
        parts.sender().apply("u1", plan, FIELDS)
    parts.clock.seconds += 301
    parts.sender().apply("u1", plan, FIELDS)
    ids = [each.id for each in parts.ledger.batches("u1")]
    assert ids == ["0001", "0001.1", "0001.2", "0001.2.1", "0001.2.2"]
    parts.settle("u1")
    assert {each["item_sku"] for each in parts.sandbox.get("catalog")} == {"A", "C"}


@pytest.mark.thorough
def test_the_status_counts_each_item_once(parts: Parts) -> None:
    parts.sandbox.misbehave(refuse_skus=["B"])
    parts.apply("u1", items("A", "B", "C"))
    parts.settle("u1")
    (upload,) = overview(parts.ledger, Waits(), 10)["uploads"]
    assert upload["outcomes"] == {"accepted": 2, "refused": 1}
