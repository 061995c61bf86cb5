"""What `functions.sql` says about columns of codes and texts.

Belongs here: evaluating the SQL functions of `functions.sql` over columns.
Does not belong here: any rule about barcodes; `functions.sql` alone holds them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jwo_catalog_pipeline.catalog.mapping.sql_engine import connect_locked, register
from jwo_catalog_pipeline.catalog.rules.rules import ADDITIONAL_BARCODES, BARCODE_TYPES

# What keeps a text from being a barcode, as `_barcode_fault` counts them.
CHARACTERS, ROUNDED, PLACEHOLDER = 1, 2, 3
_RIGHT = "_check_digit_right(x[1], x[2])"


def barcode_facts(items: pa.Table) -> dict[str, pa.Array]:
    """What can be said about the barcodes of items, and the types that they are declared to have.

    Args:
        items: At least `external_product_id` and `external_product_id_type`.

    Returns:
        Columns of the same length. Booleans: `fits_type` (length and form; true without a known type),
        `check_digit_right` (true where the code has none), `form_known` (or it is no code at all), `form_ambiguous`
        (right both as EAN8 and as UPC-E), `barcode_weighed` (numbered in the store: EAN 02 and 20 to 29, UPC 2,
        whatever packaging digit). Numbers: `barcode_fault` (0, or `CHARACTERS`, `ROUNDED`, `PLACEHOLDER`) and
        `product_number` (int64; the same for UPC, EAN and GTIN of one product; 0 where there is none). A missing code
        is fine in every respect.
    """
    codes = items["external_product_id"].combine_chunks()
    types = items["external_product_id_type"].combine_chunks()
    types = pc.if_else(pc.is_in(types, pa.array(BARCODE_TYPES, types.type)), types, pa.scalar(None, types.type))
    lengths = pc.binary_length(codes)
    digits = pc.and_(pc.string_is_ascii(codes), pc.utf8_is_digit(codes))
    long = pc.fill_null(pc.and_(digits, pc.is_in(lengths, pa.array([12, 13, 14], lengths.type))), False)
    facts = _facts_of_long(codes, types, lengths, long)
    others = np.flatnonzero(pc.and_(pc.invert(long), codes.is_valid()).to_numpy(zero_copy_only=False))
    if len(others):
        found = _over_rows([codes.take(pa.array(others)), types.take(pa.array(others))], *_OF_OTHERS)
        for name in facts:
            facts[name][others] = found[name].to_numpy()
    number, right, fault = facts.pop("number"), facts["check_digit_right"], facts["barcode_fault"]
    prefix = number % 10**13 // 10**11
    facts["barcode_weighed"] = (number > 0) & ((prefix == 2) | ((prefix >= 20) & (prefix <= 29)))
    facts["product_number"] = np.where(fault > 0, 0, product_numbers(number, right))
    return {name: pa.array(values) for name, values in facts.items()}


# SQL gives NULL where a question does not apply; that is no fault.
_OF_OTHERS = (
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
_LENGTHS = {"UPC": 12, "EAN": 13, "GTIN": 14}  # of 12 digits or more


def _facts_of_long(codes: pa.Array, types: pa.Array, lengths: pa.Array, long: pa.Array) -> dict[str, np.ndarray]:
    """The facts of codes of 12 to 14 digits, which most are, by arithmetic over all of them; of no code elsewhere."""
    is_long = np.asarray(long)
    number = np.zeros(len(codes), dtype="int64")
    number[is_long] = codes.filter(long).cast(pa.int64()).to_numpy()
    right = np.ones(len(codes), dtype=bool)
    with connect_locked() as db:
        register(db, "codes", pa.table({"n": number[is_long]}))
        right[is_long] = db.sql("SELECT _gs1_right(n) AS gs1_right FROM codes").to_arrow_table()["gs1_right"].to_numpy()
    wanted = pc.index_in(types, pa.array(BARCODE_TYPES, types.type))
    length = np.array([*(_LENGTHS.get(kind, 0) for kind in BARCODE_TYPES), -1])[pc.fill_null(wanted, -1).to_numpy()]
    fits = ~is_long | (length == -1) | (length == pc.fill_null(lengths, 0).to_numpy())
    return {
        "fits_type": fits,
        "check_digit_right": right,
        "form_known": np.ones(len(codes), dtype=bool),
        "form_ambiguous": np.zeros(len(codes), dtype=bool),
        "barcode_fault": np.where(is_long, _fault_of_long(number), 0).astype("int8"),
        "number": number,
    }


def _fault_of_long(number: np.ndarray) -> np.ndarray:
    """The faults of codes of 12 to 14 digits, as `_barcode_fault` finds them in others, too."""
    alike = [int(digit * length) for digit in "0123456789" for length in (12, 13, 14)]
    return np.select([np.isin(number, alike), number % 10**6 == 0], [PLACEHOLDER, ROUNDED], 0).astype("int8")


def product_numbers(number: np.ndarray, right: np.ndarray) -> np.ndarray:
    """From `_code_number`, whose last digit is the check digit, a number for each product: without a right one, a code
    stands for itself."""
    return np.where((number > 0) & right, number // 10, -np.abs(number))


def additional_barcode_facts(items: pa.Table) -> dict[str, pa.Array]:
    """What can be said about the further barcodes of items.

    Args:
        items: At least `additional_external_product_information`: JSON text of [code, type or null] pairs, or missing.

    Returns:
        Columns of the same length: `additional_count` (int64; 0 where missing), `additional_wrong` (text): a code whose
        check digit is wrong, or the whole text where it is no list of pairs; `additional_fault` (text): a code that has
        a fault; both missing where all is well; `additional_products` (lists of int64, or missing): the product numbers
        of the others.
    """
    pairs = items[ADDITIONAL_BARCODES].combine_chunks()
    given = np.flatnonzero(pairs.is_valid().to_numpy(zero_copy_only=False))
    parsed = "TRY(from_json_strict(c0, '[[\"VARCHAR\"]]'))"
    wrong = f"list_filter({parsed}, lambda x: len(x) <> 2 OR x[1] IS NULL OR NOT coalesce({_RIGHT}, true))"
    faulty = f"list_filter({parsed}, lambda x: _barcode_fault(x[1]) > 0)"
    sound = f"list_filter({parsed}, lambda x: _barcode_fault(x[1]) = 0)"
    evaluated = (
        f"{parsed} AS parsed, {wrong} AS wrong, {faulty} AS faulty, "
        f"list_transform({sound}, lambda x: list_transform([_code_number(x[1], x[2])], lambda n: "
        f"CASE WHEN n > 0 AND coalesce({_RIGHT}, false) THEN n // 10 ELSE -abs(n) END)[1]) AS products"
    )
    kinds = {"additional_count": pa.int64(), "additional_wrong": pa.large_string()}
    kinds |= {"additional_fault": pa.large_string(), "additional_products": pa.list_(pa.int64())}
    if not len(given):
        facts = {name: pa.nulls(len(pairs), kind) for name, kind in kinds.items()}
        return facts | {"additional_count": pa.array(np.zeros(len(pairs), dtype="int64"))}
    found = _over_rows(
        [pairs.take(pa.array(given))],
        evaluated,
        {
            "additional_count": "coalesce(len(parsed), 0)::BIGINT",
            # A wrong entry that has no code shows the whole text.
            "additional_wrong": "CASE WHEN parsed IS NULL THEN c0 "
            "WHEN len(wrong) > 0 THEN coalesce(wrong[1][1], c0) END",
            "additional_fault": "faulty[1][1]",
            "additional_products": "products::BIGINT[]",
        },
    )
    places = np.full(len(pairs), -1, dtype="int64")
    places[given] = np.arange(len(given))
    at = pa.array(places, mask=places < 0)
    facts = {name: found[name].combine_chunks().cast(kind).take(at) for name, kind in kinds.items()}
    return facts | {"additional_count": pc.fill_null(facts["additional_count"], 0)}


def marked_up(texts: pa.Array) -> np.ndarray:
    """Whether texts, none of which is missing, hold HTML entities or tags, as `plain` takes them out."""
    return np.asarray(_over_rows([texts], "_unmarked(c0) <> c0 AS marked", {"marked": "marked"})["marked"])


def _over_rows(columns: Sequence[pa.Array | pa.ChunkedArray], evaluated: str, facts: dict[str, str]) -> pa.Table:
    """Evaluate SQL over c0, c1, ..., the columns: `evaluated` first, and from it the `facts`, one column each."""
    names = [f"c{number}" for number in range(len(columns))]
    with connect_locked() as db:
        register(db, "codes", pa.table([np.arange(len(columns[0])), *columns], names=["id", *names]))
        selected = ", ".join(f"{sql} AS {name}" for name, sql in facts.items())
        table = db.sql(f"SELECT id, {selected} FROM (SELECT *, {evaluated} FROM codes)").to_arrow_table()  # noqa: S608
    # DuckDB promises no order, though it keeps this one.
    return table if np.all(np.diff(table["id"].to_numpy()) > 0) else table.sort_by("id")
