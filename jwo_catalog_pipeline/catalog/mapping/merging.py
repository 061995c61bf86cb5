"""Makes one item of rows that have the same store and SKU and differ in their barcodes only.

Belongs here: which rows are one item, and how their barcodes come together.
Does not belong here: whether the barcodes are right (see `rules/`).
"""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from jwo_catalog_pipeline.catalog.pieces import PLACE, with_rows_beside
from jwo_catalog_pipeline.catalog.rules.row_facts import with_row_facts
from jwo_catalog_pipeline.catalog.rules.rules import (
    ADDITIONAL_BARCODES,
    BARCODE_TYPES,
    ITEM_FIELDS,
    KEY,
    MAPPING_ERRORS,
    SOURCE_ROW,
)
from jwo_catalog_pipeline.engine import connect, pieces, view
from jwo_catalog_pipeline.table_file import TableFile, TableWriter, as_frame, write_table

MERGED_INTO = "merged_into"
_BARCODE, _TYPE = "external_product_id", "external_product_id_type"
_CODES = [_BARCODE, _TYPE, ADDITIONAL_BARCODES]
_SAME = [field for field in ITEM_FIELDS if field not in (*KEY, *_CODES)]
_BUCKET = 50_000  # items that are brought together at once
_MERGED = pa.schema(
    [(SOURCE_ROW, pa.int64()), (MERGED_INTO, pa.int64()), *((name, pa.large_string()) for name in ITEM_FIELDS)]
)
_CHANGES = pa.schema([(PLACE, pa.int64()), (MERGED_INTO, pa.int64()), *((name, pa.large_string()) for name in _CODES)])


def merge_barcodes(items: TableFile, folder: Path) -> tuple[TableFile, TableFile]:
    """Bring rows of one item together.

    The first barcode is the item's, the others follow as further ones, each once, with those that the rows themselves
    had. Rows that differ in another field, or of which one has a mapping error, all stay as they are.

    Args:
        items: `source_row`, `ITEM_FIELDS`, `mapping_errors`, and the facts of `row_facts.py`, in order.
        folder: Where the tables are written.

    Returns:
        The items, and the rows that became part of another one: `source_row`, `merged_into` (the row of the item),
        `ITEM_FIELDS` as they were before.
    """
    changes = _changes(items, folder)
    with (
        TableWriter(folder / "items.parquet", items.schema) as kept,
        TableWriter(folder / "merged.parquet", _MERGED) as gone,
    ):
        for first, piece, changed in with_rows_beside(items.pieces(), changes):
            stays = np.ones(len(piece), dtype=bool)
            parts = changed.filter(changed[MERGED_INTO].is_valid())
            places = parts[PLACE].to_numpy() - first
            stays[places] = False
            rows = piece.select([SOURCE_ROW, *ITEM_FIELDS]).take(pa.array(places))
            gone.write(rows.append_column(MERGED_INTO, parts[MERGED_INTO]))
            kept.write(_with_barcodes(piece, first, changed).filter(pa.array(stays)))
    return kept.table, gone.table


def no_merged(folder: Path) -> TableFile:
    """The rows that became part of another one where a mapping merges none."""
    return write_table(folder / "merged.parquet", [], _MERGED)


def _with_barcodes(piece: pa.Table, first: int, changed: pa.Table) -> pa.Table:
    """The piece, with the barcodes that items have from other rows."""
    made = changed.filter(pc.is_null(changed[MERGED_INTO]))
    if not len(made):
        return piece
    places = made[PLACE].to_numpy() - first
    rows = piece.take(pa.array(places))
    for column in _CODES:
        rows = rows.set_column(rows.schema.get_field_index(column), column, made[column])
    order = np.arange(len(piece))
    order[places] = len(piece) + np.arange(len(made))
    return (
        pa.concat_tables([piece, with_row_facts(rows).select(piece.column_names)])
        .combine_chunks()
        .take(pa.array(order))
    )


def _changes(items: TableFile, folder: Path) -> TableFile:
    """What becomes of rows, by their place: part of another (`merged_into`), or an item with barcodes of others."""
    with connect(folder) as db:
        view(db, "items", items)
        db.execute(
            # Numbers for texts: grouping them is many times faster. Two keys of one number are told apart below.
            "CREATE TEMP TABLE repeated AS SELECT hash(store_id, item_sku) AS key FROM items "
            "WHERE store_id IS NOT NULL AND item_sku IS NOT NULL GROUP BY key HAVING count(*) > 1"
        )
        (count,) = db.execute("SELECT count(*) FROM repeated").fetchall()[0]
        columns = ", ".join([SOURCE_ROW, *ITEM_FIELDS, MAPPING_ERRORS])
        buckets = count // _BUCKET + 1
        db.execute(
            f"CREATE TEMP TABLE rows AS SELECT file_row_number AS {PLACE}, {columns}, key % {buckets} AS bucket "  # noqa: S608
            "FROM items JOIN repeated ON hash(store_id, item_sku) = key "
            "WHERE store_id IS NOT NULL AND item_sku IS NOT NULL"
        )
        changed = (_merged_bucket(_bucket(db, number)) for number in range(buckets))
        view(db, "changes", write_table(folder / "merging.parquet", changed, _CHANGES))
        query = f"SELECT * EXCLUDE file_row_number FROM changes ORDER BY {PLACE}"  # noqa: S608
        ordered = (pa.Table.from_batches([batch]) for batch in pieces(db, query))
        return write_table(folder / "changes.parquet", ordered, _CHANGES)


def _bucket(db: duckdb.DuckDBPyConnection, number: int) -> pa.Table:
    query = f"SELECT * EXCLUDE bucket FROM rows WHERE bucket = {number} ORDER BY {PLACE}"  # noqa: S608
    return db.sql(query).to_arrow_table()


def _merged_bucket(table: pa.Table) -> pa.Table:
    """What becomes of rows of which each has its whole item among them."""
    rows = as_frame(table)
    first = _first_of_its_item(rows)
    gone = first != np.arange(len(rows))
    members: dict[int, list[tuple[str | None, str | None, str | None]]] = {}
    parts = np.flatnonzero(np.isin(first, first[gone]))
    barcodes = rows[_CODES].take(parts).astype(object).replace(np.nan, None)
    for place, barcode in zip(first[parts], barcodes.itertuples(index=False, name=None), strict=True):
        members.setdefault(int(place), []).append(barcode)
    made = [_barcodes(barcodes) for barcodes in members.values()]
    places, numbers = rows[PLACE].to_numpy(), rows[SOURCE_ROW].to_numpy()
    items = dict(zip(_CODES, zip(*made, strict=True), strict=True)) if made else dict.fromkeys(_CODES, ())
    return pa.concat_tables(
        [
            pa.table({PLACE: places[list(members)], MERGED_INTO: [None] * len(made), **items}, _CHANGES),
            pa.table(
                {
                    PLACE: places[gone],
                    MERGED_INTO: numbers[first[gone]],
                    **{column: [None] * int(gone.sum()) for column in _CODES},
                },
                _CHANGES,
            ),
        ]
    )


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
