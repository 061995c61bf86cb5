"""What the rules need to know of items beyond their own fields, found once for all rules.

Belongs here: facts that take a look at barcodes (through `barcodes.py`) or at several rows.
Does not belong here: judging them (see `schema.py`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from jwo_catalog_pipeline.catalog.rules.barcodes import additional_barcode_facts, barcode_facts
from jwo_catalog_pipeline.catalog.rules.rules import ADDITIONAL_BARCODES, BARCODE_TYPES, KEY


def with_facts(items: pd.DataFrame) -> pd.DataFrame:
    """Add to items what their rules ask for.

    Args:
        items: At least the columns of `ITEM_FIELDS`, `str`, with a unique index.

    Returns:
        The same rows and columns, and: those of `barcode_facts`; `additional_count` (int64) and `additional_wrong`
        (`str`) of the further barcodes; `item_repeated` (another row has the same key) and `barcode_differs` (the
        same SKU has another barcode in another row).
    """
    types = items["external_product_id_type"]
    facts = barcode_facts(items["external_product_id"], types.where(types.isin(BARCODE_TYPES)))
    additional = additional_barcode_facts(items[ADDITIONAL_BARCODES])
    result = pd.concat([items, facts], axis="columns")
    result["additional_count"] = additional["count"]
    result["additional_wrong"] = additional["wrong"]
    # Numbers for texts, -1 where missing: comparing them is many times faster.
    store, sku, barcode = (pd.factorize(items[column])[0].astype("int64") for column in (*KEY, "external_product_id"))
    result["item_repeated"] = _repeated(store, sku)
    result["barcode_differs"] = _differs(sku, barcode)
    return result


def key_order(items: pd.DataFrame) -> np.ndarray:
    """Positions that put items into the order of `KEY`, by the bytes of UTF-8: the same on every machine."""
    keys = pa.Table.from_pandas(items[KEY], preserve_index=False)
    return pc.sort_indices(keys, sort_keys=[(column, "ascending") for column in KEY]).to_numpy()


def _repeated(store: np.ndarray, sku: np.ndarray) -> np.ndarray:
    key = pd.Series((store + 1) * (sku.max(initial=0) + 2) + sku + 1)
    return key.duplicated(keep=False).to_numpy() & (store >= 0) & (sku >= 0)


def _differs(sku: np.ndarray, barcode: np.ndarray) -> np.ndarray:
    """Is there another row of the same SKU with another barcode?"""
    known = (sku >= 0) & (barcode >= 0)
    one_of_them = np.zeros(sku.max(initial=0) + 1, dtype="int64")
    one_of_them[sku[known]] = barcode[known]
    ambiguous = np.zeros(len(one_of_them), dtype=bool)
    ambiguous[sku[known & (barcode != one_of_them[sku])]] = True
    return known & ambiguous[sku]
