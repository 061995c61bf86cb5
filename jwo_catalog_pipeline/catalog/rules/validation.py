"""Parts mapped rows into items that may be sent and rows that the data team must correct.

Belongs here: running the rules of `schema.py`, counting, sampling, giving reasons.
Does not belong here: the rules themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import pandera.errors

from jwo_catalog_pipeline.catalog.errors import InvalidItems, StructureError
from jwo_catalog_pipeline.catalog.rules.facts import key_order, with_facts
from jwo_catalog_pipeline.catalog.rules.rules import (
    ITEM_FIELDS,
    KEY,
    MAPPING_ERRORS,
    SOURCE_ROW,
    STRUCTURE,
    Rule,
    rules,
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
    level: Literal["error", "warning"]
    description: str
    count: int
    samples: pd.DataFrame


@dataclass(frozen=True)
class Validation:
    """Mapped rows, each in exactly one of two tables, and what the rules found.

    Attributes:
        valid: `source_row` and `ITEM_FIELDS`, ordered by `KEY` (bytes of UTF-8).
        quarantined: `source_row`, `reasons`, `ITEM_FIELDS`, ordered by `source_row`.
        rules: Every rule that was asked, in the order of `schema.rules`.
    """

    valid: pd.DataFrame
    quarantined: pd.DataFrame
    rules: tuple[RuleResult, ...]


def validate(mapped: pd.DataFrame, store_ids: Sequence[str] | None = None) -> Validation:
    """Run every rule over mapped rows.

    Args:
        mapped: As `apply_mapping` gives them: `source_row`, `ITEM_FIELDS`, `mapping_errors`.
        store_ids: The retailer's stores, if they are known.

    Raises:
        StructureError: columns are missing or of another type.
    """
    _check_structure(mapped)
    items = with_facts(mapped.reset_index(drop=True))
    broken = np.zeros(len(items), dtype=bool)
    results, failing = [], []
    for rule in rules(store_ids):
        bad = _breaks(rule, items)
        results.append(_result(rule, items, bad))
        if rule.level == "error" and bad.any():
            broken |= bad
            failing.append((rule, bad))
    # In one step, for moving text about is what takes longest.
    order = key_order(items)
    valid = items[[SOURCE_ROW, *ITEM_FIELDS]].take(order[~broken[order]]).reset_index(drop=True)
    return Validation(valid, _quarantined(items, broken, failing), tuple(results))


def revalidate(items: pd.DataFrame, store_ids: Sequence[str] | None = None) -> None:
    """Check again what is about to be sent: a failed check of an earlier step stops nothing by itself.

    Args:
        items: At least the columns of `ITEM_FIELDS`.
        store_ids: The retailer's stores, if they are known.

    Raises:
        StructureError: columns are missing or of another type.
        InvalidItems: an error rule fails; the message names the rules and up to 5 keys of each.
    """
    numbers = np.arange(1, len(items) + 1, dtype="int64")
    frame = items.reset_index(drop=True).assign(**{SOURCE_ROW: numbers})
    frame[MAPPING_ERRORS] = pd.Series(np.nan, index=frame.index, dtype="str")
    _check_structure(frame)
    frame = with_facts(frame)
    problems = []
    for rule in rules(store_ids):
        bad = _breaks(rule, frame) if rule.level == "error" else np.zeros(0, dtype=bool)
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
    reasons = np.full(len(rows), "", dtype=object)
    for rule, bad in failing:
        here = bad[broken]
        before, _, after = rule.sentence.partition("{value}")
        value = rows.loc[here, rule.shown].astype("str").fillna("").str.slice(0, _shown_length(rule))
        text = f"{rule.name}: {before}" + value + after if "{value}" in rule.sentence else f"{rule.name}: {before}"
        separator = np.where(reasons[here] == "", "", "; ")
        reasons[here] = reasons[here] + separator + (text if isinstance(text, str) else text.to_numpy(object))
    table = rows[[SOURCE_ROW, *ITEM_FIELDS]]
    table.insert(1, "reasons", pd.Series(reasons, index=rows.index, dtype="str"))
    return table.sort_values(SOURCE_ROW, kind="stable", ignore_index=True)


def _shown_length(rule: Rule) -> int:
    # What the mapping says is a list of sentences, shortened already.
    return 1000 if rule.shown == MAPPING_ERRORS else MAX_SHOWN
