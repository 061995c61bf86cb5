"""The order of items by their key."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from jwo_catalog_pipeline.catalog.rules.rules import KEY


def key_order(items: pd.DataFrame) -> np.ndarray:
    """Positions that put items into the order of `KEY`, by the bytes of UTF-8: the same on every machine."""
    keys = pa.Table.from_pandas(items[KEY], preserve_index=False)
    return pc.sort_indices(keys, sort_keys=[(column, "ascending") for column in KEY]).to_numpy()
