"""Rows of a large export that a proposal is made from: enough to see what the columns hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from jwo_catalog_pipeline.catalog.mapping.column_facts import ROWS_LOOKED_AT
from jwo_catalog_pipeline.catalog.rules.rules import SOURCE_ROW
from jwo_catalog_pipeline.catalog.source.reading import FILES
from jwo_catalog_pipeline.table_file import TableFile, as_frame

LAST_ROWS = 10  # where a sum may stand


def sample_of(source: TableFile) -> pd.DataFrame:
    """All rows of a small export; of a large one the beginning of each file, rows from all over, and the last ones.

    Args:
        source: As `read_export` gives it.

    Returns:
        The same columns, rows in order; the attribute `FILES` counts the rows that are in the sample.
    """
    if source.rows <= 2 * ROWS_LOOKED_AT:
        return source.frame()
    names, rows = zip(*source.attrs.get(FILES, [["", source.rows]]), strict=True)
    past, places = np.cumsum(rows), np.arange(source.rows)
    within = places - np.repeat(past - rows, rows)
    wanted = (within < ROWS_LOOKED_AT // len(rows)) | (places % (source.rows // ROWS_LOOKED_AT) == 0)
    wanted[-LAST_ROWS:] = True
    parts = [piece.filter(pa.array(wanted[piece[SOURCE_ROW].to_numpy() - 1])) for piece in source.pieces()]
    sample = as_frame(pa.concat_tables(parts))
    of_files = np.diff(np.append(0, np.cumsum(wanted)[past - 1])).tolist()
    sample.attrs = dict[Any, Any](source.attrs)
    sample.attrs[FILES] = [[name, many] for name, many in zip(names, of_files, strict=True)]
    return sample
