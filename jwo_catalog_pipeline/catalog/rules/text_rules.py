"""The rules about SKUs, names and the other texts of an item.

Belongs here: levels, descriptions and sentences.
Does not belong here: looking at the texts (see `texts.py`, through `row_facts.py`).
"""

from __future__ import annotations

from jwo_catalog_pipeline.catalog.rules.rules import MAX_RECEIPT_LENGTH, make_rule

_TEXTS = ("item_name", "brand_name", "product_category", "product_subcategory")

TEXT_ERRORS = [
    make_rule(
        "item_sku_whitespace",
        "item_sku",
        "error",
        "A SKU has no white space around it, no line end and no invisible character: 'A1' and 'A1 ' would be two "
        "products. clean() removes these; Amazon keeps an item that it has under the old SKU.",
        "'{value}' has white space around it, a line end or an invisible character",
        lambda items: ~items["sku_spaced"],
    ),
    make_rule(
        "item_name_letters",
        "item_name",
        "error",
        "A name has a letter, of any script, or an &; a number alone does not say what was sold.",
        "'{value}' has no letter",
        lambda items: items["name_lettered"],
    ),
]

TEXT_WARNINGS = [
    make_rule(
        "item_sku_twins",
        "item_sku",
        "warning",
        "SKUs differ in more than capitals and white space; 'A1' and 'a1' are two products for Amazon.",
        "the SKU differs only in capitals or white space from {value}",
        lambda items: items["sku_twins"].isna(),
        "sku_twins",
    ),
    make_rule(
        "item_sku_characters",
        "item_sku",
        "warning",
        "A SKU is letters and digits of ASCII, with hyphens, points and underscores at most.",
        "'{value}' holds other characters than letters, digits, hyphens, points and underscores",
        lambda items: ~items["sku_unusual"],
    ),
    make_rule(
        "item_name_receipt_length",
        "item_name",
        "warning",
        f"A name has at most {MAX_RECEIPT_LENGTH} characters; a receipt does not print more.",
        f"'{{value}}' is longer than {MAX_RECEIPT_LENGTH} characters",
        lambda items: ~(items["item_name"].str.len() > MAX_RECEIPT_LENGTH),
    ),
    make_rule(
        "item_name_ascii",
        "item_name",
        "warning",
        "A name is plain ASCII; receipts may lack other letters. The mapping function ascii() spells é as e, ß as "
        "ss; a name in another script needs a column with its name in Latin letters.",
        "'{value}' holds letters that are not plain ASCII",
        lambda items: items["item_name"].isna() | items["item_name"].str.isascii(),
    ),
    make_rule(
        "item_name_markup",
        "item_name",
        "warning",
        "A name holds no HTML, such as &amp; or <em>: it would be printed as it is. The mapping function plain() takes "
        "it out.",
        "'{value}' holds HTML",
        lambda items: ~items["name_marked"],
    ),
    make_rule(
        "text_encoding",
        _TEXTS,
        "warning",
        "Texts are read with the encoding that they were written with; CafÃ© and \N{REPLACEMENT CHARACTER} show that "
        "they were not. Set source.options.encoding, or repair what writes the export.",
        "'{value}' was read, or written, with a wrong encoding",
        lambda items: items["text_damaged"].isna(),
        "text_damaged",
    ),
    make_rule(
        "text_line_break",
        _TEXTS,
        "warning",
        "A text has no line break. Where a quotation mark is not closed, a field swallows the rows that follow, and "
        "the item gets their price: look at the row in the export.",
        "a field holds a line break: '{value}'",
        lambda items: items["text_broken"].isna(),
        "text_broken",
    ),
]
