"""What the rules need to know of single items beyond their own fields, found once for all rules.

Belongs here: facts that take a look at one row.
Does not belong here: facts about several rows (see `shared_facts.py`), judging them (see `rulebook.py`).
"""

from __future__ import annotations

import pyarrow as pa

from jwo_catalog_pipeline.catalog.rules.barcodes import additional_barcode_facts, barcode_facts
from jwo_catalog_pipeline.catalog.rules.texts import text_facts

# Each with its type; see `barcode_facts`, `additional_barcode_facts` and `text_facts`.
ROW_FACTS = [
    *((name, pa.bool_()) for name in ("fits_type", "check_digit_right", "form_known", "form_ambiguous")),
    ("barcode_fault", pa.int8()),
    ("barcode_weighed", pa.bool_()),
    ("product_number", pa.int64()),
    ("additional_count", pa.int64()),
    ("additional_wrong", pa.large_string()),
    ("additional_fault", pa.large_string()),
    ("additional_products", pa.list_(pa.int64())),
    *((name, pa.bool_()) for name in ("sku_spaced", "sku_unusual", "name_lettered", "name_marked")),
    ("text_damaged", pa.large_string()),
    ("text_broken", pa.large_string()),
]


def with_row_facts(items: pa.Table) -> pa.Table:
    """Items with the columns of `ROW_FACTS`.

    Args:
        items: At least the columns of `ITEM_FIELDS`; perhaps `line_breaks`.
    """
    facts = {**barcode_facts(items), **additional_barcode_facts(items), **text_facts(items)}
    known = items.drop_columns([name for name in facts if name in items.column_names])
    for name, kind in ROW_FACTS:
        known = known.append_column(pa.field(name, kind), facts[name])
    return known
