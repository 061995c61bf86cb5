"""Proposes a field mapping for an export that has no mapping yet.

Belongs here: which column looks like which JWO field, by its name and by what it holds, and writing that down as a
mapping with the evidence beside it.
Does not belong here: deciding; a person reads the proposal, and `jwo-catalog mapping review` shows what it does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import duckdb
import pandas as pd
import pyarrow as pa

from jwo_catalog_pipeline.catalog.mapping.sql_engine import connect_locked, register
from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS, REQUIRED_FIELDS, SOURCE_ROW
from jwo_catalog_pipeline.catalog.source.options import SourceOptions

ROWS_LOOKED_AT = 100_000  # from the beginning; shares do not get better by more
SURE = 0.6  # a score below it is marked as not sure
USABLE = 0.35  # a score below it is no proposal


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
        sample: A value.
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
        return [_facts(db, str(name), len(head)) for name in head.columns if name != SOURCE_ROW]


def _facts(db: duckdb.DuckDBPyConnection, name: str, rows: int) -> ColumnFacts:
    column = '"' + name.replace('"', '""') + '"'
    shares = {
        "barcodes": "length(code) >= 8 AND barcode_type(code) IS NOT NULL",
        "prices": r"regexp_full_match(price(value), '[0-9]+\.[0-9]{2}')",
        "decimals": r"regexp_matches(value, '[0-9][.,][0-9]{1,2}($|[^0-9])')",
        "words": r"regexp_matches(value, '\p{L}.*\p{L}')",
    }
    averages = ", ".join(f"coalesce(avg(({condition})::INT), 0) AS {share}" for share, condition in shares.items())
    row = db.execute(
        f"SELECT count(*) AS filled, count(DISTINCT value) AS distinct_values, {averages}, "  # noqa: S608
        "coalesce(avg(length(value)), 0) AS mean_length, coalesce(min(value), '') AS sample "
        f"FROM (SELECT {column} AS value, restore_barcode({column}) AS code FROM source) WHERE value IS NOT NULL"
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


@dataclass(frozen=True)
class _Wanted:
    """How a field is recognised: words of its usual names, best first, and how well a column's content fits, 0 to 1."""

    names: tuple[str, ...]
    content: Callable[[ColumnFacts], float]
    expression: str


_WANTED: dict[str, _Wanted] = {
    "external_product_id": _Wanted(
        ("barcode", "gtin", "ean", "upc", "isbn", "ברקוד", "strichcode", "code barre", "product code"),
        lambda facts: facts.barcodes,
        "restore_barcode({})",
    ),
    "standard_price": _Wanted(
        ("price", "retail price", "sales price", "list price", "preis", "prix", "precio", "מחיר", "gross"),
        lambda facts: facts.prices * (0.5 + 0.5 * facts.decimals) * (facts.barcodes < 0.5),
        "price({})",
    ),
    "item_name": _Wanted(
        ("name", "item name", "product name", "title", "description", "bezeichnung", "designation", "שם"),
        lambda facts: facts.words * min(facts.length / 15, 1) * (0.3 + 0.7 * facts.unique) * (facts.length < 200),
        "clean({})",
    ),
    "item_sku": _Wanted(
        ("sku", "article", "article no", "item no", "item number", "product id", "artikelnummer", "plu", "id"),
        lambda facts: facts.unique * facts.filled * (facts.length < 40) * (1 - facts.barcodes),
        "{}",
    ),
    "store_id": _Wanted(
        ("store", "branch", "shop", "site", "location", "filiale", "magasin", "סניף", "חנות"),
        lambda facts: 0.4 * facts.filled * (1 < facts.distinct < 500) * (facts.unique < 0.2),
        "{}",
    ),
    "brand_name": _Wanted(
        ("brand", "vendor", "manufacturer", "marke", "hersteller", "marque", "יצרן", "מותג"),
        lambda facts: 0.3 * facts.words * (facts.unique < 0.5),
        "clean({})",
    ),
    "product_category": _Wanted(
        ("category", "department", "product group", "warengruppe", "categorie", "קטגוריה", "מחלקה"),
        lambda facts: 0.3 * facts.words * (facts.unique < 0.2),
        "clean({})",
    ),
}


@dataclass(frozen=True)
class Proposed:
    """A column for a field; `score` says how well it fits, `why` on what evidence."""

    field: str
    column: str
    expression: str
    score: float
    why: str


def propose(facts: list[ColumnFacts]) -> dict[str, Proposed]:
    """The best column for each field, each column at most once; fields without a usable one are left out."""
    scored = [
        Proposed(field, column.name, wanted.expression.format(_quoted(column.name)), score, _evidence(column, by_name))
        for field, wanted in _WANTED.items()
        for column in facts
        for by_name in [_name_score(column.name, wanted.names)]
        if column.filled > 0 and (score := 0.5 * by_name + 0.5 * wanted.content(column)) >= USABLE
    ]
    proposals: dict[str, Proposed] = {}
    taken: set[str] = set()
    for proposal in sorted(scored, key=lambda proposed: -proposed.score):
        if proposal.field not in proposals and proposal.column not in taken:
            proposals[proposal.field] = proposal
            taken.add(proposal.column)
    if "item_sku" not in proposals and (barcode := proposals.get("external_product_id")):
        why = "the barcode, for no column looks like an id of the retailer's own"
        proposals["item_sku"] = Proposed("item_sku", barcode.column, _quoted(barcode.column), 0.0, why)
    return proposals


def _name_score(column: str, names: tuple[str, ...]) -> float:
    """1 where the column is called so, less where it only contains the words, less again for rarer names."""
    words = " ".join(re.findall(r"\w+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column).replace("_", " "))).casefold()
    for place, name in enumerate(names):
        if words == name:
            return 1.0 - 0.03 * place
    for place, name in enumerate(names):
        if re.search(rf"\b{re.escape(name)}\b", words):
            return 0.75 - 0.03 * place
    return 0.0


def _evidence(facts: ColumnFacts, by_name: float) -> str:
    parts = [f"{facts.filled:.0%} filled", f"{facts.distinct:,} different"]
    for share, kind in ((facts.barcodes, "valid barcodes"), (facts.prices * facts.decimals, "prices")):
        if share >= 0.05:
            parts.append(f"{share:.0%} {kind}")
    parts.append("name fits" if by_name else "only its content fits")
    sample = re.sub(r"\s+", " ", facts.sample)[:40]
    return f"{', '.join(parts)}, such as {sample}"


def _quoted(column: str) -> str:
    return column if re.fullmatch(r"[a-z_][a-z0-9_]*", column) else '"' + column.replace('"', '""') + '"'


def as_yaml(facts: list[ColumnFacts], source: SourceOptions, export: str) -> str:
    """The proposal as a mapping file: every required field, the evidence as comments, the doubtful marked NOT SURE."""
    proposals = propose(facts)
    lines = [
        f"# A proposal for {_comment(export)}. Read every line, correct what is marked NOT SURE, and then look:",
        "#   jwo-catalog mapping review EXPORT --mapping THIS-FILE",
        "version: 1",
        *_source_lines(source),
    ]
    if "store_id" not in proposals:
        lines += ["# NOT SURE: no column looks like a store. Name the stores here, or map fields.store_id.", _STORES]
    lines.append("fields:")
    for field in ITEM_FIELDS:
        if field in proposals:
            proposal = proposals[field]
            doubt = "" if proposal.score >= SURE else "NOT SURE: "
            lines += [f"  # {doubt}{_comment(proposal.why)}", f"  {field}: {_scalar(proposal.expression)}"]
        elif field in REQUIRED_FIELDS and field != "store_id":
            lines += [f"  # NOT SURE: no column looks like it. {ITEM_FIELDS[field]}", f"  {field}: {_scalar(_MISSING)}"]
    unused = [
        column.name for column in facts if column.name not in {proposed.column for proposed in proposals.values()}
    ]
    if unused:
        lines.append("# Not used: " + ", ".join(_comment(name) for name in unused))
    return "\n".join(lines) + "\n"


_STORES = "stores: [YOUR-STORE-ID]"
_MISSING = "NULL"  # a mapping that loads, and quarantines every row until somebody names the column


def _source_lines(source: SourceOptions) -> list[str]:
    options = []
    if source.delimiter:
        options.append(f"delimiter: {_scalar(source.delimiter)}")
    if source.encoding != "utf-8":
        options.append(f"encoding: {source.encoding}")
    lines = [f"  format: {source.format}"] if source.format else []
    lines += [f"  records: {_scalar(source.records)}"] if source.records else []
    lines += [f"  options: {{{', '.join(options)}}}"] if options else []
    return ["source:", *lines] if lines else []


def _scalar(text: str) -> str:
    """YAML text in single quotes, in which only the quote itself is special."""
    return "'" + text.replace("'", "''") + "'"


def _comment(text: str) -> str:
    """Text that stays on its line."""
    return "".join(character if character.isprintable() else " " for character in text)
