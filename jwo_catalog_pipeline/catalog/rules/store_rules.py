"""The rule about stores whose ids nobody has written yet.

Belongs here: how a proposed mapping calls a store, and what keeps that from being sent.
Does not belong here: which stores the retailer has (`store_known` in `rulebook.py`).
"""

from __future__ import annotations

import re

from jwo_catalog_pipeline.catalog.rules.rules import make_rule

# What a proposal and the ready mappings write where Amazon's id of a store belongs; with a number for each of several.
PLACEHOLDER = "YOUR-STORE-ID"
_PLACEHOLDER = rf"\s*{PLACEHOLDER}(-[0-9]+)?\s*"


def is_placeholder(store: str) -> bool:
    """Whether a store is what a proposal writes in place of its id."""
    return re.fullmatch(_PLACEHOLDER, store, re.IGNORECASE) is not None


STORE_ERRORS = [
    make_rule(
        "store_placeholder",
        "store_id",
        "forced",
        f"The store is Amazon's id of it, not the {PLACEHOLDER} of a proposed mapping: write the id there.",
        "'{value}' stands where the mapping needs Amazon's id of the store",
        lambda items: ~items["store_id"].str.fullmatch(_PLACEHOLDER, case=False).fillna(False).astype(bool),
    ),
]
