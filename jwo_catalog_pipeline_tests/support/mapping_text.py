"""A small field mapping and an export that fits it, for tests to change."""

from pathlib import Path

import numpy as np
import pandas as pd

from jwo_catalog_pipeline.catalog.mapping.loaded import load_mapping
from jwo_catalog_pipeline_tests.support.tables import Mapped, apply_mapping

MINIMAL = """version: 1
fields:
  item_sku: sku
  external_product_id: ean
  item_name: name
  store_id: branch
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mapping.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def source(**columns: list[str | None]) -> pd.DataFrame:
    frame = pd.DataFrame(columns, dtype="str")
    frame.insert(0, "source_row", np.arange(1, len(frame) + 1, dtype="int64"))
    return frame


def export(**changes: list[str | None]) -> pd.DataFrame:
    columns: dict[str, list[str | None]] = {
        "sku": ["A", "B"],
        "ean": ["4006381333931", "96385074"],
        "name": ["Pen", "Gum"],
        "branch": ["055", "413"],
        "price": ["1.50", "x"],
    }
    return source(**(columns | changes))


def applied(tmp_path: Path, text: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The items that the mapping makes; what it leaves out is in `mapped`."""
    return mapped(tmp_path, text, frame).items


def mapped(tmp_path: Path, text: str, frame: pd.DataFrame) -> Mapped:
    return apply_mapping(load_mapping(write(tmp_path, text)), frame)
