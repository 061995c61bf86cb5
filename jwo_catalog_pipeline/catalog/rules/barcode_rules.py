"""The rules about barcodes (CATALOG_API.md, "Barcodes").

Belongs here: levels, descriptions and sentences.
Does not belong here: what is known of a code (see `functions.sql`, through `row_facts.py`).
"""

from __future__ import annotations

from jwo_catalog_pipeline.catalog.rules.barcodes import CHARACTERS, PLACEHOLDER, ROUNDED
from jwo_catalog_pipeline.catalog.rules.rules import (
    ADDITIONAL_BARCODES,
    BARCODE_TYPES,
    MAX_ADDITIONAL_BARCODES,
    make_rule,
)

CODE, KIND = "external_product_id", "external_product_id_type"
_AS_TEXT = "export the column as text: in a spreadsheet, format it as Text before the codes are filled in"

BARCODE_ERRORS = [
    make_rule(
        "barcode_characters",
        CODE,
        "forced",
        "A barcode is digits alone, or nine digits and an X (ISBN-10): one code, without white space, punctuation or "
        "words. restore_barcode() removes separators; for two codes in a cell, map the second one as an additional "
        "barcode, such as split_part(x, ',', 2).",
        "'{value}' is not one code of digits",
        lambda items: items["barcode_fault"] != CHARACTERS,
    ),
    make_rule(
        "barcode_rounded",
        CODE,
        "forced",
        "A barcode has all its digits. A spreadsheet shows a long number as 4.00638E+12 and saves it so, or as "
        f"4006380000000: digits are lost. For all of them, {_AS_TEXT}. restore_barcode() undoes only what lost none.",
        f"a spreadsheet has rounded it to '{{value}}'; {_AS_TEXT}",
        lambda items: items["barcode_fault"] != ROUNDED,
    ),
    make_rule(
        "barcode_placeholder",
        CODE,
        "error",
        "A barcode is no placeholder, such as 0, 9999999999999, none or n/a: nothing in a store scans as one.",
        "'{value}' stands for no barcode",
        lambda items: items["barcode_fault"] != PLACEHOLDER,
    ),
    make_rule(
        "barcode_type_known",
        KIND,
        "forced",
        f"The type of a barcode is one of {', '.join(BARCODE_TYPES)}, or is missing.",
        f"'{{value}}' is not one of {', '.join(BARCODE_TYPES)}",
        lambda items: items[KIND].isna() | items[KIND].isin(BARCODE_TYPES),
    ),
    make_rule(
        "barcode_fits_type",
        (CODE, KIND),
        "forced",
        "A barcode has the length and form of its type: UPC 12 digits (or 8: UPC-E), EAN 13, EAN8 8, ISBN 10, "
        "GTIN 14, PLU 3-6.",
        "'{value}' does not have the length and form of its type",
        lambda items: items["fits_type"],
    ),
    make_rule(
        "barcode_check_digit",
        (CODE, KIND),
        "forced",
        "A barcode ends in its check digit (GS1; ISBN-10: modulo 11); with a wrong one, ingestion fails. "
        "11 digits are a UPC without its check digit or its leading zero: see restore_barcode.",
        "the check digit of '{value}' is wrong or missing",
        lambda items: items["check_digit_right"],
    ),
    make_rule(
        "additional_barcodes_count",
        ADDITIONAL_BARCODES,
        "forced",
        f"An item has at most {MAX_ADDITIONAL_BARCODES} further barcodes.",
        f"{{value}} further barcodes are more than {MAX_ADDITIONAL_BARCODES}",
        lambda items: items["additional_count"] <= MAX_ADDITIONAL_BARCODES,
        "additional_count",
    ),
    make_rule(
        "additional_barcodes_characters",
        ADDITIONAL_BARCODES,
        "forced",
        "Every further barcode is one code of digits (or an ISBN-10), neither rounded nor a placeholder, for the same "
        "reasons as the main one. nullif(x, 'N/A') leaves a placeholder out.",
        "'{value}' is not one code of digits, is a placeholder or was rounded",
        lambda items: items["additional_fault"].isna(),
        "additional_fault",
    ),
    make_rule(
        "additional_barcodes_check_digit",
        ADDITIONAL_BARCODES,
        "forced",
        "Every further barcode ends in its correct check digit, for the same reason as the main one.",
        "the check digit of '{value}' is wrong or missing",
        lambda items: items["additional_wrong"].isna(),
        "additional_wrong",
    ),
]

BARCODE_WARNINGS = [
    make_rule(
        "barcode_form_known",
        CODE,
        "warning",
        "A barcode has the form of a type that Amazon knows; any other can be sent, but may never scan.",
        "'{value}' has the form of no known type of barcode",
        lambda items: items["form_known"],
    ),
    make_rule(
        "barcode_unambiguous",
        CODE,
        "warning",
        "An 8-digit barcode is valid as EAN8 or as UPC-E, not as both; if both, look at the product.",
        "'{value}' is right both as EAN8 and as UPC-E",
        lambda items: ~items["form_ambiguous"],
    ),
    make_rule(
        "barcode_same_in_stores",
        ("external_product_id", "item_sku"),
        "warning",
        "A SKU has the same barcode in every store; several can mean that two products share a SKU.",
        "the SKU has another barcode than '{value}' in another row",
        lambda items: ~items["barcode_differs"],
    ),
    make_rule(
        "barcode_one_sku",
        (CODE, "item_sku"),
        "warning",
        "A barcode belongs to one SKU of a store, also where it is written as UPC, EAN and GTIN of one code: it is not "
        "known which SKU a scan sells.",
        "the barcode is also that of {value}",
        lambda items: items["barcode_others"].isna(),
        "barcode_others",
    ),
    make_rule(
        "barcode_variable_weight",
        CODE,
        "warning",
        "A barcode is not numbered in the store (EAN 02 and 20 to 29, UPC 2): such codes often hold weight or price, "
        "so what is scanned differs from pack to pack (GS1 General Specifications, 1.4).",
        "'{value}' is numbered in the store, perhaps with weight or price inside",
        lambda items: ~items["barcode_weighed"],
    ),
]
