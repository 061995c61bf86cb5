"""Laying tables of `Published` over each other: of each item the newest row stays."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from jwo_catalog_pipeline.engine import connect, pieces, view
from jwo_catalog_pipeline.table_file import PIECE_ROWS, TableFile, of_equal_length, write_table
from jwo_catalog_pipeline.upload.tables import Published, arrow_schema
from jwo_catalog_pipeline.work_folder import new_path

SCHEMA = arrow_schema(Published)
_NO_ROWS = np.zeros(0, dtype="int64")


@dataclass(frozen=True)
class Layer:
    """A table of `Published`, each item once.

    Attributes:
        table: the rows.
        without: numbers of rows that are not part of it.
    """

    table: TableFile
    without: np.ndarray = field(default_factory=lambda: _NO_ROWS)


def fold(layers: Sequence[Layer], folder: Path) -> TableFile:
    """Lay tables over each other, the newest last; only the first has rows that are not part of it.

    What is archived in the end is left out, unless another ingestion may archive it once more. The rows that stay keep
    their order, so the same layers give the same bytes.
    """
    layers = [layer for layer in layers if layer.table.rows]
    with connect(folder) as db:
        _show(db, layers)
        left_out = [_left_out(db, number, layer) for number, layer in enumerate(layers)]
    if len(layers) == 1 and not left_out[0].any():
        return layers[0].table
    rows = (piece for layer, mask in zip(layers, left_out, strict=True) for piece in _rows_but(layer.table, mask))
    return write_table(new_path(folder, "published"), of_equal_length(rows, PIECE_ROWS), SCHEMA)


def _show(db: duckdb.DuckDBPyConnection, layers: Sequence[Layer]) -> None:
    """Views of the layers, and `newer`: in which of them, but for the first, an item is last."""
    for number, layer in enumerate(layers):
        view(db, f"layer_{number}", layer.table)
    keys = [f"SELECT store_id, item_sku, {number} AS layer FROM layer_{number}" for number in range(1, len(layers))]  # noqa: S608
    every = " UNION ALL ".join(keys) or "SELECT '' AS store_id, '' AS item_sku, 0 AS layer"
    if len(keys) > 1:
        last = f"SELECT store_id, item_sku, max(layer) AS layer FROM ({every}) GROUP BY ALL"  # noqa: S608 (our text)
        db.execute(f"CREATE TEMP TABLE newer AS {last}")
    else:  # as large as a catalog, it may be
        db.execute(f"CREATE TEMP VIEW newer AS {every}")


def _left_out(db: duckdb.DuckDBPyConnection, number: int, layer: Layer) -> np.ndarray:
    """Which rows of a layer do not stay."""
    mask = np.zeros(layer.table.rows, dtype=bool)
    mask[layer.without] = True
    is_archived = "l.state = 'archived' AND l.doubted_at = 0"
    is_older = "l.store_id = n.store_id AND l.item_sku = n.item_sku AND n.layer > $number"
    query = f"""SELECT file_row_number FROM layer_{number} l WHERE {is_archived}
                UNION ALL SELECT file_row_number FROM layer_{number} l SEMI JOIN newer n ON {is_older}"""  # noqa: S608
    for batch in pieces(db, query, {"number": number}):
        mask[batch.column(0).to_numpy()] = True
    return mask


def _rows_but(table: TableFile, left_out: np.ndarray) -> Iterator[pa.Table]:
    start = 0
    for piece in table.pieces():
        stay = ~left_out[start : start + len(piece)]
        start += len(piece)
        yield piece.select(SCHEMA.names).cast(SCHEMA).filter(pa.array(stay))
