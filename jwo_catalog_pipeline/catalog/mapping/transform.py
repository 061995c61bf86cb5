"""Applies a field mapping to an export: every expression, in one locked SQL statement.

Belongs here: making that statement, and telling whose fault it is where it does not fit the export.
Does not belong here: what a mapping file may say (see `model.py`), whether the result is a valid item (see
`rules/validation.py`).
"""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from jwo_catalog_pipeline.catalog.errors import MappingError
from jwo_catalog_pipeline.catalog.mapping.expressions import suggest
from jwo_catalog_pipeline.catalog.mapping.model import MAPPABLE_FIELDS, FieldMapping, MappedField
from jwo_catalog_pipeline.catalog.mapping.sql_engine import MEMORY_LIMIT, connect_locked, register
from jwo_catalog_pipeline.catalog.rules.rules import ADDITIONAL_BARCODES, MAPPING_ERRORS, SOURCE_ROW

# Bytes of an expression's result: far above the 255 characters of a field, far below what harms.
MAX_RESULT = 10_000


def apply_mapping(mapping: FieldMapping, source: pd.DataFrame) -> pd.DataFrame:
    """Apply a mapping to an export.

    Args:
        mapping: The mapping.
        source: `source_row` (int64) and the export's columns, as `read_source` gives them.

    Returns:
        `source_row` (int64), every field of `ITEM_FIELDS` in its order (`str`; empty and blank text is missing),
        `mapping_errors` (`str`, missing where there is none); one row for each row of `source`, or for each of them
        and each store where the mapping lists `stores`, in order of `source_row`. Where `external_product_id_type` is
        not mapped, it is what the barcode's length and check digit say. `additional_external_product_information` is
        JSON text such as `[["12345670", "EAN8"]]`, distinct and without the main barcode.

    Raises:
        MappingError: an expression names a column that the export has not, or does not fit its columns.
    """
    every = mapping.expressions
    _check_columns(mapping, every, source)
    with connect_locked() as db:
        register(db, "source", pa.Table.from_pandas(source, preserve_index=False))
        for field in every:
            _check_types(db, mapping, field)
        try:
            # In one piece each, for pandas picks rows out of columns in many pieces slowly.
            table = db.sql(_select(mapping, every)).to_arrow_table().combine_chunks()
        except duckdb.OutOfMemoryException as error:
            raise MappingError(
                f"{mapping.path}: the mapping needs more than {MEMORY_LIMIT}",
                "look for an expression that makes very long text",
            ) from error
    frame = pd.DataFrame(table.to_pandas()).astype(dict.fromkeys(table.column_names[1:], "str"))
    # DuckDB promises no order, though it keeps this one.
    if not np.all(np.diff(frame[SOURCE_ROW].to_numpy()) >= 0):
        frame = frame.sort_values(SOURCE_ROW, ignore_index=True, kind="stable")
    return _in_every_store(frame, mapping.stores) if mapping.stores else frame


def _in_every_store(frame: pd.DataFrame, stores: tuple[str, ...]) -> pd.DataFrame:
    spread = frame.take(np.repeat(np.arange(len(frame)), len(stores))).reset_index(drop=True)
    spread["store_id"] = pd.Series(np.tile(np.array(stores, dtype=object), len(frame)), dtype="str")
    return spread


def _check_columns(mapping: FieldMapping, fields: list[MappedField], source: pd.DataFrame) -> None:
    columns = [column for column in source.columns if column != SOURCE_ROW]
    known = {column.casefold() for column in columns}
    for field in fields:
        for column in field.columns:
            if column.casefold() in known:
                continue
            problem = f"{mapping.where(field)}: the export has no column {column!r}"
            if len(columns) == 1 and any(mark in columns[0] for mark in ";\t|"):
                raise MappingError(
                    f"{problem}; its only column is {columns[0]!r}",
                    "the delimiter is probably wrong: set source.options.delimiter",
                )
            near = suggest(column, columns) or f"its columns are {', '.join(map(repr, columns[:30]))}"
            raise MappingError(problem, f"{near} (text, other than names, goes in single quotes)")


def _check_types(db: duckdb.DuckDBPyConnection, mapping: FieldMapping, field: MappedField) -> None:
    try:
        db.sql(f"SELECT {_try(field)} FROM source")  # noqa: S608 - parsed and checked when it was loaded
    except (duckdb.BinderException, duckdb.CatalogException) as error:
        reason = str(error).splitlines()[0]
        raise MappingError(
            f"{mapping.where(field)}: {field.expr!r} does not work: {reason}",
            "columns arrive as text; convert them first, such as TRY_CAST(x AS DATE)",
        ) from error


def _try(field: MappedField) -> str:
    """A struct that tells the expression's failure (no struct) from its NULL (a struct that holds NULL)."""
    return f"TRY({{'v': CAST((\n{field.expr}\n) AS VARCHAR)}})"


def _select(mapping: FieldMapping, every: list[MappedField]) -> str:
    """One SELECT in three storeys: evaluate (raw), look up and collect errors (values), put into the API's order."""
    raw = ", ".join(f"{_try(field)} AS f{number}" for number, field in enumerate(every))
    values, errors = [], []
    for number, field in enumerate(every):
        errors.append((f"f{number} IS NULL", f"'{field.name}: the expression fails on this row'"))
        value = f"CASE WHEN strlen(f{number}.v) <= {MAX_RESULT} THEN f{number}.v END"
        errors.append(
            (f"strlen(f{number}.v) > {MAX_RESULT}", f"'{field.name}: the result is longer than {MAX_RESULT:,} bytes'")
        )
        if field.values is not None:
            looked_up = f"{_map(field.values)}[{value}]"
            if field.otherwise is None:
                missed = f"({looked_up} IS NULL AND {_not_blank(value)} IS NOT NULL)"
                sentence = f"'{field.name}: ''' || left({value}, 80) || ''' is not listed in values'"
                errors.append((missed, sentence))
                value = looked_up
            else:
                found_or_else = f"coalesce({looked_up}, {_quoted(field.otherwise)})"
                value = f"CASE WHEN {_not_blank(value)} IS NOT NULL THEN {found_or_else} END"
        values.append(f"{_not_blank(value)} AS v{number}")
    place = {field.name: f"v{number}" for number, field in enumerate(every)}
    barcode = place["external_product_id"]
    place.setdefault("external_product_id_type", f"barcode_type({barcode})")
    columns = [f"CAST({place.get(name, 'NULL')} AS VARCHAR) AS {name}" for name in MAPPABLE_FIELDS]
    further = ", ".join(place[field.name] for field in mapping.additional_barcodes)
    columns.append(f"{_pairs(further, barcode) if further else 'CAST(NULL AS VARCHAR)'} AS {ADDITIONAL_BARCODES}")
    inner = f"SELECT {SOURCE_ROW}, {raw} FROM source"  # noqa: S608 - expressions were parsed and checked when loaded
    middle = f"SELECT {SOURCE_ROW}, {', '.join(values)}, {_sentences(errors)} FROM ({inner})"  # noqa: S608
    return f"SELECT {SOURCE_ROW}, {', '.join(columns)}, {MAPPING_ERRORS} FROM ({middle})"  # noqa: S608


def _sentences(errors: list[tuple[str, str]]) -> str:
    """All that went wrong with a row; rows where nothing did, which are most, skip the joining."""
    sentences = ", ".join(f"CASE WHEN {wrong} THEN {sentence} END" for wrong, sentence in errors)
    any_wrong = " OR ".join(wrong for wrong, _ in errors)
    return f"CASE WHEN {any_wrong} THEN concat_ws('; ', {sentences}) END AS {MAPPING_ERRORS}"


def _not_blank(value: str) -> str:
    """NULL for blank text. Text whose first sign is not white space, which is most, skips the trimming."""
    begins_with_a_sign = f"({value} >= '!' AND {value} < '\u00a0') OR {value} >= '\u00a1'"
    return f"CASE WHEN {begins_with_a_sign} OR trim({value}, ' \t\r\n\u00a0') <> '' THEN {value} END"


def _map(values: dict[str, str]) -> str:
    """A SQL map: unlike a join, it keeps the rows in their order."""
    return f"map([{', '.join(map(_quoted, values))}], [{', '.join(map(_quoted, values.values()))}])"


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
