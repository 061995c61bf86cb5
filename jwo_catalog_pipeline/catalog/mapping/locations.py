"""Finds the stores that an export's columns are named after, and what each of them sells otherwise.

Belongs here: the names of such columns, as Square and Loyverse write them.
Does not belong here: stores that are a column of their own (see `proposal.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from jwo_catalog_pipeline.catalog.mapping.proposal import quoted


@dataclass(frozen=True)
class Location:
    """A store that the columns of an export name, as Square's and Loyverse's do.

    Attributes:
        name: As in the columns.
        enabled: The column that says whether the store sells an item; "" where there is none.
        price: The column of the store's own price; "" where there is none.
    """

    name: str
    enabled: str
    price: str

    def overrides(self, expr: str, general: str, yes: str) -> dict[str, str]:
        """What differs in this store: an entry of `stores`.

        Args:
            expr: The SQL of the price in all stores; "" where there is none.
            general: The column of the price that it names.
            yes: What the switch says where the store sells the item.
        """
        differs = {}
        if self.enabled:
            differs["where"] = f"{quoted(self.enabled)} = '{yes}'"
        if self.price and expr:
            own = f"coalesce({quoted(self.price)}, {quoted(general)})"
            differs["standard_price"] = expr.replace(quoted(general), own)
        elif self.price:
            differs["standard_price"] = f"price({quoted(self.price)})"
        return differs


# The first group of a pattern is the location.
_ENABLED = re.compile(r"(?:Enabled|Available for sale|Available|Active|Sold) (?:at |in )?\[?(.+?)\]?", re.IGNORECASE)
_PRICE = re.compile(r"Price (?:at |in )?\[?(.+?)\]?", re.IGNORECASE)
_STOCK = re.compile(r"(?:Current Quantity|In stock) \[?(.+?)\]?", re.IGNORECASE)


def find_locations(columns: Iterable[str]) -> list[Location]:
    """The locations that columns are named after, in the order of the columns.

    A price alone makes no location, for `Price Type` is none: it counts where the same name also has a switch or a
    stock of its own.
    """
    found: dict[str, dict[str, str]] = {}
    for kind, pattern in (("enabled", _ENABLED), ("stock", _STOCK), ("price", _PRICE)):
        for column in columns:
            if match := pattern.fullmatch(column.strip()):
                found.setdefault(match.group(1), {})[kind] = column
    return [
        Location(name, kinds.get("enabled", ""), kinds.get("price", ""))
        for name, kinds in found.items()
        if "stock" in kinds or {"enabled", "price"} <= set(kinds)
    ]
