"""Each rule with a row that keeps it and a row that breaks it."""

import json

import pandas as pd
import pytest

from jwo_catalog_pipeline.catalog.rules.rules import rules
from jwo_catalog_pipeline.catalog.rules.validation import RuleResult, validate
from jwo_catalog_pipeline_tests.support.mapped_items import CODE, KIND, items

FURTHER = "additional_external_product_information"


def broken(frame: pd.DataFrame, stores: list[str] | None = None) -> dict[str, RuleResult]:
    return {rule.name: rule for rule in validate(frame, stores).rules if rule.count}


PLU, RIGHT, WRONG = '["4011",null]', '["96385074","EAN8"]', '["96385075","EAN8"]'


def many(count: int) -> str:
    return json.dumps([["4011", "PLU"]] * count)


CASES: list[tuple[str, str, dict[str, str | None], dict[str, str | None]]] = [
    # rule, level, keeps it, breaks it
    ("item_sku_required", "error", {"item_sku": "0"}, {"item_sku": None}),
    ("external_product_id_required", "error", {}, {CODE: None, KIND: None}),
    ("item_name_required", "error", {"item_name": "x"}, {"item_name": ""}),
    ("store_id_required", "error", {}, {"store_id": None}),
    ("item_sku_length", "error", {"item_sku": "é" * 255}, {"item_sku": "é" * 256}),
    ("external_product_id_length", "error", {CODE: "x" * 255, KIND: None}, {CODE: "x" * 256, KIND: None}),
    ("item_name_length", "error", {"item_name": "x" * 255}, {"item_name": "x" * 256}),
    ("store_id_length", "error", {"store_id": "x" * 255}, {"store_id": "x" * 256}),
    ("barcode_type_known", "error", {KIND: None}, {KIND: "ean"}),
    ("barcode_fits_type", "error", {CODE: "036000291452", KIND: "UPC"}, {CODE: "036000291452", KIND: "EAN"}),
    ("barcode_fits_type", "error", {CODE: "04252614", KIND: "UPC"}, {CODE: "96385074", KIND: "UPC"}),
    ("barcode_fits_type", "error", {CODE: "080442957X", KIND: "ISBN"}, {CODE: "080442957", KIND: "ISBN"}),
    ("barcode_fits_type", "error", {CODE: "10614141000415", KIND: "GTIN"}, {CODE: "4006381333931", KIND: "GTIN"}),
    ("barcode_fits_type", "error", {CODE: "94011", KIND: "PLU"}, {CODE: "12", KIND: "PLU"}),
    ("barcode_fits_type", "error", {CODE: "96385074", KIND: "EAN8"}, {CODE: "9638507x", KIND: "EAN8"}),
    ("barcode_check_digit", "error", {CODE: "4006381333931"}, {CODE: "4006381333932"}),
    ("barcode_check_digit", "error", {CODE: "96385074", KIND: None}, {CODE: "96385075", KIND: None}),
    ("barcode_check_digit", "error", {CODE: "04252614", KIND: None}, {CODE: "04252614", KIND: "EAN8"}),
    ("barcode_check_digit", "error", {CODE: "036000291452", KIND: "UPC"}, {CODE: "36000291452", KIND: None}),
    ("barcode_check_digit", "error", {CODE: "0306406152", KIND: "ISBN"}, {CODE: "0306406153", KIND: "ISBN"}),
    ("barcode_check_digit", "error", {CODE: "080442957X", KIND: None}, {CODE: "080442958X", KIND: None}),
    ("barcode_check_digit", "error", {CODE: "4011", KIND: "PLU"}, {CODE: "10614141000416", KIND: "GTIN"}),
    ("price_decimal", "error", {"standard_price": None}, {"standard_price": "1.299"}),
    ("price_decimal", "error", {"standard_price": "12"}, {"standard_price": "1,50"}),
    ("price_decimal", "error", {"standard_price": "0.5"}, {"standard_price": "-1.50"}),
    ("price_decimal", "error", {"standard_price": "9.99"}, {"standard_price": "9.99\n"}),
    ("price_decimal", "error", {"standard_price": "9.99"}, {"standard_price": "٩.٩٩"}),
    ("additional_barcodes_count", "error", {FURTHER: many(50)}, {FURTHER: many(51)}),
    ("additional_barcodes_check_digit", "error", {FURTHER: f"[{RIGHT},{PLU}]"}, {FURTHER: f"[{PLU},{WRONG}]"}),
    ("additional_barcodes_check_digit", "error", {FURTHER: "[]"}, {FURTHER: "no json"}),
    ("additional_barcodes_check_digit", "error", {FURTHER: None}, {FURTHER: "[[null,null]]"}),
    ("mapping", "error", {}, {"mapping_errors": "store_id: '9' is not listed in values"}),
    ("item_name_receipt_length", "warning", {"item_name": "x" * 100}, {"item_name": "x" * 101}),
    ("item_name_ascii", "warning", {"item_name": "plain"}, {"item_name": "café"}),
    ("barcode_form_known", "warning", {CODE: "94011", KIND: None}, {CODE: "123456789", KIND: None}),
    ("barcode_form_known", "warning", {CODE: "0306406152", KIND: None}, {CODE: "0306406153", KIND: None}),
    ("barcode_unambiguous", "warning", {CODE: "96385074", KIND: None}, {CODE: "01234565", KIND: None}),
    ("price_not_zero", "warning", {"standard_price": "0.01"}, {"standard_price": "0.00"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "level", "keeps", "breaks"), CASES)
def test_a_rule_finds_the_row_that_breaks_it_and_no_other(
    name: str, level: str, keeps: dict[str, str | None], breaks: dict[str, str | None]
) -> None:
    frame = items({}, breaks, keeps)
    # One SKU more than once is another rule's affair.
    frame.loc[2, "item_sku"] = keeps.get("item_sku", "C")
    result = validate(frame)
    [rule] = [rule for rule in result.rules if rule.name == name]
    assert rule.level == level
    assert rule.count == 1
    assert rule.samples["source_row"].tolist() == [2]
    assert (2 in result.quarantined["source_row"].tolist()) == (level == "error")
    if level == "error":
        assert f"{name}: " in result.quarantined.loc[result.quarantined["source_row"] == 2, "reasons"].item()


def test_all_rows_of_a_repeated_key_are_errors() -> None:
    frame = items({"item_sku": "A"}, {"item_sku": "B"}, {"item_sku": "A"}, {"item_sku": "A", "store_id": "S2"})
    rule = broken(frame)["item_unique"]
    assert rule.samples["source_row"].tolist() == [1, 3]


def test_rows_without_a_key_repeat_no_other() -> None:
    """With -1 for what is missing, (second store, no SKU) was once taken for (first store, last SKU)."""
    frame = items(
        {"item_sku": "A"}, {"item_sku": "Z"}, {"item_sku": None, "store_id": "S2"}, {"item_sku": None, "store_id": "S2"}
    )
    assert "item_unique" not in broken(frame)


def test_one_sku_with_two_barcodes_is_a_warning() -> None:
    other = {"item_sku": "A", "store_id": "S2", CODE: "96385074", KIND: "EAN8"}
    rule = broken(items({"item_sku": "A"}, other, {"item_sku": "B"}))["barcode_same_in_stores"]
    assert rule.level == "warning"
    assert rule.samples["source_row"].tolist() == [1, 2]
    missing: dict[str, str | None] = {"item_sku": "A", "store_id": "S2", CODE: None, KIND: None}
    assert "barcode_same_in_stores" not in broken(items({"item_sku": "A"}, missing))


def test_a_store_must_be_listed_only_where_stores_are_listed() -> None:
    frame = items({}, {"store_id": "S9"}, {"store_id": None})
    assert broken(frame, ["S1", "S2"])["store_known"].samples["value"].tolist() == ["S9"]
    for nothing in (None, []):
        assert "store_known" not in {rule.name for rule in rules(nothing)}


def test_every_rule_has_a_name_of_its_own_and_a_description() -> None:
    every = rules(["S1"])
    assert len({rule.name for rule in every}) == len(every)
    tested = {case[0] for case in CASES} | {"item_unique", "barcode_same_in_stores", "store_known"}
    assert {rule.name for rule in every} == tested
    for rule in every:
        assert rule.name.replace("_", "").isalpha()
        assert rule.description.endswith(".")
        assert rule.check.error == rule.description
