"""Makes one item of rows that have the same store and SKU and differ in their barcodes only.

Belongs here: which rows are one item, and how their barcodes come together.
Does not belong here: whether the barcodes are right (see `rules/`).
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from jwo_catalog_pipeline.catalog.rules.rules import (
    ADDITIONAL_BARCODES,
    BARCODE_TYPES,
    ITEM_FIELDS,
    KEY,
    MAPPING_ERRORS,
    SOURCE_ROW,
)

MERGED_INTO = "merged_into"
_BARCODE, _TYPE = "external_product_id", "external_product_id_type"
_SAME = [field for field in ITEM_FIELDS if field not in (*KEY, _BARCODE, _TYPE, ADDITIONAL_BARCODES)]


def merge_barcodes(rows: pd.DataFrame, *, merge: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bring rows of one item together.

    The first barcode is the item's, the others follow as further ones, each once, with those that the rows themselves
    had. Rows that differ in another field, or of which one has a mapping error, all stay as they are.

    Args:
        rows: `source_row`, `ITEM_FIELDS`, `mapping_errors`, in order.
        merge: False: nothing is merged.

    Returns:
        The items, and the rows that became part of another one: `source_row`, `merged_into` (the row of the item),
        `ITEM_FIELDS` as they were before.
    """
    first = _first_of_its_item(rows) if merge else np.arange(len(rows))
    gone = first != np.arange(len(rows))
    merged = rows.loc[gone, [SOURCE_ROW, *ITEM_FIELDS]]
    merged.insert(1, MERGED_INTO, rows[SOURCE_ROW].to_numpy()[first[gone]])
    if not gone.any():
        return rows, merged.reset_index(drop=True)
    columns = [_BARCODE, _TYPE, ADDITIONAL_BARCODES]
    members: dict[int, list[tuple[str | None, str | None, str | None]]] = {}
    parts = np.flatnonzero(np.isin(first, first[gone]))
    barcodes = rows[columns].take(parts).astype(object).replace(np.nan, None)
    for place, barcode in zip(first[parts], barcodes.itertuples(index=False, name=None), strict=True):
        members.setdefault(int(place), []).append(barcode)
    made = [_barcodes(barcodes) for barcodes in members.values()]
    items = rows.copy()
    items.loc[list(members), columns] = pd.DataFrame(made, index=list(members), columns=columns, dtype="str")
    return items.loc[~gone].reset_index(drop=True), merged.reset_index(drop=True)


def _first_of_its_item(rows: pd.DataFrame) -> np.ndarray:
    """For each row the place of the row that it becomes part of; its own where it stays."""
    places = np.arange(len(rows))
    known = rows[KEY].notna().all(axis="columns").to_numpy()
    repeated = np.flatnonzero(known & rows.duplicated(KEY, keep=False).to_numpy())
    if not len(repeated):
        return places
    some = rows.take(repeated)
    _, first, group = np.unique(some.groupby(KEY, sort=False).ngroup(), return_index=True, return_inverse=True)
    one_item = (some[MAPPING_ERRORS].isna() & (some[_TYPE].isna() | some[_TYPE].isin(BARCODE_TYPES))).to_numpy()
    for field in _SAME:
        value = pd.factorize(some[field])[0]  # -1 where missing
        one_item = one_item & (value == value[first[group]])
    whole = np.ones(len(first), dtype=bool)
    np.logical_and.at(whole, group, one_item)
    places[repeated] = np.where(whole[group], repeated[first[group]], repeated)
    return places


def _barcodes(rows: list[tuple[str | None, str | None, str | None]]) -> tuple[str | None, str | None, str | None]:
    """The barcode, its type, and the further ones as JSON text, of the rows of one item."""
    main = next(((code, kind) for code, kind, _ in rows if code is not None), (None, None))
    pairs: dict[str, str | None] = {}
    for code, kind, further in rows:
        if code is not None:
            pairs.setdefault(code, kind)
        for other, of_other in json.loads(further) if further else ():
            pairs.setdefault(other, of_other)
    others = [pair for pair in pairs.items() if pair[0] != main[0]]
    return *main, json.dumps(others, ensure_ascii=False, separators=(",", ":")) if others else None
