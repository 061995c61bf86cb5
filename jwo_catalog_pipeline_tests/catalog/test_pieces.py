"""Tables in pieces give the same answers as tables in one: rows that belong together may lie in different pieces."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jwo_catalog_pipeline.catalog.mapping import transform
from jwo_catalog_pipeline.catalog.mapping.loaded import load_mapping
from jwo_catalog_pipeline.table_file import TableFile
from jwo_catalog_pipeline_tests.support.mapping_text import source
from jwo_catalog_pipeline_tests.support.tables import apply_mapping, validate
from jwo_catalog_pipeline_tests.support.whole_tables import checked_slowly, merged_slowly

MAPPING = """version: 1
where: status IS DISTINCT FROM 'draft'
{stores}
fields:
  item_sku: sku
  external_product_id: ean
  item_name: name
  standard_price: price
  brand_name: brand
{store}
additional_barcodes: [ean2, ean3]
{merge}
rules: {{item_name_ascii: error, barcode_one_sku: warning}}
"""
# SKUs that are twins, and codes of one product as UPC, EAN and GTIN, of others, and of none.
SKUS = ["A1", "a1", " A1", "A1 ", "B2", "b2", "C-3", "D\u00e9", "d\u00c9", None, *[f"T{number}" for number in range(9)]]
CODES = ["4006381333931", "04006381333931", "036000291452", "0036000291452", "96385074", "4006381333932", "N/A", None]
NAMES = ["Pen", "Pen", "Caf\u00e9", "Caf\u00c3\u00a9", "a\nb", "&amp;x", "12", None, "x" * 300]
ROWS = st.fixed_dictionaries(
    {
        "sku": st.sampled_from(SKUS),
        "ean": st.sampled_from(CODES),
        "ean2": st.sampled_from([None, None, None, *CODES]),
        "ean3": st.sampled_from([None, None, None, *CODES]),
        "name": st.sampled_from(NAMES),
        "price": st.sampled_from(["1.50", "1.50", "x", "0", None]),
        "brand": st.sampled_from(["Acme", "Ac\u2028me", None, "<b>"]),
        "branch": st.sampled_from(["S1", "S1", "S2", None]),
        "status": st.sampled_from(["live", "live", None, "draft"]),
    }
)


COLUMNS = ["sku", "ean", "ean2", "ean3", "name", "price", "brand", "branch", "status"]


def mapping(folder: Path, stores: bool, merge: bool) -> Path:
    path = folder / "mapping.yaml"
    written = MAPPING.format(
        stores="stores: {S1: {}, S2: {where: price IS NOT NULL}}" if stores else "",
        store="" if stores else "  store_id: branch",
        merge="merge: barcodes" if merge else "",
    )
    path.write_text(written)
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8, deadline=None)
@given(rows=st.lists(ROWS, min_size=0, max_size=40), stores=st.booleans(), merge=st.booleans())
def test_tables_in_pieces_of_three_rows_are_those_of_the_whole(
    tmp_path: Path, rows: list[dict[str, str | None]], stores: bool, merge: bool
) -> None:
    export = source(**{name: [row[name] for row in rows] for name in COLUMNS})
    loaded = load_mapping(mapping(tmp_path, stores, merge))
    unmerged = apply_mapping(load_mapping(mapping(tmp_path, stores, False)), export)
    items, merged = merged_slowly(unmerged.items) if merge else (unmerged.items, unmerged.merged)
    expected = checked_slowly(items, ["S1"], loaded.levels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TableFile.pieces, "__defaults__", (None, 3))
        patch.setattr(transform, "MAPPED_ROWS", 3)
        mapped = apply_mapping(loaded, export)
        found = validate(items, ["S1"], loaded.levels, with_warnings=True)
    same(mapped.items, items)
    same(mapped.excluded, unmerged.excluded)
    same(mapped.merged, merged)
    for name in ("valid", "quarantined", "warnings"):
        same(getattr(found, name), expected[name])
    samples = {rule.name: rule.samples[["source_row", "value"]].fillna("").to_numpy().tolist() for rule in found.rules}
    assert {rule.name: (rule.count, samples[rule.name]) for rule in found.rules} == expected["rules"]


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
