"""Every rule that a row is checked against, and the levels that a mapping file may give them.

Belongs here: the list of all rules, and those about what every item has: its fields, their length, store and price.
Does not belong here: rules about barcodes (see `barcode_rules.py`) and about names and SKUs (see `text_rules.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import pandas as pd

from jwo_catalog_pipeline.catalog.rules.barcode_rules import BARCODE_ERRORS, BARCODE_WARNINGS
from jwo_catalog_pipeline.catalog.rules.rules import (
    ITEM_FIELDS,
    MAPPING_ERRORS,
    MAX_LENGTH,
    REQUIRED_FIELDS,
    Level,
    Rule,
    make_rule,
)
from jwo_catalog_pipeline.catalog.rules.store_rules import STORE_ERRORS
from jwo_catalog_pipeline.catalog.rules.text_rules import TEXT_ERRORS, TEXT_WARNINGS

# Every rule at its own level.
OWN_LEVELS: Mapping[str, Level] = MappingProxyType({})


def rules(store_ids: Sequence[str] | None = None, levels: Mapping[str, Level] = OWN_LEVELS) -> tuple[Rule, ...]:
    """Every rule that is not off, at its level; those that are errors by themselves first.

    Args:
        store_ids: The retailer's stores; None or empty: any store is valid.
        levels: Levels of rules that are not forced, by name, as a mapping file gives them.
    """
    stores = _store_rule(store_ids) if store_ids else ()
    errors = (
        _MAPPING,
        *_required(),
        *_lengths(),
        *STORE_ERRORS,
        *stores,
        *BARCODE_ERRORS,
        _PRICE,
        _UNIQUE,
        *TEXT_ERRORS,
    )
    every = (*errors, *BARCODE_WARNINGS, _NOT_ZERO, *TEXT_WARNINGS)
    at_level = [replace(rule, level=levels.get(rule.name, rule.level)) for rule in every]
    return tuple(rule for rule in at_level if rule.level != "off")


_MAPPING = make_rule(
    "mapping",
    MAPPING_ERRORS,
    "forced",
    "The field mapping works for the whole row.",
    "{value}",
    lambda items: items[MAPPING_ERRORS].isna(),
)
_PRICE = make_rule(
    "price_decimal",
    "standard_price",
    "forced",
    "A price is a plain decimal with at most two places, such as 9.99; Amazon reads it as text. price() reads most "
    "ways of writing one; for 1.299 name the separator: price(x, ',') or price(x, '.').",
    "'{value}' is no plain decimal with at most two places",
    lambda items: items["standard_price"].isna() | items["standard_price"].str.fullmatch(r"[0-9]+(\.[0-9]{1,2})?"),
)
_NOT_ZERO = make_rule(
    "price_not_zero",
    "standard_price",
    "warning",
    "A price is above zero; otherwise the item would be given away.",
    "the price is {value}",
    lambda items: ~items["standard_price"].str.fullmatch(r"0+(\.0{1,2})?").fillna(False).astype(bool),
)
_UNIQUE = make_rule(
    "item_unique",
    ("item_sku", "store_id"),
    "forced",
    "A SKU occurs once in a store. It is not known which of two rows Amazon would keep, so neither is sent. Rows that "
    "differ in the barcode only become one item by `merge: barcodes` in the mapping.",
    "another row has the same store and the same SKU '{value}'; `merge: barcodes` makes one item of rows that "
    "differ in the barcode only",
    lambda items: ~items["item_repeated"],
)


def _present(field: str, items: pd.DataFrame) -> pd.Series:
    return items[field].notna() & (items[field] != "")


def _short_enough(field: str, items: pd.DataFrame) -> pd.Series:
    return ~(items[field].str.len() > MAX_LENGTH)


def _required() -> list[Rule]:
    return [
        make_rule(
            f"{field}_required",
            field,
            "forced",
            f"Every item has {field}: {ITEM_FIELDS[field]}",
            f"{field} is missing",
            partial(_present, field),
        )
        for field in REQUIRED_FIELDS
    ]


def _lengths() -> list[Rule]:
    return [
        make_rule(
            f"{field}_length",
            field,
            "forced",
            f"{field} has at most {MAX_LENGTH} characters; Amazon rejects the whole request if one is longer.",
            f"'{{value}}' is longer than {MAX_LENGTH} characters",
            partial(_short_enough, field),
        )
        for field in REQUIRED_FIELDS
    ]


def _store_rule(store_ids: Sequence[str]) -> tuple[Rule]:
    listed = set(store_ids)
    return (
        make_rule(
            "store_known",
            "store_id",
            "forced",
            "The store is one of JWO_STORE_IDS; Amazon rejects the whole request if one is not.",
            "'{value}' is not among the retailer's stores (JWO_STORE_IDS)",
            lambda items: items["store_id"].isna() | items["store_id"].isin(listed),
        ),
    )
