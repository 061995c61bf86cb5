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
from jwo_catalog_pipeline_tests.support.ready_samples import ONE, SAMPLES, TWO, Expected


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
