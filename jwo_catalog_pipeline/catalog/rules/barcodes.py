"""What the barcode rules of `functions.sql` say about columns of codes.

Belongs here: evaluating those SQL functions over pandas columns.
Does not belong here: any rule about barcodes; `functions.sql` alone holds them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from jwo_catalog_pipeline.catalog.mapping.sql_engine import connect_locked, register

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
    return _over_rows(
        [codes, types],
        "_barcode_facts(c0, c1) AS f",
        {
            "fits_type": "coalesce(f.fits, true)",
            "check_digit_right": "coalesce(f.right, true)",
            "form_known": "coalesce(f.known, true)",
            "form_ambiguous": "coalesce(f.ambiguous, false)",
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
    table = _over_rows(
        [given],
        f"{parsed} AS parsed, {wrong} AS wrong",
        {
            "count": "coalesce(len(parsed), 0)",
            # A wrong entry that has no code shows the whole text.
            "wrong": "CASE WHEN parsed IS NULL THEN c0 WHEN len(wrong) > 0 THEN coalesce(wrong[1][1], c0) END",
        },
    )
    facts.loc[given.index, "count"] = table["count"].astype("int64")
    facts.loc[given.index, "wrong"] = table["wrong"].astype("str")
    return facts


def _over_rows(columns: Sequence[pd.Series], evaluated: str, facts: dict[str, str]) -> pd.DataFrame:
    """Evaluate SQL over c0, c1, ..., the columns: `evaluated` first, and from it the `facts`, one column each."""
    arrays = {f"c{number}": pa.array(column, pa.large_string()) for number, column in enumerate(columns)}
    with connect_locked() as db:
        register(db, "codes", pa.table({"id": np.arange(len(columns[0])), **arrays}))
        selected = ", ".join(f"{sql} AS {name}" for name, sql in facts.items())
        query = f"SELECT id, {selected} FROM (SELECT *, {evaluated} FROM codes) ORDER BY id"  # noqa: S608
        table: pd.DataFrame = db.sql(query).to_arrow_table().to_pandas()
    return table[list(facts)].set_index(columns[0].index)
