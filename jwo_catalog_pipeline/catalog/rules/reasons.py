"""Says in words what is wrong with rows that break rules.

Belongs here: the sentences of the quarantined and the warned rows.
Does not belong here: which rows break which rule (see `validation.py`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS, MAPPING_ERRORS, SOURCE_ROW, Rule

MAX_SHOWN = 80  # characters of an offending value in a reason


def quarantined_rows(items: pd.DataFrame, broken: np.ndarray, failing: list[tuple[Rule, np.ndarray]]) -> pd.DataFrame:
    """The rows that break an error, with the reasons."""
    rows = items.loc[broken]
    table = rows[[SOURCE_ROW, *ITEM_FIELDS]]
    table.insert(1, "reasons", _in_words(rows, broken, failing))
    return table


def warned_rows(items: pd.DataFrame, warned: list[tuple[Rule, np.ndarray]]) -> pd.DataFrame:
    """The rows that break a rule that only warns, with what is wrong."""
    some = np.zeros(len(items), dtype=bool)
    for _, bad in warned:
        some |= bad
    rows = items.loc[some]
    return rows[[SOURCE_ROW, "store_id"]].assign(warnings=_in_words(rows, some, warned))


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
