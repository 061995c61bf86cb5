"""Proposals for exports that nobody has mapped: right where the columns speak for themselves, honest where not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jwo_catalog_pipeline.catalog.mapping.loaded import load_mapping
from jwo_catalog_pipeline.catalog.mapping.proposal import as_yaml, column_facts, propose
from jwo_catalog_pipeline.catalog.mapping.transform import apply_mapping
from jwo_catalog_pipeline.catalog.source.options import SourceOptions
from jwo_catalog_pipeline.catalog.source.reading import read_source
from jwo_catalog_pipeline_tests.support import EXPORTS
from jwo_catalog_pipeline_tests.support.project import SAMPLE

EXPECTED = {
    "clover": {"item_sku": "Clover ID", "external_product_id": "Product Code", "standard_price": "Price"},
    "lightspeed": {"item_sku": "System ID", "item_name": "Description", "standard_price": "Default - Price"},
    "odoo": {"external_product_id": "barcode", "item_name": "display_name", "standard_price": "lst_price"},
    "shopify": {"item_sku": "Variant SKU", "external_product_id": "Variant Barcode", "item_name": "Title"},
    "square": {"item_sku": "SKU", "external_product_id": "GTIN", "item_name": "Item Name", "standard_price": "Price"},
    "template": {"item_sku": "sku", "external_product_id": "barcode", "item_name": "name", "store_id": "store"},
    "woocommerce": {
        "item_sku": "SKU",
        "external_product_id": "GTIN, UPC, EAN, or ISBN",
        "standard_price": "Regular price",
    },
}


def table(**columns: list[str | None]) -> pd.DataFrame:
    frame = pd.DataFrame(columns, dtype="str")
    frame.insert(0, "source_row", np.arange(1, len(frame) + 1, dtype="int64"))
    return frame


@pytest.mark.parametrize("name", EXPECTED)
def test_the_columns_of_known_systems_are_found(name: str) -> None:
    export = EXPORTS / f"{name}.csv"
    found = propose(column_facts(read_source(export, SourceOptions(), str(export))))
    assert {field: found[field].column for field in EXPECTED[name]} == EXPECTED[name]


def test_a_proposal_is_a_mapping_that_makes_valid_items(tmp_path: Path) -> None:
    source = read_source(SAMPLE / "grocery.csv", SourceOptions(), "grocery.csv")
    path = tmp_path / "proposal.yaml"
    path.write_text(as_yaml(column_facts(source), SourceOptions(), "grocery.csv"), encoding="utf-8")
    mapped = apply_mapping(load_mapping(path), source).items
    assert mapped["external_product_id"].notna().mean() > 0.98
    assert mapped["standard_price"].str.fullmatch(r"[0-9]+[.][0-9]{2}").mean() > 0.98
    assert "98% valid barcodes" in path.read_text(encoding="utf-8")


def test_content_alone_finds_columns_whose_names_say_nothing() -> None:
    codes = ["4006381333931", "96385074", "36000291452", "5000112637922"]
    source = table(c1=codes, c2=["1.99", "0.50", "12.00", "3.49"], c3=[f"Product {word}" for word in "abcd"])
    found = propose(column_facts(source))
    assert found["external_product_id"].column == "c1"
    assert "only its content fits" in found["external_product_id"].why
    assert "NOT SURE" in as_yaml(column_facts(source), SourceOptions(), "x.csv")


def test_what_is_not_found_is_said_and_the_file_still_loads(tmp_path: Path) -> None:
    text = as_yaml(column_facts(table(a=["x", "y"], b=["1", "2"])), SourceOptions(delimiter=";"), "x\n: y.csv")
    path = tmp_path / "proposal.yaml"
    path.write_text(text, encoding="utf-8")
    mapping = load_mapping(path)
    assert mapping.source.delimiter == ";"
    assert mapping.store_names == ("YOUR-STORE-ID",)
    assert mapping.fields["external_product_id"].choices[0].expr == "NULL"
    assert text.count("NOT SURE: no column looks like") >= 3


def test_strange_columns_and_values_do_no_harm(tmp_path: Path) -> None:
    source = table(
        **{"a \"b'": ["x\ny: z", "#"], "שם": ["\u202e", "'"], "select": [None, None], "Price: €": ["1", "x"]}
    )
    path = tmp_path / "proposal.yaml"
    path.write_text(as_yaml(column_facts(source), SourceOptions(), "x"), encoding="utf-8")
    assert len(apply_mapping(load_mapping(path), source).items) == 2
