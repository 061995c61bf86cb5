"""What a mapping makes of every row of an export, in the shortest words."""

from pathlib import Path

import pandas as pd

from jwo_catalog_pipeline.catalog.mapping.loaded import load_mapping
from jwo_catalog_pipeline.catalog.source.reading import read_source
from jwo_catalog_pipeline_tests.support.tables import apply_mapping, validate

# By store and SKU: barcode, name and price of a valid item, the reasons of a quarantined one, or `excluded`.
Outcomes = dict[tuple[str, str], tuple[str, str, str] | str]


def outcomes(export: Path, mapping: Path) -> Outcomes:
    """Read, map and validate an export."""
    loaded = load_mapping(mapping)
    mapped = apply_mapping(loaded, read_source(export, loaded.source, export.name))
    checked = validate(mapped.items)
    found: Outcomes = dict.fromkeys(_keys(mapped.excluded), "excluded")
    found |= dict(zip(_keys(checked.quarantined), checked.quarantined["reasons"], strict=True))
    valid = checked.valid[["external_product_id", "item_name", "standard_price"]].fillna("")
    return found | dict(zip(_keys(checked.valid), valid.itertuples(index=False, name=None), strict=True))


def _keys(rows: pd.DataFrame) -> list[tuple[str, str]]:
    return list(rows[["store_id", "item_sku"]].fillna("").itertuples(index=False, name=None))
