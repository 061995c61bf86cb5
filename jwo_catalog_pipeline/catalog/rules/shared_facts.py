"""What the rules need to know of items that only the other rows of the table say.

Belongs here: which rows share a key, a barcode or a SKU with others, found by DuckDB over the whole table.
Does not belong here: facts about one row (see `row_facts.py`), judging them (see `rulebook.py`).
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from jwo_catalog_pipeline.catalog.pieces import PLACE
from jwo_catalog_pipeline.catalog.rules.texts import EDGE
from jwo_catalog_pipeline.engine import connect, pieces, view
from jwo_catalog_pipeline.table_file import TableFile, write_table

SHOWN = 5  # other SKUs in a sentence
SHARED_FACTS = pa.schema(
    [
        (PLACE, pa.int64()),
        ("item_repeated", pa.bool_()),
        ("barcode_differs", pa.bool_()),
        ("sku_twins", pa.large_string()),
        ("barcode_others", pa.large_string()),
    ]
)


def shared_facts(items: TableFile, folder: Path) -> TableFile:
    """What other rows say of items.

    Args:
        items: At least the columns of `ITEM_FIELDS` and `ROW_FACTS`.
        folder: Where the table is written.

    Returns:
        For the rows of which anything is to be said, in their order: `PLACE` (int64, from 0), `item_repeated` (another
        row has the same store and SKU), `barcode_differs` (the same SKU has another barcode in another row),
        `sku_twins` (text: the SKUs that are the same but for capitals and white space), `barcode_others` (text: the
        other SKUs of the store that have the barcode, as UPC, EAN or GTIN).
    """
    with connect(folder) as db:
        view(db, "items", items)
        for statement in _STATEMENTS:
            db.execute(statement)
        found = pieces(db, _FACTS)
        tables = (pa.Table.from_batches([batch]) for batch in found)
        return write_table(folder / "shared_facts.parquet", tables, SHARED_FACTS)


# A SKU as a person reads it aloud. Most SKUs need no look at their edges.
_FOLDED = (
    "lower(CASE WHEN regexp_full_match(item_sku, '[!-~]*') THEN item_sku "
    f"ELSE regexp_replace(item_sku, '{EDGE}', '', 'g') END)"
)
# Numbers for texts: grouping them is many times faster. What two texts of one number add, the exact look takes out.
_HASHED = f"""CREATE TEMP VIEW hashed AS SELECT file_row_number AS place, store_id, item_sku, external_product_id,
        hash({_FOLDED}) AS folded, hash(item_sku) AS sku, hash(store_id, item_sku) AS key,
        CASE WHEN external_product_id IS NOT NULL THEN hash(external_product_id) END AS barcode
        FROM items WHERE item_sku IS NOT NULL"""  # noqa: S608 - our own names
_SOME_ALIKE = f"""CREATE TEMP TABLE some_alike AS SELECT place, item_sku, external_product_id, {_FOLDED} AS folded
        FROM hashed SEMI JOIN alike USING (folded)"""  # noqa: S608
_STATEMENTS = [
    _HASHED,
    """CREATE TEMP VIEW barcodes AS
        SELECT file_row_number AS place, 0 AS nth, store_id, item_sku, product_number AS product FROM items
        UNION ALL SELECT place, nth, store_id, item_sku, product FROM (
        SELECT file_row_number AS place, store_id, item_sku,
        unnest(additional_products) AS product, generate_subscripts(additional_products, 1) AS nth FROM items
        WHERE additional_products IS NOT NULL)""",
    "CREATE TEMP TABLE repeated AS SELECT key FROM hashed WHERE store_id IS NOT NULL GROUP BY key HAVING count(*) > 1",
    """CREATE TEMP TABLE alike AS SELECT folded FROM hashed GROUP BY folded
        HAVING min(sku) <> max(sku) OR min(barcode) <> max(barcode)""",
    """CREATE TEMP TABLE shared AS SELECT hash(store_id, product) AS code FROM barcodes
        WHERE product <> 0 AND store_id IS NOT NULL AND item_sku IS NOT NULL
        GROUP BY code HAVING min(hash(item_sku)) <> max(hash(item_sku))""",
    """CREATE TEMP TABLE some_repeated AS SELECT place, store_id, item_sku FROM hashed
        SEMI JOIN repeated USING (key) WHERE store_id IS NOT NULL""",
    _SOME_ALIKE,
    """CREATE TEMP TABLE some_shared AS SELECT place, nth, item_sku, store_id, product FROM barcodes
        SEMI JOIN shared ON hash(store_id, product) = code
        WHERE product <> 0 AND store_id IS NOT NULL AND item_sku IS NOT NULL""",
]


def _in_words(first: str, count: str) -> str:
    """The other SKUs of a group, from its first ones and how many there are."""
    others = f"list_filter({first}, lambda x: x <> item_sku)[:{SHOWN}]"
    quoted = f"array_to_string(list_transform({others}, lambda x: chr(39) || left(x, 40) || chr(39)), ', ')"
    more = f"CASE WHEN {count} - 1 > {SHOWN} THEN format(' and {{:,}} more', {count} - 1 - {SHOWN}) ELSE '' END"
    return f"{quoted} || {more}"


def _groups(table: str, group: str, order: str) -> str:
    """Groups of several SKUs: their first ones and how many there are."""
    return (
        f"SELECT {group}, arg_min(item_sku, first, {SHOWN + 1}) AS skus, count(*) AS n FROM (SELECT {group}, item_sku, "  # noqa: S608
        f"min({order}) AS first FROM {table} GROUP BY {group}, item_sku) GROUP BY {group} HAVING count(*) > 1"
    )


# The main barcodes of all rows come before the further ones.
_ORDER = "CASE WHEN nth = 0 THEN place ELSE place + (1::BIGINT << 40) END"
_FACTS = f"""
WITH found AS (
    SELECT place, true AS item_repeated, NULL::BOOLEAN AS barcode_differs, NULL::VARCHAR AS sku_twins,
        NULL::VARCHAR AS barcode_others
    FROM some_repeated SEMI JOIN (
        SELECT store_id, item_sku FROM some_repeated GROUP BY ALL HAVING count(*) > 1
    ) USING (store_id, item_sku)
    UNION ALL
    SELECT place, NULL, true, NULL, NULL FROM some_alike JOIN (SELECT item_sku FROM some_alike GROUP BY item_sku
        HAVING min(external_product_id) <> max(external_product_id)) USING (item_sku)
    WHERE external_product_id IS NOT NULL
    UNION ALL
    SELECT place, NULL, NULL, {_in_words("skus", "n")}, NULL
    FROM some_alike JOIN ({_groups("some_alike", "folded", "place")}) USING (folded)
    UNION ALL
    SELECT place, NULL, NULL, NULL, arg_min({_in_words("skus", "n")}, nth)
    FROM some_shared JOIN ({_groups("some_shared", "store_id, product", _ORDER)}) USING (store_id, product)
    GROUP BY place
)
SELECT place, coalesce(bool_or(item_repeated), false) AS item_repeated,
    coalesce(bool_or(barcode_differs), false) AS barcode_differs,
    max(sku_twins) AS sku_twins, max(barcode_others) AS barcode_others
FROM found GROUP BY place ORDER BY place
"""  # noqa: S608
