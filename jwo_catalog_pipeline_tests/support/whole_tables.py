"""Mapping and rules over whole tables in pandas: slow, short, and the witness of the way in pieces."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from jwo_catalog_pipeline.catalog.mapping.merging import MERGED_INTO, _barcodes, _first_of_its_item
from jwo_catalog_pipeline.catalog.rules.barcodes import additional_barcode_facts, barcode_facts, marked_up
from jwo_catalog_pipeline.catalog.rules.rulebook import rules
from jwo_catalog_pipeline.catalog.rules.rules import (
    ADDITIONAL_BARCODES,
    ITEM_FIELDS,
    LINE_BREAKS,
    SOURCE_ROW,
    Level,
)
from jwo_catalog_pipeline.catalog.rules.texts import _BREAK, _SPACED, _WRONGLY_READ, EDGE, TEXTS
from jwo_catalog_pipeline.table_file import as_frame

SHOWN = 5


def merged_slowly(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The items of mapped rows, and the rows that became part of another one."""
    first = _first_of_its_item(rows)
    gone = first != np.arange(len(rows))
    merged = rows.loc[gone, [SOURCE_ROW, *ITEM_FIELDS]]
    merged.insert(1, MERGED_INTO, rows[SOURCE_ROW].to_numpy()[first[gone]])
    if not gone.any():
        return rows, merged.reset_index(drop=True)
    columns = ["external_product_id", "external_product_id_type", ADDITIONAL_BARCODES]
    members: dict[int, list[tuple[str | None, str | None, str | None]]] = {}
    parts = np.flatnonzero(np.isin(first, first[gone]))
    barcodes = rows[columns].take(parts).astype(object).replace(np.nan, None)
    for place, barcode in zip(first[parts], barcodes.itertuples(index=False, name=None), strict=True):
        members.setdefault(int(place), []).append(barcode)
    made = [_barcodes(barcodes) for barcodes in members.values()]
    items = rows.copy()
    items.loc[list(members), columns] = pd.DataFrame(made, index=list(members), columns=columns, dtype="str")
    return items.loc[~gone].reset_index(drop=True), merged.reset_index(drop=True)


def checked_slowly(
    items: pd.DataFrame, store_ids: Sequence[str] | None = None, levels: Mapping[str, Level] = {}
) -> dict[str, Any]:
    """The valid, the quarantined and the warned rows, and what each rule found."""
    items = with_facts(items.reset_index(drop=True))
    reasons = {"error": pd.Series("", index=items.index), "warning": pd.Series("", index=items.index)}
    found = {}
    for rule in rules(store_ids, levels):
        bad = ~rule.check(items).check_output.to_numpy(dtype=bool)
        values = items[rule.shown].astype("str").fillna("")
        rows = [[int(items[SOURCE_ROW][row]), values[row][:300]] for row in np.flatnonzero(bad)]
        found[rule.name] = (len(rows), rows[:20])
        length = 1000 if rule.shown in ("mapping_errors", "barcode_others", "sku_twins") else 80
        for row in np.flatnonzero(bad):
            said = f"{rule.name}: {rule.sentence.replace('{value}', values[row][:length])}"
            before = reasons[rule.level][row]
            reasons[rule.level][row] = f"{before}; {said}" if before else said
    broken, warned = reasons["error"] != "", reasons["warning"] != ""
    fields = items[[SOURCE_ROW, *ITEM_FIELDS]]
    quarantined = fields[broken].copy()
    quarantined.insert(1, "reasons", reasons["error"][broken])
    return {
        "valid": fields[~broken].reset_index(drop=True),
        "quarantined": quarantined.reset_index(drop=True),
        "warnings": items.loc[warned, [SOURCE_ROW, "store_id"]]
        .assign(warnings=reasons["warning"][warned])
        .reset_index(drop=True),
        "rules": found,
    }


def with_facts(items: pd.DataFrame) -> pd.DataFrame:
    """Items with what the rules ask for, found over the whole table."""
    table = pa.Table.from_pandas(items, preserve_index=False)
    table = pa.table(
        {
            name: table[name].cast(pa.large_string()) if name != SOURCE_ROW else table[name]
            for name in table.column_names
        }
    )
    facts = {**barcode_facts(table), **additional_barcode_facts(table)}
    further = pd.Series(facts.pop("additional_products").to_pylist(), dtype=object)
    store, barcode = (pd.factorize(items[column])[0].astype("int64") for column in ("store_id", "external_product_id"))
    sku, skus = pd.factorize(items["item_sku"])
    parts = [items, as_frame(pa.table(facts)), text_facts(items, sku, pd.Index(skus))]
    result = pd.concat(parts, axis="columns")
    result["item_repeated"] = _repeated(store, sku)
    result["barcode_differs"] = _differs(sku, barcode)
    result["barcode_others"] = _others(store, sku, skus, facts["product_number"].to_numpy(), further.dropna())
    return result


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


def text_at(places: np.ndarray, texts: np.ndarray, rows: int) -> pd.Series:
    """A column of so many rows (`str`, index from 0) with these texts at these places, and missing elsewhere."""
    column = pd.Series(np.nan, index=range(rows), dtype="str")
    if len(places):
        column.iloc[places] = texts  # type: ignore[call-overload]
    return column


def others_named(groups: np.ndarray, skus: np.ndarray, texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The other SKUs of each row's group.

    Args:
        groups: For each row the number of its group.
        skus: For each row the place of its SKU in `texts`.
        texts: Each SKU once.

    Returns:
        The places of rows whose group has more than one SKU, and for each a text such as `'S-2', 'S-3' and 4 more`.
    """
    pairs = pd.DataFrame({"group": groups, "sku": skus})
    distinct = pairs.drop_duplicates()
    distinct = distinct[distinct.duplicated("group", keep=False)]
    sizes = distinct.groupby("group").size()
    first = distinct[distinct.groupby("group").cumcount() <= SHOWN]
    of_group = {
        group: dict(zip(part, texts.take(pa.array(part)).to_pylist(), strict=True))
        for group, part in first.groupby("group")["sku"]
    }
    # Most rows of a large group are not among its first SKUs, and have one text in common.
    common = [
        _in_words(list(of_group[group].values()), size - 1)
        for group, size in zip(sizes.index.tolist(), sizes.tolist(), strict=True)
    ]
    places = np.flatnonzero(np.isin(groups, sizes.index.to_numpy()))
    named = np.array(common, dtype=object)[np.searchsorted(sizes.index.to_numpy(), groups[places])]
    width = skus.max(initial=0) + 1
    keys, among_first = groups * width + skus, first["group"] * width + first["sku"]
    for place in np.flatnonzero(np.isin(keys[places], among_first.to_numpy())):
        group, sku = groups[places[place]], skus[places[place]]
        named[place] = _in_words([text for other, text in of_group[group].items() if other != sku], sizes[group] - 1)
    return places, named


def _in_words(skus: list[str], count: int) -> str:
    shown = ", ".join(f"'{sku[:40]}'" for sku in skus[:SHOWN])
    return f"{shown} and {count - SHOWN:,} more" if count > SHOWN else shown


def text_facts(items: pd.DataFrame, skus: np.ndarray, sku_texts: pd.Index) -> pd.DataFrame:
    """What can be said about the texts of items.

    Args:
        items: At least `item_name`, `brand_name`, `product_category` and `product_subcategory`, `str`; perhaps
            `line_breaks` (`str`).
        skus: For each row, the place of its SKU in `sku_texts`, -1 where it has none.
        sku_texts: Each SKU once.

    Returns:
        Same index. Booleans: `sku_spaced` (white space around it, line ends, invisible characters), `sku_unusual`,
        `name_lettered`, `name_marked` (holds HTML). `str`, missing where all is well: `sku_twins` (the SKUs that are
        the same but for capitals and white space), `text_damaged` (a text that was read with a wrong encoding),
        `text_broken` (a text with a line break).
    """
    facts = pd.DataFrame(index=items.index)
    texts = pa.array(sku_texts.append(pd.Index([""])), pa.large_string())  # the last one for what is missing: -1
    facts["sku_spaced"] = _matches(texts, _SPACED)[skus]
    facts["sku_unusual"] = ~_matches(texts, r"^[A-Za-z0-9._-]*$")[skus]
    facts["sku_twins"] = _twins(texts, skus)
    names = pa.array(items["item_name"], pa.large_string())
    facts["name_lettered"] = _lettered(names)
    marked = np.zeros(len(items), dtype=bool)
    damaged, broken = (text_at(np.array([], dtype="int64"), np.array([]), len(items)) for _ in range(2))
    for field in TEXTS:
        column = pa.array(items[field], pa.large_string())
        unusual = np.arange(len(column))
        there = column.take(unusual)
        for found, pattern in ((damaged, _WRONGLY_READ), (broken, _BREAK)):
            hits = unusual[_matches(there, pattern)]
            found.iloc[hits] = items[field].to_numpy()[hits] if len(hits) else ""
        if field == "item_name":
            hits = unusual[_matches(there, "[&<]")]
            marked[hits] = marked_up(items[field].take(hits).to_numpy()) if len(hits) else False
    facts["name_marked"] = marked
    facts["text_damaged"] = damaged
    facts["text_broken"] = broken.fillna(items[LINE_BREAKS]) if LINE_BREAKS in items else broken
    return facts


def _matches(texts: pa.Array, pattern: str, of_missing: bool = False) -> np.ndarray:
    found = pc.fill_null(pc.match_substring_regex(texts, pattern), of_missing)
    return np.array(found.to_numpy(zero_copy_only=False))


def _lettered(names: pa.Array) -> np.ndarray:
    """Whether a name has a letter or an &, which is a word, or is missing."""
    lettered = _matches(names, "[A-Za-z]", of_missing=True)
    others = np.flatnonzero(~lettered)
    lettered[others] = _matches(names.take(others), r"\pL|&|^$")
    return lettered


def _twins(texts: pa.Array, skus: np.ndarray) -> pd.Series:
    """For each row the SKUs that differ from its own only in capitals and white space."""
    folded = pc.utf8_lower(pc.replace_substring_regex(texts, EDGE, ""))
    groups = pd.factorize(folded.to_numpy(zero_copy_only=False))[0][:-1]
    if len(groups) == groups.max(initial=-1) + 1:
        return text_at(np.array([], dtype="int64"), np.array([]), len(skus))
    places, named = others_named(groups, np.arange(len(groups)), texts)
    of_sku = np.full(len(texts), None, dtype=object)
    of_sku[places] = named
    rows = np.flatnonzero(np.isin(skus, places))
    return text_at(rows, of_sku[skus[rows]], len(skus))
