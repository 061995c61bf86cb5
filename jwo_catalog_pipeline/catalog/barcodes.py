"""What the barcode rules of `functions.sql` say about columns of codes.

Belongs here: evaluating those SQL functions over the distinct values of pandas columns.
Does not belong here: any rule about barcodes; `functions.sql` alone holds them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from jwo_catalog_pipeline.catalog.engine import connect_locked, register

_RIGHT = "_check_digit_right(x[1], x[2])"


def barcode_facts(codes: pd.Series, types: pd.Series) -> pd.DataFrame:
    """What can be said about barcodes and the types that they are declared to have.

    Args:
        codes: Barcodes, `str`.
        types: UPC, EAN, EAN8, ISBN, GTIN, PLU or missing, same index.

    Returns:
        Booleans, same index: `fits_type` (length and form; true without a known type), `check_digit_right` (true
        where the code has none), `form_known`, `form_ambiguous` (right both as EAN8 and as UPC-E). A missing code is
        fine in every respect.
    """
    # SQL gives NULL where a question does not apply; that is no fault.
    return _over_distinct(
        [codes, types],
        {
            "fits_type": "coalesce(_fits_type(c0, c1), true)",
            "check_digit_right": "coalesce(_check_digit_right(c0, c1), true)",
            "form_known": "coalesce(_known_form(c0), true)",
            "form_ambiguous": "coalesce(_ambiguous(c0), false)",
        },
    )


def additional_barcode_facts(pairs: pd.Series) -> pd.DataFrame:
    """What can be said about lists of further barcodes.

    Args:
        pairs: JSON text of [code, type or null] pairs, `str`, or missing.

    Returns:
        Same index: `count` (int64; 0 where missing), `wrong` (`str`): a code whose check digit is wrong, or the
        whole text where it is no list of pairs; missing where all is well.
    """
    facts = pd.DataFrame({"count": 0, "wrong": pd.Series(np.nan, index=pairs.index, dtype="str")}, index=pairs.index)
    given = pairs.dropna()
    if given.empty:
        return facts
    parsed = "TRY(from_json_strict(c0, '[[\"VARCHAR\"]]'))"
    wrong = f"list_filter({parsed}, lambda x: len(x) <> 2 OR x[1] IS NULL OR NOT coalesce({_RIGHT}, true))"
    found = _over_distinct(
        [given],
        {
            "count": f"coalesce(len({parsed}), 0)",
            # A wrong entry that has no code shows the whole text.
            "wrong": f"CASE WHEN {parsed} IS NULL THEN c0 WHEN len({wrong}) > 0 THEN coalesce({wrong}[1][1], c0) END",
        },
    )
    facts.loc[given.index, "count"] = found["count"].astype("int64")
    facts.loc[given.index, "wrong"] = found["wrong"].astype("str")
    return facts


def _over_distinct(columns: Sequence[pd.Series], facts: dict[str, str]) -> pd.DataFrame:
    """Evaluate SQL expressions over c0, c1, ... once for each distinct combination of values."""
    codes, uniques = zip(*(pd.factorize(column, use_na_sentinel=False) for column in columns), strict=True)
    combined = codes[0].astype("int64")
    for code, unique in zip(codes[1:], uniques[1:], strict=True):
        combined = combined * len(unique) + code
    _, first, inverse = np.unique(combined, return_index=True, return_inverse=True)
    arrays = {f"c{number}": pa.array(column.iloc[first], pa.string()) for number, column in enumerate(columns)}
    with connect_locked() as db:
        register(db, "codes", pa.table({"id": np.arange(len(first)), **arrays}))
        selected = ", ".join(f"{sql} AS {name}" for name, sql in facts.items())
        found = db.sql(f"SELECT id, {selected} FROM codes ORDER BY id").to_arrow_table().to_pandas()  # noqa: S608
    result: pd.DataFrame = found[list(facts)].take(inverse)
    return result.set_index(columns[0].index)
