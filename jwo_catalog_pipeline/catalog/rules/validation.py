"""Parts mapped rows into items that may be sent and rows that the data team must correct.

Belongs here: running the rules of `rulebook.py`, counting, sampling, giving reasons.
Does not belong here: the rules themselves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.errors
import pyarrow as pa
import pyarrow.compute as pc

from jwo_catalog_pipeline.catalog.errors import InvalidItems, StructureError
from jwo_catalog_pipeline.catalog.mapping.sql_engine import FUNCTIONS
from jwo_catalog_pipeline.catalog.pieces import in_order, spread, with_rows_beside
from jwo_catalog_pipeline.catalog.rules.reasons import MAX_SHOWN, quarantined_rows, warned_rows
from jwo_catalog_pipeline.catalog.rules.row_facts import ROW_FACTS, with_row_facts
from jwo_catalog_pipeline.catalog.rules.rulebook import OWN_LEVELS, rules
from jwo_catalog_pipeline.catalog.rules.rules import (
    ITEM_FIELDS,
    KEY,
    LINE_BREAKS,
    MAPPING_ERRORS,
    SOURCE_ROW,
    STRUCTURE,
    Level,
    Rule,
)
from jwo_catalog_pipeline.catalog.rules.shared_facts import SHARED_FACTS, shared_facts
from jwo_catalog_pipeline.table_file import TableFile, TableWriter, as_frame, write_table

CHECKED_WITH = "checked_with"  # the attribute of valid items that says what checked them
MAX_SAMPLES = 20


@dataclass(frozen=True)
class RuleResult:
    """What one rule found.

    Attributes:
        name: The rule's name.
        fields: The JWO fields that it is about.
        level: An error keeps a row from being sent; a warning does not.
        description: What is required, and why.
        count: Rows that break the rule, valid and quarantined ones together.
        samples: At most 20 of them: `source_row`, `store_id`, `item_sku`, `value`.
    """

    name: str
    fields: tuple[str, ...]
    level: Level
    description: str
    count: int
    samples: pd.DataFrame

    @classmethod
    def of(cls, rule: Rule) -> RuleResult:
        """The result of a rule that no row breaks."""
        texts = dict.fromkeys([*KEY, "value"], pd.Series(dtype="str"))
        samples = pd.DataFrame({SOURCE_ROW: pd.Series(dtype="int64"), **texts})
        return cls(rule.name, rule.fields, rule.level, rule.description, 0, samples)

    def plus(self, later: RuleResult) -> RuleResult:
        """This result, and that of the rows that follow."""
        lacking = MAX_SAMPLES - len(self.samples)
        samples = pd.concat([self.samples, later.samples.head(lacking)], ignore_index=True) if lacking else self.samples
        return replace(self, count=self.count + later.count, samples=samples)


@dataclass(frozen=True)
class Validation:
    """Mapped rows, each in exactly one of two tables, and what the rules found.

    Attributes:
        valid: `source_row` and `ITEM_FIELDS`, in the order of the source.
        quarantined: `source_row`, `reasons`, `ITEM_FIELDS`, in the order of the source.
        rules: Every rule that was asked, in the order of `rulebook.rules`.
        warnings: `source_row`, `store_id`, `warnings` of the rows that have any, valid or quarantined, in the order of
            the source; empty where they were not asked for.
    """

    valid: TableFile
    quarantined: TableFile
    rules: tuple[RuleResult, ...]
    warnings: TableFile


_TEXT = pa.large_string()
_FIELDS = [(name, _TEXT) for name in ITEM_FIELDS]
VALID = pa.schema([(SOURCE_ROW, pa.int64()), *_FIELDS])
QUARANTINED = pa.schema([(SOURCE_ROW, pa.int64()), ("reasons", _TEXT), *_FIELDS])
_WARNINGS = pa.schema([(SOURCE_ROW, pa.int64()), ("store_id", _TEXT), ("warnings", _TEXT)])


def validate(
    items: TableFile,
    folder: Path,
    store_ids: Sequence[str] | None = None,
    levels: Mapping[str, Level] = OWN_LEVELS,
    with_warnings: bool = False,
    attrs: Mapping[str, Any] | None = None,
) -> Validation:
    """Run every rule over mapped rows, a piece at a time.

    Args:
        items: As `apply_mapping` gives them: `source_row`, `ITEM_FIELDS`, `mapping_errors`, perhaps `line_breaks` and
            the facts of `row_facts.py`.
        folder: Where the tables are written.
        store_ids: The retailer's stores, if they are known.
        levels: The levels of rules that the mapping file sets.
        with_warnings: Whether each row's warnings are wanted as text, too.
        attrs: What to note about the valid and the quarantined rows; about valid ones also `CHECKED_WITH`.

    Raises:
        StructureError: columns are missing or of another type.
    """
    _check_structure(items.schema)
    asked = rules(store_ids, levels)
    results = {rule.name: RuleResult.of(rule) for rule in asked}
    checked = {**(attrs or {}), CHECKED_WITH: checked_with(store_ids)}
    with (
        TableWriter(folder / "valid.parquet", VALID, checked) as valid,
        TableWriter(folder / "quarantined.parquet", QUARANTINED, dict(attrs or {})) as quarantined,
        TableWriter(folder / "warnings.parquet", _WARNINGS) as warnings,
    ):
        for piece in _checked_pieces(items, folder, asked, with_warnings):
            valid.write(piece.valid)
            quarantined.write(piece.quarantined)
            warnings.write(piece.warnings)
            for result in piece.results:
                results[result.name] = results[result.name].plus(result)
    return Validation(valid.table, quarantined.table, tuple(results.values()), warnings.table)


def checked_with(store_ids: Sequence[str] | None = None) -> str:
    """A digest of what items are checked with: the forced rules, their code, and the retailer's stores.

    Where it is the same as when items were checked, `revalidate` finds nothing.
    """
    digest = hashlib.sha256(f"{version('jwo-catalog-pipeline')}\0{FUNCTIONS}".encode())
    for file in sorted(resources.files(__package__).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".py"):
            digest.update(file.read_bytes())
    forced = [rule.name for rule in rules(store_ids) if rule.forced]
    digest.update("\0".join([*forced, "", *sorted(set(store_ids or ()))]).encode())
    return digest.hexdigest()


def revalidate(items: TableFile, folder: Path, store_ids: Sequence[str] | None = None) -> None:
    """Check again what is about to be sent: a failed check of an earlier step stops nothing by itself.

    Asked is what Amazon forces. Every other level is the mapping's to set, which may have changed since.

    Args:
        items: At least the columns of `ITEM_FIELDS`.
        folder: For tables that are needed on the way.
        store_ids: The retailer's stores, if they are known.

    Raises:
        StructureError: columns are missing or of another type.
        InvalidItems: a forced rule fails; the message names the rules and up to 5 keys of each.
    """
    lacking = {SOURCE_ROW: pa.int64(), MAPPING_ERRORS: _TEXT}
    known = [field for field in items.schema if field.name in ITEM_FIELDS]
    _check_structure(pa.schema([*lacking.items(), *known]))
    with_both = (
        piece.append_column(SOURCE_ROW, pa.array(range(len(piece)), pa.int64())).append_column(
            MAPPING_ERRORS, pa.nulls(len(piece), _TEXT)
        )
        for piece in items.pieces(list(ITEM_FIELDS))
    )
    schema = pa.schema([*known, *lacking.items()])
    again = write_table(folder / "again.parquet", with_both, schema)
    asked = [rule for rule in rules(store_ids) if rule.forced]
    results = {rule.name: RuleResult.of(rule) for rule in asked}
    for piece in _checked_pieces(again, folder, asked, with_warnings=False):
        for result in piece.results:
            results[result.name] = results[result.name].plus(result)
    problems = []
    for result in results.values():
        if result.count:
            keys = result.samples[KEY].head(5).fillna("?").agg(" ".join, axis=1)
            shown = ", ".join(key[:MAX_SHOWN] for key in keys)
            problems.append(f"{result.name} ({result.count} items, such as {shown})")
    if problems:
        raise InvalidItems(
            f"items that must not be sent: {'; '.join(problems)}",
            "correct the source or its mapping, then materialize jwo_catalog and catalog_changes again",
        )


@dataclass(frozen=True)
class _Checked:
    """What the rules found in a piece."""

    valid: pa.Table
    quarantined: pd.DataFrame
    warnings: pd.DataFrame
    results: list[RuleResult]


def _checked_pieces(items: TableFile, folder: Path, asked: Sequence[Rule], with_warnings: bool) -> Iterator[_Checked]:
    items = _with_facts(items, folder)
    known = [name for name in items.columns if name != LINE_BREAKS]
    shared = shared_facts(items, folder)

    def checked(beside: tuple[int, pa.Table, pa.Table]) -> _Checked:
        return _checked(*beside, asked, with_warnings)

    yield from in_order(checked, with_rows_beside(items.pieces(known), shared))


def _with_facts(items: TableFile, folder: Path) -> TableFile:
    """Items with the facts of single rows; the same file where it holds them."""
    if {name for name, _ in ROW_FACTS} <= set(items.columns):
        return items
    schema = pa.schema([*(field for field in items.schema if field.name not in dict(ROW_FACTS)), *ROW_FACTS])
    return write_table(folder / "facts.parquet", in_order(with_row_facts, items.pieces()), schema)


def _checked(first: int, piece: pa.Table, shared: pa.Table, asked: Sequence[Rule], with_warnings: bool) -> _Checked:
    for name in SHARED_FACTS.names[1:]:
        fact = spread(shared, name, first, len(piece))
        piece = piece.append_column(name, pc.fill_null(fact, False) if pa.types.is_boolean(fact.type) else fact)
    items = as_frame(piece)
    broken = np.zeros(len(items), dtype=bool)
    results, failing, warned = [], [], []
    for rule in asked:
        bad = _breaks(rule, items)
        if not bad.any():
            continue
        results.append(_result(rule, items, bad))
        if rule.level == "error":
            broken |= bad
            failing.append((rule, bad))
        elif with_warnings:
            warned.append((rule, bad))
    valid = piece.select(VALID.names)
    return _Checked(
        valid.filter(pa.array(~broken)) if broken.any() else valid,
        quarantined_rows(items, broken, failing),
        warned_rows(items, warned),
        results,
    )


def _check_structure(schema: pa.Schema) -> None:
    try:
        STRUCTURE.validate(as_frame(schema.empty_table()), lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases[["column", "check", "failure_case"]].astype("str").drop_duplicates().head(10)
        shown = "; ".join(f"{case.column}: {case.check} ({case.failure_case})"[:200] for case in cases.itertuples())
        raise StructureError(f"the table does not have the catalog's columns: {shown}") from error


def _breaks(rule: Rule, items: pd.DataFrame) -> np.ndarray:
    return ~rule.check(items).check_output.to_numpy(dtype=bool)


def _result(rule: Rule, items: pd.DataFrame, bad: np.ndarray) -> RuleResult:
    first = np.flatnonzero(bad)[:MAX_SAMPLES]
    samples = items[[SOURCE_ROW, *KEY]].take(first)
    samples["value"] = items[rule.shown].take(first).astype("str").str.slice(0, 300)
    samples = samples.reset_index(drop=True)
    return RuleResult(rule.name, rule.fields, rule.level, rule.description, int(bad.sum()), samples)
