"""Each rule with a row that keeps it and a row that breaks it."""

import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jwo_catalog_pipeline.catalog.rules.rulebook import rules
from jwo_catalog_pipeline.catalog.rules.validation import RuleResult
from jwo_catalog_pipeline.sandbox.rules import judge
from jwo_catalog_pipeline_tests.support.mapped_items import CODE, KIND, items
from jwo_catalog_pipeline_tests.support.tables import validate

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
    ("store_placeholder", "error", {"store_id": "JWO-YOUR-STORE-ID-1"}, {"store_id": "YOUR-STORE-ID"}),
    ("store_placeholder", "error", {"store_id": None}, {"store_id": "YOUR-STORE-ID-12"}),
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
    *(("barcode_characters", "error", {CODE: "080442957X", KIND: "ISBN"}, {CODE: code, KIND: None}) for code in (
        "ABC-123", "UPC 036001110004", "4006381110006,4006381110013", "4006381110006/4", "4006381110006\n4011",
        "[4006381110006, 4006381110013]", " 4006381110006", "4006381110006\u200b", "'0360", "=\"0360\"", "A1234",
        "080442957x", "٤٠٠٦٣٨١١١٠٠٢٠", "36000290004.0")),
    *(("barcode_rounded", "error", {CODE: "4006381333931"}, {CODE: code, KIND: None}) for code in (
        "4.00638E+12", "4,00638E+12", "4E+12", "3.6e10", "4.006381333931E+12", "4006380000000", "036000000000")),
    *(("barcode_placeholder", "error", {CODE: "4011", KIND: "PLU"}, {CODE: code, KIND: None}) for code in (
        "0", "0000000000000", "1111111111111", "99999999", "N/A", "n.a.", "#N/A", "none", "NULL", "nil", "nan", "TBD",
        "-", "--", "?", "xxx", "Kein EAN", "sin código", "aucun", "нет", "אין", "なし", "no barcode", "not available")),
    *(("additional_barcodes_characters", "error", {FURTHER: f"[{RIGHT},{PLU}]"}, {FURTHER: f'[["{code}",null]]'})
        for code in ("N/A", "4.00638E+12", "UPC 036001110004", "0")),
    *(("item_sku_whitespace", "error", {"item_sku": "A 1"}, {"item_sku": sku}) for sku in (
        " A1", "A1 ", "A\n1", "A1\u00a0", "\ufeffA1", "A\t1", "A\u200b1")),
    *(("item_name_letters", "error", {"item_name": name}, {"item_name": "1 2"}) for name in ("7UP", "עברית", "1 & 2")),
    *(("item_sku_characters", "warning", {"item_sku": "a-1_B.2"}, {"item_sku": sku}) for sku in ("É1", "A 1", "A/1")),
    *(("item_name_markup", "warning", {"item_name": name}, {"item_name": marked}) for name, marked in (
        ("Ben & Jerry's", "Ben &amp; Jerry&#39;s"), ("a < b", "<em>tea</em>"), ("<3 tea > x", "tea<br/>"),
        ("AT&T; x", "Caf&eacute;"))),
    *(("text_encoding", "warning", {"item_name": name}, {"item_name": damaged}) for name, damaged in (
        ("Café crème MAÇÃ", "CafÃ© crÃ¨me"), ("PÃO DE AÇÚCAR 5°", "Caf\ufffd"), ("Žluťoučký kůň", "MasÅ‚o"),
        ("2×500 ml", "×©×œ×•×\x9d"), ("Сёмга", "Ð¡Ñ‹Ñ€"), ("צ׳יפס ״גדול״", "× ×›×œ"), ("Ærø “x”", "Caf√©"),
        ("Łódź’s – 5 €", "â‚¬5"), ("Ñandú «ñ»", "Cr\\xC3\\xA8me"), ("GÖTEBORGÅ’", "└Caf├®"))),
    ("text_line_break", "warning", {"item_name": "Oat bar"}, {"item_name": "Oat bar,5.00\nB,4006381333931,Tea"}),
    ("barcode_variable_weight", "warning", {CODE: "3000011012341", KIND: None}, {CODE: "2000011012342", KIND: None}),
    ("barcode_variable_weight", "warning", {CODE: "0120000110125", KIND: None}, {CODE: "0212345678909", KIND: None}),
    ("barcode_variable_weight", "warning", {CODE: "036000291452", KIND: None}, {CODE: "212345678909", KIND: None}),
    ("barcode_variable_weight", "warning", {CODE: "96385074", KIND: None}, {CODE: "12000011012349", KIND: None}),
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


def test_a_missing_barcode_breaks_one_rule() -> None:
    assert list(broken(items({}, {CODE: None, KIND: None}))) == ["external_product_id_required"]


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


@pytest.mark.parametrize(
    "codes",
    [
        ("4006381333931", "4006381333931"),
        ("036000291452", "0036000291452"),
        ("00036000291452", "036000291452"),
        ("04252614", "042100005264"),
        ("0306406152", "9780306406157"),
        ("4011", "4011"),
    ],
)
def test_one_barcode_of_two_skus_of_a_store_is_a_warning_that_names_them(codes: tuple[str, str]) -> None:
    one, other = ({CODE: code, KIND: None, "item_sku": sku} for code, sku in zip(codes, ("S-1", "S-2"), strict=True))
    rule = broken(items(one, other, other | {"store_id": "S2"}, {"item_sku": "S-3", CODE: "96385074", KIND: None}))[
        "barcode_one_sku"
    ]
    assert (rule.level, rule.samples["source_row"].tolist()) == ("warning", [1, 2])
    assert rule.samples["value"].tolist() == ["'S-2'", "'S-1'"]


def test_a_further_barcode_that_is_another_skus_barcode_is_named_too() -> None:
    frame = items({FURTHER: '[["96385074","EAN8"]]'}, {CODE: "96385074", KIND: "EAN8"}, {CODE: "4011", KIND: None})
    assert broken(frame)["barcode_one_sku"].samples["value"].tolist() == ["'A1'", "'A0'"]


def test_codes_that_are_wrong_or_stand_for_none_are_nobody_elses() -> None:
    codes = ("7290000002021", "7290000002022", "N/A", "N/A", "0", "0", "4011", "14011")
    assert "barcode_one_sku" not in broken(items(*({CODE: code, KIND: None} for code in codes)))
    packs = ("10614141000415", "20614141000412", "0614141000418")
    assert "barcode_one_sku" not in broken(items(*({CODE: code, KIND: None} for code in packs)))


def test_a_barcode_of_very_many_skus_names_a_few_of_them() -> None:
    rule = broken(items(*({} for _ in range(300))))["barcode_one_sku"]
    assert rule.samples["value"].tolist()[0] == "'A1', 'A2', 'A3', 'A4', 'A5' and 294 more"
    assert rule.count == 300


def test_skus_that_differ_in_capitals_or_white_space_are_a_warning_that_names_them() -> None:
    skus = ("A1", "A1 ", " A1", "a1", "A2", "Ä3", "ä3")
    rule = broken(items(*({"item_sku": sku} for sku in skus)))["item_sku_twins"]
    assert rule.samples["source_row"].tolist() == [1, 2, 3, 4, 6, 7]
    assert rule.samples["value"].tolist()[0] == "'A1 ', ' A1', 'a1'"
    assert "item_sku_twins" not in broken(items({"item_sku": "a1"}, {"item_sku": "a1", "store_id": "S2"}))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[0-9]{1,16}|[0-9]{9}[0-9Xx]|0{1,5}[0-9]{6,9}|[0-9A-Z ,./-]{1,14}", fullmatch=True)
            | st.sampled_from(["N/A", "4.00638E+12", "036000291452", "96385074", "04252614", "4006381333931", "4011"])
            | st.text(st.characters(codec="utf-8"), min_size=1, max_size=8),
            st.none() | st.sampled_from(["UPC", "EAN", "EAN8", "ISBN", "GTIN", "PLU", "ean"]),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_what_the_sandbox_refuses_is_an_error_here_but_for_digits_in_a_form_of_no_type(
    codes: list[tuple[str, str | None]],
) -> None:
    """The service may know internal codes, so they are sent with a warning (CATALOG_API.md, "Barcodes"); the sandbox
    refuses them. The other way round, the sandbox takes placeholders and rounded codes whose check digit is right."""
    frame = items(*({CODE: code, KIND: kind} for code, kind in codes))
    result = validate(frame)
    sent = set(result.valid["source_row"])
    unknown = next(rule for rule in result.rules if rule.name == "barcode_form_known").samples["source_row"]
    for row, (code, kind) in enumerate(codes, 1):
        outcome = judge({"item_sku": "A", "store_id": "S1", CODE: code} | ({KIND: kind} if kind else {}))
        if outcome.code and row in sent:
            assert code.isascii() and code.isdigit() and kind is None and row in set(unknown), code


def test_a_store_must_be_listed_only_where_stores_are_listed() -> None:
    frame = items({}, {"store_id": "S9"}, {"store_id": None})
    assert broken(frame, ["S1", "S2"])["store_known"].samples["value"].tolist() == ["S9"]
    for nothing in (None, []):
        assert "store_known" not in {rule.name for rule in rules(nothing)}


def test_every_rule_has_a_name_of_its_own_and_a_description() -> None:
    every = rules(["S1"])
    assert len({rule.name for rule in every}) == len(every)
    tested = {case[0] for case in CASES} | {"item_unique", "barcode_same_in_stores", "store_known"}
    tested |= {"barcode_one_sku", "item_sku_twins"}
    assert {rule.name for rule in every} == tested
    for rule in every:
        assert rule.name.replace("_", "").isalpha()
        assert rule.description.endswith(".")
        assert rule.check.error == rule.description
