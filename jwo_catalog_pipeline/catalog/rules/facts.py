"""What the rules need to know of items beyond their own fields, found once for all rules.

Belongs here: facts that take a look at barcodes (through `barcodes.py`) or at several rows.
Does not belong here: judging them (see `rulebook.py`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from jwo_catalog_pipeline.catalog.rules.barcodes import additional_barcode_facts, barcode_facts
from jwo_catalog_pipeline.catalog.rules.rules import ADDITIONAL_BARCODES, BARCODE_TYPES, KEY
from jwo_catalog_pipeline.catalog.rules.texts import text_facts
from jwo_catalog_pipeline.catalog.rules.twins import others_named, text_at


def with_facts(items: pd.DataFrame) -> pd.DataFrame:
    """Add to items what their rules ask for.

    Args:
        items: At least the columns of `ITEM_FIELDS`, `str`, with an index from 0.

    Returns:
        The same rows and columns, and: those of `barcode_facts` and `text_facts`; `additional_count` (int64),
        `additional_wrong` and `additional_fault` (`str`) of the further barcodes; `item_repeated` (another row has the
        same key), `barcode_differs` (the same SKU has another barcode in another row) and `barcode_others` (`str`: the
        other SKUs of the store that have the barcode).
    """
    types = items["external_product_id_type"]
    facts = barcode_facts(items["external_product_id"], types.where(types.isin(BARCODE_TYPES)))
    additional = additional_barcode_facts(items[ADDITIONAL_BARCODES])
    # Numbers for texts, -1 where missing: comparing them is many times faster.
    store, barcode = (pd.factorize(items[column])[0].astype("int64") for column in ("store_id", "external_product_id"))
    sku, skus = pd.factorize(items["item_sku"])
    result = pd.concat([items, facts, text_facts(items, sku, pd.Index(skus))], axis="columns")
    result["additional_count"] = additional["count"]
    result["additional_wrong"] = additional["wrong"]
    result["additional_fault"] = additional["fault"]
    result["item_repeated"] = _repeated(store, sku)
    result["barcode_differs"] = _differs(sku, barcode)
    products = facts["product_number"].to_numpy()
    result["barcode_others"] = _others(store, sku, skus, products, additional["products"].dropna())
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


def _others(store: np.ndarray, sku: np.ndarray, skus: pd.Index, products: np.ndarray, further: pd.Series) -> pd.Series:
    """For each row the other SKUs of its store that have one of its barcodes."""
    rows = np.arange(len(sku))
    if len(further):
        rows = np.append(rows, np.repeat(further.index.to_numpy(), further.str.len()))
        products = np.append(products, np.concatenate(further.to_numpy()).astype("int64"))
    product = pd.factorize(products)[0]
    candidates = (products != 0) & _differs(product, sku[rows]) & (store[rows] >= 0)
    rows, product = rows[candidates], product[candidates]
    groups = pd.factorize(product * (store.max(initial=0) + 1) + store[rows])[0]
    places, named = others_named(groups, sku[rows], pa.array(skus, pa.large_string()))
    of_row = pd.Series(named, index=rows[places])
    of_row = of_row[~of_row.index.duplicated()]  # the main barcode comes first
    return text_at(of_row.index.to_numpy(), of_row.to_numpy(), len(sku))
