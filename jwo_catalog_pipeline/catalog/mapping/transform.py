"""Applies a field mapping to an export: every expression, in one locked SQL statement for each group of stores.

Belongs here: making that statement, and telling whose fault it is where it does not fit the export.
Does not belong here: what a mapping file may say (see `model.py`), which rows are one item (see `merging.py`), whether
the result is a valid item (see `rules/validation.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jwo_catalog_pipeline.catalog.errors import MappingError
from jwo_catalog_pipeline.catalog.mapping.fitting import FittedMapping, StoreGroup, fit_mapping
from jwo_catalog_pipeline.catalog.mapping.language import MAPPABLE_FIELDS
from jwo_catalog_pipeline.catalog.mapping.line_breaks import line_breaks
from jwo_catalog_pipeline.catalog.mapping.loaded import FieldMapping, MappedField
from jwo_catalog_pipeline.catalog.mapping.merging import merge_barcodes, no_merged
from jwo_catalog_pipeline.catalog.mapping.sql_engine import MEMORY_LIMIT, connect_locked, register
from jwo_catalog_pipeline.catalog.pieces import in_order
from jwo_catalog_pipeline.catalog.rules.row_facts import ROW_FACTS, with_row_facts
from jwo_catalog_pipeline.catalog.rules.rules import (
    ADDITIONAL_BARCODES,
    ITEM_FIELDS,
    LINE_BREAKS,
    MAPPING_ERRORS,
    SOURCE_ROW,
)
from jwo_catalog_pipeline.catalog.source.options import FILE_COLUMN
from jwo_catalog_pipeline.catalog.source.reading import FILES, with_source_file
from jwo_catalog_pipeline.table_file import PIECE_ROWS, TableFile, TableWriter

# Bytes of an expression's result: far above the 255 characters of a field, far below what harms.
MAX_RESULT = 10_000
CONDITION = "condition"
# Rows in one statement, which DuckDB shares out among its threads: to plan it takes as long as to map 30,000.
MAPPED_ROWS = 2 * PIECE_ROWS


@dataclass(frozen=True)
class Mapped:
    """What a mapping makes of an export: each row, or each row and store, is in one of three tables.

    All three have `source_row` (int64) and every field of `ITEM_FIELDS` in its order (text; empty and blank text is
    missing), by row, and then in the order of the mapping's stores.

    Attributes:
        items: The rows that are items, with `mapping_errors` (text, missing where there is none), with `line_breaks`
            (text: a field of the export that holds several lines), and with the facts of `row_facts.py`.
        excluded: The rows that do not meet a condition of the mapping, with `condition`: the first of those, by its
            place in the file, such as `where[2]`.
        merged: The rows that became part of another, with `merged_into`: the `source_row` of that.
        mapping: What of the mapping was used.
    """

    items: TableFile
    excluded: TableFile
    merged: TableFile
    mapping: FittedMapping


_TEXTS = [(name, pa.large_string()) for name in ITEM_FIELDS]
MAPPED = pa.schema([(SOURCE_ROW, pa.int64()), *_TEXTS, (MAPPING_ERRORS, pa.large_string())])
_ITEMS = pa.schema([*MAPPED, (LINE_BREAKS, pa.large_string()), *ROW_FACTS])
_EXCLUDED = pa.schema([(SOURCE_ROW, pa.int64()), (CONDITION, pa.large_string()), *_TEXTS])


def apply_mapping(mapping: FieldMapping, source: TableFile, folder: Path) -> Mapped:
    """Apply a mapping to an export, a piece at a time.

    Where `external_product_id_type` is not mapped, it is what the barcode's length and check digit say.
    `additional_external_product_information` is JSON text such as `[["12345670", "EAN8"]]`, distinct and without the
    main barcode.

    Args:
        mapping: The mapping.
        source: `source_row` (int64) and the export's columns, as `read_export` gives them.
        folder: Where the tables are written.

    Raises:
        MappingError: an expression names a column that the export has not, or does not fit its columns.
    """
    columns = source_columns(mapping, source)
    fitted = fit_mapping(mapping, columns)
    used = {column for expression in fitted.expressions for column in expression.columns}
    with connect_locked() as db:
        register(db, "source", pa.schema([(name, pa.large_string()) for name in columns]).empty_table())
        _check_types(db, fitted)

    def mapped(piece: pa.Table) -> tuple[pa.Table, pa.Table]:
        piece = with_source_file(piece, source) if FILE_COLUMN in mapping.columns else piece
        rows = _mapped_piece(fitted, piece)
        left_out = rows[CONDITION].is_valid()
        excluded = rows.filter(left_out)
        items = (rows.filter(pc.invert(left_out)) if len(excluded) else rows).drop_columns(CONDITION)
        breaks = line_breaks(piece, used, mapping.source.delimiter or ",")
        items = items.append_column(LINE_BREAKS, _by_row(items[SOURCE_ROW], breaks))
        return with_row_facts(items), excluded

    first = folder / ("mapped.parquet" if mapping.merge else "items.parquet")
    with TableWriter(first, _ITEMS) as items, TableWriter(folder / "excluded.parquet", _EXCLUDED) as excluded:
        for some, others in in_order(mapped, source.pieces(rows=MAPPED_ROWS), at_once=1):
            items.write(some)
            excluded.write(others)
    if mapping.merge:
        together, merged = merge_barcodes(items.table, folder)
    else:
        together, merged = items.table, no_merged(folder)
    return Mapped(together, excluded.table, merged, fitted)


def source_columns(mapping: FieldMapping, source: TableFile) -> list[str]:
    """The columns of an export; with `source_file` where the mapping names it."""
    columns = [column for column in source.columns if column != SOURCE_ROW]
    with_file = FILE_COLUMN in mapping.columns and FILE_COLUMN not in columns and FILES in source.attrs
    return [*columns, FILE_COLUMN] if with_file else columns


def _by_row(rows: pa.ChunkedArray, texts: dict[int, str]) -> pa.Array:
    """The text of each row that has one."""
    if not texts:
        return pa.nulls(len(rows), pa.large_string())
    return pa.array([texts.get(row) for row in rows.to_pylist()], pa.large_string())


def _mapped_piece(fitted: FittedMapping, piece: pa.Table) -> pa.Table:
    with connect_locked() as db:
        register(db, "source", piece)
        tables = [_evaluated(db, fitted, group) for group in fitted.groups]
    return _in_every_store(tables, fitted) if fitted.mapping.stores else tables[0]


def _evaluated(db: duckdb.DuckDBPyConnection, fitted: FittedMapping, group: StoreGroup) -> pa.Table:
    """One row for each row of the export, in its order: `source_row`, fields, `mapping_errors`, `condition`."""
    fields = [*group.fields.values(), *fitted.additional_barcodes]
    for number, field in enumerate(fields):
        if field.values is not None:
            pairs = {"k": [*field.values], "v": [*field.values.values()]}
            register(db, f"lookup{number}", pa.table(pairs, pa.schema(dict.fromkeys(pairs, pa.large_string()))))
    try:
        table = db.sql(_select(fitted, group, fields)).to_arrow_table()
    except duckdb.OutOfMemoryException as error:
        raise MappingError(
            f"{fitted.mapping.path}: the mapping needs more than {MEMORY_LIMIT}",
            "look for an expression that makes very long text",
        ) from error
    # DuckDB promises no order, though it keeps this one.
    if not np.all(np.diff(table[SOURCE_ROW].to_numpy()) >= 0):
        table = table.sort_by(SOURCE_ROW)
    return table


def _in_every_store(tables: list[pa.Table], fitted: FittedMapping) -> pa.Table:
    """The tables of the groups as one: each row in every store."""
    rows, stores = len(tables[0]), fitted.mapping.store_names
    group_of = {store: number for number, group in enumerate(fitted.groups) for store in group.stores}
    places = np.tile([group_of[store] * rows for store in stores], rows) + np.repeat(np.arange(rows), len(stores))
    spread = pa.concat_tables(tables).combine_chunks().take(pa.array(places))
    names = pa.array(stores, pa.large_string()).take(pa.array(np.tile(np.arange(len(stores)), rows)))
    return spread.set_column(spread.schema.get_field_index("store_id"), "store_id", names)


def _check_types(db: duckdb.DuckDBPyConnection, fitted: FittedMapping) -> None:
    conditions = {condition.label for condition in fitted.conditions}
    for field in fitted.expressions:
        try:
            (kind,) = db.sql(f"SELECT (\n{field.expr}\n) FROM source").types  # noqa: S608 - parsed and checked
            db.sql(f"SELECT {_try(field, 'VARCHAR')} FROM source")  # noqa: S608 - the same
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            reason = str(error).splitlines()[0]
            raise MappingError(
                f"{fitted.mapping.place(field)}: {field.expr!r} does not work: {reason}",
                "columns arrive as text; convert them first, such as TRY_CAST(x AS DATE)",
            ) from error
        if field.label in conditions and str(kind) != "BOOLEAN":
            raise MappingError(
                f"{fitted.mapping.place(field)}: {field.expr!r} is no condition: it is not true or false",
                'compare it with something, such as "Status" = \'active\' or "SKU" IS NOT NULL',
            )


def _try(field: MappedField, kind: str) -> str:
    """A struct that tells the expression's failure (no struct) from its NULL (a struct that holds NULL)."""
    return f"TRY({{'v': CAST((\n{field.expr}\n) AS {kind})}})"


def _select(fitted: FittedMapping, group: StoreGroup, fields: list[MappedField]) -> str:
    """One SELECT in three storeys: evaluate (raw), look up and collect errors (values), put into the API's order."""
    raw = [f"{_try(field, 'VARCHAR')} AS f{number}" for number, field in enumerate(fields)]
    raw += [f"{_try(condition, 'BOOLEAN')} AS w{number}" for number, condition in enumerate(group.where)]
    values, errors, joins = [], [], []
    for number, condition in enumerate(group.where):
        errors.append((f"w{number} IS NULL", _quoted(f"{condition.name}: the condition fails on this row")))
    for number, field in enumerate(fields):
        value = f"CASE WHEN strlen(f{number}.v) <= {MAX_RESULT} THEN f{number}.v END"
        too_long = f"{field.name}: the result is longer than {MAX_RESULT:,} bytes"
        errors.append((f"f{number} IS NULL", _quoted(f"{field.name}: the expression fails on this row")))
        errors.append((f"strlen(f{number}.v) > {MAX_RESULT}", _quoted(too_long)))
        if field.values is not None:
            joins.append(f" LEFT JOIN lookup{number} ON lookup{number}.k = {value}")
            if field.otherwise is None:
                begin, end = f"{field.name}: '", f"' is not listed in {field.table or 'values'}"
                missed = f"(lookup{number}.v IS NULL AND {_not_blank(value)} IS NOT NULL)"
                errors.append((missed, f"{_quoted(begin)} || left({value}, 80) || {_quoted(end)}"))
                value = f"lookup{number}.v"
            else:
                found_or_else = f"coalesce(lookup{number}.v, {_quoted(field.otherwise)})"
                value = f"CASE WHEN {_not_blank(value)} IS NOT NULL THEN {found_or_else} END"
        values.append(f"{_not_blank(value)} AS v{number}")
    values += [_sentences(errors), _unmet(group.where)]
    inner = f"SELECT {SOURCE_ROW}, {', '.join(raw)} FROM source"  # noqa: S608 - expressions were parsed and checked
    middle = f"SELECT {SOURCE_ROW}, {', '.join(values)} FROM ({inner}){''.join(joins)}"  # noqa: S608
    outer = f"SELECT {', '.join(_columns(fitted, fields))} FROM ({middle})"  # noqa: S608
    return f"{outer} ORDER BY {SOURCE_ROW}" if joins else outer  # joins change the order


def _columns(fitted: FittedMapping, fields: list[MappedField]) -> list[str]:
    place = {field.name: f"v{number}" for number, field in enumerate(fields)}
    barcode = place["external_product_id"]
    place.setdefault("external_product_id_type", f"barcode_type({barcode})")
    columns = [f"CAST({place.get(name, 'NULL')} AS VARCHAR) AS {name}" for name in MAPPABLE_FIELDS]
    further = ", ".join(place[field.name] for field in fitted.additional_barcodes)
    pairs = _pairs(further, barcode) if further else "CAST(NULL AS VARCHAR)"
    return [SOURCE_ROW, *columns, f"{pairs} AS {ADDITIONAL_BARCODES}", MAPPING_ERRORS, CONDITION]


def _unmet(where: tuple[MappedField, ...]) -> str:
    """The first condition that a row does not meet; one that fails on a row is an error of the row instead."""
    cases = "".join(
        f" WHEN w{number} IS NOT NULL AND w{number}.v IS NOT TRUE THEN {_quoted(condition.name)}"
        for number, condition in enumerate(where)
    )
    return f"CAST({f'CASE{cases} END' if cases else 'NULL'} AS VARCHAR) AS {CONDITION}"


def _sentences(errors: list[tuple[str, str]]) -> str:
    """All that went wrong with a row; rows where nothing did, which are most, skip the joining."""
    sentences = ", ".join(f"CASE WHEN {wrong} THEN {sentence} END" for wrong, sentence in errors)
    any_wrong = " OR ".join(wrong for wrong, _ in errors)
    return f"CASE WHEN {any_wrong} THEN concat_ws('; ', {sentences}) END AS {MAPPING_ERRORS}"


def _not_blank(value: str) -> str:
    """NULL for blank text. Text whose first sign is not white space, which is most, skips the trimming."""
    begins_with_a_sign = f"({value} >= '!' AND {value} < '\u00a0') OR {value} >= '\u00a1'"
    return f"CASE WHEN {begins_with_a_sign} OR trim({value}, ' \t\r\n\u00a0') <> '' THEN {value} END"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _pairs(codes: str, main: str) -> str:
    """JSON text of the distinct codes with their types, without the main barcode; NULL where none is left."""
    distinct = (
        f"list_filter([{codes}], lambda c, i: c IS NOT NULL AND c IS DISTINCT FROM {main} "
        f"AND list_position([{codes}], c) = i)"
    )
    pairs = f"nullif(CAST(to_json(list_transform({distinct}, lambda c: [c, barcode_type(c)])) AS VARCHAR), '[]')"
    # Most rows have no further barcode, and the first branch costs nothing.
    return f"CASE WHEN coalesce({codes}) IS NULL THEN NULL ELSE {pairs} END"
