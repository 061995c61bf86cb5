"""The JSON Schema of field mapping files, for editors: it completes keys, shows what they mean, marks what is wrong.

Belongs here: how the schema differs from that of the model. `presets/mapping.schema.json` is a copy of the schema.
Does not belong here: the shape of the file (see `model.py`).
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from jwo_catalog_pipeline.catalog.mapping.model import MappingFile


class _FileSchema(GenerateJsonSchema):
    """An editor checks what YAML makes of the file, where text without quotes may be a number or a boolean."""

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        text = super().str_schema(schema)
        # A schema cannot say how many digits a number has: for editors, a single digit has to be in quotes.
        return text if "max_length" in schema else {**text, "type": ["string", "number", "boolean"]}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])  # the model's defaults stand for what is not written

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False  # a title would only repeat the key


def mapping_schema() -> dict[str, Any]:
    """The schema, as JSON Schema draft 2020-12."""
    schema = MappingFile.model_json_schema(schema_generator=_FileSchema)
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema}
