"""Fits a mapping to the columns of an export: which of several expressions is used, and what the export has not.

Belongs here: choosing among alternatives, and naming all missing columns at once.
Does not belong here: evaluating expressions (see `transform.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from jwo_catalog_pipeline.catalog.errors import MappingError
from jwo_catalog_pipeline.catalog.mapping.expressions import suggest
from jwo_catalog_pipeline.catalog.mapping.loaded import Alternatives, FieldMapping, MappedField
from jwo_catalog_pipeline.catalog.rules.rules import ADDITIONAL_BARCODES

SHOWN_COLUMNS = 30  # of the export, in a message


@dataclass(frozen=True)
class StoreGroup:
    """Stores in which the same holds, and what that is.

    Attributes:
        stores: Their names; empty where `store_id` is mapped.
        where: The conditions that a row must meet to be an item there: those of all stores, then their own.
        fields: By name, one expression each.
    """

    stores: tuple[str, ...]
    where: tuple[MappedField, ...]
    fields: dict[str, MappedField]


@dataclass(frozen=True)
class FittedMapping:
    """What of a mapping is used on an export.

    Attributes:
        mapping: The mapping.
        fields: Of all stores, one expression each; a store may have another.
        additional_barcodes: Expressions of further barcodes.
        groups: At least one.
    """

    mapping: FieldMapping
    fields: dict[str, MappedField]
    additional_barcodes: tuple[MappedField, ...]
    groups: tuple[StoreGroup, ...]

    @property
    def conditions(self) -> list[MappedField]:
        """Every condition once: those of all stores, then those of single ones."""
        return list({condition.label: condition for group in self.groups for condition in group.where}.values())

    @property
    def expressions(self) -> list[MappedField]:
        """Every expression that is used, conditions included, once."""
        of_groups = (field for group in self.groups for field in group.fields.values())
        every = [*of_groups, *self.additional_barcodes, *self.conditions]
        return list({field.label: field for field in every}.values())

    def expressions_of(self, field: str) -> list[MappedField]:
        """The expressions that make one JWO field: none, one, those of single stores, or of the further barcodes."""
        if field == ADDITIONAL_BARCODES:
            return list(self.additional_barcodes)
        made = [group.fields[field] for group in self.groups if field in group.fields]
        return list({expression.label: expression for expression in made}.values())


def fit_mapping(mapping: FieldMapping, columns: Iterable[str]) -> FittedMapping:
    """Choose the expressions whose columns the export has.

    Args:
        mapping: The mapping.
        columns: Names of the export's columns; upper and lower case do not count.

    Raises:
        MappingError: the export lacks columns; the message names all of them.
    """
    listed = list(columns)
    known = {column.casefold() for column in listed}
    lacking: list[Alternatives] = []

    def choose(written: Alternatives) -> MappedField | None:
        for choice in written.choices:
            if all(column.casefold() in known for column in choice.columns):
                return choice
        if not written.optional:
            lacking.append(written)
        return None

    where, additional = _chosen(choose, mapping.where), _chosen(choose, mapping.additional_barcodes)
    fields = _chosen_fields(choose, mapping.fields)
    groups: dict[tuple[str, ...], StoreGroup] = {}
    for store in mapping.stores:
        own_where, own = _chosen(choose, store.where), _chosen_fields(choose, store.fields)
        # Where an own list ends in `null` and none of it fits, the field is not mapped in this store.
        shared = {name: field for name, field in fields.items() if name not in store.fields}
        # Stores in which nothing differs are evaluated once, together.
        key = (store.name,) if own_where or store.fields else ()
        before = groups[key].stores if key in groups else ()
        groups[key] = StoreGroup((*before, store.name), (*where, *own_where), shared | own)
    if lacking:
        raise _lacks(mapping, sorted(lacking, key=lambda written: written.line), listed)
    every = tuple(groups.values()) or (StoreGroup((), where, fields),)
    return FittedMapping(mapping, fields, additional, every)


_Choose = Callable[[Alternatives], MappedField | None]
_UNNAMED = re.compile(r"column_\d+(?:_\d+)*")  # what reading calls a column without a name


def _chosen(choose: _Choose, listed: Iterable[Alternatives]) -> tuple[MappedField, ...]:
    return tuple(chosen for chosen in map(choose, listed) if chosen)


def _chosen_fields(choose: _Choose, written: dict[str, Alternatives]) -> dict[str, MappedField]:
    chosen = {name: choose(alternatives) for name, alternatives in written.items()}
    return {name: field for name, field in chosen.items() if field}


def _lacks(mapping: FieldMapping, lacking: list[Alternatives], columns: list[str]) -> MappingError:
    known = {column.casefold() for column in columns}
    missing = [
        dict.fromkeys(name for choice in written.choices for name in choice.columns if name.casefold() not in known)
        for written in lacking
    ]
    problem = f"{mapping.place(lacking[0])}: the export has no column {_listed(missing[0])}"
    if len(columns) == 1 and any(mark in columns[0] for mark in ";\t|"):
        return MappingError(
            f"{problem}; its only column is {columns[0]!r}",
            "the delimiter is probably wrong: set source.options.delimiter",
        )
    others = [
        f"line {written.line}, {written.label}, has no {_listed(names)}"
        for written, names in zip(lacking[1:], missing[1:], strict=True)
    ]
    near = {name: suggest(name, columns) for names in missing for name in names}
    hints = [hint if len(near) == 1 else f"for {name!r}, {hint}" for name, hint in near.items() if hint]
    if len(hints) < len(near):
        more = f" and {len(columns) - SHOWN_COLUMNS} more" if len(columns) > SHOWN_COLUMNS else ""
        hints.append(f"its columns are {', '.join(map(repr, columns[:SHOWN_COLUMNS]))}{more}")
    if sum(bool(_UNNAMED.fullmatch(column)) for column in columns) > len(columns) // 2:
        hints.insert(
            0, "most columns have no name: if the names are in a row further down, set source.header_row to it"
        )
    remedy = f"{'; '.join(hints)} (text, other than names, goes in single quotes)"
    return MappingError("; ".join([problem, *others]), remedy)


def _listed(names: Iterable[str]) -> str:
    return " or ".join(map(repr, names))
