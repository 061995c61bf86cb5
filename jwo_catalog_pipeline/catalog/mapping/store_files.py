"""Finds out whether each file of an export is a store's, and which part of its name says which.

Belongs here: SKUs that come again in other files and not in the same one, and what file names differ in.
Does not belong here: which column is the SKU (see `proposal.py`), how the files are read (see `source/`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from jwo_catalog_pipeline.catalog.mapping.column_facts import SOURCE_FILE
from jwo_catalog_pipeline.catalog.mapping.sql_engine import connect_locked, register
from jwo_catalog_pipeline.catalog.rules.rules import SOURCE_ROW
from jwo_catalog_pipeline.catalog.rules.store_rules import PLACEHOLDER
from jwo_catalog_pipeline.catalog.source.reading import FILES

FILES_LISTED = 100  # of more, a table is better
_SHARED = 0.2  # of the SKUs; parts of one catalog share next to none
_REPEATED = 0.02  # within a file; of more, the file holds several stores or variants itself


@dataclass(frozen=True)
class StoreFiles:
    """One file for each store.

    Attributes:
        expression: SQL over `source_file`.
        values: A lookup to fill in: what the expression gives, with a placeholder each. Empty where they are too many.
        why: The evidence.
        doubt: What a person must look at.
    """

    expression: str
    values: dict[str, str]
    why: str
    doubt: str


def find_store_files(source: pd.DataFrame, sku: str, conditions: list[str]) -> StoreFiles | None:
    """Whether the files of an export are the stores'; None where there is one file, or they are parts of one catalog.

    Args:
        source: As `read_export` gives it, with its attributes.
        sku: SQL over its columns.
        conditions: SQL that a row must meet to be an item.
    """
    names, rows = zip(*source.attrs.get(FILES, [["", len(source)]]), strict=True)
    if len(names) < 2 or len(set(names)) < len(names) or SOURCE_FILE in source:
        return None
    places = np.searchsorted(np.cumsum(rows), source[SOURCE_ROW].to_numpy())  # of a large export, not all rows are here
    files = pd.Series(np.array(names, dtype=object)[places], index=source.index, dtype="str")
    table = pa.Table.from_pandas(source.assign(**{SOURCE_FILE: files}), preserve_index=False)
    every = " AND ".join(f"({condition})" for condition in conditions) or "true"
    with connect_locked() as db:
        register(db, "source", table)
        shares = db.execute(
            f"SELECT avg((in_files > 1)::INT), sum(in_rows - in_files) / sum(in_rows) FROM ("  # noqa: S608 - a draft's SQL
            f"SELECT count(DISTINCT {SOURCE_FILE}) AS in_files, count(*) AS in_rows FROM source "
            f"WHERE {every} AND nullif({sku}, '') IS NOT NULL GROUP BY ({sku}))"
        ).fetchone()
    shared, repeated = shares or (None, None)
    if shared is None or shared < _SHARED or repeated > _REPEATED:
        return None
    expression, keys = _by_name(list(names))
    values = {key: f"{PLACEHOLDER}-{place}" for place, key in enumerate(keys, 1)} if len(keys) <= FILES_LISTED else {}
    why = f"{shared:.0%} of the SKUs are in several files, and a SKU is once in a file: each file is a store's"
    doubt = "only you know which file is of which store, and Amazon's ids of your stores"
    return StoreFiles(expression, values, why, doubt)


_DATE = re.compile(r"[0-9]{4,}|[0-9]{2}([-_.])[0-9]{2}\1[0-9]{2}")


def _by_name(names: list[str]) -> tuple[str, list[str]]:
    """SQL for what the names differ in, and its results. Where they have a date in common, tomorrow has another."""
    before = re.sub(r"[^\W_]*$", "", _common_start(names))
    behind = re.sub(r"^[^\W_]*", "", _common_start([name[::-1] for name in names])[::-1])
    keys = [name[len(before) : len(name) - len(behind)] for name in names]
    if not (_DATE.search(before) or _DATE.search(behind)) or not all(keys):
        return SOURCE_FILE, names
    pattern = f"^{_any_numbers(before)}(.+){_any_numbers(behind)}$".replace("'", "''")
    return f"regexp_extract({SOURCE_FILE}, '{pattern}', 1)", keys


def _common_start(names: list[str]) -> str:
    first, last = min(names), max(names)
    same = next((place for place, letter in enumerate(first) if letter != last[place : place + 1]), len(first))
    return first[:same]


def _any_numbers(text: str) -> str:
    return "[0-9]+".join(map(re.escape, re.split("[0-9]+", text)))
