"""What the rules need to know of items beyond their own fields, found once for all rules.

Belongs here: facts that take a look at barcodes (through `barcodes.py`) or at several rows.
Does not belong here: judging them (see `schema.py`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from jwo_catalog_pipeline.catalog.barcodes import additional_barcode_facts, barcode_facts
from jwo_catalog_pipeline.catalog.schema import ADDITIONAL_BARCODES, BARCODE_TYPES, KEY


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
    result["item_repeated"] = _repeated(items)
    result["barcode_differs"] = _barcode_differs(items)
    return result


def key_order(items: pd.DataFrame) -> np.ndarray:
    """Positions that put items into the order of `KEY`, by the bytes of UTF-8: the same on every machine."""
    keys = pa.Table.from_pandas(items[KEY], preserve_index=False)
    return pc.sort_indices(keys, sort_keys=[(column, "ascending") for column in KEY]).to_numpy()


def _repeated(items: pd.DataFrame) -> np.ndarray:
    # factorize gives -1 to what is missing: with 1 added, (store, missing) is a key of its own and no other's.
    store, sku = (pd.factorize(items[column])[0].astype("int64") + 1 for column in KEY)
    key = store * (sku.max(initial=0) + 1) + sku
    _, inverse, counts = np.unique(key, return_inverse=True, return_counts=True)
    return (counts[inverse] > 1) & (store > 0) & (sku > 0)


def _barcode_differs(items: pd.DataFrame) -> np.ndarray:
    sku = pd.factorize(items["item_sku"])[0].astype("int64")
    barcode = pd.factorize(items["external_product_id"])[0].astype("int64")
    known = (sku >= 0) & (barcode >= 0)
    pairs = np.unique(sku[known] * (barcode.max(initial=0) + 1) + barcode[known])
    barcodes_of_sku = np.bincount(pairs // (barcode.max(initial=0) + 1), minlength=sku.max(initial=0) + 1)
    return known & (barcodes_of_sku[sku] > 1)
