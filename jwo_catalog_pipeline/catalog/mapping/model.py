"""The field mapping: from which columns of an export each JWO field comes.

Belongs here: the mapping file's meaning (DESIGN.md, "Field mapping file").
Does not belong here: YAML (see `mapping_file.py`), what SQL is allowed (see `expressions.py`), applying it to an export
(see `applying.py`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import duckdb

from jwo_catalog_pipeline.catalog.errors import MappingError
from jwo_catalog_pipeline.catalog.mapping.expressions import parse_expression, suggest
from jwo_catalog_pipeline.catalog.mapping.file import Place, read_yaml
from jwo_catalog_pipeline.catalog.rules.rules import (
    ADDITIONAL_BARCODES,
    ITEM_FIELDS,
    REQUIRED_FIELDS,
)
from jwo_catalog_pipeline.catalog.source.reading import FORMATS, SourceOptions

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
        stores: The stores that every row of the export stands for; empty where `store_id` is mapped.
        sha256: Of the file's bytes, in hexadecimal.
    """

    path: Path
    source: SourceOptions
    fields: dict[str, MappedField]
    additional_barcodes: tuple[MappedField, ...]
    stores: tuple[str, ...]
    sha256: str

    @property
    def expressions(self) -> list[MappedField]:
        """Every expression, in the order of the file."""
        return [*self.fields.values(), *self.additional_barcodes]

    def expressions_of(self, field: str) -> list[MappedField]:
        """The expressions that make one JWO field: one, none, or those of the further barcodes."""
        if field == ADDITIONAL_BARCODES:
            return list(self.additional_barcodes)
        return [self.fields[field]] if field in self.fields else []

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
        raise MappingError(f"the field mapping {path} does not exist or is no file", "check JWO_MAPPING") from error
    root = read_yaml(content, str(path))
    parts = root.entries(known=("version", "source", "stores", "fields", "additional_barcodes"))
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
    stores = _stores(parts["stores"]) if "stores" in parts else ()
    if stores and "store_id" in fields:
        raise parts["stores"].error("fields.store_id is mapped as well", "keep one of the two")
    for name in REQUIRED_FIELDS:
        if name not in fields and not (name == "store_id" and stores):
            raise parts["fields"].error(f"the required field {name!r} is not mapped: {ITEM_FIELDS[name]}")
    source = _source_options(parts["source"]) if "source" in parts else SourceOptions()
    return FieldMapping(path, source, fields, additional, stores, hashlib.sha256(content).hexdigest())


def _stores(place: Place) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for each in place.items():
        if each.text() in found:
            raise each.error(f"{each.text()!r} is listed twice")
        found[each.text()] = None
    if not found:
        raise place.error("is empty", "list the stores, or map fields.store_id")
    return tuple(found)


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
            raise parts["values"].error("is empty", "list what becomes what, or remove the key")
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
        raise parts["format"].error(f"must be one of {', '.join(FORMATS)}", suggest(texts["format"], FORMATS))
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
        raise place.error(
            f"{place.text()!r} is no text encoding that Python knows", "write one such as utf-8 or cp1252"
        ) from error


def shown(field: MappedField) -> str:
    """The expression for people, with the beginning of its lookup."""
    if field.values is None:
        return field.expr
    pairs = [f"{key} → {value}" for key, value in field.values.items()]
    listed = pairs[:10] + [f"{len(pairs) - 10} more"] * (len(pairs) > 10)
    if field.otherwise is not None:
        listed.append(f"else {field.otherwise or 'nothing'}")
    return f"{field.expr}: {', '.join(listed)}"
