"""What `functions.sql` says about columns of codes and texts.

Belongs here: evaluating the SQL functions of `functions.sql` over pandas columns.
Does not belong here: any rule about barcodes; `functions.sql` alone holds them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from jwo_catalog_pipeline.catalog.mapping.sql_engine import connect_locked, register

# What keeps a text from being a barcode, as `_barcode_fault` counts them.
CHARACTERS, ROUNDED, PLACEHOLDER = 1, 2, 3
_RIGHT = "_check_digit_right(x[1], x[2])"


def barcode_facts(codes: pd.Series, types: pd.Series) -> pd.DataFrame:
    """What can be said about barcodes and the types that they are declared to have.

    Args:
        codes: Barcodes, `str`.
        types: UPC, EAN, EAN8, ISBN, GTIN, PLU or missing, same index.

    Returns:
        Same index. Booleans: `fits_type` (length and form; true without a known type), `check_digit_right` (true
        where the code has none), `form_known` (or it is no code at all), `form_ambiguous` (right both as EAN8 and as
        UPC-E), `barcode_weighed` (numbered in the store: EAN 02 and 20 to 29, UPC 2, whatever packaging
        digit). Numbers: `barcode_fault` (0, or `CHARACTERS`, `ROUNDED`,
        `PLACEHOLDER`) and `product_number` (int64; the same for UPC, EAN and GTIN of one product; 0 where there is
        none). A missing code is fine in every respect.
    """
    # SQL gives NULL where a question does not apply; that is no fault.
    facts = _over_rows(
        [codes, types],
        "_barcode_facts(c0, c1) AS f",
        {
            "fits_type": "coalesce(f.fits, true)",
            "check_digit_right": "coalesce(f.right, true)",
            "form_known": "coalesce(f.known, true)",
            "form_ambiguous": "coalesce(f.ambiguous, false)",
            "barcode_fault": "coalesce(f.fault, 0)::TINYINT",
            "number": "coalesce(f.number, 0)::BIGINT",
        },
    )
    number, right, fault = (facts[name].to_numpy() for name in ("number", "check_digit_right", "barcode_fault"))
    fault = np.where(fault < 0, _fault_of_long(number), fault)
    prefix = number % 10**13 // 10**11
    facts["barcode_fault"] = fault
    facts["barcode_weighed"] = (number > 0) & ((prefix == 2) | ((prefix >= 20) & (prefix <= 29)))
    facts["product_number"] = np.where(fault > 0, 0, product_numbers(number, right))
    return facts.drop(columns="number")


def _fault_of_long(number: np.ndarray) -> np.ndarray:
    """The faults of codes of 12 to 14 digits, as `_barcode_fault` finds them in others, too."""
    alike = [int(digit * length) for digit in "0123456789" for length in (12, 13, 14)]
    return np.select([np.isin(number, alike), number % 10**6 == 0], [PLACEHOLDER, ROUNDED], 0).astype("int8")


def product_numbers(number: np.ndarray, right: np.ndarray) -> np.ndarray:
    """From `_code_number`, whose last digit is the check digit, a number for each product: without a right one, a code
    stands for itself."""
    return np.where((number > 0) & right, number // 10, -np.abs(number))


def additional_barcode_facts(pairs: pd.Series) -> pd.DataFrame:
    """What can be said about lists of further barcodes.

    Args:
        pairs: JSON text of [code, type or null] pairs, `str`, or missing.

    Returns:
        Same index: `count` (int64; 0 where missing), `wrong` (`str`): a code whose check digit is wrong, or the
        whole text where it is no list of pairs; `fault` (`str`): a code that has a fault; both missing where all is
        well; `products` (lists of int64, or missing): the product numbers of the others.
    """
    empty = pd.Series(np.nan, index=pairs.index, dtype="str")
    facts = pd.DataFrame({"count": 0, "wrong": empty, "fault": empty, "products": None}, index=pairs.index)
    given = pairs.dropna()
    if given.empty:
        return facts
    parsed = "TRY(from_json_strict(c0, '[[\"VARCHAR\"]]'))"
    wrong = f"list_filter({parsed}, lambda x: len(x) <> 2 OR x[1] IS NULL OR NOT coalesce({_RIGHT}, true))"
    faulty = f"list_filter({parsed}, lambda x: _barcode_fault(x[1]) > 0)"
    sound = f"list_filter({parsed}, lambda x: _barcode_fault(x[1]) = 0)"
    table = _over_rows(
        [given],
        f"{parsed} AS parsed, {wrong} AS wrong, {faulty} AS faulty, "
        f"list_transform({sound}, lambda x: list_transform([_code_number(x[1], x[2])], lambda n: "
        f"CASE WHEN n > 0 AND coalesce({_RIGHT}, false) THEN n // 10 ELSE -abs(n) END)[1]) AS products",
        {
            "count": "coalesce(len(parsed), 0)",
            # A wrong entry that has no code shows the whole text.
            "wrong": "CASE WHEN parsed IS NULL THEN c0 WHEN len(wrong) > 0 THEN coalesce(wrong[1][1], c0) END",
            "fault": "faulty[1][1]",
            "products": "products",
        },
    )
    facts.loc[given.index, "count"] = table["count"].astype("int64")
    facts.loc[given.index, "wrong"] = table["wrong"].astype("str")
    facts.loc[given.index, "fault"] = table["fault"].astype("str")
    facts.loc[given.index, "products"] = table["products"]
    return facts


def marked_up(texts: pd.Series) -> pd.Series:
    """Whether texts, `str` without missing ones, hold HTML entities or tags, as `plain` takes them out."""
    return _over_rows([texts], "_unmarked(c0) <> c0 AS marked", {"marked": "marked"})["marked"].astype(bool)


def _over_rows(columns: Sequence[pd.Series], evaluated: str, facts: dict[str, str]) -> pd.DataFrame:
    """Evaluate SQL over c0, c1, ..., the columns: `evaluated` first, and from it the `facts`, one column each."""
    arrays = {f"c{number}": pa.array(column, pa.large_string()) for number, column in enumerate(columns)}
    with connect_locked() as db:
        register(db, "codes", pa.table({"id": np.arange(len(columns[0])), **arrays}))
        selected = ", ".join(f"{sql} AS {name}" for name, sql in facts.items())
        query = f"SELECT id, {selected} FROM (SELECT *, {evaluated} FROM codes) ORDER BY id"  # noqa: S608
        table: pd.DataFrame = db.sql(query).to_arrow_table().to_pandas()
    return table[list(facts)].set_index(columns[0].index)
