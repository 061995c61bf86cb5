"""Gives a blank cell the value of the cell above it.

Belongs here: exports that say a thing once for several rows, as Shopify says a product's title and status in the row of
its first variant only.
Does not belong here: reading the rows (see `reading.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from jwo_catalog_pipeline.catalog.errors import SourceFileError


@dataclass(frozen=True)
class FillDown:
    """Which cells take the value above.

    Attributes:
        columns: These columns; one that the export lacks is passed over.
        by: Only among neighbouring rows that are the same in the first of these columns that the export has; empty: in
            all rows.
    """

    columns: tuple[str, ...]
    by: tuple[str, ...] = ()


def filled_down(frame: pd.DataFrame, fill: FillDown, name: str) -> pd.DataFrame:
    """The same rows, with the blank cells of the columns filled.

    Args:
        frame: The rows of an export in its order.
        fill: Which cells.
        name: What messages call the export.

    Raises:
        SourceFileError: the export has none of the columns in `by`.
    """
    known = {str(column).casefold(): column for column in frame.columns}
    columns = [known[column.casefold()] for column in fill.columns if column.casefold() in known]
    if not columns:
        return frame
    filled = frame.copy()
    if not fill.by:
        filled[columns] = frame[columns].ffill()
        return filled
    by = next((known[column.casefold()] for column in fill.by if column.casefold() in known), None)
    if by is None:
        raise SourceFileError(
            f"{name} has no column {' or '.join(map(repr, fill.by))}, by which source.fill_down keeps rows together",
            "correct source.fill_down.by in the field mapping",
        )
    # Neighbouring rows alone: a later row with the same value belongs to another product.
    runs = (frame[by] != frame[by].shift()).cumsum()
    filled[columns] = frame[columns].groupby(runs).ffill()
    return filled
