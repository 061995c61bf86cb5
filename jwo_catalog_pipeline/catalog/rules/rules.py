"""The JWO item as a table: its fields, its key, its structure and its rules.

This module has the names and descriptions of the columns, and the structure and all rules as pandera schema and checks.
`validation.py` runs the rules and separates valid from invalid rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import pandas as pd
import pandera.pandas as pa

SOURCE_ROW = "source_row"
MAPPING_ERRORS = "mapping_errors"
ADDITIONAL_BARCODES = "additional_external_product_information"
KEY = ["store_id", "item_sku"]
REQUIRED_FIELDS = ["item_sku", "external_product_id", "item_name", "store_id"]
BARCODE_TYPES = ["UPC", "EAN", "EAN8", "ISBN", "GTIN", "PLU"]
MAX_LENGTH = 255
MAX_RECEIPT_LENGTH = 100
MAX_ADDITIONAL_BARCODES = 50

# The fields of an item in the order of the Upload request.
ITEM_FIELDS: dict[str, str] = {
    "item_sku": "The retailer's own id of the product, 1-255 characters, the same in every store.",
    "external_product_id": "The barcode that is scanned in the store, with its check digit and leading zeros.",
    "external_product_id_type": "The kind of barcode: UPC, EAN, EAN8, ISBN, GTIN or PLU.",
    "item_name": "The name that is printed on the receipt, best at most 100 plain ASCII characters.",
    "store_id": "The JWO store that sells the item; an item sold in several stores is one row for each.",
    "standard_price": "The price as decimal text with at most two places, such as 9.99.",
    "brand_name": "The brand.",
    "product_tax_code": "The tax code that Amazon applies to the product.",
    "product_category": "The category of the product.",
    "product_subcategory": "The category below the category.",
    ADDITIONAL_BARCODES: "Up to 50 further barcodes, as JSON text: a list of [code, type or null] pairs.",
}


def _text(description: str) -> pa.Column:
    is_text = pa.Check(lambda column: column.dtype == "str", name="is_text", error="must have pandas' str dtype")
    return pa.Column("str", checks=is_text, nullable=True, description=description)


# The structure that a table must have before the rules are checked.
STRUCTURE = pa.DataFrameSchema(
    {
        SOURCE_ROW: pa.Column("int64", description="The number of the record in the export, from 1."),
        **{name: _text(description) for name, description in ITEM_FIELDS.items()},
        MAPPING_ERRORS: _text("Why the field mapping failed for this row; missing if it did not."),
    },
    name="jwo_catalog_structure",
)


@dataclass(frozen=True)
class Rule:
    """One requirement of Amazon, or one thing that people should look at.

    Attributes:
        name: Unique; letters and underscores.
        fields: The JWO fields that it checks.
        level: A row with an error is not sent; a row with a warning is.
        description: What is required, and why.
        sentence: What is wrong with a row; `{value}` is replaced by the value of the `shown` column.
        shown: The column with the invalid value.
        check: Takes items with the facts of `facts.py`; gives one boolean for each row, true if the row passes.
    """

    name: str
    fields: tuple[str, ...]
    level: Literal["error", "warning"]
    description: str
    sentence: str
    shown: str
    check: pa.Check


def _rule(
    name: str,
    fields: str | tuple[str, ...],
    level: Literal["error", "warning"],
    description: str,
    sentence: str,
    passes: Callable[[pd.DataFrame], pd.Series],
    shown: str | None = None,
) -> Rule:
    fields = (fields,) if isinstance(fields, str) else fields
    # ignore_na: pandera would otherwise drop every row that lacks an optional field.
    check = pa.Check(passes, name=name, error=description, ignore_na=False, raise_warning=level == "warning")
    return Rule(name, fields, level, description, sentence, shown or fields[0], check)


def rules(store_ids: Sequence[str] | None = None) -> tuple[Rule, ...]:
    """Every rule, errors first.

    Args:
        store_ids: The retailer's stores; None or empty: any store is valid.
    """
    stores = _store_rule(store_ids) if store_ids else ()
    return (_MAPPING, *_required(), *_lengths(), *stores, *_barcode_errors(), _PRICE, _UNIQUE, *_warnings())


_MAPPING = _rule(
    "mapping",
    MAPPING_ERRORS,
    "error",
    "The field mapping works for the whole row.",
    "{value}",
    lambda items: items[MAPPING_ERRORS].isna(),
)
_PRICE = _rule(
    "price_decimal",
    "standard_price",
    "error",
    "A price is a plain decimal with at most two places, such as 9.99; Amazon reads it as text. price() reads most "
    "ways of writing one; for 1.299 name the separator: price(x, ',') or price(x, '.').",
    "'{value}' is no plain decimal with at most two places",
    lambda items: items["standard_price"].isna() | items["standard_price"].str.fullmatch(r"[0-9]+(\.[0-9]{1,2})?"),
)
_UNIQUE = _rule(
    "item_unique",
    ("item_sku", "store_id"),
    "error",
    "A SKU occurs once in a store. It is not known which of two rows Amazon would keep, so neither is sent.",
    "another row has the same store and the same SKU '{value}'",
    lambda items: ~items["item_repeated"],
)


def _present(field: str, items: pd.DataFrame) -> pd.Series:
    return items[field].notna() & (items[field] != "")


def _short_enough(field: str, items: pd.DataFrame) -> pd.Series:
    return ~(items[field].str.len() > MAX_LENGTH)


def _required() -> list[Rule]:
    return [
        _rule(
            f"{field}_required",
            field,
            "error",
            f"Every item has {field}: {ITEM_FIELDS[field]}",
            f"{field} is missing",
            partial(_present, field),
        )
        for field in REQUIRED_FIELDS
    ]


def _lengths() -> list[Rule]:
    return [
        _rule(
            f"{field}_length",
            field,
            "error",
            f"{field} has at most {MAX_LENGTH} characters; Amazon rejects the whole request if one is longer.",
            f"'{{value}}' is longer than {MAX_LENGTH} characters",
            partial(_short_enough, field),
        )
        for field in REQUIRED_FIELDS
    ]


def _store_rule(store_ids: Sequence[str]) -> tuple[Rule]:
    listed = set(store_ids)
    return (
        _rule(
            "store_known",
            "store_id",
            "error",
            "The store is one of JWO_STORE_IDS; Amazon rejects the whole request if one is not.",
            "'{value}' is not among the retailer's stores (JWO_STORE_IDS)",
            lambda items: items["store_id"].isna() | items["store_id"].isin(listed),
        ),
    )


def _barcode_errors() -> list[Rule]:
    code, kind = "external_product_id", "external_product_id_type"
    return [
        _rule(
            "barcode_type_known",
            kind,
            "error",
            f"The type of a barcode is one of {', '.join(BARCODE_TYPES)}, or is missing.",
            f"'{{value}}' is not one of {', '.join(BARCODE_TYPES)}",
            lambda items: items[kind].isna() | items[kind].isin(BARCODE_TYPES),
        ),
        _rule(
            "barcode_fits_type",
            (code, kind),
            "error",
            "A barcode has the length and form of its type: UPC 12 digits (or 8: UPC-E), EAN 13, EAN8 8, ISBN 10, "
            "GTIN 14, PLU 3-6.",
            "'{value}' does not have the length and form of its type",
            lambda items: items["fits_type"],
        ),
        _rule(
            "barcode_check_digit",
            (code, kind),
            "error",
            "A barcode ends in its check digit (GS1; ISBN-10: modulo 11); with a wrong one, ingestion fails. "
            "11 digits are a UPC without its check digit or its leading zero: see restore_barcode.",
            "the check digit of '{value}' is wrong or missing",
            lambda items: items["check_digit_right"],
        ),
        _rule(
            "additional_barcodes_count",
            ADDITIONAL_BARCODES,
            "error",
            f"An item has at most {MAX_ADDITIONAL_BARCODES} further barcodes.",
            f"{{value}} further barcodes are more than {MAX_ADDITIONAL_BARCODES}",
            lambda items: items["additional_count"] <= MAX_ADDITIONAL_BARCODES,
            "additional_count",
        ),
        _rule(
            "additional_barcodes_check_digit",
            ADDITIONAL_BARCODES,
            "error",
            "Every further barcode ends in its correct check digit, for the same reason as the main one.",
            "the check digit of '{value}' is wrong or missing",
            lambda items: items["additional_wrong"].isna(),
            "additional_wrong",
        ),
    ]


def _warnings() -> list[Rule]:
    return [
        _rule(
            "item_name_receipt_length",
            "item_name",
            "warning",
            f"A name has at most {MAX_RECEIPT_LENGTH} characters; a receipt does not print more.",
            f"'{{value}}' is longer than {MAX_RECEIPT_LENGTH} characters",
            lambda items: ~(items["item_name"].str.len() > MAX_RECEIPT_LENGTH),
        ),
        _rule(
            "item_name_ascii",
            "item_name",
            "warning",
            "A name is plain ASCII; receipts may lack other letters. The mapping function ascii() replaces them.",
            "'{value}' holds letters that are not plain ASCII",
            lambda items: items["item_name"].isna() | items["item_name"].str.isascii(),
        ),
        _rule(
            "barcode_form_known",
            "external_product_id",
            "warning",
            "A barcode has the form of a type that Amazon knows; any other can be sent, but may never scan.",
            "'{value}' has the form of no known type of barcode",
            lambda items: items["form_known"],
        ),
        _rule(
            "barcode_unambiguous",
            "external_product_id",
            "warning",
            "An 8-digit barcode is valid as EAN8 or as UPC-E, not as both; if both, only the product can tell.",
            "'{value}' is right both as EAN8 and as UPC-E",
            lambda items: ~items["form_ambiguous"],
        ),
        _rule(
            "price_not_zero",
            "standard_price",
            "warning",
            "A price is above zero; otherwise the item would be given away.",
            "the price is {value}",
            lambda items: ~items["standard_price"].str.fullmatch(r"0+(\.0{1,2})?").fillna(False).astype(bool),
        ),
        _rule(
            "barcode_same_in_stores",
            ("external_product_id", "item_sku"),
            "warning",
            "A SKU has the same barcode in every store; several can mean that two products share a SKU.",
            "the SKU has other barcodes than '{value}' in other stores",
            lambda items: ~items["barcode_differs"],
        ),
    ]
