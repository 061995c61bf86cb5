"""Bodies of requests: what is in an item's document, and how documents become batches."""

import hashlib
import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwo_catalog_pipeline.catalog_api.requests import (
    MAX_BYTES,
    batch_bounds,
    item_documents,
    upload_body,
    upload_bounds,
)
from jwo_catalog_pipeline.table_file import as_arrow
from jwo_catalog_pipeline_tests.support.parts import FIELDS, items


def test_a_document_holds_the_given_fields_as_strings_and_leaves_out_the_others() -> None:
    (document,) = item_documents(items("A", brand_name="Café <\"'&>"), FIELDS)["document"]
    assert json.loads(document) == {
        "item_sku": "A",
        "external_product_id": "4006381333931",
        "external_product_id_type": "EAN",
        "item_name": "Item A",
        "store_id": "JWO-STORE-01",
        "standard_price": "1.99",
        "brand_name": "Café <\"'&>",
    }


def test_additional_barcodes_become_the_assumed_elements_without_empty_types() -> None:
    pairs = '[["4006381333931","EAN"],["96385074",null]]'
    (document,) = item_documents(items("A", additional_external_product_information=pairs), FIELDS)["document"]
    assert json.loads(document)["additional_external_product_information"] == [
        {"external_product_id": "4006381333931", "external_product_id_type": "EAN"},
        {"external_product_id": "96385074"},
    ]


def test_the_same_item_has_the_same_hash_and_any_change_another() -> None:
    hashes = [
        item_documents(items("A", **change), FIELDS)["content_hash"][0]
        for change in ({}, {}, {"standard_price": "2.00"}, {"brand_name": "x"})
    ]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_documents_are_in_order_of_store_and_sku_whatever_the_order_they_came_in() -> None:
    table = items("b", "a", "Z", "é").sample(frac=1, random_state=1)
    assert list(item_documents(table, FIELDS)["item_sku"]) == ["Z", "a", "b", "é"]


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
OPTIONAL = ["standard_price", "brand_name", "product_category", "product_subcategory"]


@given(
    st.lists(st.tuples(TEXT, TEXT, *(st.none() | TEXT for _ in OPTIONAL)), max_size=12, unique_by=lambda row: row[:2])
)
def test_any_items_are_written_hashed_and_joined_as_pythons_own_json_would(rows: list[tuple[str | None, ...]]) -> None:
    """The slow path: item by item, in Python."""
    named = [dict(zip(["store_id", "item_sku", *OPTIONAL], row, strict=True)) for row in rows]
    table = pd.DataFrame(named, columns=FIELDS, dtype="str")
    in_order = sorted(named, key=lambda item: (item["store_id"].encode(), item["item_sku"].encode()))
    expected = [{name: item[name] for name in FIELDS if item.get(name) is not None} for item in in_order]

    documents = item_documents(table, FIELDS)

    assert [json.loads(text) for text in documents["document"]] == expected
    assert [list(json.loads(text)) for text in documents["document"]] == [list(item) for item in expected]
    sent = [text.encode() for text in documents["document"]]
    assert list(documents["content_hash"]) == [hashlib.sha256(text).hexdigest() for text in sent]
    if rows:
        assert upload_body(as_arrow(table), FIELDS) == b'{"catalogItems":[' + b",".join(sent) + b"]}"


def test_an_items_document_does_not_depend_on_what_stands_beside_it() -> None:
    """Fields that no item of a table has are not asked for at all."""
    alone, beside = items("A"), pd.concat([items("A"), items("B", product_subcategory="x")])
    assert item_documents(alone, FIELDS)["content_hash"][0] == item_documents(beside, FIELDS)["content_hash"][0]


@given(st.lists(st.integers(1, 40), max_size=60), st.integers(1, 9), st.integers(60, 120))
def test_batches_cover_every_item_once_within_both_limits_and_none_could_be_spared(
    sizes: list[int], max_items: int, max_bytes: int
) -> None:
    envelope = len('{"catalogItems":[]}')
    bounds = batch_bounds(np.array(sizes, dtype=np.int64), envelope, max_items, max_bytes)
    assert [n for first, past, _ in bounds for n in range(first, past)] == list(range(len(sizes)))
    for first, past, size in bounds:
        assert past - first <= max_items
        assert envelope + sum(sizes[first:past]) + (past - first - 1) == size <= max_bytes
    for (first, _, _), (_, past, _) in pairwise(bounds):
        size = envelope + sum(sizes[first:past]) + (past - first - 1)
        assert past - first > max_items or size > max_bytes


def test_bodies_are_the_documents_and_stay_below_the_gateways_limit() -> None:
    table = items(*(f"S{n:04}" for n in range(3000)), item_name="ü" * 4000)
    bounds = upload_bounds(np.array([len(text.encode()) for text in item_documents(table, FIELDS)["document"]]))
    bodies = [upload_body(as_arrow(table.iloc[first:past]), FIELDS) for first, past, _ in bounds]
    assert len(bodies) == 3
    assert [len(body) for body in bodies] == [size for _, _, size in bounds]
    assert all(len(body) <= MAX_BYTES for body in bodies)
    found = [item["item_sku"] for body in bodies for item in json.loads(body)["catalogItems"]]
    assert found == [f"S{n:04}" for n in range(3000)]


def test_one_item_larger_than_a_request_is_an_error() -> None:
    with pytest.raises(ValueError, match="item 1 takes 101 bytes"):
        batch_bounds(np.array([10, 101]), 0, 10, 100)
