"""The JWO item as a table: its fields, its key and its structure, and what a rule about it is.

Belongs here: the names and descriptions of the columns, the structure as a pandera schema, and `Rule`.
Does not belong here: the rules themselves (see `rulebook.py`), running them (see `validation.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pandas as pd
import pandera.pandas as pa

SOURCE_ROW = "source_row"
MAPPING_ERRORS = "mapping_errors"
# What shows that a field of the export holds several of its rows; a column that a mapped table may lack.
LINE_BREAKS = "line_breaks"
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


Level = Literal["off", "warning", "error"]


@dataclass(frozen=True)
class Rule:
    """One requirement of Amazon, or one thing that people should look at.

    Attributes:
        name: Unique; letters and underscores.
        fields: The JWO fields that it checks.
        level: A row with an error is not sent; a row with a warning is.
        forced: Amazon refuses what breaks it, or it is not known which of two rows Amazon would take. Every other rule
            may have another level in the mapping file.
        description: What is required, and why.
        sentence: What is wrong with a row; `{value}` is replaced by the value of the `shown` column.
        shown: The column with the invalid value.
        check: Takes items with the facts of `row_facts.py` and `shared_facts.py`; gives one boolean for each row, true
            if the row passes.
    """

    name: str
    fields: tuple[str, ...]
    level: Level
    forced: bool
    description: str
    sentence: str
    shown: str
    check: pa.Check


def make_rule(
    name: str,
    fields: str | tuple[str, ...],
    level: Literal["forced", "error", "warning"],
    description: str,
    sentence: str,
    passes: Callable[[pd.DataFrame], pd.Series],
    shown: str | None = None,
) -> Rule:
    """A rule with its check; `forced` is an error that no mapping file can lower."""
    fields = (fields,) if isinstance(fields, str) else fields
    # ignore_na: pandera would otherwise drop every row that lacks an optional field.
    check = pa.Check(passes, name=name, error=description, ignore_na=False, raise_warning=level == "warning")
    as_level: Level = "warning" if level == "warning" else "error"
    return Rule(name, fields, as_level, level == "forced", description, sentence, shown or fields[0], check)
