"""The JSON Schema of field mapping files, for editors: it completes keys, shows what they mean, marks what is wrong.

Belongs here: the shape of the file. `presets/mapping.schema.json` is what `jwo-catalog mapping schema` prints.
Does not belong here: what only DuckDB or the export can tell (see `mapping.py`).
"""

from __future__ import annotations

from typing import Any

from jwo_catalog_pipeline.catalog.mapping.model import MAPPABLE_FIELDS
from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS, REQUIRED_FIELDS
from jwo_catalog_pipeline.catalog.source.reading import FORMATS

_TEXT = {"type": ["string", "number", "boolean"]}


def mapping_schema() -> dict[str, Any]:
    """The schema, as JSON Schema draft 2020-12."""
    mapped_elsewhere = [field for field in REQUIRED_FIELDS if field != "store_id"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Field mapping of jwo_catalog_pipeline",
        "type": "object",
        "additionalProperties": False,
        "required": ["version", "fields"],
        "properties": {
            "version": {"const": 1, "description": "The version of this file format."},
            "source": _source(),
            "stores": {
                "type": "array",
                "items": _TEXT,
                "minItems": 1,
                "uniqueItems": True,
                "description": "Every row is an item in each of these stores; instead of fields.store_id.",
            },
            "fields": {
                "type": "object",
                "additionalProperties": False,
                "required": mapped_elsewhere,
                "properties": {
                    field: {"$ref": "#/$defs/expression", "description": ITEM_FIELDS[field]}
                    for field in MAPPABLE_FIELDS
                },
            },
            "additional_barcodes": {
                "type": "array",
                "items": {"$ref": "#/$defs/expression"},
                "description": "Further barcodes of the same product, one expression for each.",
            },
        },
        # A store for every item, from one of the two places.
        "oneOf": [{"required": ["stores"]}, {"properties": {"fields": {"required": ["store_id"]}}}],
        "$defs": {"expression": _expression()},
    }


def _source() -> dict[str, Any]:
    character = {"type": "string", "maxLength": 1}
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "format": {"enum": list(FORMATS), "description": "Default: by the file's name."},
            "records": {"type": "string", "description": "JSON: the key that holds the list of records."},
            "options": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "delimiter": {**character, "description": "CSV: between fields."},
                    "quote": {**character, "description": "CSV: around fields; empty where nothing is quoted."},
                    "encoding": {"type": "string", "description": "A Python codec; default utf-8."},
                },
            },
        },
    }


def _expression() -> dict[str, Any]:
    sql = {"type": ["string", "number"], "description": "A DuckDB SQL expression over the columns of the export."}
    return {
        "oneOf": [
            sql,
            {
                "type": "object",
                "additionalProperties": False,
                "required": ["expr"],
                "dependentRequired": {"else": ["values"]},
                "properties": {
                    "expr": sql,
                    "values": {
                        "type": "object",
                        "minProperties": 1,
                        "additionalProperties": _TEXT,
                        "description": "What each result of the expression becomes.",
                    },
                    "else": {
                        "type": ["string", "number", "null"],
                        "description": "What every other result becomes; without it, that is an error of the row.",
                    },
                    "note": {"type": "string", "description": "A remark for the people who review the mapping."},
                },
            },
        ]
    }
