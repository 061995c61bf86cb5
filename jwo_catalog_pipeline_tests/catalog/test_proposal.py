"""Proposals for exports that nobody has mapped: right where the columns speak for themselves, honest where not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jwo_catalog_pipeline.catalog.mapping.column_facts import column_facts
from jwo_catalog_pipeline.catalog.mapping.draft import Draft, make_draft
from jwo_catalog_pipeline.catalog.mapping.draft_file import as_yaml
from jwo_catalog_pipeline.catalog.mapping.loaded import load_mapping
from jwo_catalog_pipeline.catalog.mapping.proposal import Proposed, propose
from jwo_catalog_pipeline.catalog.source.detection import Detected
from jwo_catalog_pipeline.catalog.source.options import SourceOptions
from jwo_catalog_pipeline.catalog.source.reading import read_source
from jwo_catalog_pipeline_tests.support.project import SAMPLE
from jwo_catalog_pipeline_tests.support.tables import apply_mapping

CODES = ["4006381333931", "96385074", "36000291452", "5000112637922"]
PRICES = ["1.99", "0.50", "12.00", "3.49"]
NAMES = ["Green tea", "Oat bar", "Sparkling water", "Dark chocolate"]
SKUS = ["A-1", "A-2", "A-3", "A-4"]


def table(**columns: list[str | None]) -> pd.DataFrame:
    frame = pd.DataFrame(columns, dtype="str")
    frame.insert(0, "source_row", np.arange(1, len(frame) + 1, dtype="int64"))
    return frame


def proposed(**columns: list[str | None]) -> dict[str, Proposed]:
    source = table(**columns)
    return propose(column_facts(source), source)


def drafted(source: pd.DataFrame, found: dict | None = None) -> Draft:
    return make_draft(source, Detected(found or {}, (), ()), "x\n: y.csv")


def test_a_proposal_is_a_mapping_that_makes_valid_items(tmp_path: Path) -> None:
    source = read_source(SAMPLE / "grocery.csv", SourceOptions(), "grocery.csv")
    path = tmp_path / "proposal.yaml"
    path.write_text(as_yaml(drafted(source)), encoding="utf-8")
    mapped = apply_mapping(load_mapping(path), source).items
    assert mapped["external_product_id"].notna().mean() > 0.98
    assert mapped["standard_price"].str.fullmatch(r"[0-9]+[.][0-9]{2}").mean() > 0.98
    assert "98% valid barcodes" in path.read_text(encoding="utf-8")


def test_content_alone_finds_columns_whose_names_say_nothing() -> None:
    found = proposed(c1=CODES, c2=PRICES, c3=[f"Product {word}" for word in "abcd"])
    assert found["external_product_id"].column == "c1"
    assert "only its content fits" in found["external_product_id"].why
    assert found["external_product_id"].doubts


@pytest.mark.parametrize(
    "other", ["Sale price", "Cost price", "Compare at price", "Purchase price", "Promo price", "MSRP price"]
)
def test_the_price_is_the_regular_one(other: str) -> None:
    found = proposed(**{other: PRICES, "Regular price": [*PRICES[:3], None], "SKU": SKUS})
    assert found["standard_price"].column == "Regular price"


def test_a_column_that_is_filled_is_preferred() -> None:
    rare = [*PRICES[:1], *[None] * 8]
    found = proposed(**{"Sale price": rare, "Regular price": [*PRICES, *PRICES[:3], None, None]})
    assert found["standard_price"].column == "Regular price"


def test_a_column_that_is_often_empty_is_not_sure() -> None:
    found = proposed(SKU=SKUS, Barcode=[CODES[0], None, None, None], Name=NAMES)
    assert "75% of the rows have none" in found["external_product_id"].doubts


def test_columns_that_complete_each_other_are_joined() -> None:
    found = proposed(SKU=SKUS, UPC=[*CODES[:2], None, None], EAN=[None, None, *CODES[2:]], Name=NAMES)
    assert found["external_product_id"].expression in (
        'restore_barcode(coalesce("UPC", "EAN"))',
        'restore_barcode(coalesce("EAN", "UPC"))',
    )


def test_joined_columns_that_both_have_a_value_are_not_sure() -> None:
    found = proposed(SKU=SKUS, EAN=[*CODES[:3], None], UPC=[None, *CODES[:2], CODES[3]], Name=NAMES)
    assert any("both have a value" in doubt for doubt in found["external_product_id"].doubts)


def test_two_columns_that_fit_alike_are_a_doubt() -> None:
    found = proposed(SKU=SKUS, Price=PRICES, **{"Retail price": PRICES}, Barcode=CODES, Name=NAMES)
    assert any("may as well be Retail price" in doubt for doubt in found["standard_price"].doubts)


def test_a_store_is_never_sure_and_its_numbers_are_listed_to_be_filled_in(tmp_path: Path) -> None:
    rows = 10
    source = table(
        SKU=[f"A-{row}" for row in range(rows)],
        Branch=["012", "045"] * 5,
        Name=[f"Product {row}" for row in range(rows)],
        Barcode=[CODES[row % 4] for row in range(rows)],
    )
    draft = drafted(source)
    assert any(line.startswith("store_id") for line in draft.not_sure)
    assert "values: {'012': 'YOUR-STORE-ID-1', '045': 'YOUR-STORE-ID-2'}" in as_yaml(draft)


def test_repeated_skus_are_a_doubt() -> None:
    found = proposed(SKU=["A", "A", "B", "B"], Barcode=CODES, Name=NAMES)
    assert any("the same as another row" in doubt for doubt in found["item_sku"].doubts)


def test_a_sum_in_the_last_row_is_left_out(tmp_path: Path) -> None:
    source = table(SKU=[*SKUS, "Total"], Name=[*NAMES, None], Barcode=[*CODES, "4"], Price=[*PRICES, "17.98"])
    draft = drafted(source)
    assert [condition.expr for condition in draft.where] == ["\"SKU\" IS DISTINCT FROM 'Total'"]
    assert draft.where[0].doubts


def test_what_is_not_found_is_said_and_the_file_still_loads(tmp_path: Path) -> None:
    draft = drafted(table(a=["x", "y"], b=["1", "2"]), {"options": {"delimiter": ";"}})
    path = tmp_path / "proposal.yaml"
    path.write_text(as_yaml(draft), encoding="utf-8")
    mapping = load_mapping(path)
    assert mapping.source.delimiter == ";"
    assert mapping.fields["external_product_id"].choices[0].expr == "NULL"
    assert as_yaml(draft).count("NOT SURE: no column looks like") >= 3
    assert len(draft.not_sure) >= 3


STRANGE = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=25, deadline=None)
@given(
    # The readers refuse a zero byte in a name.
    names=st.lists(
        STRANGE.filter(lambda name: name.strip() and "\0" not in name), min_size=1, max_size=5, unique_by=str.casefold
    ),
    values=st.lists(st.lists(STRANGE | st.none(), min_size=5, max_size=5), max_size=4),
)
def test_strange_columns_and_values_do_no_harm(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], values: list[list[str | None]]
) -> None:
    source = table(**{name: [row[place] or None for row in values] for place, name in enumerate(names)})
    path = tmp_path_factory.mktemp("strange") / "proposal.yaml"
    path.write_text(as_yaml(drafted(source)), encoding="utf-8", newline="")
    mapped = apply_mapping(load_mapping(path), source)
    assert len(mapped.items) + len(mapped.excluded) >= len(source)


def test_a_price_that_only_a_comma_would_explain_stays_an_error_among_prices_with_points() -> None:
    """Petrol at 1.299 would be sent at 1299.00."""
    source = table(SKU=SKUS, Barcode=CODES, Name=NAMES, Price=["4.99", "2.49", "1.299", "1.309"])
    assert drafted(source).fields["standard_price"].expr == 'price("Price")'
    among_commas = table(SKU=SKUS, Barcode=CODES, Name=NAMES, Price=["4,99", "2,49", "1.299", "1.309"])
    assert drafted(among_commas).fields["standard_price"].expr == """price("Price", ',')"""


def test_the_second_of_two_columns_of_one_name_is_a_doubt() -> None:
    found = proposed(SKU=SKUS, Barcode=CODES, Name=NAMES, Price=PRICES, Price_2=["2.00", "3.00", "4.00", "5.00"])
    assert found["standard_price"].doubts == ("it may as well be Price_2",)
