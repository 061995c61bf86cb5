"""What a mapping can say of rows and stores: conditions, differences, alternatives, merging."""

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jwo_catalog_pipeline.catalog.errors import MappingError
from jwo_catalog_pipeline.catalog.mapping.loaded import load_mapping
from jwo_catalog_pipeline_tests.support.mapping_text import MINIMAL, applied, export, mapped, source, write
from jwo_catalog_pipeline_tests.support.tables import Mapped, validate

BARCODES = ["4006381110006", "4006381110013", "4006381110020"]
WITHOUT_STORE = MINIMAL.replace("  store_id: branch\n", "")
FURTHER = "additional_external_product_information"


def excluded(result: Mapped) -> list[tuple[int, str]]:
    return list(result.excluded[["source_row", "condition"]].itertuples(index=False, name=None))


def test_rows_that_do_not_meet_the_condition_are_excluded_and_the_others_are_items(tmp_path: Path) -> None:
    result = mapped(tmp_path, MINIMAL + "where: branch = '055'\n", export())
    assert result.items["item_sku"].tolist() == ["A"]
    assert excluded(result) == [(2, "where")]
    assert result.excluded["item_sku"].tolist() == ["B"]


def test_an_unknown_condition_is_not_true(tmp_path: Path) -> None:
    """A coupon without a status is no item, whatever NULL compares to."""
    result = mapped(tmp_path, MINIMAL + "where: branch <> 'x'\n", export(branch=["055", None]))
    assert excluded(result) == [(2, "where")]


def test_of_several_conditions_the_first_that_is_not_met_is_named(tmp_path: Path) -> None:
    text = MINIMAL + "where:\n  - {expr: name <> 'Gum', note: no gum}\n  - branch = '055'\n  - sku IS NOT NULL\n"
    frame = export(branch=["413", "413"], name=["Pen", "Gum"])
    assert excluded(mapped(tmp_path, text, frame)) == [(1, "where[2]"), (2, "where[1]")]


def test_a_condition_that_fails_on_a_row_is_an_error_of_that_row(tmp_path: Path) -> None:
    """Excluded, it would be gone from the shelf without a word."""
    result = mapped(tmp_path, MINIMAL + "where: CAST(price AS DECIMAL(9, 2)) > 0\n", export())
    assert result.items["mapping_errors"].fillna("").tolist() == ["", "where: the condition fails on this row"]
    assert len(validate(result.items).valid) == 1
    result = mapped(tmp_path, MINIMAL + "where: [CAST(price AS INT) > 0, sku = 'A']\n", export())
    assert excluded(result) == [(2, "where[2]")]


@pytest.mark.parametrize("expr", ["name", "'true'", "1", "length(name)", "NULL"])
def test_a_condition_that_is_not_true_or_false_is_named(tmp_path: Path, expr: str) -> None:
    with pytest.raises(MappingError, match=r"line 7, where.*is no condition: it is not true or false; compare it"):
        mapped(tmp_path, f"{MINIMAL}where: {json.dumps(expr)}\n", export())


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (MINIMAL + "where: count(*) > 1\n", r"line 7, where: the function count"),
        (MINIMAL + "where:\n  - sku = 'A'\n  - {expr: sku IN (SELECT 'x')}\n", r"line 9, where\[2\]: a subquery"),
        (MINIMAL + "where: [[sku = 'A', now() > '2026']]\n", r"line 7, where\[1\]\[2\]: the function now"),
        (MINIMAL.replace(": name", ": [name, random()]"), r"line 5, fields.item_name\[2\]: the function random"),
        (WITHOUT_STORE + "stores:\n  S1:\n    where: max(sku) = 'A'\n", r"line 8, stores.S1.where: the function max"),
        (
            WITHOUT_STORE + "stores:\n  S1:\n    standard_price: source.price\n",
            r"line 8, stores.S1.standard_price: sou",
        ),
        (MINIMAL + "additional_barcodes: [[ean, '#1', null]]\n", r"additional_barcodes\[1\]\[2\]: a column number"),
    ],
)
def test_every_place_of_an_expression_takes_scalar_ones_only(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(MappingError, match=place):
        load_mapping(write(tmp_path, text))


def test_each_store_has_its_own_rows_and_prices(tmp_path: Path) -> None:
    text = WITHOUT_STORE + (
        "  standard_price: price\nwhere: sku <> 'C'\nstores:\n"
        "  ST-1: {where: here = 'Y', standard_price: upper(price)}\n"
        "  '022': {}\n  O'Hare: {where: [here = 'N', ean IS NOT NULL], external_product_id: ean2}\n  '023': {}\n"
    )
    frame = source(
        sku=["A", "B", "C"],
        ean=[BARCODES[0], None, BARCODES[0]],
        ean2=BARCODES,
        name=["x", "y", "z"],
        price=["a", "b", "c"],
        here=["Y", "N", "Y"],
    )
    result = mapped(tmp_path, text, frame)
    columns = ["source_row", "store_id", "standard_price", "external_product_id"]
    assert list(result.items[columns].fillna("").itertuples(index=False, name=None)) == [
        (1, "ST-1", "A", BARCODES[0]),
        (1, "022", "a", BARCODES[0]),
        (1, "023", "a", BARCODES[0]),
        (2, "022", "b", ""),
        (2, "023", "b", ""),
    ]
    assert list(result.excluded[["source_row", "store_id", "condition"]].itertuples(index=False, name=None)) == [
        (1, "O'Hare", "stores.O'Hare.where[1]"),
        (2, "ST-1", "stores.ST-1.where"),
        (2, "O'Hare", "stores.O'Hare.where[2]"),
        *[(3, store, "where") for store in ("ST-1", "022", "O'Hare", "023")],
    ]
    assert result.items["external_product_id_type"].fillna("").tolist() == ["EAN", "EAN", "EAN", "", ""]


def test_a_lookup_may_differ_in_a_store(tmp_path: Path) -> None:
    text = WITHOUT_STORE + "stores: {S1: {product_tax_code: {expr: branch, values: {055: A_GEN_TAX}}}, S2: {}}\n"
    items = applied(tmp_path, text, export())
    assert items["product_tax_code"].fillna("").tolist() == ["A_GEN_TAX", "", "", ""]
    assert items["mapping_errors"].notna().tolist() == [False, False, True, False]


def test_of_a_list_the_first_is_used_whose_columns_the_export_has(tmp_path: Path) -> None:
    text = MINIMAL.replace(": name", ": ['\"Title\"', '{name}', NAME]".replace("'{name}'", "{expr: upper(name)}"))
    assert applied(tmp_path, text, export())["item_name"].tolist() == ["PEN", "GUM"]
    items = applied(tmp_path, text + "  brand_name: ['\"Vendor\"', null]\n", export(title=["x", "y"]))
    assert items["item_name"].tolist() == ["x", "y"]
    assert items["brand_name"].isna().all()


def test_a_condition_may_end_in_null_for_exports_without_its_column(tmp_path: Path) -> None:
    text = MINIMAL + "where: [['\"Status\" = ''active''', null]]\n"
    assert len(applied(tmp_path, text, export())) == 2
    assert len(applied(tmp_path, text, export(status=["active", "draft"]))) == 1


def test_all_missing_columns_are_named_at_once(tmp_path: Path) -> None:
    text = MINIMAL.replace(": sku", ": ['\"Variant SKU\"', 'concat(article, sku)']").replace(": name", ": nam")
    text += "where: '\"Status\" = ''active'''\nadditional_barcodes: [ean || ean_2]\n"
    with pytest.raises(MappingError) as caught:
        applied(tmp_path, text, export())
    for part in (
        "line 3, fields.item_sku: the export has no column 'Variant SKU' or 'article'",
        "line 7, where, has no 'Status'",
        "line 5, fields.item_name, has no 'nam'",
        "additional_barcodes[1], has no 'ean_2'",
    ):
        assert part in caught.value.problem
    assert "for 'nam', did you mean 'name'" in caught.value.remedy
    assert "its columns are 'sku', 'ean', 'name'" in caught.value.remedy


def test_a_required_field_cannot_be_left_out(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"line 5, fields.item_name\[2\]: `null` leaves a field unmapped, and this"):
        load_mapping(write(tmp_path, MINIMAL.replace(": name", ": [name, null]")))


def rows_of_one_sku(**changes: list[str | None]) -> pd.DataFrame:
    return export(
        **{"sku": ["A"] * 3, "ean": BARCODES, "name": ["Tea"] * 3, "branch": ["1"] * 3, "price": ["2"] * 3} | changes
    )


def test_rows_that_differ_in_the_barcode_only_become_one_item(tmp_path: Path) -> None:
    result = mapped(tmp_path, MINIMAL + "merge: barcodes\n", rows_of_one_sku())
    [item] = result.items.to_dict("records")
    assert (item["source_row"], item["external_product_id"]) == (1, BARCODES[0])
    assert item[FURTHER] == f'[["{BARCODES[1]}","EAN"],["{BARCODES[2]}","EAN"]]'
    assert result.merged[["source_row", "merged_into"]].to_numpy().tolist() == [[2, 1], [3, 1]]
    assert len(validate(result.items).valid) == 1


def test_without_merge_they_stay_errors(tmp_path: Path) -> None:
    result = mapped(tmp_path, MINIMAL, rows_of_one_sku())
    assert len(result.items) == 3
    assert len(validate(result.items).quarantined) == 3


@pytest.mark.parametrize(
    "changes",
    [{"name": ["Tea", "Tea", "Champagne"]}, {"price": ["2", "2", None]}, {"price": ["2", "2", "x"]}],
    ids=["another name", "no price", "a mapping error"],
)
def test_rows_that_differ_otherwise_stay_errors_all_of_them(
    tmp_path: Path, changes: dict[str, list[str | None]]
) -> None:
    text = MINIMAL + "  standard_price: CAST(price AS DECIMAL(9, 2))\nmerge: barcodes\n"
    result = mapped(tmp_path, text, rows_of_one_sku(**changes))
    assert len(result.merged) == 0
    reasons = validate(result.items).quarantined["reasons"]
    assert len(reasons) == 3
    assert reasons.str.contains("item_unique").all()


def test_a_merged_item_keeps_every_barcode_once_in_the_order_of_the_rows(tmp_path: Path) -> None:
    frame = rows_of_one_sku(
        ean=[None, BARCODES[1], BARCODES[1]], second=[BARCODES[0], None, "4011"], third=["96385074", BARCODES[1], None]
    )
    items = applied(tmp_path, MINIMAL + "merge: barcodes\nadditional_barcodes: [second, third]\n", frame)
    assert items["external_product_id"].tolist() == [BARCODES[1]]
    assert items["external_product_id_type"].tolist() == ["EAN"]
    assert json.loads(items.loc[0, FURTHER]) == [[BARCODES[0], "EAN"], ["96385074", "EAN8"], ["4011", "PLU"]]


def test_other_stores_and_excluded_rows_are_not_merged(tmp_path: Path) -> None:
    frame = rows_of_one_sku(branch=["1", "2", "1"], name=["Tea", "Tea", "Champagne"])
    result = mapped(tmp_path, MINIMAL + "merge: barcodes\nwhere: name = 'Tea'\n", frame)
    assert len(result.items) == 2
    assert len(result.merged) == 0


def test_more_barcodes_than_an_item_can_have_are_an_error(tmp_path: Path) -> None:
    rows = 52
    frame = export(
        sku=["A"] * rows,
        ean=[str(4000 + n) for n in range(rows)],
        name=["x"] * rows,
        branch=["1"] * rows,
        price=["1"] * rows,
    )
    result = validate(mapped(tmp_path, MINIMAL + "merge: barcodes\n", frame).items)
    assert result.quarantined["reasons"].str.contains("51 further barcodes").tolist() == [True]


cells = st.one_of(
    st.none(), st.text(st.characters(codec="utf-8"), max_size=6), st.sampled_from(["A", "A ", "1.50", "Y", *BARCODES])
)


@pytest.mark.thorough
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.lists(st.tuples(*[cells] * 6), max_size=12),
    stores=st.sampled_from(
        ["", "stores: [S1, S2]\n", "stores: {S1: {where: CAST(flag AS INT) > 0}, S2: {item_name: sku}}\n"]
    ),
    where=st.sampled_from(["", "where: flag = 'Y'\n", "where: [CAST(flag AS BOOLEAN), {expr: price <> 'A'}]\n"]),
    merge=st.sampled_from(["", "merge: barcodes\n"]),
)
def test_every_row_of_any_export_has_one_place(
    tmp_path: Path, data: list[tuple[str | None, ...]], stores: str, where: str, merge: str
) -> None:
    names = ["sku", "ean", "name", "branch", "price", "flag"]
    frame = source(**{name: [row[place] for row in data] for place, name in enumerate(names)})
    text = (WITHOUT_STORE if stores else MINIMAL) + "  brand_name: {expr: price, values: {A: B}}\n"
    result = mapped(tmp_path, text + stores + where + merge + "additional_barcodes: [price]\n", frame)
    validation = validate(result.items)
    found = [
        table["source_row"] for table in (validation.valid, validation.quarantined, result.excluded, result.merged)
    ]
    assert sorted(pd.concat(found)) == sorted(frame["source_row"].tolist() * (2 if stores else 1))
    assert set(result.merged["merged_into"]) <= set(result.items["source_row"])
