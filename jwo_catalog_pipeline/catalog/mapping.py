"""The field mapping: from which columns of an export each JWO field comes.

Belongs here: the mapping file's meaning, and applying it to a table (DESIGN.md, "Field mapping file").
Does not belong here: YAML (see `mapping_file.py`), what SQL is allowed (see `expressions.py`), whether the result is a
valid item (see `schema.py`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from jwo_catalog_pipeline.catalog.engine import MEMORY_LIMIT, connect_locked, register
from jwo_catalog_pipeline.catalog.errors import MappingError
from jwo_catalog_pipeline.catalog.expressions import parse_expression, suggest
from jwo_catalog_pipeline.catalog.mapping_file import Place, read_yaml
from jwo_catalog_pipeline.catalog.reading import FORMATS, SourceOptions
from jwo_catalog_pipeline.catalog.schema import (
    ADDITIONAL_BARCODES,
    ITEM_FIELDS,
    MAPPING_ERRORS,
    REQUIRED_FIELDS,
    SOURCE_ROW,
)

MAPPABLE_FIELDS = [field for field in ITEM_FIELDS if field != ADDITIONAL_BARCODES]


@dataclass(frozen=True)
class MappedField:
    """Where one JWO field comes from.

    Attributes:
        name: The JWO field, or `additional_barcodes[n]`.
        expr: The SQL expression.
        values: What the expression's results become; None: they stay.
        otherwise: What a result that is not listed in `values` becomes; None: it is an error of the row.
        note: A remark for the people who review the mapping.
        line: The line in the mapping file, from 1.
        columns: The columns that the expression names.
    """

    name: str
    expr: str
    values: dict[str, str] | None
    otherwise: str | None
    note: str | None
    line: int
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class FieldMapping:
    """A field mapping file that has been checked as far as that is possible without the export.

    Attributes:
        path: The file.
        source: How to read the export.
        fields: By name, in the order of the file.
        additional_barcodes: Expressions of further barcodes.
        sha256: Of the file's bytes, in hexadecimal.
    """

    path: Path
    source: SourceOptions
    fields: dict[str, MappedField]
    additional_barcodes: tuple[MappedField, ...]
    sha256: str

    def where(self, field: MappedField) -> str:
        """The beginning of a message about a field."""
        return f"{self.path}, line {field.line}, {_label(field.name)}"


def load_mapping(path: Path) -> FieldMapping:
    """Load a field mapping file and check all that can be checked without the export.

    Raises:
        MappingError: the file is missing, not as DESIGN.md says, or holds an expression that is not allowed. The
            message names file, line, field and remedy.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise MappingError(f"the field mapping {path} does not exist or is no file: check JWO_MAPPING") from error
    root = read_yaml(content, str(path))
    parts = root.entries(known=("version", "source", "fields", "additional_barcodes"))
    if "version" not in parts or parts["version"].text() != "1":
        raise parts.get("version", root).error("must be `version: 1`")
    if "fields" not in parts:
        raise MappingError(f"{path}: the key 'fields' is missing")
    with duckdb.connect() as db:  # only its parser is used
        fields = {
            name: _mapped_field(db, name, place)
            for name, place in parts["fields"].entries(known=MAPPABLE_FIELDS).items()
        }
        further = parts["additional_barcodes"].items() if "additional_barcodes" in parts else []
        additional = tuple(_mapped_field(db, place.label, place) for place in further)
    for name in REQUIRED_FIELDS:
        if name not in fields:
            raise parts["fields"].error(f"the required field {name!r} is not mapped: {ITEM_FIELDS[name]}")
    source = _source_options(parts["source"]) if "source" in parts else SourceOptions()
    return FieldMapping(path, source, fields, additional, hashlib.sha256(content).hexdigest())


def _label(name: str) -> str:
    return name if name.startswith("additional_barcodes") else f"fields.{name}"


def _mapped_field(db: duckdb.DuckDBPyConnection, name: str, place: Place) -> MappedField:
    parts = {"expr": place}
    if not place.is_scalar():
        parts = place.entries(known=("expr", "values", "else", "note"))
        if "expr" not in parts:
            raise place.error("the key 'expr' is missing")
    values, otherwise = None, None
    if "values" in parts:
        values = {key: each.text() for key, each in parts["values"].entries().items()}
        if not values:
            raise parts["values"].error("is empty; list what becomes what, or remove the key")
    if "else" in parts:
        if values is None:
            raise parts["else"].error("needs 'values' beside it")
        otherwise = "" if parts["else"].is_null() else parts["else"].text(empty_allowed=True)
    expr = parts["expr"].text()
    columns = parse_expression(db, expr, f"{place.file}, line {parts['expr'].line}, {_label(name)}")
    note = parts["note"].text() if "note" in parts else None
    return MappedField(name, expr, values, otherwise, note, parts["expr"].line, columns)


def _source_options(place: Place) -> SourceOptions:
    parts = place.entries(known=("format", "records", "options"))
    texts = {key: parts[key].text() for key in ("format", "records") if key in parts}
    if "format" in texts and texts["format"] not in FORMATS:
        raise parts["format"].error(f"must be one of {', '.join(FORMATS)}{suggest(texts['format'], FORMATS)}")
    options: dict[str, str] = {}
    if "options" in parts:
        for key, value in parts["options"].entries(known=("delimiter", "quote", "encoding")).items():
            options[key] = value.text(empty_allowed=key == "quote")
            if key != "encoding" and len(options[key]) > 1:
                raise value.error(f"must be one character and is {options[key]!r}")
            if key == "encoding":
                _check_encoding(value)
    return SourceOptions(**texts, **options)


def _check_encoding(place: Place) -> None:
    try:
        "".encode(place.text())
    except LookupError as error:
        raise place.error(f"{place.text()!r} is no text encoding that Python knows, such as utf-8 or cp1252") from error


def apply_mapping(mapping: FieldMapping, source: pd.DataFrame) -> pd.DataFrame:
    """Apply a mapping to an export.

    Args:
        mapping: The mapping.
        source: `source_row` (int64) and the export's columns, as `read_source` gives them.

    Returns:
        `source_row` (int64), every field of `ITEM_FIELDS` in its order (`str`; empty and blank text is missing),
        `mapping_errors` (`str`, missing where there is none); one row for each row of `source`, in order of
        `source_row`. Where `external_product_id_type` is not mapped, it is what the barcode's length and check digit
        say. `additional_external_product_information` is JSON text such as `[["12345670", "EAN8"]]`, distinct and
        without the main barcode.

    Raises:
        MappingError: an expression names a column that the export has not, or does not fit its columns.
    """
    every = [*mapping.fields.values(), *mapping.additional_barcodes]
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
                f"{mapping.path}: the mapping needs more than {MEMORY_LIMIT}: look for an expression that makes very "
                "long text"
            ) from error
    frame = pd.DataFrame(table.to_pandas()).astype(dict.fromkeys(table.column_names[1:], "str"))
    # DuckDB's threads and joins promise no order.
    if not np.all(np.diff(frame[SOURCE_ROW].to_numpy()) >= 0):
        frame = frame.sort_values(SOURCE_ROW, ignore_index=True, kind="stable")
    return frame


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
                    f"{problem}; its only column is {columns[0]!r}: the delimiter is probably wrong, "
                    "set source.options.delimiter"
                )
            near = suggest(column, columns) or f"; its columns are {', '.join(map(repr, columns[:30]))}"
            raise MappingError(f"{problem}{near} (text, other than names, goes in single quotes)")


def _check_types(db: duckdb.DuckDBPyConnection, mapping: FieldMapping, field: MappedField) -> None:
    try:
        db.sql(f"SELECT {_try(field)} FROM source")  # noqa: S608 - parsed and checked when it was loaded
    except (duckdb.BinderException, duckdb.CatalogException) as error:
        reason = str(error).splitlines()[0]
        raise MappingError(f"{mapping.where(field)}: {field.expr!r} does not work: {reason}") from error


def _try(field: MappedField) -> str:
    """A struct that tells the expression's failure (no struct) from its NULL (a struct that holds NULL)."""
    return f"TRY({{'v': CAST((\n{field.expr}\n) AS VARCHAR)}})"


def _select(mapping: FieldMapping, every: list[MappedField]) -> str:
    """One SELECT in three storeys: evaluate (raw), look up and collect errors (found), put into the API's order."""
    raw = ", ".join(f"{_try(field)} AS f{number}" for number, field in enumerate(every))
    found, errors = [], []
    for number, field in enumerate(every):
        errors.append((f"f{number} IS NULL", f"'{field.name}: the expression fails on this row'"))
        value = f"f{number}.v"
        if field.values is not None:
            looked_up = f"{_map(field.values)}[{value}]"
            if field.otherwise is None:
                missed = f"({looked_up} IS NULL AND {_not_blank(value)} IS NOT NULL)"
                said = f"'{field.name}: ''' || left({value}, 80) || ''' is not listed in values'"
                errors.append((missed, said))
                value = looked_up
            else:
                found_or_else = f"coalesce({looked_up}, {_quoted(field.otherwise)})"
                value = f"CASE WHEN {_not_blank(value)} IS NOT NULL THEN {found_or_else} END"
        found.append(f"{_not_blank(value)} AS v{number}")
    place = {field.name: f"v{number}" for number, field in enumerate(every)}
    barcode = place["external_product_id"]
    place.setdefault("external_product_id_type", f"barcode_type({barcode})")
    columns = [f"CAST({place.get(name, 'NULL')} AS VARCHAR) AS {name}" for name in MAPPABLE_FIELDS]
    further = ", ".join(place[field.name] for field in mapping.additional_barcodes)
    columns.append(f"{_pairs(further, barcode) if further else 'CAST(NULL AS VARCHAR)'} AS {ADDITIONAL_BARCODES}")
    inner = f"SELECT {SOURCE_ROW}, {raw} FROM source"  # noqa: S608 - expressions were parsed and checked when loaded
    middle = f"SELECT {SOURCE_ROW}, {', '.join(found)}, {_sentences(errors)} FROM ({inner})"  # noqa: S608
    return f"SELECT {SOURCE_ROW}, {', '.join(columns)}, {MAPPING_ERRORS} FROM ({middle})"  # noqa: S608


def _sentences(errors: list[tuple[str, str]]) -> str:
    """All that went wrong with a row; rows where nothing did, which are most, skip the joining."""
    sentences = ", ".join(f"CASE WHEN {wrong} THEN {said} END" for wrong, said in errors)
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


def mapping_table(mapping: FieldMapping) -> pd.DataFrame:
    """The mapping for people: `field`, `expression`, `source_columns`, `note`, one row for each expression."""
    rows = [
        (field.name, _shown(field), ", ".join(field.columns), field.note or "")
        for field in [*mapping.fields.values(), *mapping.additional_barcodes]
    ]
    return pd.DataFrame(rows, columns=["field", "expression", "source_columns", "note"], dtype="str")


def _shown(field: MappedField) -> str:
    if field.values is None:
        return field.expr
    pairs = [f"{key} → {value}" for key, value in field.values.items()]
    shown = pairs[:10] + [f"{len(pairs) - 10} more"] * (len(pairs) > 10)
    if field.otherwise is not None:
        shown.append(f"else {field.otherwise or 'nothing'}")
    return f"{field.expr}: {', '.join(shown)}"
