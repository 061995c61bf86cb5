"""What an export says once for several rows holds for all of them, and for no others."""

from pathlib import Path

import pandas as pd
import pytest

from jwo_catalog_pipeline.catalog.errors import MappingError, SourceFileError
from jwo_catalog_pipeline.catalog.mapping.loaded import load_mapping
from jwo_catalog_pipeline.catalog.source.reading import read_source

ROWS = (
    "Handle,Title,Status,SKU\ntea,Green Tea,draft,T-1\ntea,,,T-2\nbar,Oat Bar,active,B-1\nbar,,,B-2\n,,,X\ntea,,,T-3\n"
)
MAPPING = """version: 1
source: {{fill_down: {fill_down}}}
stores: [S1]
fields: {{item_sku: SKU, external_product_id: SKU, item_name: Title}}
"""


def read(folder: Path, fill_down: str) -> pd.DataFrame:
    (folder / "items.csv").write_text(ROWS, encoding="utf-8")
    (folder / "mapping.yaml").write_text(MAPPING.format(fill_down=fill_down), encoding="utf-8")
    return read_source(folder / "items.csv", load_mapping(folder / "mapping.yaml").source, "items.csv")


def test_a_blank_cell_takes_the_value_above_among_neighbours_that_are_the_same(tmp_path: Path) -> None:
    rows = read(tmp_path, "{by: [URL handle, Handle], columns: [title, Status, Missing]}").fillna("")
    assert list(rows["Title"]) == ["Green Tea", "Green Tea", "Oat Bar", "Oat Bar", "", ""]
    assert list(rows["Status"]) == ["draft", "draft", "active", "active", "", ""]
    assert list(rows["SKU"]) == ["T-1", "T-2", "B-1", "B-2", "X", "T-3"]


def test_without_by_every_blank_cell_takes_the_value_above(tmp_path: Path) -> None:
    rows = read(tmp_path, "{columns: [Title]}")
    assert list(rows["Title"]) == ["Green Tea", "Green Tea", *["Oat Bar"] * 4]


def test_a_missing_column_of_by_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceFileError, match="has no column 'Handel'"):
        read(tmp_path, "{by: [Handel], columns: [Title]}")


def test_columns_are_needed(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="columns"):
        read(tmp_path, "{by: [Handle]}")
