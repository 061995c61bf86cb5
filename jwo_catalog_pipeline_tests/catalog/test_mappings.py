"""The ready mappings, each on a small export with the column set of its system."""

import csv
from pathlib import Path

import pytest

import jwo_catalog_pipeline
from jwo_catalog_pipeline.catalog.mapping.loaded import load_mapping
from jwo_catalog_pipeline.catalog.mapping.transform import apply_mapping
from jwo_catalog_pipeline.catalog.rules.validation import Validation, validate
from jwo_catalog_pipeline.catalog.source.reading import read_source
from jwo_catalog_pipeline_tests.support import EXPORTS

MAPPINGS = Path(jwo_catalog_pipeline.__file__).parent / "catalog" / "mapping" / "presets"

# What is valid, as SKU, barcode, type, name, price; and the rules that the other rows break.
EXPECTED = {
    "shopify": (
        [
            ("OAT-1", "4006381333931", "EAN", "Oat Drink", "2.49"),
            ("TEA-100", "036000291452", "UPC", "tea 100 g", "7.50"),
            ("TEA-50", "96385074", "EAN8", "Green Tea 50 g", "4.00"),
        ],
        {4: {"item_sku_required", "external_product_id_required"}},
    ),
    "square": (
        [
            ("LQ3F8M9AZ", "96385074", "EAN8", "Club Sandwich Large", "8.50"),
            ("WAT-1", "036000291452", "UPC", "Sparkling Water", "1.25"),
        ],
        {3: {"external_product_id_required", "price_decimal"}},
    ),
    "woocommerce": (
        [
            ("BRD-1", "4006381333931", "EAN", "Rye Bread", "3.90"),
            ("HON-250", "96385074", "EAN8", "Honey - 250 g", "6.50"),
        ],
        {2: {"external_product_id_required"}},
    ),
    "lightspeed": (
        [
            ("210000000001", "036000291452", "UPC", "Bike lamp", "19.99"),
            ("210000000002", "96385074", "EAN8", "Energy bar", "1.50"),
        ],
        {3: {"external_product_id_required"}},
    ),
    "clover": (
        [
            ("0KJ3W7M5NRB9P", "4131", "PLU", "Apple", "0.45"),
            ("COLA", "4006381333931", "EAN", "Cola 330 ml", "1.50"),
        ],
        {3: {"external_product_id_required"}},
    ),
    "odoo": (
        [
            ("CHOC-M", "4006381333931", "EAN", "[CHOC-M] Chocolate (Milk)", "2.95"),
            ("__export__.product_product_8_5e6f7a8b", "96385074", "EAN8", "Pen", "1299.00"),
        ],
        {3: {"external_product_id_required"}},
    ),
    "template": ([("A", "036000291452", "UPC", "Paper towels", "1299.00")], {2: {"mapping", "store_id_required"}}),
}


def applied(name: str) -> Validation:
    mapping = load_mapping(MAPPINGS / f"{name}.yaml")
    export = EXPORTS / f"{name}.csv"
    return validate(apply_mapping(mapping, read_source(export, mapping.source, str(export))).items)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_ready_mapping_makes_items_of_its_systems_export(name: str) -> None:
    items, broken = EXPECTED[name]
    result = applied(name)
    fields = ["item_sku", "external_product_id", "external_product_id_type", "item_name", "standard_price"]
    assert list(result.valid[fields].itertuples(index=False, name=None)) == items
    assert {
        row: {reason.partition(":")[0] for reason in reasons.split("; ")}
        for row, reasons in zip(result.quarantined["source_row"], result.quarantined["reasons"], strict=True)
    } == broken


def test_a_second_barcode_and_a_tax_class_are_mapped() -> None:
    lamp = applied("lightspeed").valid.iloc[0]
    assert lamp["additional_external_product_information"] == '[["4006381333931","EAN"]]'
    assert lamp["product_tax_code"] == "A_GEN_TAX"
    bread = applied("woocommerce").valid.iloc[0]
    assert (bread["product_category"], bread["product_subcategory"]) == ("Food", "Bread")


def test_every_mapping_has_a_test_and_every_row_of_every_export_is_whole() -> None:
    assert {path.stem for path in MAPPINGS.glob("*.yaml")} == set(EXPECTED)
    for path in EXPORTS.glob("*.csv"):
        with path.open(newline="") as file:
            header, *rows = csv.reader(file)
        assert {len(row) for row in rows} == {len(header)}, path
