"""The field mapping that the pipeline works with: the file, checked as far as that is possible without an export.

Belongs here: loading the file with the tables that it names, and what of it is shown to people.
Does not belong here: the keys of the file (see `model.py`), applying it (see `fitting.py` and `transform.py`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import duckdb
from pydantic import RootModel

from jwo_catalog_pipeline.catalog.errors import MappingError
from jwo_catalog_pipeline.catalog.mapping.expressions import parse_expression
from jwo_catalog_pipeline.catalog.mapping.file import YamlNode, read_yaml, validated
from jwo_catalog_pipeline.catalog.mapping.language import Condition, Expression, Table
from jwo_catalog_pipeline.catalog.mapping.lookup_tables import read_lookup
from jwo_catalog_pipeline.catalog.mapping.model import MappingFile
from jwo_catalog_pipeline.catalog.rules.rules import Level
from jwo_catalog_pipeline.catalog.source.options import SourceOptions


@dataclass(frozen=True)
class MappedField:
    """One expression, of a JWO field or a condition.

    Attributes:
        name: The JWO field, or `additional_barcodes[n]`, or the label of a condition.
        label: Where in the file the expression is, such as `fields.item_sku[2]`.
        expr: The SQL expression.
        values: What the expression's results become; None: they stay.
        table: Where `values` are from, if not from the mapping file.
        otherwise: What a result that is not listed in `values` becomes; None: it is an error of the row.
        note: A remark for the people who review the mapping.
        line: The line in the mapping file, from 1.
        columns: The columns that the expression names.
    """

    name: str
    label: str
    expr: str
    values: dict[str, str] | None
    table: str
    otherwise: str | None
    note: str | None
    line: int
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Alternatives:
    """The expressions of one place of the file: the first is used whose columns the export has.

    Attributes:
        label: Where in the file they are, such as `fields.item_sku`.
        line: The line in the mapping file, from 1.
        choices: At least one.
        optional: There may be no expression: the list ends in `null`.
    """

    label: str
    line: int
    choices: tuple[MappedField, ...]
    optional: bool


@dataclass(frozen=True)
class StoreMapping:
    """A store for which every row of the export stands, and what differs there: conditions and fields.

    `line` is that of the mapping file, from 1.
    """

    name: str
    line: int = 0
    where: tuple[Alternatives, ...] = ()
    fields: dict[str, Alternatives] = field(default_factory=dict)


@dataclass(frozen=True)
class FieldMapping:
    """A field mapping file that has been checked as far as that is possible without the export.

    Attributes:
        path: The file.
        source: How to read the export.
        where: The conditions that a row must meet to be an item.
        fields: By name, in the order of the file.
        additional_barcodes: Expressions of further barcodes.
        stores: The stores that every row of the export stands for; empty where `store_id` is mapped.
        merge: Rows of one store and SKU that differ in their barcodes only are one item.
        levels: The levels of rules that the file sets, by name.
        sha256: Of the file's bytes and those of the tables that it names, in hexadecimal.
    """

    path: Path
    source: SourceOptions
    where: tuple[Alternatives, ...]
    fields: dict[str, Alternatives]
    additional_barcodes: tuple[Alternatives, ...]
    stores: tuple[StoreMapping, ...]
    merge: bool
    levels: dict[str, Level]
    sha256: str

    @property
    def store_names(self) -> tuple[str, ...]:
        """The names of `stores`."""
        return tuple(store.name for store in self.stores)

    @property
    def columns(self) -> set[str]:
        """Every column that an expression names, in lower case, whether the export has it or not."""
        own = [alternatives for store in self.stores for alternatives in (*store.where, *store.fields.values())]
        every = [*self.where, *self.fields.values(), *self.additional_barcodes, *own]
        return {name.casefold() for written in every for choice in written.choices for name in choice.columns}

    def place(self, of: MappedField | Alternatives) -> str:
        """The beginning of a message about an expression."""
        return f"{self.path}, line {of.line}, {of.label}"


def load_mapping(path: Path) -> FieldMapping:
    """Load a field mapping file and check all that can be checked without the export.

    Raises:
        MappingError: the file or a table that it names is missing, not as `MappingFile` says, or holds an expression
            that is not allowed. The message names file, line, field and remedy.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise MappingError(f"the field mapping {path} does not exist or is no file", "check JWO_MAPPING") from error
    root = read_yaml(content, str(path))
    file = validated(MappingFile, root)
    with duckdb.connect() as db:  # only its parser is used
        loading = _Loading(db, path.parent, hashlib.sha256(content))
        return FieldMapping(
            path=path,
            source=file.source.as_options(),
            where=loading.conditions(root.at(["where"]), file.where),
            fields=loading.fields(root.at(["fields"]), file.fields),
            additional_barcodes=tuple(
                loading.alternatives(root.at(["additional_barcodes", place]), written)
                for place, written in enumerate(file.additional_barcodes)
            ),
            stores=tuple(loading.stores(root.at(["stores"]), file.stores)),
            merge=bool(file.merge),
            levels={name: cast(Level, level) for name, level in file.rules.items()},
            sha256=loading.digest.hexdigest(),
        )


@dataclass(frozen=True)
class _Loading:
    """What loading needs at every expression; `digest` takes in the tables that it meets."""

    db: duckdb.DuckDBPyConnection
    folder: Path
    digest: Any

    def stores(self, node: YamlNode, written: list[str] | dict[str, Any]) -> list[StoreMapping]:
        if isinstance(written, list):
            return [StoreMapping(name, node.items[place].line) for place, name in enumerate(written)]
        places = {name: node.entries[name] for name in written}
        return [
            StoreMapping(
                name,
                place.line,
                self.conditions(place.at(["where"]), written[name].where),
                self.fields(place, written[name]),
            )
            for name, place in places.items()
        ]

    def fields(self, node: YamlNode, written: Any) -> dict[str, Alternatives]:
        return {
            name: self.alternatives(place, getattr(written, name), name)
            for name, place in node.entries.items()
            if name != "where"
        }

    def conditions(self, node: YamlNode, written: RootModel[Any] | None) -> tuple[Alternatives, ...]:
        if written is None:
            return ()
        if not isinstance(written.root, list):
            return (self.alternatives(node, written),)
        return tuple(self.alternatives(place, one) for place, one in zip(node.items, written.root, strict=True))

    def alternatives(self, node: YamlNode, written: RootModel[Any], name: str = "") -> Alternatives:
        """One expression, or a list of them, of the field `name`, or else of what the place is called."""
        listed = isinstance(written.root, list)
        nodes, choices = (node.items, written.root) if listed else ([node], [written.root])
        expressions = tuple(
            self._expression(place, one, name or node.label)
            for place, one in zip(nodes, choices, strict=True)
            if one is not None
        )
        return Alternatives(node.label, expressions[0].line, expressions, choices[-1] is None)

    def _expression(self, node: YamlNode, written: str | Expression | Condition, name: str) -> MappedField:
        line = node.at(["expr"]).line
        parts: Any = Expression(expr=written) if isinstance(written, str) else written
        columns = parse_expression(self.db, parts.expr, f"{node.file}, line {line}, {node.label}")
        # What a condition has not is as if it were not written.
        values, otherwise = getattr(parts, "values", None), getattr(parts, "otherwise", None)
        table = ""
        if isinstance(values, Table):
            place, table = node.at(["values"]), values.file
            values, content = read_lookup(place, self.folder / values.file, values)
            self.digest.update(content)
        return MappedField(
            name, node.label, parts.expr, values or None, table, otherwise, parts.note or None, line, columns
        )


def shown(field: MappedField) -> str:
    """The expression for people, with the beginning of its lookup."""
    if field.values is None:
        return field.expr
    pairs = [f"{key} → {value}" for key, value in list(field.values.items())[:10]]
    listed = pairs + [f"{len(field.values) - 10} more"] * (len(field.values) > 10)
    if field.otherwise is not None:
        listed.append(f"else {field.otherwise or 'nothing'}")
    return f"{field.expr}{f' in {field.table}' if field.table else ''}: {', '.join(listed)}"
