"""The field mapping file as a pydantic model, from which its JSON Schema is made.

Belongs here: the keys of the file, but for those of expressions (see `language.py`).
Does not belong here: YAML and messages (see `file.py`), the mapping that the pipeline works with (see `loaded.py`).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from jwo_catalog_pipeline.catalog.mapping.expressions import suggest
from jwo_catalog_pipeline.catalog.mapping.file import not_mapped, wrong
from jwo_catalog_pipeline.catalog.mapping.language import Fields, OptionalField, Store, Where
from jwo_catalog_pipeline.catalog.mapping.levels import RuleLevels
from jwo_catalog_pipeline.catalog.mapping.part import NOTHING, Part, Text
from jwo_catalog_pipeline.catalog.source.fill_down import FillDown
from jwo_catalog_pipeline.catalog.source.options import FORMATS, SourceOptions

BARCODES = "barcodes"  # the one way in which rows can be merged


def _known_format(name: str) -> str:
    if name not in FORMATS:
        raise wrong(f"must be one of {', '.join(FORMATS)}", suggest(name, FORMATS) or "write one of these")
    return name


def _text_encoding(name: str) -> str:
    try:
        "".encode(name)
    except (LookupError, ValueError) as error:
        raise wrong(f"{name!r} is no text encoding that Python knows", "write one such as utf-8 or cp1252") from error
    return name


def _row_number(written: Any) -> int:
    if not str(written).isascii() or not str(written).isdigit() or int(written) < 1:
        raise wrong(f"must be the number of a row, from 1, and is {written!r}", "write one such as 4")
    return int(written)


class Options(Part):
    """How a text file is written."""

    delimiter: Annotated[Text, Field(max_length=1)] = Field(default=NOTHING, description="CSV: between fields.")
    quote: Annotated[str, Field(max_length=1)] = Field(
        default=NOTHING, description="CSV: around fields; empty where nothing is quoted."
    )
    escape: Annotated[Text, Field(max_length=1)] = Field(
        default=NOTHING, description="CSV: before a quote inside a quoted field; default: the quote itself."
    )
    encoding: Annotated[Text, AfterValidator(_text_encoding)] = Field(
        default=NOTHING, description="A Python codec; default utf-8."
    )


class FillDownKeys(Part):
    """Which blank cells take the value of the cell above."""

    columns: list[Text] = Field(min_length=1, description="These columns; one that the export lacks is passed over.")
    by: list[Text] = Field(
        default_factory=list,
        min_length=1,
        description="Only among neighbouring rows that are the same in the first of these columns that the export has.",
    )

    def as_option(self) -> FillDown:
        """What is written, as the reader takes it."""
        return FillDown(tuple(self.columns), tuple(self.by))


class Source(Part):
    """How to read the export."""

    format: Annotated[Text, AfterValidator(_known_format), Field(json_schema_extra={"enum": [*FORMATS]})] = Field(
        default=NOTHING, description="Default: by the file's content and name."
    )
    records: Text = Field(
        default=NOTHING, description="JSON: where the list of records is, such as products[].variants[]."
    )
    header_row: Annotated[int, BeforeValidator(_row_number), WithJsonSchema({"type": "integer", "minimum": 1})] = Field(
        default=1, description="CSV and workbooks: the line or row that holds the names; what is above is not read."
    )
    sheet: Text = Field(default=NOTHING, description="Workbooks: the sheet; default: the only one that holds a table.")
    options: Options = Field(default_factory=Options, description="How a text file is written.")
    fill_down: FillDownKeys | None = Field(default=None, description="Blank cells that take the value above.")

    def as_options(self) -> SourceOptions:
        """What is written, with the defaults of the reader for the rest."""
        written = self.model_dump(exclude_unset=True, exclude={"fill_down"})
        fill_down = self.fill_down.as_option() if self.fill_down else None
        return SourceOptions(**written.pop("options", {}), **written, fill_down=fill_down)


def _known_merge(name: str) -> str:
    if name != BARCODES:
        raise wrong(f"must be {BARCODES}", f"write `merge: {BARCODES}`, or remove the key")
    return name


_STORE_KEYS = Field(min_length=1, json_schema_extra={"propertyNames": {"minLength": 1}})
_Stores = Annotated[
    Annotated[list[Text], Field(min_length=1, json_schema_extra={"uniqueItems": True}), Tag(" list")]
    | Annotated[dict[Text, Store], _STORE_KEYS, Tag(" keys")],  # type: ignore[valid-type]
    Discriminator(lambda written: " keys" if isinstance(written, dict) else " list"),
]


class MappingFile(Part):
    """From which columns of an export each JWO field comes (docs/mapping.md)."""

    model_config = ConfigDict(
        title="Field mapping of jwo_catalog_pipeline",
        # A store for every item, from one of the two places.
        json_schema_extra={"oneOf": [{"required": ["stores"]}, {"properties": {"fields": {"required": ["store_id"]}}}]},
    )

    version: Annotated[Text, Field(pattern="^1$"), WithJsonSchema({"enum": [1, "1"]})] = Field(
        description="The version of this file format."
    )
    source: Source = Field(default_factory=Source, description="How to read the export.")
    where: Where | None = Field(default=None, description="Which rows are items; the others are excluded, and counted.")
    stores: _Stores = Field(
        default_factory=list,
        description="Every row is an item in each of these stores, with what differs there; not with fields.store_id.",
    )
    merge: Annotated[Text, AfterValidator(_known_merge), Field(json_schema_extra={"enum": [BARCODES]})] = Field(
        default=NOTHING, description="Rows of one store and SKU that differ in their barcodes only are one item."
    )
    fields: Fields = Field(description="Where each JWO field comes from.")  # type: ignore[valid-type]
    additional_barcodes: list[OptionalField] = Field(
        default_factory=list, description="Further barcodes of the same product, one expression for each."
    )

    rules: RuleLevels = Field(default_factory=dict, description="Levels of rules that Amazon does not force.")

    @field_validator("stores")
    @classmethod
    def _each_store_once(cls, stores: list[str] | dict[str, Store]) -> list[str] | dict[str, Store]:  # type: ignore[valid-type]
        if isinstance(stores, dict):
            return stores
        for place, store in enumerate(stores):
            if store in stores[:place]:
                raise wrong(f"{store!r} is listed twice", "remove one", place)
        return stores

    @model_validator(mode="after")
    def _stores_from_one_place(self) -> MappingFile:
        mapped = self.fields.store_id is not None  # type: ignore[attr-defined]
        if self.stores and mapped:
            raise wrong("fields.store_id is mapped as well", "keep one of the two", "stores")
        if not self.stores and not mapped:
            raise wrong(not_mapped("store_id"), "map it, or list `stores`", "fields")
        return self
