"""Finds out which character separates the decimals of a column of prices.

Belongs here: when the separator is named in the proposed expression, which makes `1.299` readable.
Does not belong here: which column holds the prices (see `proposal.py`), reading one (see `functions.sql`).
"""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from jwo_catalog_pipeline.catalog.mapping.column_facts import ROWS_LOOKED_AT, result_facts
from jwo_catalog_pipeline.catalog.mapping.proposal import Proposed

_GAIN = 0.005  # of the prices; for fewer, the separator is not named


def with_separator(price: Proposed, source: pd.DataFrame) -> Proposed:
    """Name the decimal separator where that makes more of the prices readable, and others are clearly written with it.

    Without the second, `1.299` among prices such as `4.99` would become 1299.00: it stays an error.

    Args:
        price: The proposal for `standard_price`.
        source: As `read_export` gives it.
    """
    inner = price.expression.removesuffix(")")
    tried = {"": price.expression, "'.'": f"{inner}, '.')", "','": f"{inner}, ',')"}
    written = source[price.column].head(ROWS_LOOKED_AT).dropna().astype(str)
    points, commas = (int(written.str.contains(rf"[0-9]\{mark}[0-9]{{1,2}}(?![0-9])").sum()) for mark in ".,")
    clear = [""] + ["'.'"] * (points > commas) + ["','"] * (commas > points)
    results = result_facts(source, {separator: tried[separator] for separator in clear}, [])
    best = max(clear, key=lambda separator: results[separator].prices)
    gain = results[best].prices - results[""].prices
    if gain < _GAIN:
        return price
    doubt = f"{gain:.0%} of the prices can be read only if {best} separates the decimals"
    return replace(price, expression=tried[best], doubts=(*price.doubts, doubt))
