"""The ready mappings, each on small exports with the columns that its system really has, as a newcomer uses them."""

import csv
from pathlib import Path

import openpyxl
import pytest
from click.testing import CliRunner

from jwo_catalog_pipeline.catalog.mapping.draft import draft_mapping
from jwo_catalog_pipeline.catalog.mapping.locations import find_locations
from jwo_catalog_pipeline.catalog.mapping.systems import PRESETS, SYSTEMS, ready_mapping, recognise
from jwo_catalog_pipeline.cli.main import main
from jwo_catalog_pipeline_tests.support import EXPORTS
from jwo_catalog_pipeline_tests.support.applied import Outcomes, outcomes

ONE, TWO = "STORE-1/", "STORE-2/"
# What becomes of every row of a sample: by SKU, or store/SKU, either barcode, name and price of a valid item, or
# `excluded`, or a part of the name of the rule that it breaks.
Expected = dict[str, tuple[str, str, str] | str]
SAMPLES: dict[str, tuple[str, Expected]] = {
    "shopify.csv": (
        "Shopify",
        {
            "OAT-1": ("4006381333931", "Oat Drink", "2.49"),
            "TEA-50": ("96385074", "Green Tea 50 g", "4.00"),
            "TEA-100": ("036000291452", "Green Tea 100 g", "7.50"),
            "": "excluded",
            "BAR-S": "excluded",
            "BAR-L": "excluded",
            "GC-10": "excluded",
        },
    ),
    "shopify_new.csv": (
        "Shopify",
        {
            "OAT-1": ("4006381333931", "Oat Drink", "2.49"),
            "TEA-50": ("96385074", "Green Tea 50 g", "4.00"),
            "TEA-100": ("036000291452", "Green Tea 100 g", "7.50"),
            "": "excluded",
            "BAR-S": "excluded",
        },
    ),
    "square.csv": (
        "Square",
        {
            ONE + "WAT-1": ("036000291452", "Sparkling Water", "1.25"),
            TWO + "WAT-1": ("036000291452", "Sparkling Water", "1.50"),
            ONE + "LQ3F8M9AZ": "excluded",
            TWO + "LQ3F8M9AZ": ("96385074", "Club Sandwich Large", "8.50"),
            ONE + "GIFT": "excluded",
            TWO + "GIFT": "excluded",
            ONE + "SODA": "excluded",
            TWO + "SODA": "excluded",
            ONE + "NUTS": "price_decimal",
            TWO + "NUTS": "excluded",
        },
    ),
    "square_2019.csv": (
        "Square",
        {
            "036000291452": ("036000291452", "Sparkling Water", "1.25"),
            "1234": "external_product_id_required",
        },
    ),
    "clover.csv": (
        "Clover",
        {
            "COLA": ("4006381333931", "Cola 330 ml", "1.50"),
            "0KJ3W7M5NRB9P": ("4131", "Apple", "0.45"),
            "7YV4D2S8GHC1E": "external_product_id_required",
            "CHEESE": "price_decimal",
            "GIFT": "excluded",
            "OLD": "excluded",
        },
    ),
    "woocommerce.csv": (
        "WooCommerce",
        {
            "BRD-1": ("4006381333931", "Rye Bread", "3.90"),
            "HON": "excluded",
            "HON-250": ("96385074", "Honey - 250 g", "6.50"),
            "SECRET": "excluded",
            "SECRET-S": "excluded",
            "DRAFT": "excluded",
            "EBOOK": "excluded",
            "NOCODE": "external_product_id_required",
        },
    ),
    "woocommerce_de.csv": (
        "WooCommerce",
        {
            "BRO-1": ("4006381333931", "Roggenbrot", "3.90"),
            "HON": "excluded",
            "HON-250": ("96385074", "Honig - 250 g", "6.50"),
            "GEHEIM": "excluded",
        },
    ),
    "woocommerce_fr.csv": (
        "WooCommerce",
        {"RIZ-1": ("4006381333931", "Riz long", "3.50"), "RIZ-2": "excluded"},
    ),
    "lightspeed_r.csv": (
        "Lightspeed Retail (R-Series)",
        {
            "210000000001": ("036000291452", "Bike lamp", "19.99"),
            "210000000002": ("96385074", "Energy bar", "1.50"),
            "210000000003": "external_product_id_required",
        },
    ),
    "lightspeed_r_import.csv": (
        "Lightspeed Retail (R-Series)",
        {
            "210000000001": ("036000291452", "Bike lamp", "19.99"),
            "210000000002": ("96385074", "Energy bar", "1.50"),
            "210000000003": "external_product_id_required",
        },
    ),
    "lightspeed_x.csv": (
        "Lightspeed Retail (X-Series)",
        {
            "4006381333931": ("4006381333931", "T-Shirt S", "15.00"),
            "4006381110006": ("4006381110006", "T-Shirt M", "15.00"),
            "10001": "external_product_id_required",
            "4006381110013": "excluded",
            "4006381110020": ("4006381110020", "Set", "20.00"),
            "": "excluded",
        },
    ),
    "odoo.csv": (
        "Odoo",
        {
            "CHOC-M": ("4006381333931", "[CHOC-M] Chocolate (Milk)", "2.95"),
            "__export__.product_product_8_5e6f7a8b": ("96385074", "Pen", "1299.00"),
            "SERV": "excluded",
        },
    ),
    "odoo_labels.csv": (
        "Odoo",
        {
            "CHOC-M": ("4006381333931", "Chocolate", "2.95"),
            "e2": ("96385074", "Pen", "1.50"),
            "SERV": "excluded",
        },
    ),
    "bigcommerce.csv": (
        "BigCommerce",
        {
            "OAT-1": ("4006381333931", "Oat Drink", "2.49"),
            "": "excluded",
            "TEA": "external_product_id_required",
            "TEA-50": ("96385074", "Tea 50 g", "4.00"),
            "TEA-100": "price_decimal",
            "HID": "excluded",
            "EBOOK": "excluded",
        },
    ),
    "bigcommerce_v2.csv": (
        "BigCommerce",
        {
            "OAT-1": ("4006381333931", "Oat Drink", "2.49"),
            "TEA": ("96385074", "Tea", "4.00"),
            "TEA-50": "item_name_required",
            "": "excluded",
            "HID": "excluded",
        },
    ),
    "magento.csv": (
        "Magento",
        {
            "OAT-1": ("4006381333931", "Oat Drink", "2.49"),
            "TEA": "excluded",
            "TEA-50": ("96385074", "Tea 50 g", "4.00"),
            "OLD": "excluded",
        },
    ),
    "prestashop.csv": (
        "PrestaShop",
        {
            "HUI-1": ("4006381333931", "Huile d'olive", "8.90"),
            "2": ("036000291452", "Thé vert", "4.00"),
            "OLD": "excluded",
        },
    ),
    "loyverse.csv": (
        "Loyverse",
        {
            ONE + "10001": ("4006381333931", "Latte S", "3.20"),
            TWO + "10001": "excluded",
            ONE + "10002": ("96385074", "Latte L", "4.20"),
            TWO + "10002": ("96385074", "Latte L", "4.00"),
            ONE + "10003": "price_decimal",
            TWO + "10003": "excluded",
            ONE + "10004": ("4006381110013", "Set", "7.00"),
            TWO + "10004": "excluded",
            "": "excluded",
        },
    ),
    "google.tsv": (
        "Google Merchant Center",
        {
            "OAT-1": ("4006381333931", "Oat Drink & Barista", "2.49"),
            "TEA-1": "external_product_id_required",
        },
    ),
    "google_xml_names.csv": (
        "Google Merchant Center",
        {"OAT-1": ("4006381333931", "Oat Drink", "2.49")},
    ),
}


def applied(folder: Path, export: Path, system: str) -> Outcomes:
    """What becomes of every row, with the mapping that `mapping init` writes."""
    mapping = folder / "mapping.yaml"
    result = CliRunner().invoke(main, ["mapping", "init", str(export), "-o", str(mapping)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert f"this is an export of {system}" in result.output
    write_stores(mapping, mapping)
    return outcomes(export, mapping)


def write_stores(mapping: Path, to: Path) -> None:
    """Do what every newcomer must do: write the ids of the stores."""
    to.write_text(mapping.read_text(encoding="utf-8").replace("YOUR-STORE-ID", "STORE"), encoding="utf-8")


def check(found: Outcomes, expected: Expected) -> None:
    """Every row is as expected; an excluded row may have no SKU."""
    stores = {store for store, _ in found}
    for key, wanted in expected.items():
        store, _, sku = key.rpartition("/") if key.startswith((ONE, TWO)) else ("", "", key)
        outcome = next((found[at, sku] for at in [store, *sorted(stores)] if (at, sku) in found), "missing")
        if isinstance(wanted, tuple) or wanted == "excluded":
            assert outcome == wanted, key
        else:
            assert isinstance(outcome, str), key
            assert wanted in outcome, key
    skus = {key.rpartition("/")[2] if key.startswith((ONE, TWO)) else key for key in expected}
    assert {sku for _, sku in found} == skus


# Seconds each: the others are thorough tests.
USUAL = ("shopify.csv", "square.csv", "woocommerce.csv")


@pytest.mark.parametrize(
    "name", [name if name in USUAL else pytest.param(name, marks=pytest.mark.thorough) for name in SAMPLES]
)
def test_the_export_of_a_known_system_is_recognised_and_mapped(tmp_path: Path, name: str) -> None:
    system, expected = SAMPLES[name]
    check(applied(tmp_path, EXPORTS / name, system), expected)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "title_lines"), [("square.csv", 0), ("clover.csv", 0), ("lightspeed_r.csv", 3), ("odoo_labels.csv", 0)]
)
def test_the_same_export_as_a_workbook(tmp_path: Path, name: str, title_lines: int) -> None:
    """With another sheet before it, and a title above the names where a report has one."""
    system, expected = SAMPLES[name]
    workbook = openpyxl.Workbook()
    workbook.active.title = "Instructions"
    workbook.active.append(["Read this first"])
    sheet = workbook.create_sheet("Items")
    for line in range(title_lines):
        sheet.append(["Items of all shops"] if line == 0 else [])
    with (EXPORTS / name).open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file):
            sheet.append(row)
    export = tmp_path / "export.xlsx"
    workbook.save(export)
    check(applied(tmp_path, export, system), expected)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in ("clover.csv", "prestashop.csv")])
def test_a_ready_mapping_can_be_copied_and_used_with_the_stores_written(tmp_path: Path, name: str) -> None:
    """But for Clover's, which is for the workbook, and PrestaShop's, whose delimiter the shop chooses."""
    system, expected = SAMPLES[name]
    preset = next(one.preset for one in SYSTEMS if one.title == system)
    write_stores(Path(str(PRESETS.joinpath(f"{preset}.yaml"))), tmp_path / "copy.yaml")
    found = outcomes(EXPORTS / name, tmp_path / "copy.yaml")
    assert {wanted for wanted in expected.values() if isinstance(wanted, tuple)} & set(found.values())


def test_every_ready_mapping_has_a_system_with_samples() -> None:
    presets = {path.name.removesuffix(".yaml") for path in PRESETS.iterdir() if path.name.endswith(".yaml")}
    assert presets == {system.preset for system in SYSTEMS} | {"template"}
    assert {title for title, _ in SAMPLES.values()} == {system.title for system in SYSTEMS}
    assert {path.name for path in EXPORTS.iterdir()} == {*SAMPLES, "template.csv"}


def test_a_system_is_not_recognised_by_a_few_common_columns() -> None:
    assert recognise(["SKU", "Name", "Price", "Barcode"]) is None
    assert recognise(["Handle", "Title", "Price"]) is None


def test_optional_columns_that_an_export_lacks_are_left_out() -> None:
    base = ready_mapping("shopify", ["Handle", "Title", "Variant SKU", "Variant Barcode", "Variant Price"])
    assert set(base.fields) == {"item_sku", "external_product_id", "item_name", "standard_price"}
    assert [condition.expr for condition in base.where] == ['"Variant Price" IS NOT NULL']


def test_locations_are_what_columns_are_named_after() -> None:
    square = ["Price", "Enabled Main St", "Current Quantity Main St", "Price Main St", "Stock Alert Enabled Main St"]
    assert [(one.name, one.enabled, one.price) for one in find_locations(square)] == [
        ("Main St", "Enabled Main St", "Price Main St")
    ]
    assert find_locations(["Price", "Price Type", "Price Unit", "Price tax excluded", "Active (0/1)"]) == []


def test_a_second_barcode_is_a_further_one() -> None:
    draft = draft_mapping(EXPORTS / "lightspeed_r.csv", "lightspeed_r.csv", {})
    assert [line.expr for line in draft.additional_barcodes] == ['restore_barcode("EAN")']
