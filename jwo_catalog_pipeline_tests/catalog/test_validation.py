"""Validation loses and doubles nothing, orders its tables, and stays small whatever comes."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jwo_catalog_pipeline.catalog.errors import InvalidItems, StructureError
from jwo_catalog_pipeline.catalog.rules import validation
from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS
from jwo_catalog_pipeline.catalog.rules.validation import checked_with
from jwo_catalog_pipeline.table_file import table_of
from jwo_catalog_pipeline_tests.support.mapped_items import CODE, KIND, items
from jwo_catalog_pipeline_tests.support.tables import revalidate, validate


def test_rows_are_parted_and_ordered() -> None:
    frame = items(
        {"item_sku": "b", "store_id": "S2"},
        {"item_sku": "é", "store_id": "S1"},
        {"item_sku": "c", "item_name": None, "standard_price": "x"},
        {"item_sku": "z", "store_id": "S1"},
        {"item_sku": "B", "store_id": "S2"},
        {"item_sku": "a", "item_name": None},
    )
    result = validate(frame)
    assert list(result.valid.columns) == ["source_row", *ITEM_FIELDS]
    # In the order of the source: items are sorted by store and SKU where batches are cut, and only what is sent.
    assert result.valid["source_row"].tolist() == [1, 2, 4, 5]
    assert result.valid.index.tolist() == [0, 1, 2, 3]
    assert list(result.quarantined.columns) == ["source_row", "reasons", *ITEM_FIELDS]
    assert result.quarantined["source_row"].tolist() == [3, 6]
    assert result.quarantined["reasons"].tolist() == [
        "item_name_required: item_name is missing; price_decimal: 'x' is no plain decimal with at most two places",
        "item_name_required: item_name is missing",
    ]


def test_no_rows_are_no_error() -> None:
    result = validate(items())
    assert len(result.valid) == len(result.quarantined) == 0
    assert not any(rule.count for rule in result.rules)


def test_samples_are_few_and_show_the_offending_value() -> None:
    frame = items(*({"standard_price": f"{number}x"} for number in range(30)))
    [rule] = [rule for rule in validate(frame).rules if rule.name == "price_decimal"]
    assert (rule.count, len(rule.samples)) == (30, 20)
    assert list(rule.samples.columns) == ["source_row", "store_id", "item_sku", "value"]
    assert rule.samples.loc[0].tolist() == [1, "S1", "A0", "0x"]


@pytest.mark.parametrize(
    ("change", "column"),
    [
        (lambda frame: frame.drop(columns="brand_name"), "brand_name"),
        (lambda frame: frame.assign(standard_price=1.5), "standard_price"),
        (lambda frame: frame.assign(item_name=b"Pen"), "item_name"),  # a file has no Python objects
        (lambda frame: frame.assign(source_row="1"), "source_row"),
    ],
)
def test_a_table_of_another_structure_is_refused(change, column: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(StructureError, match=column):
        validate(change(items({}, {})))


def test_what_is_sent_is_checked_again() -> None:
    sound = items({}, {}).drop(columns=["source_row", "mapping_errors"])
    revalidate(sound)
    revalidate(sound.assign(content_hash="x"), ["S1"])
    with pytest.raises(InvalidItems, match=r"store_known \(2 items, such as S1 A0, S1 A1\)"):
        revalidate(sound, ["S2"])
    with pytest.raises(InvalidItems, match=r"item_unique \(2 items"):
        revalidate(pd.concat([sound.iloc[:1], sound.iloc[:1]]))
    with pytest.raises(StructureError, match="item_sku"):
        revalidate(sound.drop(columns="item_sku"))


def test_what_items_were_checked_with_is_noted_and_depends_on_the_stores(tmp_path: Path) -> None:
    table = table_of(items({}), tmp_path / "mapped.parquet")
    found = validation.validate(table, tmp_path, ["S1", "S2"], attrs={"run": "r"})
    assert found.valid.attrs == {"run": "r", "checked_with": checked_with(["S2", "S1"])}
    assert found.quarantined.attrs == {"run": "r"}
    assert len({checked_with(), checked_with(["S1"]), checked_with(["S1", "S2"])}) == 3


def big(rows: int) -> pd.DataFrame:
    number = pd.Series(np.arange(rows) // 3)
    frame = pd.DataFrame({"source_row": np.arange(1, rows + 1, dtype="int64")})
    for field in ITEM_FIELDS:
        frame[field] = pd.Series(np.nan, index=frame.index, dtype="str")
    frame["item_sku"] = ("P" + number.astype("str")).astype("str")
    frame["store_id"] = pd.Series(np.array(["S1", "S2", "S3"])[np.arange(rows) % 3], dtype="str")
    frame["item_name"] = frame["item_sku"]
    frame[CODE] = pd.Series("4006381333931", index=frame.index, dtype="str")
    frame[KIND] = pd.Series("EAN", index=frame.index, dtype="str")
    frame["mapping_errors"] = pd.Series(np.nan, index=frame.index, dtype="str")
    return frame


def test_two_hundred_thousand_rows_take_about_a_second() -> None:
    frame = big(200_000)
    validate(frame.head())
    started = time.monotonic()
    assert len(validate(frame).valid) == 200_000
    assert time.monotonic() - started < 3  # 0.4 s where nothing else runs


@pytest.mark.thorough
def test_a_table_of_nothing_but_errors_makes_short_messages() -> None:
    """str(pandera.errors.SchemaErrors) of this would be megabytes."""
    frame = big(20_000)
    for field in [*ITEM_FIELDS, "mapping_errors"]:
        frame[field] = pd.Series("é\n" * 300, index=frame.index, dtype="str")
    result = validate(frame, ["S1"])
    assert len(result.quarantined) == 20_000
    assert result.quarantined["reasons"].str.len().max() < 3000
    with pytest.raises(InvalidItems) as caught:
        revalidate(frame, ["S1"])
    assert len(str(caught.value)) < 10_000
    with pytest.raises(StructureError) as wrong:
        validate(frame.assign(**dict.fromkeys([*ITEM_FIELDS, "mapping_errors"], 1.5)))
    assert len(str(wrong.value)) < 3000
    assert 1 <= str(wrong.value).count("; ") <= 9
