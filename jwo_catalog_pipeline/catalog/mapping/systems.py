"""Recognises the system that an export comes from, and takes what fits the export from its ready mapping.

Belongs here: the columns by which each system is known, and choosing among the expressions of a ready mapping.
Does not belong here: the ready mappings themselves (see `presets/`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from typing import Any

import duckdb
import yaml

from jwo_catalog_pipeline.catalog.mapping.expressions import parse_expression

PRESETS = resources.files(__package__).joinpath("presets")


@dataclass(frozen=True)
class System:
    """A system whose exports are known.

    Attributes:
        preset: The name of its ready mapping, without `.yaml`.
        title: What people call it.
        known_by: Sets of columns; an export that has all of one set is from this system.
    """

    preset: str
    title: str
    known_by: tuple[frozenset[str], ...]


def _system(preset: str, title: str, *known_by: str) -> System:
    return System(preset, title, tuple(frozenset(columns.casefold().split("|")) for columns in known_by))


SYSTEMS = (
    _system("shopify", "Shopify", "Handle|Title|Variant SKU|Variant Price", "Title|URL handle|SKU|Price"),
    _system("square", "Square", "Item Name|Variation Name|SKU|Price", "Token|Item Name|Price"),
    _system("clover", "Clover", "Clover ID|Name|Product Code|Price"),
    _system(
        "woocommerce",
        "WooCommerce",
        "Type|SKU|Name|Published|Regular price",
        "Typ|Name|Veröffentlicht|Regulärer Preis",
        "Type|UGS|Nom|Publié|Tarif régulier",
    ),
    _system(
        "lightspeed_r",
        "Lightspeed Retail (R-Series)",
        "System ID|UPC|EAN|Custom SKU|Item|Price",
        "System ID|UPC|EAN|Custom SKU|Description|Default - Price",
    ),
    _system(
        "lightspeed_x",
        "Lightspeed Retail (X-Series)",
        "id|handle|sku|supply_price|retail_price",
        "handle|sku|name|supply_price|retail_price|variant_option_one_name",
    ),
    _system(
        "odoo",
        "Odoo",
        "default_code|barcode|lst_price",
        "default_code|barcode|list_price",
        "Internal Reference|Barcode|Sales Price",
        "Internal Reference|Barcode|Public Price",
    ),
    _system(
        "bigcommerce",
        "BigCommerce",
        "Item Type|Product Name|Product Code/SKU|Price",
        "Item|ID|Name|SKU|Options|Price|Is Visible",
    ),
    _system("magento", "Magento", "sku|attribute_set_code|product_type|name|price"),
    _system(
        "prestashop",
        "PrestaShop",
        "Active (0/1)|Name *|EAN13|Reference #",
        "Active (0/1)|Name*|EAN13|Reference #",
        "Active (0/1)|Name|EAN13|Reference #",
        "id_product|name|reference|ean13|price",
        "Product ID|Image|Name|Reference|Category|Price (tax excl.)|Position",
    ),
    _system("loyverse", "Loyverse", "Handle|SKU|Name|Category|Sold by weight|Barcode"),
    _system(
        "google",
        "Google Merchant Center",
        "id|title|link|availability|price|gtin",
        "g:id|g:title|g:price|g:gtin",
        "g:id|title|g:price|g:gtin",
    ),
)


def recognise(columns: Iterable[str]) -> System | None:
    """The system that the columns belong to; the one known by the most of them where several fit."""
    names = {column.casefold().strip() for column in columns}
    fits = [(len(known), system) for system in SYSTEMS for known in system.known_by if known <= names]
    return max(fits, key=lambda pair: pair[0])[1] if fits else None


@dataclass(frozen=True)
class Chosen:
    """An expression of a ready mapping that fits the export.

    Attributes:
        expr: The SQL.
        columns: The columns that it names.
        rest: What stands beside it: `note`, `values`, `else`.
    """

    expr: str
    columns: tuple[str, ...]
    rest: dict[str, Any]


@dataclass(frozen=True)
class Base:
    """A ready mapping, reduced to what one export has.

    Attributes:
        fill_down: As in `source`; empty where there is none.
        where: The conditions whose columns the export has.
        fields: By name; a field whose columns the export lacks is left out.
        additional_barcodes: Further ones.
    """

    fill_down: dict[str, list[str]]
    where: list[Chosen]
    fields: dict[str, Chosen]
    additional_barcodes: list[Chosen]


def ready_mapping(preset: str, columns: Iterable[str]) -> Base:
    """What of a ready mapping fits the columns of an export."""
    content = yaml.safe_load(PRESETS.joinpath(f"{preset}.yaml").read_text(encoding="utf-8"))
    names = {column.casefold(): column for column in columns}
    with duckdb.connect() as db:  # only its parser is used
        where = [_choose(db, condition, names) for condition in content.get("where", [])]
        fields = {field: _choose(db, written, names) for field, written in content["fields"].items()}
        further = [_choose(db, written, names) for written in content.get("additional_barcodes", [])]
    return Base(
        _fill_down(content.get("source", {}).get("fill_down", {}), names),
        [chosen for chosen in where if chosen],
        {field: chosen for field, chosen in fields.items() if chosen},
        [chosen for chosen in further if chosen],
    )


def _choose(db: duckdb.DuckDBPyConnection, written: Any, names: dict[str, str]) -> Chosen | None:
    """The first of the alternatives whose columns are all there."""
    rest = {key: value for key, value in written.items() if key != "expr"} if isinstance(written, dict) else {}
    alternatives = written["expr"] if isinstance(written, dict) else written
    for alternative in alternatives if isinstance(alternatives, list) else [alternatives]:
        if isinstance(alternative, dict):
            if chosen := _choose(db, alternative, names):
                return chosen
        elif alternative is not None:
            columns = parse_expression(db, alternative, "a ready mapping")
            if all(column.casefold() in names for column in columns):
                actual = tuple(names[column.casefold()] for column in columns)
                return Chosen(" ".join(alternative.split()), actual, rest)
    return None


def _fill_down(written: dict[str, list[str]], names: dict[str, str]) -> dict[str, list[str]]:
    by = [names[column.casefold()] for column in written.get("by", []) if column.casefold() in names][:1]
    columns = [names[column.casefold()] for column in written.get("columns", []) if column.casefold() in names]
    if not columns or ("by" in written and not by):
        return {}
    return {"by": by, "columns": columns} if by else {"columns": columns}
