"""The sample that ships is what its generator writes, and shows every rule at work; so does a real export."""

from importlib import resources
from pathlib import Path

import pytest

from jwo_catalog_pipeline.catalog.mapping.loaded import load_mapping
from jwo_catalog_pipeline.catalog.source.reading import read_source
from jwo_catalog_pipeline.demo.sample import generate
from jwo_catalog_pipeline_tests.support import ROOT
from jwo_catalog_pipeline_tests.support.tables import Validation, apply_mapping, validate

SAMPLE = Path(str(resources.files(generate.__package__)))
STORES = ["JWO-STORE-01", "JWO-STORE-02", "JWO-STORE-03"]
DATA = ROOT.parent / "shared" / "data" / "supermarket"
SUPERMARKET = ROOT / "examples" / "supermarket.yaml"
# Cannot happen with this mapping: its stores are a list, it knows one further barcode, and clean() is around its texts.
IMPOSSIBLE = {
    "store_id_length",
    "store_placeholder",
    "additional_barcodes_count",
    "item_sku_whitespace",
    "text_line_break",
}
# What spreadsheets and shops do to an export is not in the sample; `test_schema` has each.
ELSEWHERE = {"barcode_characters", "barcode_rounded", "barcode_placeholder", "additional_barcodes_characters"}
ELSEWHERE |= {"barcode_variable_weight", "barcode_one_sku", "item_sku_twins", "item_sku_characters"}
ELSEWHERE |= {"item_name_letters", "item_name_markup", "text_encoding"}


@pytest.fixture(scope="module")
def validated() -> Validation:
    mapping = load_mapping(SAMPLE / "mapping.yaml")
    return validate(
        apply_mapping(mapping, read_source(SAMPLE / "grocery.csv", mapping.source, "grocery.csv")).items, STORES
    )


def test_the_committed_file_is_what_the_generator_writes() -> None:
    assert (SAMPLE / "grocery.csv").read_bytes().decode() == generate.grocery_csv()


def test_the_sample_breaks_every_rule_of_an_ordinary_export_and_stays_below_the_limit(validated: Validation) -> None:
    quiet = {rule.name for rule in validated.rules if not rule.count}
    assert quiet >= IMPOSSIBLE
    assert quiet - ELSEWHERE == IMPOSSIBLE
    rows = len(validated.valid) + len(validated.quarantined)
    assert 2400 <= rows <= 2600
    assert 0.02 <= len(validated.quarantined) / rows <= 0.03


def test_the_sample_is_a_catalog_of_three_stores(validated: Validation) -> None:
    valid = validated.valid
    assert sorted(valid["store_id"].unique()) == STORES
    assert set(valid["external_product_id_type"].dropna()) == {"UPC", "EAN", "EAN8", "ISBN", "GTIN", "PLU"}
    assert valid["additional_external_product_information"].notna().sum() > 100
    assert 8 <= (valid["product_tax_code"] == "A_FOOD_LUXURY").sum() <= 12


def test_upcs_that_lost_their_zero_have_it_again(validated: Validation) -> None:
    upcs = validated.valid.loc[validated.valid["external_product_id_type"] == "UPC", "external_product_id"]
    assert len(upcs) > 400
    assert upcs.str.fullmatch("0[0-9]{11}").all()


@pytest.mark.skipif(not DATA.is_dir(), reason="the supermarket data lie beside the project and are not here")
@pytest.mark.parametrize("day", ["2026-08-13", "2026-08-14", "2026-08-16"])
def test_the_supermarket_example_maps_the_real_files(day: str) -> None:
    mapping = load_mapping(SUPERMARKET)
    path = DATA / f"prices_{day}.csv.gz"
    export_ = read_source(path, mapping.source, path.name)
    result = validate(apply_mapping(mapping, export_).items)
    assert len(result.valid) + len(result.quarantined) == len(export_)
    assert len(result.quarantined) < 0.005 * len(export_)
    # 8 rows a day have a store's own code such as 333: digits that are all the same.
    rules = {"barcode_check_digit", "barcode_placeholder"}
    assert set(result.quarantined["reasons"].str.split(":").str[0]) == rules
    short = export_.loc[export_["ברקוד"].str.len() == 11, "source_row"]
    upcs = result.valid.set_index("source_row").loc[short]
    assert (upcs["external_product_id"].str.len() == 12).all()
    assert (upcs["external_product_id_type"] == "UPC").all()
