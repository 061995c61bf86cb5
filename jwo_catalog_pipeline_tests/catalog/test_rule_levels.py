"""The key `rules` of a mapping file, and rows that a field has swallowed, from export to finding."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jwo_catalog_pipeline.catalog.errors import MappingError
from jwo_catalog_pipeline.catalog.mapping.loaded import load_mapping
from jwo_catalog_pipeline_tests.support.mapping_text import MINIMAL, export, source, write
from jwo_catalog_pipeline_tests.support.tables import (
    Validation,
    apply_mapping,
    diff_mappings,
    revalidate,
    review_mapping,
    validate,
)

ACCENT = export(name=["Café", "Gum"])


def checked(tmp_path: Path, text: str, frame: pd.DataFrame) -> Validation:
    mapping = load_mapping(write(tmp_path, text))
    return validate(apply_mapping(mapping, frame).items, None, mapping.levels, with_warnings=True)


def counts(validation: Validation) -> dict[str, int]:
    return {rule.name: rule.count for rule in validation.rules if rule.count}


def test_a_mapping_raises_lowers_and_switches_off_what_amazon_does_not_force(tmp_path: Path) -> None:
    assert counts(checked(tmp_path, MINIMAL, ACCENT)) == {"item_name_ascii": 1}
    assert counts(checked(tmp_path, MINIMAL + "rules: {item_name_ascii: off}\n", ACCENT)) == {}
    raised = checked(tmp_path, MINIMAL + "rules: {item_name_ascii: error}\n", ACCENT)
    assert raised.quarantined["reasons"].tolist() == ["item_name_ascii: 'Café' holds letters that are not plain ASCII"]
    number = export(name=["501", "Gum"])
    assert len(checked(tmp_path, MINIMAL, number).quarantined) == 1
    lowered = checked(tmp_path, MINIMAL + "rules:\n  item_name_letters: warning\n", number)
    assert len(lowered.quarantined) == 0
    assert lowered.warnings["warnings"].tolist() == ["item_name_letters: '501' has no letter"]
    revalidate(lowered.valid)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            "rules: {item_name_asci: off}",
            "line 7, rules.item_name_asci: there is no rule.*did you mean 'item_name_ascii'",
        ),
        ("rules:\n  barcode_check_digit: off", "line 8, rules.barcode_check_digit: Amazon forces the rule.*remove it"),
        ("rules: {barcode_characters: error}", "Amazon forces the rule barcode_characters"),
        ("rules: {store_known: warning}", "Amazon forces the rule store_known"),
        (
            "rules: {item_name_ascii: none}",
            "line 7, rules.item_name_ascii: 'none' is no level; write one of off, warning",
        ),
        ("rules: [item_name_ascii]", "line 7, rules"),
        ("rules: {item_name_ascii: }", "line 7, rules.item_name_ascii"),
    ],
)
def test_a_level_that_cannot_be_is_an_error_with_line_and_remedy(tmp_path: Path, written: str, said: str) -> None:
    with pytest.raises(MappingError, match=said) as caught:
        load_mapping(write(tmp_path, MINIMAL + written + "\n"))
    assert caught.value.remedy


def test_review_and_diff_judge_with_the_mapping_s_levels(tmp_path: Path) -> None:
    before = load_mapping(write(tmp_path, MINIMAL))
    after = load_mapping(write(tmp_path, MINIMAL + "rules: {item_name_ascii: error}\n"))
    assert review_mapping(before, ACCENT, "export").valid == 2
    [rule] = review_mapping(after, ACCENT, "export").rules
    assert (rule.name, rule.level) == ("item_name_ascii", "error")
    difference = diff_mappings(before, after, ACCENT)
    assert difference.became_invalid.samples["source_row"].tolist() == [1]


def test_a_field_that_swallowed_rows_is_seen_through_clean_and_in_columns_that_are_not_used(tmp_path: Path) -> None:
    swallowed = source(
        sku=["A", "D", "E"],
        ean=["4006381333931", "96385074", "4006381110006"],
        name=["Oat bar,055,x,5.00\nB,4006381110013,Tea,413,y,6.00\nC,4006381110020,Rice", "Gum", "Nut"],
        branch=["055", "055", "055"],
        about=["z", "first line,\nand the second", "Soft,7.00\nF,4006381110037,Oil,055,Oily"],
        price=["7.00", "1.00", "9.00"],
    )
    text = MINIMAL.replace("item_name: name", "item_name: clean(name)") + "  standard_price: price\n"
    result = checked(tmp_path, text, swallowed)
    [rule] = [rule for rule in result.rules if rule.name == "text_line_break"]
    assert (rule.level, rule.samples["source_row"].tolist()) == ("warning", [1, 3])
    assert rule.samples["value"].str.contains("4006381110013|Oily").all()


TEXTS = st.none() | st.text(st.characters(codec="utf-8"), max_size=16)
TEXTS |= st.sampled_from(["4.00638E+12", '="0123"', "99¢", "N/A", "&amp;", "CafÃ©", "A1 ", "a1", "x\ny", "0", "[1, 2]"])
MAPPING = """version: 1
fields:
  item_sku: unquote(sku)
  external_product_id: restore_barcode(ean)
  item_name: ascii(plain(name))
  brand_name: clean(name)
  store_id: branch
  standard_price: price(price, ',')
additional_barcodes: [restore_barcode(price), ean]
rules: {barcode_one_sku: error, text_encoding: error, item_sku_twins: off}
"""


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(*[TEXTS] * 5), max_size=20))
def test_any_frame_of_text_gives_every_row_a_status_and_loses_none(
    tmp_path: Path, rows: list[tuple[str | None, ...]]
) -> None:
    names = ["sku", "ean", "name", "branch", "price"]
    frame = source(**{name: [row[place] for row in rows] for place, name in enumerate(names)})
    result = checked(tmp_path, MAPPING, frame)
    found = [*result.valid["source_row"], *result.quarantined["source_row"]]
    assert sorted(found) == frame["source_row"].tolist()
    assert (result.quarantined["reasons"].str.len() > 0).all()
    assert set(result.warnings["source_row"]) <= set(found)
    revalidate(result.valid)
