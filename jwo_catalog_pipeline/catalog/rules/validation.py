"""Parts mapped rows into items that may be sent and rows that the data team must correct.

Belongs here: running the rules of `rulebook.py`, counting, sampling, giving reasons.
Does not belong here: the rules themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pandera.errors

from jwo_catalog_pipeline.catalog.errors import InvalidItems, StructureError
from jwo_catalog_pipeline.catalog.rules.facts import key_order, with_facts
from jwo_catalog_pipeline.catalog.rules.rulebook import OWN_LEVELS, rules
from jwo_catalog_pipeline.catalog.rules.rules import (
    ITEM_FIELDS,
    KEY,
    MAPPING_ERRORS,
    SOURCE_ROW,
    STRUCTURE,
    Level,
    Rule,
)

MAX_SAMPLES = 20
MAX_SHOWN = 80  # characters of an offending value in a reason


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


@dataclass(frozen=True)
class Validation:
    """Mapped rows, each in exactly one of two tables, and what the rules found.

    Attributes:
        valid: `source_row` and `ITEM_FIELDS`, ordered by `KEY` (bytes of UTF-8).
        quarantined: `source_row`, `reasons`, `ITEM_FIELDS`, ordered by `source_row`.
        rules: Every rule that was asked, in the order of `rulebook.rules`.
        warnings: `source_row`, `store_id`, `warnings` of the rows that have any, valid or quarantined, in order of
            `source_row`; empty where they were not asked for.
    """

    valid: pd.DataFrame
    quarantined: pd.DataFrame
    rules: tuple[RuleResult, ...]
    warnings: pd.DataFrame


def validate(
    mapped: pd.DataFrame,
    store_ids: Sequence[str] | None = None,
    levels: Mapping[str, Level] = OWN_LEVELS,
    with_warnings: bool = False,
) -> Validation:
    """Run every rule over mapped rows.

    Args:
        mapped: As `apply_mapping` gives them: `source_row`, `ITEM_FIELDS`, `mapping_errors`, perhaps `line_breaks`.
        store_ids: The retailer's stores, if they are known.
        levels: The levels of rules that the mapping file sets.
        with_warnings: Whether each row's warnings are wanted as text, too.

    Raises:
        StructureError: columns are missing or of another type.
    """
    _check_structure(mapped)
    items = with_facts(mapped.reset_index(drop=True))
    broken = np.zeros(len(items), dtype=bool)
    results, failing, warned = [], [], []
    for rule in rules(store_ids, levels):
        bad = _breaks(rule, items)
        results.append(_result(rule, items, bad))
        if rule.level == "error" and bad.any():
            broken |= bad
            failing.append((rule, bad))
        elif with_warnings and bad.any():
            warned.append((rule, bad))
    # In one step, for moving text about is what takes longest.
    order = key_order(items)
    valid = items[[SOURCE_ROW, *ITEM_FIELDS]].take(order[~broken[order]]).reset_index(drop=True)
    return Validation(valid, _quarantined(items, broken, failing), tuple(results), _warnings(items, warned))


def revalidate(items: pd.DataFrame, store_ids: Sequence[str] | None = None) -> None:
    """Check again what is about to be sent: a failed check of an earlier step stops nothing by itself.

    Asked is what Amazon forces. Every other level is the mapping's to set, which may have changed since.

    Args:
        items: At least the columns of `ITEM_FIELDS`.
        store_ids: The retailer's stores, if they are known.

    Raises:
        StructureError: columns are missing or of another type.
        InvalidItems: a forced rule fails; the message names the rules and up to 5 keys of each.
    """
    numbers = np.arange(1, len(items) + 1, dtype="int64")
    frame = items.reset_index(drop=True).assign(**{SOURCE_ROW: numbers})
    frame[MAPPING_ERRORS] = pd.Series(np.nan, index=frame.index, dtype="str")
    _check_structure(frame)
    frame = with_facts(frame)
    problems = []
    for rule in rules(store_ids):
        bad = _breaks(rule, frame) if rule.forced else np.zeros(0, dtype=bool)
        if bad.any():
            keys = frame.loc[bad, KEY].head(5).fillna("?").agg(" ".join, axis=1)
            shown = ", ".join(key[:MAX_SHOWN] for key in keys)
            problems.append(f"{rule.name} ({int(bad.sum())} items, such as {shown})")
    if problems:
        raise InvalidItems(
            f"items that must not be sent: {'; '.join(problems)}",
            "correct the source or its mapping, then materialize jwo_catalog and catalog_changes again",
        )


def _check_structure(frame: pd.DataFrame) -> None:
    try:
        STRUCTURE.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        # str(error) grows with the data; this does not.
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


def _quarantined(items: pd.DataFrame, broken: np.ndarray, failing: list[tuple[Rule, np.ndarray]]) -> pd.DataFrame:
    rows = items.loc[broken]
    table = rows[[SOURCE_ROW, *ITEM_FIELDS]]
    table.insert(1, "reasons", _in_words(rows, broken, failing))
    return table.sort_values(SOURCE_ROW, kind="stable", ignore_index=True)


def _warnings(items: pd.DataFrame, warned: list[tuple[Rule, np.ndarray]]) -> pd.DataFrame:
    some = np.zeros(len(items), dtype=bool)
    for _, bad in warned:
        some |= bad
    rows = items.loc[some]
    table = rows[[SOURCE_ROW, "store_id"]].assign(warnings=_in_words(rows, some, warned))
    return table.sort_values(SOURCE_ROW, kind="stable", ignore_index=True)


def _in_words(rows: pd.DataFrame, among: np.ndarray, failing: list[tuple[Rule, np.ndarray]]) -> pd.Series:
    """What is wrong with each row; `rows` are those `among` all items."""
    sentences = np.full(len(rows), "", dtype=object)
    for rule, bad in failing:
        here = bad[among]
        before, _, after = rule.sentence.partition("{value}")
        value = rows.loc[here, rule.shown].astype("str").fillna("").str.slice(0, _shown_length(rule))
        text = f"{rule.name}: {before}" + value + after if "{value}" in rule.sentence else f"{rule.name}: {before}"
        separator = np.where(sentences[here] == "", "", "; ")
        sentences[here] = sentences[here] + separator + (text if isinstance(text, str) else text.to_numpy(object))
    return pd.Series(sentences, index=rows.index, dtype="str")


def _shown_length(rule: Rule) -> int:
    # What the mapping says is a list of sentences, and other SKUs are a list: shortened already.
    return 1000 if rule.shown in (MAPPING_ERRORS, "barcode_others", "sku_twins") else MAX_SHOWN
