"""The expressions of a mapping file, as it writes them: of fields, conditions and stores.

Belongs here: the shapes in which an expression may be written, and what must be beside it.
Does not belong here: what SQL is allowed (see `expressions.py`), the other keys of the file (see `model.py`).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    RootModel,
    Tag,
    create_model,
    model_validator,
)

from jwo_catalog_pipeline.catalog.mapping.file import wrong
from jwo_catalog_pipeline.catalog.mapping.part import NOTHING, Part, Text
from jwo_catalog_pipeline.catalog.rules.rules import ADDITIONAL_BARCODES, ITEM_FIELDS, REQUIRED_FIELDS

MAPPABLE_FIELDS = [field for field in ITEM_FIELDS if field != ADDITIONAL_BARCODES]
_SQL = "A DuckDB SQL expression over the columns of the export."
_CONDITION = "A DuckDB SQL condition over the columns of the export; rows where it is not true are no items."


def _shape(written: Any) -> str:
    """The tag of a shape; no word, for pydantic puts it into locations, among the keys of the file."""
    if isinstance(written, list):
        return " list"
    return " text" if written is None or isinstance(written, str) else " keys"


class Table(Part):
    """A table that others keep, which says what becomes what."""

    file: Text = Field(description="Its path, from the folder of the mapping file.")
    key: Text = Field(description="The column of what the expression gives.")
    value: Text = Field(description="The column of what that becomes.")


# A table is known by its key `file`, so that one with a misspelt key is not taken for pairs.
_Pairs = Annotated[dict[str, Text], Field(min_length=1, json_schema_extra={"not": {"required": ["file"]}})]


def _pairs_or_table(written: Any) -> str:
    return " table" if isinstance(written, Table) or (isinstance(written, dict) and "file" in written) else " pairs"


class Expression(Part):
    """A SQL expression with a lookup or a remark."""

    model_config = ConfigDict(json_schema_extra={"dependentRequired": {"else": ["values"]}})

    expr: Text = Field(description=_SQL)
    values: Annotated[
        Annotated[_Pairs, Tag(" pairs")] | Annotated[Table, Tag(" table")], Discriminator(_pairs_or_table)
    ] = Field(default_factory=dict, description="What each result of the expression becomes: pairs, or a table.")
    # None where nothing is written; what is written empty makes the result empty.
    otherwise: Annotated[str | None, AfterValidator(lambda written: written or "")] = Field(
        default=None,
        alias="else",
        description="What every other result becomes; without it, that is an error of the row.",
    )
    note: Text = Field(default=NOTHING, description="A remark for the people who review the mapping.")

    @model_validator(mode="after")
    def _else_needs_values(self) -> Expression:
        if self.otherwise is not None and not self.values:
            raise wrong("needs 'values' beside it", "add them, or remove `else`", "else")
        return self


class Condition(Part):
    """A SQL condition with a remark."""

    expr: Text = Field(description=_CONDITION)
    note: Text = Field(default=NOTHING, description="Which rows are left out by it, and why.")


def _null_is_last(listed: Any) -> Any:
    for place, one in enumerate(listed if isinstance(listed, list) else ()):
        if one is None and (place == 0 or place + 1 < len(listed)):
            raise wrong("is not the last of several", "write expressions first, and `null` at the end", place)
    return listed


def _no_null(listed: Any) -> Any:
    if isinstance(listed, list) and len(listed) > 1 and listed[-1] is None:
        remedy = "remove it: an export that has the columns of none of the others cannot be used"
        raise wrong("`null` leaves a field unmapped, and this one is required", remedy, len(listed) - 1)
    return listed


_ExpressionText = Annotated[Text, Field(description=_SQL), Tag(" text")]
_ConditionText = Annotated[Text, Field(description=_CONDITION), Tag(" text")]
_OneExpression = Annotated[_ExpressionText | Annotated[Expression, Tag(" keys")], Discriminator(_shape)]
_OneCondition = Annotated[_ConditionText | Annotated[Condition, Tag(" keys")], Discriminator(_shape)]
_Required = Annotated[list[_OneExpression], Field(min_length=1), BeforeValidator(_no_null), Tag(" list")]
# A schema cannot say what is last in a list, only what is first.
_NULL_LAST = Field(min_length=1, json_schema_extra={"allOf": [{"prefixItems": [{"not": {"type": "null"}}]}]})
_Optional = Annotated[list[_OneExpression | None], _NULL_LAST, BeforeValidator(_null_is_last), Tag(" list")]
_Conditions = Annotated[list[_OneCondition | None], _NULL_LAST, BeforeValidator(_null_is_last), Tag(" list")]


class RequiredField(
    RootModel[Annotated[_ExpressionText | Annotated[Expression, Tag(" keys")] | _Required, Discriminator(_shape)]]
):
    """A SQL expression, alone or with a lookup or a remark, or a list: the first whose columns the export has."""


class OptionalField(
    RootModel[Annotated[_ExpressionText | Annotated[Expression, Tag(" keys")] | _Optional, Discriminator(_shape)]]
):
    """A SQL expression, alone or with a lookup or a remark, or a list: the first whose columns the export has.

    `null` at the end of the list: where the export has none of them, the field is not mapped.
    """


class WhereCondition(
    RootModel[Annotated[_ConditionText | Annotated[Condition, Tag(" keys")] | _Conditions, Discriminator(_shape)]]
):
    """A SQL condition, alone or with a remark, or a list: the first whose columns the export has.

    `null` at the end of the list: where the export has none of them, there is no such condition.
    """


class Where(
    RootModel[
        Annotated[
            _ConditionText
            | Annotated[Condition, Tag(" keys")]
            | Annotated[list[WhereCondition], Field(min_length=1), Tag(" list")],
            Discriminator(_shape),
        ]
    ]
):
    """Which rows are items: one condition, or a list of conditions that must all be true."""


_FIELDS: dict[str, Any] = {
    name: (
        RequiredField if name in REQUIRED_FIELDS else OptionalField,
        # store_id is required in one of two places: see MappingFile.
        Field(... if name in REQUIRED_FIELDS and name != "store_id" else None, description=ITEM_FIELDS[name]),
    )
    for name in MAPPABLE_FIELDS
}
Fields = create_model("Fields", __base__=Part, __doc__="Where each JWO field comes from.", **_FIELDS)
_DIFFERENCES: dict[str, Any] = {
    name: (shape, Field(default=None, description=f"In this store, instead of fields.{name}."))
    for name, (shape, _) in _FIELDS.items()
    if name != "store_id"
}
Store = create_model(
    "Store",
    __base__=Part,
    __doc__="What differs in one store.",
    where=(Where, Field(default=None, description="Which rows are items of this store.")),
    **_DIFFERENCES,
)
