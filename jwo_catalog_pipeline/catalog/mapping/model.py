"""The field mapping: from which columns of an export each JWO field comes.

Belongs here: the mapping file as a pydantic model, its JSON Schema, and the mapping that the pipeline works with.
Does not belong here: YAML and messages (see `file.py`), what SQL is allowed (see `expressions.py`), applying it to an
export (see `transform.py`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import duckdb
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    RootModel,
    Tag,
    WithJsonSchema,
    create_model,
    field_validator,
    model_validator,
)

from jwo_catalog_pipeline.catalog.errors import MappingError
from jwo_catalog_pipeline.catalog.mapping.expressions import parse_expression, suggest
from jwo_catalog_pipeline.catalog.mapping.file import YamlNode, not_mapped, read_yaml, validated, wrong
from jwo_catalog_pipeline.catalog.rules.rules import ADDITIONAL_BARCODES, ITEM_FIELDS, REQUIRED_FIELDS
from jwo_catalog_pipeline.catalog.source.options import FORMATS, SourceOptions

MAPPABLE_FIELDS = [field for field in ITEM_FIELDS if field != ADDITIONAL_BARCODES]
_SQL = "A DuckDB SQL expression over the columns of the export."


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


Text = Annotated[str, Field(min_length=1)]
# The default of what is not written. Pydantic does not validate it, so an empty value in the file is still an error.
_NOTHING = ""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _only_known_keys(cls, written: Any) -> Any:
        # Before extra="forbid" does: that names no key that is near, and reports a misspelt key as missing as well.
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for key in written if isinstance(written, dict) else ():
            if key not in known:
                remedy = suggest(key, known) or f"the known keys are {', '.join(known)}"
                raise wrong(f"the key {key!r} is not known", remedy, key, at_key=True)
        return written


class Options(_Part):
    """How a text file is written."""

    delimiter: Annotated[Text, Field(max_length=1)] = Field(default=_NOTHING, description="CSV: between fields.")
    quote: Annotated[str, Field(max_length=1)] = Field(
        default=_NOTHING, description="CSV: around fields; empty where nothing is quoted."
    )
    escape: Annotated[Text, Field(max_length=1)] = Field(
        default=_NOTHING, description="CSV: before a quote inside a quoted field; default: the quote itself."
    )
    encoding: Annotated[Text, AfterValidator(_text_encoding)] = Field(
        default=_NOTHING, description="A Python codec; default utf-8."
    )


class Source(_Part):
    """How to read the export."""

    format: Annotated[Text, AfterValidator(_known_format), Field(json_schema_extra={"enum": [*FORMATS]})] = Field(
        default=_NOTHING, description="Default: by the file's content and name."
    )
    records: Text = Field(
        default=_NOTHING, description="JSON: where the list of records is, such as products[].variants[]."
    )
    header_row: Annotated[int, BeforeValidator(_row_number), WithJsonSchema({"type": "integer", "minimum": 1})] = Field(
        default=1, description="CSV and workbooks: the line or row that holds the names; what is above is not read."
    )
    sheet: Text = Field(default=_NOTHING, description="Workbooks: the sheet; default: the only one that holds a table.")
    options: Options = Field(default_factory=Options, description="How a text file is written.")

    def as_options(self) -> SourceOptions:
        """What is written, with the defaults of the reader for the rest."""
        written = self.model_dump(exclude_unset=True)
        return SourceOptions(**written.pop("options", {}), **written)


class Expression(_Part):
    """A SQL expression with a lookup or a remark."""

    model_config = ConfigDict(json_schema_extra={"dependentRequired": {"else": ["values"]}})

    expr: Text = Field(description=_SQL)
    values: dict[str, Text] = Field(
        default_factory=dict, min_length=1, description="What each result of the expression becomes."
    )
    # None where nothing is written; what is written empty makes the result empty.
    otherwise: Annotated[str | None, AfterValidator(lambda written: written or "")] = Field(
        default=None,
        alias="else",
        description="What every other result becomes; without it, that is an error of the row.",
    )
    note: Text = Field(default=_NOTHING, description="A remark for the people who review the mapping.")

    @model_validator(mode="after")
    def _else_needs_values(self) -> Expression:
        if self.otherwise is not None and not self.values:
            raise wrong("needs 'values' beside it", "add them, or remove `else`", "else")
        return self


def _as_text_or_keys(written: Any) -> str:
    return "text" if written is None or isinstance(written, str) else "keys"


class FieldExpression(
    RootModel[
        Annotated[
            Annotated[Text, Field(description=_SQL), Tag("text")] | Annotated[Expression, Tag("keys")],
            Discriminator(_as_text_or_keys),
        ]
    ]
):
    """A SQL expression, alone or with a lookup or a remark."""

    @property
    def with_keys(self) -> Expression:
        """The same, as if it were written with keys."""
        return self.root if isinstance(self.root, Expression) else Expression(expr=self.root)


_FIELDS: dict[str, Any] = {
    name: (
        FieldExpression,
        # store_id is required in one of two places: see MappingFile.
        Field(... if name in REQUIRED_FIELDS and name != "store_id" else None, description=ITEM_FIELDS[name]),
    )
    for name in MAPPABLE_FIELDS
}
Fields = create_model("Fields", __base__=_Part, __doc__="Where each JWO field comes from.", **_FIELDS)


class MappingFile(_Part):
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
    stores: list[Text] = Field(
        default_factory=list,
        min_length=1,
        json_schema_extra={"uniqueItems": True},
        description="Every row is an item in each of these stores; instead of fields.store_id.",
    )
    fields: Fields = Field(description="Where each JWO field comes from.")  # type: ignore[valid-type]
    additional_barcodes: list[FieldExpression] = Field(
        default_factory=list, description="Further barcodes of the same product, one expression for each."
    )

    @field_validator("stores")
    @classmethod
    def _each_store_once(cls, stores: list[str]) -> list[str]:
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
        label = field.name if field.name.startswith("additional_barcodes") else f"fields.{field.name}"
        return f"{self.path}, line {field.line}, {label}"


def load_mapping(path: Path) -> FieldMapping:
    """Load a field mapping file and check all that can be checked without the export.

    Raises:
        MappingError: the file is missing, not as `MappingFile` says, or holds an expression that is not allowed. The
            message names file, line, field and remedy.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise MappingError(f"the field mapping {path} does not exist or is no file", "check JWO_MAPPING") from error
    root = read_yaml(content, str(path))
    file = validated(MappingFile, root)
    with duckdb.connect() as db:  # only its parser is used
        fields = {
            name: _mapped_field(db, node, getattr(file.fields, name))
            for name, node in root.at(["fields"]).entries.items()
        }
        additional = tuple(
            _mapped_field(db, root.at(["additional_barcodes", place]), written)
            for place, written in enumerate(file.additional_barcodes)
        )
    sha256 = hashlib.sha256(content).hexdigest()
    return FieldMapping(path, file.source.as_options(), fields, additional, tuple(file.stores), sha256)


def _mapped_field(db: duckdb.DuckDBPyConnection, node: YamlNode, written: FieldExpression) -> MappedField:
    name, line = node.label.removeprefix("fields."), node.at(["expr"]).line
    parts = written.with_keys
    columns = parse_expression(db, parts.expr, f"{node.file}, line {line}, {node.label}")
    return MappedField(name, parts.expr, parts.values or None, parts.otherwise, parts.note or None, line, columns)


def shown(field: MappedField) -> str:
    """The expression for people, with the beginning of its lookup."""
    if field.values is None:
        return field.expr
    pairs = [f"{key} → {value}" for key, value in field.values.items()]
    listed = pairs[:10] + [f"{len(pairs) - 10} more"] * (len(pairs) > 10)
    if field.otherwise is not None:
        listed.append(f"else {field.otherwise or 'nothing'}")
    return f"{field.expr}: {', '.join(listed)}"
