"""Applying a field mapping to an export: what each row becomes, and what is told of it."""

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jwo_catalog_pipeline.catalog.errors import MappingError
from jwo_catalog_pipeline.catalog.mapping.loaded import load_mapping
from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS
from jwo_catalog_pipeline_tests.support.mapping_text import MINIMAL, applied, export, source, write
from jwo_catalog_pipeline_tests.support.tables import review_mapping, validate


@pytest.mark.parametrize(
    ("expr", "result"),
    [
        ("name || ' ' || sku -- a remark", "Pen A"),
        ("CASE WHEN branch = '055' AND NOT sku LIKE 'B%' THEN 'yes' ELSE 'no' END", "yes"),
        ("CASE WHEN length(name) BETWEEN 3 AND 4 OR name IN ('x') THEN name[1:2] END", "Pe"),
        ("coalesce(nullif(name, 'Pen'), upper(NAME), 'none')", "PEN"),
        ("TRY_CAST(price AS DECIMAL(9, 2)) * 2", "3.00"),
        ("regexp_replace(split_part(name, 'n', 1), 'e', 'a')", "Pa"),
        ("concat_ws('-', name, sku, NULL)", "Pen-A"),
        ("strftime(DATE '2026-11-23', '%Y')", "2026"),
        ("ascii('é' || name)", "ePen"),
        ("price(price, ',')", "1.50"),
        ("'it''s; -- text'", "it's; -- text"),
    ],
)
def test_scalar_expressions_are_evaluated(tmp_path: Path, expr: str, result: str) -> None:
    text = MINIMAL.replace("item_name: name", "item_name: " + json.dumps(expr))
    assert applied(tmp_path, text, export()).loc[0, "item_name"] == result


def test_the_result_has_every_field_and_every_row_in_order(tmp_path: Path) -> None:
    frame = export().iloc[[1, 0]]
    items = applied(tmp_path, MINIMAL, frame)
    assert list(items.columns) == ["source_row", *ITEM_FIELDS, "mapping_errors"]
    assert items["source_row"].tolist() == [1, 2]
    assert items["source_row"].dtype == "int64"
    assert all(items[column].dtype == "str" for column in items.columns[1:])
    assert items["item_sku"].tolist() == ["A", "B"]
    assert items["external_product_id_type"].tolist() == ["EAN", "EAN8"]
    assert items["mapping_errors"].isna().all()


def test_an_expression_that_makes_very_long_text_is_an_error_of_its_row(tmp_path: Path) -> None:
    text = MINIMAL.replace(": name", ": repeat(repeat(name, 1000), 1000)")
    frame = applied(tmp_path, text, export(name=["Pen", "Gum"]))
    assert frame["mapping_errors"].tolist() == ["item_name: the result is longer than 10,000 bytes"] * 2
    assert frame["item_name"].isna().all()


def test_an_expression_that_needs_too_much_memory_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jwo_catalog_pipeline.catalog.mapping.sql_engine.MEMORY_LIMIT", "100MB")
    text = MINIMAL.replace(": name", ": repeat(repeat(repeat(name, 1000), 1000), 100)")
    with pytest.raises(MappingError, match="look for an expression that makes very long text"):
        applied(tmp_path, text, export())


def test_a_row_can_stand_for_an_item_in_each_of_several_stores(tmp_path: Path) -> None:
    text = MINIMAL.replace("  store_id: branch\n", "") + "stores: [S1, 022]\n"
    frame = applied(tmp_path, text, export())
    assert frame[["source_row", "item_sku", "store_id"]].to_numpy().tolist() == [
        [1, "A", "S1"],
        [1, "A", "022"],
        [2, "B", "S1"],
        [2, "B", "022"],
    ]
    assert len(validate(frame).valid) == 4
    review = review_mapping(load_mapping(write(tmp_path, text)), export(), "export.csv")
    shown = {field.name: field.expression for field in review.fields}
    assert shown["store_id"] == "every row in each of S1, 022"


def test_an_empty_export_gives_an_empty_table(tmp_path: Path) -> None:
    items = applied(tmp_path, MINIMAL, export().iloc[:0])
    assert len(items) == 0
    assert items["item_sku"].dtype == "str"


def test_blank_text_is_missing(tmp_path: Path) -> None:
    items = applied(tmp_path, MINIMAL, export(name=["", " \t\n\u00a0"]))
    assert items["item_name"].isna().all()


def test_an_expression_that_fails_on_a_row_is_told_and_harms_no_other(tmp_path: Path) -> None:
    items = applied(tmp_path, MINIMAL + "  standard_price: CAST(price AS DECIMAL(9, 2))\n", export())
    assert items["standard_price"].tolist()[0] == "1.50"
    assert items["mapping_errors"].isna().tolist() == [True, False]
    assert items.loc[1, "mapping_errors"] == "standard_price: the expression fails on this row"


def test_a_null_result_is_no_failure(tmp_path: Path) -> None:
    items = applied(tmp_path, MINIMAL + "  standard_price: TRY_CAST(price AS DECIMAL(9, 2))\n", export())
    assert items["standard_price"].isna().tolist() == [False, True]
    assert items["mapping_errors"].isna().all()


def test_a_value_that_is_not_listed_is_an_error_of_its_row_unless_else_is_given(tmp_path: Path) -> None:
    lookup = "{expr: branch, values: {055: JWO-1}%s}"
    frame = export(branch=["055", "it's 999"])
    items = applied(tmp_path, MINIMAL.replace(": branch", ": " + lookup % ""), frame)
    assert items["store_id"].tolist()[0] == "JWO-1"
    assert items.loc[1, "mapping_errors"] == "store_id: 'it's 999' is not listed in values"
    assert items["store_id"].isna().tolist() == [False, True]
    items = applied(tmp_path, MINIMAL.replace(": branch", ": " + lookup % ", else: it's other"), frame)
    assert items["store_id"].tolist() == ["JWO-1", "it's other"]
    assert items["mapping_errors"].isna().all()


def test_a_missing_value_is_not_looked_up(tmp_path: Path) -> None:
    text = MINIMAL.replace(": branch", ": {expr: branch, values: {055: JWO-1}, else: JWO-9}")
    items = applied(tmp_path, text, export(branch=["055", None]))
    assert items["store_id"].isna().tolist() == [False, True]
    assert items["mapping_errors"].isna().all()


def test_further_barcodes_are_distinct_typed_and_without_the_main_one(tmp_path: Path) -> None:
    text = MINIMAL + "additional_barcodes: [c1, c2, c3]\n"
    frame = export(c1=["4006381333931", None], c2=["96385074", ""], c3=["96385074", None]).assign(
        c3=pd.Series(["96385074", None], dtype="str")
    )
    items = applied(tmp_path, text, frame)
    assert json.loads(items.loc[0, "additional_external_product_information"]) == [["96385074", "EAN8"]]
    assert items["additional_external_product_information"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"skuu": ["A"], "ean": ["1"], "name": ["x"], "branch": ["1"]}, "no column 'sku'; did you mean 'skuu'"),
        ({"sku;ean;name;branch": ["A;1;x;1"]}, "the delimiter is probably wrong"),
        ({"x": ["1"], "y": ["1"]}, "its columns are 'x', 'y'"),
        ({"Item library": ["SKU"], "column_2": ["EAN"], "column_3": ["Name"]}, "set source.header_row to it"),
    ],
)
def test_a_column_that_the_export_has_not_is_named(
    tmp_path: Path, columns: dict[str, list[str | None]], expected: str
) -> None:
    with pytest.raises(MappingError) as caught:
        applied(tmp_path, MINIMAL, source(**columns))
    assert "line 3, fields.item_sku" in str(caught.value)
    assert expected in str(caught.value)


def test_an_expression_that_does_not_fit_its_columns_is_named(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"line 7, fields\.brand_name: .* does not work"):
        applied(tmp_path, MINIMAL + "  brand_name: name + date_part('year', name)\n", export())


cells = st.one_of(
    st.none(), st.text(st.characters(codec="utf-8"), max_size=12), st.sampled_from(["4011", "1.50", "055"])
)


@pytest.mark.thorough
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.lists(st.tuples(cells, cells, cells, cells, cells), max_size=12))
def test_every_row_of_any_export_is_valid_or_quarantined_once(
    tmp_path: Path, data: list[tuple[str | None, ...]]
) -> None:
    names = ["sku", "ean", "name", "branch", "price"]
    frame = source(**{name: [row[place] for row in data] for place, name in enumerate(names)})
    text = (
        MINIMAL
        + "  standard_price: CAST(price(price) AS DECIMAL(9, 2))\nadditional_barcodes: [restore_barcode(price)]\n"
    )
    result = validate(applied(tmp_path, text, frame))
    found = [*result.valid["source_row"], *result.quarantined["source_row"]]
    assert sorted(found) == frame["source_row"].tolist()
    assert (result.quarantined["reasons"].str.len() > 0).all()
