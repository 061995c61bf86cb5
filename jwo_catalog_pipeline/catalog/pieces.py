"""Works on the pieces of a table: two at once, in their order, and no more than a few in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import pyarrow as pa

from jwo_catalog_pipeline.table_file import TableFile

In = TypeVar("In")
Out = TypeVar("Out")
PLACE = "place"  # of a row in another table, from 0

AT_ONCE = 2  # DuckDB and Arrow use further cores by themselves


def in_order(work: Callable[[In], Out], pieces: Iterable[In], at_once: int = AT_ONCE) -> Iterator[Out]:
    """What `work` makes of each piece, in the order of the pieces; as many are worked on ahead, in threads."""
    waiting: deque[Future[Out]] = deque()
    with ThreadPoolExecutor(at_once) as pool:
        try:
            for piece in pieces:
                waiting.append(pool.submit(work, piece))
                if len(waiting) > at_once:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def with_rows_beside(pieces: Iterable[pa.Table], beside: TableFile) -> Iterator[tuple[int, pa.Table, pa.Table]]:
    """Pieces of a table, each with what another table says of its rows.

    Args:
        pieces: Of the table, from its first row on.
        beside: `PLACE` (int64): the place of a row in the table, and anything else; in order of `PLACE`.

    Returns:
        The place of the piece's first row, the piece, and the rows of `beside` that are about it.
    """
    others, waiting, first = beside.pieces(), beside.schema.empty_table(), 0
    for piece in pieces:
        end = first + len(piece)
        while not len(waiting) or waiting[PLACE][-1].as_py() < end:
            more = next(others, None)
            if more is None:
                break
            waiting = pa.concat_tables([waiting, more])
        count = int(np.searchsorted(waiting[PLACE].to_numpy(), end))
        yield first, piece, waiting.slice(0, count)
        waiting, first = waiting.slice(count), end


def spread(beside: pa.Table, column: str, first: int, rows: int) -> pa.Array:
    """A column of `rows` values, those of `beside` at their places, and missing elsewhere."""
    places = np.full(rows, -1, dtype="int64")
    places[beside[PLACE].to_numpy() - first] = np.arange(len(beside))
    return beside[column].combine_chunks().take(pa.array(places, mask=places < 0))
