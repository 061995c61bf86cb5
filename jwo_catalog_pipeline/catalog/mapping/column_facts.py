"""Looks at what the columns of an export hold.

Belongs here: shares of barcodes, prices and words, and which columns fill each other's gaps.
Does not belong here: which JWO field a column is for (see `proposal.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import duckdb
import pandas as pd
import pyarrow as pa

from jwo_catalog_pipeline.catalog.mapping.sql_engine import connect_locked, register
from jwo_catalog_pipeline.catalog.rules.rules import SOURCE_ROW

ROWS_LOOKED_AT = 100_000  # from the beginning; shares do not get better by more


@dataclass(frozen=True)
class ColumnFacts:
    """What a column holds: shares of its filled values, except `filled`, which is of all rows.

    Attributes:
        name: The column.
        filled: Share of rows with a value.
        distinct: Number of different values.
        unique: Different values by filled rows.
        barcodes: Share that is a barcode with a right check digit, once lost zeros are put back.
        prices: Share that can be read as a price in one way only.
        decimals: Share that has a decimal separator.
        words: Share that holds at least two letters.
        length: Mean number of characters.
        sample: The first value.
    """

    name: str
    filled: float
    distinct: int
    unique: float
    barcodes: float
    prices: float
    decimals: float
    words: float
    length: float
    sample: str


def column_facts(source: pd.DataFrame) -> list[ColumnFacts]:
    """Look at every column of an export, as `read_source` gives it."""
    head = source.head(ROWS_LOOKED_AT)
    table = pa.Table.from_pandas(head, preserve_index=False)
    with connect_locked() as db:
        register(db, "source", table)
        names = [str(name) for name in head.columns if name not in (SOURCE_ROW, SOURCE_FILE)]
        return [_facts(db, name, '"' + name.replace('"', '""') + '"', len(head)) for name in names]


SOURCE_FILE = "source_file"


def result_facts(source: pd.DataFrame, expressions: dict[str, str], conditions: list[str]) -> dict[str, ColumnFacts]:
    """Look at what expressions make of the rows that meet every condition.

    Args:
        source: As `read_source` gives it.
        expressions: SQL over its columns, by any name.
        conditions: SQL over its columns.
    """
    head = source.head(ROWS_LOOKED_AT)
    table = pa.Table.from_pandas(head, preserve_index=False)
    every = " AND ".join(f"({condition})" for condition in conditions) or "true"
    with connect_locked() as db:
        register(db, "every_row", table)
        db.execute(f"CREATE TEMP TABLE source AS SELECT * FROM every_row WHERE {every}")  # noqa: S608 - of ready mappings
        counted = db.execute("SELECT count(*) FROM source").fetchone()
        return {name: _facts(db, name, f"({sql})", counted[0] if counted else 0) for name, sql in expressions.items()}


def _facts(db: duckdb.DuckDBPyConnection, name: str, column: str, rows: int) -> ColumnFacts:
    shares = {
        "barcodes": "length(code) >= 8 AND barcode_type(code) IS NOT NULL",
        "prices": r"regexp_full_match(price(value), '[0-9]+\.[0-9]{2}')",
        "decimals": r"regexp_matches(value, '[0-9][.,][0-9]{1,2}($|[^0-9])')",
        "words": r"regexp_matches(value, '\p{L}.*\p{L}')",
    }
    averages = ", ".join(f"coalesce(avg(({condition})::INT), 0) AS {share}" for share, condition in shares.items())
    row = db.execute(
        f"SELECT count(*) AS filled, count(DISTINCT value) AS distinct_values, {averages}, "  # noqa: S608
        "coalesce(avg(length(value)), 0) AS mean_length, coalesce(arg_min(value, row), '') AS sample "
        f"FROM (SELECT value, restore_barcode(value) AS code, row FROM "
        f"(SELECT nullif({column}, '') AS value, {SOURCE_ROW} AS row FROM source)) WHERE value IS NOT NULL"
    ).fetchone()
    filled, distinct, barcodes, prices, decimals, words, length, sample = row or (0, 0, 0, 0, 0, 0, 0, "")
    return ColumnFacts(
        name=name,
        filled=filled / rows if rows else 0.0,
        distinct=distinct,
        unique=distinct / filled if filled else 0.0,
        barcodes=barcodes,
        prices=prices,
        decimals=decimals,
        words=words,
        length=length,
        sample=sample,
    )


def gap_filled(source: pd.DataFrame, column: str, other: str) -> float:
    """Share of the rows without a value in `column` that have one in `other`; 0 where no value is missing."""
    head = source.head(ROWS_LOOKED_AT)
    gaps = head[column].isna()
    return float(head.loc[gaps, other].notna().mean()) if gaps.any() else 0.0


def differing(source: pd.DataFrame, column: str, other: str) -> float:
    """Share of all rows in which both columns have a value and these differ."""
    head = source.head(ROWS_LOOKED_AT)
    both = head[column].notna() & head[other].notna() & (head[column] != head[other])
    return float(both.mean()) if len(head) else 0.0


_TOTAL = re.compile(
    r"(grand |sub)?total(s|en|e)?|sum(me|ma)?|gesamt(summe)?|totaux|итого|סה[\"״']?כ|合計", re.IGNORECASE
)


def total_row(source: pd.DataFrame) -> tuple[str, str] | None:
    """The column and the word by which one of the last rows says that it is a sum; None where none does."""
    for _, row in source.tail(3).iloc[::-1].iterrows():
        for column, value in row.items():
            if isinstance(value, str) and _TOTAL.fullmatch(value.strip().rstrip(": ")):
                return str(column), value
    return None
