"""Which other SKUs share something with an item, in words, and columns of text that most rows lack."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

SHOWN = 5


def text_at(places: np.ndarray, texts: np.ndarray, rows: int) -> pd.Series:
    """A column of so many rows (`str`, index from 0) with these texts at these places, and missing elsewhere."""
    column = pd.Series(np.nan, index=range(rows), dtype="str")
    if len(places):
        column.iloc[places] = texts  # type: ignore[call-overload]
    return column


def others_named(groups: np.ndarray, skus: np.ndarray, texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The other SKUs of each row's group.

    Args:
        groups: For each row the number of its group.
        skus: For each row the place of its SKU in `texts`.
        texts: Each SKU once.

    Returns:
        The places of rows whose group has more than one SKU, and for each a text such as `'S-2', 'S-3' and 4 more`.
    """
    pairs = pd.DataFrame({"group": groups, "sku": skus})
    distinct = pairs.drop_duplicates()
    distinct = distinct[distinct.duplicated("group", keep=False)]
    sizes = distinct.groupby("group").size()
    first = distinct[distinct.groupby("group").cumcount() <= SHOWN]
    of_group = {
        group: dict(zip(part, texts.take(pa.array(part)).to_pylist(), strict=True))
        for group, part in first.groupby("group")["sku"]
    }
    # Most rows of a large group are not among its first SKUs, and have one text in common.
    common = [
        _in_words(list(of_group[group].values()), size - 1)
        for group, size in zip(sizes.index.tolist(), sizes.tolist(), strict=True)
    ]
    places = np.flatnonzero(np.isin(groups, sizes.index.to_numpy()))
    named = np.array(common, dtype=object)[np.searchsorted(sizes.index.to_numpy(), groups[places])]
    width = skus.max(initial=0) + 1
    keys, among_first = groups * width + skus, first["group"] * width + first["sku"]
    for place in np.flatnonzero(np.isin(keys[places], among_first.to_numpy())):
        group, sku = groups[places[place]], skus[places[place]]
        named[place] = _in_words([text for other, text in of_group[group].items() if other != sku], sizes[group] - 1)
    return places, named


def _in_words(skus: list[str], count: int) -> str:
    shown = ", ".join(f"'{sku[:40]}'" for sku in skus[:SHOWN])
    return f"{shown} and {count - SHOWN:,} more" if count > SHOWN else shown
