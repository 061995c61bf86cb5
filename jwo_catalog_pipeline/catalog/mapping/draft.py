"""Makes a first mapping for an export: how to read the file, and an expression for each field.

Belongs here: putting detection, ready mapping and proposal together.
Does not belong here: finding things out (see `source/detection.py`, `systems.py`, `proposal.py`), the text of the
mapping file (see `draft_file.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.mapping.column_facts import (
    ColumnFacts,
    column_facts,
    result_facts,
    total_row,
)
from jwo_catalog_pipeline.catalog.mapping.decimal_separator import with_separator
from jwo_catalog_pipeline.catalog.mapping.file import validated_options
from jwo_catalog_pipeline.catalog.mapping.locations import Location, find_locations
from jwo_catalog_pipeline.catalog.mapping.model import Source
from jwo_catalog_pipeline.catalog.mapping.proposal import REPEATED, evidence, propose, quoted
from jwo_catalog_pipeline.catalog.mapping.samples import sample_of
from jwo_catalog_pipeline.catalog.mapping.store_files import StoreFiles, find_store_files
from jwo_catalog_pipeline.catalog.mapping.systems import Base, Chosen, System, ready_mapping, recognise
from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS, REQUIRED_FIELDS
from jwo_catalog_pipeline.catalog.rules.store_rules import PLACEHOLDER
from jwo_catalog_pipeline.catalog.source.detection import Detected
from jwo_catalog_pipeline.catalog.source.detection_of_several import detect_all
from jwo_catalog_pipeline.catalog.source.fill_down import FillDown, filled_down
from jwo_catalog_pipeline.catalog.source.options import ExportFile
from jwo_catalog_pipeline.catalog.source.reading import read_export
from jwo_catalog_pipeline.wording import plural
from jwo_catalog_pipeline.work_folder import work_folder

STORES_LISTED = 30  # as many stores are listed by their number; of more, a table is better


@dataclass(frozen=True)
class Line:
    """A field of the mapping, or a condition.

    Attributes:
        expr: The SQL.
        why: The evidence, as a comment.
        doubts: Why it is not sure; none: it is.
        rest: What stands beside the expression: `note`, `values`, `else`.
    """

    expr: str
    why: str = ""
    doubts: tuple[str, ...] = ()
    rest: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Draft:
    """A mapping before it is written.

    Attributes:
        export: What the file is called.
        system: Where the export comes from; None: it was not recognised.
        source: What is written under `source`.
        seen: What was found out about the file, in sentences.
        doubts: What about the file is not sure.
        where: The conditions.
        stores: One entry for each location that the columns name; empty: `PLACEHOLDER` or `fields.store_id`.
        fields: By name, in the order of an item.
        additional_barcodes: Further barcodes.
        more_barcodes: Columns that hold barcodes and are not used.
        unused: Columns that nothing uses.
    """

    export: str
    system: System | None
    source: dict[str, Any]
    seen: tuple[str, ...]
    doubts: tuple[str, ...]
    where: list[Line]
    stores: list[tuple[Location, dict[str, str]]]
    fields: dict[str, Line]
    additional_barcodes: list[Line]
    more_barcodes: list[str]
    unused: list[str]

    @property
    def missing(self) -> list[str]:
        """The required fields for which nothing was found."""
        stores = {"store_id"} if "store_id" not in self.fields else set()
        return [name for name in REQUIRED_FIELDS if name not in self.fields and name not in stores]

    @property
    def not_sure(self) -> list[str]:
        """What a person must look at, each in a few words."""
        lines = [f"source: {doubt}" for doubt in self.doubts]
        lines += [f"{name}: {'; '.join(line.doubts)}" for name, line in self.fields.items() if line.doubts]
        lines += [f"{name}: no column looks like it" for name in self.missing]
        lines += [f"where: {'; '.join(line.doubts)}" for line in self.where if line.doubts]
        if "store_id" not in self.fields:
            lines.append("stores: write Amazon's id of each store")
        return lines


_OPTIONS = ("delimiter", "quote", "encoding")
_ESCAPES = {"\\t": "\t", "tab": "\t"}


def source_options(written: dict[str, str]) -> dict[str, Any]:
    """What a person says about the file, in the shape of `source` in a mapping file.

    Args:
        written: By the names of the command's options.

    Raises:
        MappingError: as in a mapping file; the message names the option.
    """
    options = {name: written[name] for name in _OPTIONS if name in written}
    if "delimiter" in options:
        options["delimiter"] = _ESCAPES.get(options["delimiter"], options["delimiter"])
    source: dict[str, Any] = {name: value for name, value in written.items() if name not in _OPTIONS}
    source |= {"options": options} if options else {}
    validated_options(Source, source)
    return source


def draft_mapping(file: Path, name: str, written: dict[str, Any], others: Sequence[ExportFile] = ()) -> Draft:
    """A first mapping for an export.

    Args:
        file: A local file.
        name: What messages call it; its suffix is the format that it claims.
        written: What `source_options` gives.
        others: The other files of the export; one mapping reads all of them in the same way.

    Raises:
        SourceFileError: a file cannot be read, or not in the same way as the others.
    """
    files = [ExportFile(file, name), *others]
    detected = detect_all(files, written)
    options = validated_options(Source, detected.source).as_options()
    with work_folder() as folder:
        source = sample_of(read_export(files, options, folder / "source.parquet"))
    if any("\0" in str(column) for column in source.columns):
        raise SourceFileError(
            f"the names of the columns in {name} hold zero bytes, so the file is no text, or damaged",
            "export it again, as CSV or as a workbook",
        )
    return make_draft(source, detected, file.name)


def make_draft(source: pd.DataFrame, detected: Detected, export: str) -> Draft:
    """A mapping for an export.

    Args:
        source: The rows as `read_source` gives them with `detected.source`.
        detected: What was found out about the file.
        export: What the file is called.
    """
    facts = column_facts(source)
    names = [column.name for column in facts]
    system = recognise(names)
    base = ready_mapping(system.preset, names) if system else Base({}, [], {}, [])
    written = dict(detected.source)
    if base.fill_down:
        written["fill_down"] = base.fill_down
        fill = FillDown(tuple(base.fill_down["columns"]), tuple(base.fill_down.get("by", ())))
        source = filled_down(source, fill, export)
    fields = dict(_fields(base, facts, source, known=system is not None))
    where = [Line(chosen.expr, rest=chosen.rest) for chosen in base.where]
    where += _without_total(source) + _without_hidden_parents(source)
    further = [Line(chosen.expr, rest=chosen.rest) for chosen in base.additional_barcodes]
    locations = find_locations(names)
    price = fields["standard_price"].expr if "standard_price" in fields else ""
    general = next((name for name in names if name.casefold() in ("price", "default price")), "")
    price = price if general and quoted(general) in price else ""
    stores = [(one, one.overrides(price, general, _yes(source, one.enabled))) for one in locations]
    if stores:
        fields.pop("store_id", None)
    elif "store_id" not in fields and "item_sku" in fields:
        conditions = [line.expr for line in where]
        if found := find_store_files(source, fields["item_sku"].expr, conditions):
            fields |= _by_store_files(fields["item_sku"], found)
    used = _used(fields, base, stores)
    unused = [name for name in names if name not in used]
    more = [one.name for one in facts if one.name in unused and one.barcodes >= 0.8 and one.filled >= 0.01]
    return Draft(export, system, written, detected.seen, detected.doubts, where, stores, fields, further, more, unused)


def _fields(base: Base, facts: list[ColumnFacts], source: pd.DataFrame, *, known: bool) -> Iterator[tuple[str, Line]]:
    proposals = propose(facts, source)
    expressions = {name: chosen.expr for name, chosen in base.fields.items()}
    results = result_facts(source, expressions, [chosen.expr for chosen in base.where])
    for name in ITEM_FIELDS:
        if name in base.fields:
            yield name, _from_base(name, base.fields[name], results[name])
        elif name in proposals and (not known or name == "store_id"):
            proposal = with_separator(proposals[name], source) if name == "standard_price" else proposals[name]
            rest = {"values": _store_numbers(source, proposal.column)} if name == "store_id" else {}
            rest = rest if rest.get("values") else {}
            yield name, Line(proposal.expression, proposal.why, proposal.doubts, rest)


def _by_store_files(sku: Line, found: StoreFiles) -> dict[str, Line]:
    """The store by the file, and the SKU without the doubt that its repetitions made."""
    doubts = tuple(doubt for doubt in sku.doubts if REPEATED not in doubt)
    store = Line(found.expression, found.why, (found.doubt,), {"values": found.values} if found.values else {})
    return {"item_sku": replace(sku, doubts=doubts), "store_id": store}


def _from_base(name: str, chosen: Chosen, result: ColumnFacts) -> Line:
    """A field of a ready mapping with what it makes of the rows; a result that is often empty is a doubt."""
    doubts = []
    if name in REQUIRED_FIELDS or name == "standard_price":
        if result.filled < 0.8:
            doubts.append(f"only {result.filled:.0%} of the items have a value")
        if name == "external_product_id" and result.filled and result.barcodes < 0.5:
            doubts.append(f"only {result.barcodes:.0%} are barcodes with a right check digit")
        if name == "standard_price" and result.filled and result.prices < 0.8:
            doubts.append(f"only {result.prices:.0%} can be read as a price")
    return Line(chosen.expr, evidence(result), tuple(doubts), chosen.rest)


_YES = ("Y", "Yes", "yes", "TRUE", "True", "true", "1", "X", "x")


def _yes(source: pd.DataFrame, column: str) -> str:
    """What a column of switches says for yes."""
    values = set(source[column].dropna().unique()) if column else set()
    return next((word for word in _YES if word in values), _YES[0])


def _store_numbers(source: pd.DataFrame, column: str) -> dict[str, str]:
    """A lookup to fill in: every value of the column, with a placeholder. Empty where they are too many."""
    values = sorted(map(str, source[column].dropna().unique()))
    if len(values) > STORES_LISTED or any(len(value) > 60 for value in values):
        return {}
    return {value: f"{PLACEHOLDER}-{place}" for place, value in enumerate(values, 1)}


def _without_total(source: pd.DataFrame) -> list[Line]:
    found = total_row(source)
    if found is None:
        return []
    column, word = found
    text = word.replace("'", "''")
    doubt = "one of the last rows looks like a sum"
    return [Line(f"{quoted(column)} IS DISTINCT FROM '{text}'", doubts=(doubt,), rest={"note": "the sum is no item"})]


# WooCommerce's columns of whether a product is published, and of the product that a variation belongs to.
_PUBLISHED = ("Published", "Veröffentlicht", "Publié")
_PARENT = ("Parent", "Übergeordnetes Produkt")
_SKU = ("SKU", "Artikelnummer", "UGS")


def _without_hidden_parents(source: pd.DataFrame) -> list[Line]:
    """A variation says that it is published, even where its product is not; which ones these are, only the rows say."""
    found = [next((name for name in names if name in source), None) for names in (_PUBLISHED, _PARENT, _SKU)]
    if None in found or "ID" not in source:
        return []
    published, parent, sku = found
    hidden = source[source[published] != "1"]
    names = {*hidden[sku].dropna(), *("id:" + hidden["ID"].dropna())}
    affected = source[(source[published] == "1") & source[parent].isin(names)]
    if affected.empty:
        return []
    parents = ", ".join("'" + name.replace("'", "''") + "'" for name in sorted(affected[parent].unique()))
    affected_variations = plural(len(affected), "variation")
    doubt = f"{affected_variations} said to be published, of products that are not; keep this list up to date"
    expr = f"coalesce({quoted(str(parent))}, '') NOT IN ({parents})"
    return [Line(expr, doubts=(doubt,), rest={"note": "variations of private products"})]


def _used(fields: dict[str, Line], base: Base, stores: list[tuple[Location, dict[str, str]]]) -> set[str]:
    used = {
        column
        for chosen in (*base.where, *base.fields.values(), *base.additional_barcodes)
        for column in chosen.columns
    }
    used |= {column for location, _ in stores for column in (location.enabled, location.price)}
    text = " ".join(line.expr for line in fields.values())
    return used | set(_quoted_names(text))


def _quoted_names(text: str) -> Iterator[str]:
    parts = text.split('"')
    yield from (parts[place] for place in range(1, len(parts), 2))
