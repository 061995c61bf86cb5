"""Proposes which column of an export is for which JWO field, by names and by content.

Belongs here: how a field's column is recognised, which columns complete each other, and what is in doubt.
Does not belong here: ready mappings of known systems (see `systems.py`), writing the file (see `draft.py`), deciding; a
person reads the proposal, and `jwo-catalog mapping review` shows what it does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

from jwo_catalog_pipeline.catalog.mapping.column_facts import ROWS_LOOKED_AT, ColumnFacts, differing, gap_filled

SURE = 0.6  # a score below it is marked as not sure
USABLE = 0.3  # a score below it is no proposal
CLOSE = 0.08  # a second column that is as near as this makes the first one doubtful


@dataclass(frozen=True)
class _Wanted:
    """How a field is recognised.

    Attributes:
        usual: Words of its usual names, best first, with a bar between them.
        content: How well a column's content fits, 0 to 1.
        expression: What becomes of a column or of several joined ones.
        other: Names of columns that are like it and are something else, such as a cost for a price.
    """

    usual: str
    content: Callable[[ColumnFacts], float]
    expression: str
    other: str = r"(?!)"

    @property
    def names(self) -> list[str]:
        """The usual names, one by one."""
        return self.usual.split("|")


_WANTED: dict[str, _Wanted] = {
    "external_product_id": _Wanted(
        "barcode|gtin|ean|upc|ean13|isbn|ברקוד|strichcode|code barre|code barres|código de barras|"
        "codice a barre|streepjescode|product code",
        lambda facts: facts.barcodes,
        "restore_barcode({})",
        r"\b(type|kind|case|carton|karton|box|inner|outer|count|second|2|3)\b|מארז",
    ),
    "standard_price": _Wanted(
        "price|retail price|regular price|sales price|selling price|list price|unit price|preis|vk preis|"
        "prix|precio|prezzo|prijs|pris|preço|מחיר|gross|amount",
        lambda facts: facts.prices * (0.5 + 0.5 * facts.decimals) * (facts.barcodes < 0.5),
        "price({})",
        r"\b(cost|costs|purchase|wholesale|supply|vendor|ek|einkauf\w*|achat|compra|msrp|rrp|compare|was|old|sale|special"
        r"|promo\w*|offer|discount\w*|member|angebot\w*|grundpreis|per|min|max|type|unit of|vat|tax|margin|net)\b"
        r"|עלות|מבצע|קניה",
    ),
    "item_name": _Wanted(
        "name|item name|product name|title|item|product|description|item description|artikelbezeichnung|"
        "bezeichnung|artikel|designation|désignation|libellé|nom|nombre|descripción|nome|descrizione|"
        "omschrijving|naam|benämning|שם|תיאור",
        lambda facts: facts.words * min(facts.length / 15, 1) * (0.3 + 0.7 * facts.unique) * (facts.length < 200),
        "clean({})",
        r"\b(category|brand|vendor|supplier|store|file|short|seo|meta|type|tax|variation|option|customer|group)\b",
    ),
    "item_sku": _Wanted(
        "sku|article|article no|item no|item number|item id|product id|artikelnummer|artikelnr|"
        'artikel nr|référence|reference|ref|código|codice|code|plu|id|item code|מקט|מק"ט|קוד',
        lambda facts: facts.unique * facts.filled * (facts.length < 40) * (1 - facts.barcodes),
        "{}",
        r"\b(supplier|vendor|parent|manufacturer|category|tax|store|barcode|bar|ean|handle)\b",
    ),
    "store_id": _Wanted(
        "store|branch|shop|site|location|outlet|filiale|magasin|tienda|negozio|סניף|חנות",
        lambda facts: 0.4 * facts.filled * (1 < facts.distinct < 500) * (facts.unique < 0.2),
        "{}",
    ),
    "brand_name": _Wanted(
        "brand|vendor|manufacturer|marke|hersteller|marque|marca|merk|יצרן|מותג",
        lambda facts: 0.3 * facts.words * (facts.unique < 0.5),
        "clean({})",
        r"\b(code|id|no|nr|sku|number)\b",
    ),
    "product_category": _Wanted(
        "category|department|product group|warengruppe|categorie|catégorie|rayon|categoría|categoria|קטגוריה|מחלקה",
        lambda facts: 0.3 * facts.words * (facts.unique < 0.2),
        "clean({})",
        r"\b(code|id|no|nr|number|tax)\b",
    ),
}
# The fields of which a second column may have what the first lacks.
_JOINED = ("external_product_id", "standard_price", "item_name")


@dataclass(frozen=True)
class Proposed:
    """Columns for a field.

    Attributes:
        field: The JWO field.
        columns: The column; further ones fill its gaps.
        expression: SQL over them.
        score: How well the first one fits, 0 to 1.
        why: On what evidence.
        doubts: What a person must look at; none: it is sure.
    """

    field: str
    columns: tuple[str, ...]
    expression: str
    score: float
    why: str
    doubts: tuple[str, ...] = ()

    @property
    def column(self) -> str:
        """The first column."""
        return self.columns[0]


def propose(facts: list[ColumnFacts], source: pd.DataFrame) -> dict[str, Proposed]:
    """The best column for each field, each column at most once; fields without a usable one are left out.

    Args:
        facts: Of every column.
        source: The rows that the facts are of.
    """
    scored = [
        _scored(field, wanted, column, by_name)
        for field, wanted in _WANTED.items()
        for column in facts
        for by_name in [_name_score(column.name, wanted.names)]
        if column.filled > 0
    ]
    scored = sorted((one for one in scored if one.score >= USABLE), key=lambda one: -one.score)
    proposals: dict[str, Proposed] = {}
    taken: set[str] = set()
    for proposal in scored:
        if proposal.field not in proposals and proposal.column not in taken:
            proposals[proposal.field] = proposal
            taken.add(proposal.column)
    if "item_sku" not in proposals and (barcode := proposals.get("external_product_id")):
        why = "the barcode, for no column looks like an id of the retailer's own"
        proposals["item_sku"] = Proposed("item_sku", barcode.columns, quoted(barcode.column), 0.0, why, (_UNSURE,))
    by_name = {column.name: column for column in facts}
    for field, proposal in proposals.items():
        rivals = [one for one in scored if one.field == field and one.column not in taken]
        proposals[field] = _with_doubts(_joined(proposal, rivals, by_name, source), rivals, by_name)
    if sku := proposals.get("item_sku"):
        proposals["item_sku"] = _with_repetitions(sku, proposals.get("store_id"), source)
    return {field: _undressed(proposal, source) for field, proposal in proposals.items()}


def _undressed(proposal: Proposed, source: pd.DataFrame) -> Proposed:
    """Take off what spreadsheets and shops put around text, where a column has it."""
    values = source[proposal.column].head(ROWS_LOOKED_AT).dropna().astype(str)
    expression = proposal.expression
    if proposal.field == "item_sku" and values.str.contains(r"^=\"|^'").any():
        expression = f"unquote({expression})"
    elif expression.startswith("clean(") and values.str.contains(r"&#?\w+;|</?[a-z]+").any():
        expression = f"clean(plain({expression.removeprefix('clean(')})"
    return replace(proposal, expression=expression)


REPEATED = (
    "the same as another row; if those differ in the barcode only, add `merge: barcodes`; if each file is a store's, "
    "map store_id from the column source_file"
)


def _with_repetitions(sku: Proposed, store: Proposed | None, source: pd.DataFrame) -> Proposed:
    key = [sku.column, store.column] if store else [sku.column]
    head = source.head(ROWS_LOOKED_AT)
    repeated = float(head[head[sku.column].notna()].duplicated(key, keep=False).mean())
    if not repeated > 0.02:
        return sku
    return replace(sku, doubts=(*sku.doubts, f"{repeated:.0%} of the rows have {REPEATED}"))


_UNSURE = "it does not fit well"


def _scored(field: str, wanted: _Wanted, column: ColumnFacts, by_name: float) -> Proposed:
    score = (0.5 * by_name + 0.5 * wanted.content(column)) * (0.4 + 0.6 * column.filled)
    if re.search(wanted.other, _words(column.name)) and by_name < 0.9:
        score *= 0.5
    expression = wanted.expression.format(quoted(column.name))
    why = f"{evidence(column)}, {'its name fits' if by_name else 'only its content fits'}"
    return Proposed(field, (column.name,), expression, score, why)


def _joined(
    proposal: Proposed, rivals: list[Proposed], facts: dict[str, ColumnFacts], source: pd.DataFrame
) -> Proposed:
    """Join the columns that have a value where the first has none."""
    if proposal.field not in _JOINED or facts[proposal.column].filled > 0.995:
        return proposal
    wanted = _WANTED[proposal.field]
    for rival in rivals:
        fits = wanted.content(facts[rival.column]) >= 0.5 and not re.search(wanted.other, _words(rival.column))
        if fits and gap_filled(source, proposal.column, rival.column) >= 0.1:
            columns = (proposal.column, rival.column)
            joined = wanted.expression.format(f"coalesce({', '.join(map(quoted, columns))})")
            both = differing(source, *columns)
            doubts = proposal.doubts
            if both > 0.01:
                doubts += (f"in {both:.0%} of the rows both have a value, and the first counts",)
            why = f"{proposal.why}; {rival.column} fills its gaps: {rival.why}"
            return replace(proposal, columns=columns, expression=joined, why=why, doubts=doubts)
    return proposal


def _with_doubts(proposal: Proposed, rivals: list[Proposed], facts: dict[str, ColumnFacts]) -> Proposed:
    doubts = list(proposal.doubts)
    column = facts[proposal.column]
    if proposal.field == "store_id":
        doubts.append("only you know Amazon's ids of your stores")
    elif proposal.score < SURE and _UNSURE not in doubts:
        doubts.append(_UNSURE)
    joined = [rival for rival in rivals if rival.column not in proposal.columns]
    # A name that came twice in the export has a number.
    again = re.compile(rf"{re.escape(proposal.column)}_[0-9]+")
    near = [rival.column for rival in joined if rival.score > proposal.score - CLOSE or again.fullmatch(rival.column)]
    if near:
        doubts.append(f"it may as well be {' or '.join(near[:3])}")
    alone = len(proposal.columns) == 1
    if proposal.field in ("item_sku", "external_product_id", "item_name") and alone and column.filled < 0.9:
        doubts.append(f"{1 - column.filled:.0%} of the rows have none")
    if proposal.field == "external_product_id" and 0.05 < column.barcodes < 0.8:
        doubts.append(f"{1 - column.barcodes:.0%} are no barcodes with a right check digit")
    return replace(proposal, doubts=tuple(doubts))


def _words(column: str) -> str:
    return " ".join(re.findall(r"[\w\"]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column).replace("_", " "))).casefold()


def _name_score(column: str, names: list[str]) -> float:
    """1 where the column is called so, less where it only contains the words, less again for rarer names."""
    words = _words(column)
    for place, name in enumerate(names):
        if words == name:
            return 1.0 - 0.02 * place
    for place, name in enumerate(names):
        if re.search(rf"\b{re.escape(name)}\b", words):
            return 0.75 - 0.02 * place
    return 0.0


def evidence(facts: ColumnFacts) -> str:
    """What speaks for a column, in one line."""
    parts = [f"{facts.filled:.0%} filled", f"{facts.distinct:,} different"]
    for share, kind in ((facts.barcodes, "valid barcodes"), (facts.prices * facts.decimals, "prices")):
        if share >= 0.05:
            parts.append(f"{share:.0%} {kind}")
    sample = re.sub(r"\s+", " ", facts.sample)[:40]
    return f"such as {sample}; {', '.join(parts)}"


def quoted(column: str) -> str:
    """A column's name as SQL needs it; every name is quoted, for SQL reserves many plain words."""
    return '"' + column.replace('"', '""') + '"'
