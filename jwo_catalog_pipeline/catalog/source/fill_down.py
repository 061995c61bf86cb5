"""Gives a blank cell the value of the cell above it.

Belongs here: exports that say a thing once for several rows, as Shopify says a product's title and status in the row of
its first variant only.
Does not belong here: reading the rows (see `reading.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.table_file import as_frame


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


class FillingDown:
    """Fills blank cells in the pieces of a table, one after the other: a value is carried into the next piece."""

    def __init__(self, columns: Sequence[str], fill: FillDown, name: str) -> None:
        """Look which columns there are.

        Args:
            columns: Of the export.
            fill: Which cells.
            name: What messages call the export.

        Raises:
            SourceFileError: the export has none of the columns in `by`.
        """
        known = {column.casefold(): column for column in columns}
        self._columns = [known[column.casefold()] for column in fill.columns if column.casefold() in known]
        self._by = next((known[column.casefold()] for column in fill.by if column.casefold() in known), None)
        self._last: pd.DataFrame | None = None  # the row before the piece, filled
        if self._columns and fill.by and self._by is None:
            raise SourceFileError(
                f"{name} has no column {' or '.join(map(repr, fill.by))}, by which source.fill_down keeps rows "
                "together",
                "correct source.fill_down.by in the field mapping",
            )

    def filled(self, piece: pa.Table) -> pa.Table:
        """The same rows, with the blank cells of the columns filled."""
        if not self._columns or not len(piece):
            return piece
        names = list(dict.fromkeys([*self._columns, *([self._by] if self._by else [])]))
        rows = as_frame(piece.select(names))
        if self._last is not None:
            rows = pd.concat([self._last, rows], ignore_index=True)
        values = rows[self._columns]
        # Neighbouring rows alone: a later row with the same value belongs to another product.
        filled = values.ffill() if self._by is None else values.groupby(_runs(rows[self._by])).ffill()
        last = rows.tail(1).copy()
        last[[column for column in self._columns if column != self._by]] = filled.tail(1)[
            [column for column in self._columns if column != self._by]
        ]
        skipped = 0 if self._last is None else 1
        self._last = last
        for column in self._columns:
            texts = pa.array(filled[column].iloc[skipped:], piece.schema.field(column).type)
            piece = piece.set_column(piece.schema.get_field_index(column), column, texts)
        return piece


def _runs(values: pd.Series) -> pd.Series:
    return (values != values.shift()).cumsum()


def filled_down(frame: pd.DataFrame, fill: FillDown, name: str) -> pd.DataFrame:
    """The rows of a small export, with the blank cells of the columns filled; see `FillingDown`."""
    filling = FillingDown([str(column) for column in frame.columns], fill, name)
    return as_frame(filling.filled(pa.Table.from_pandas(frame, preserve_index=False)))
