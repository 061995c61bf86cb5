"""Fields of an export that may have swallowed rows: a quotation mark was not closed.

Belongs here: finding them in the export itself, for a mapping may hide them, as clean() does.
Does not belong here: what is said about them (see the rule `text_line_break`).
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from jwo_catalog_pipeline.catalog.rules.rules import SOURCE_ROW


def line_breaks(source: pd.DataFrame, used: Collection[str], delimiter: str) -> pd.Series:
    """The fields that hold a line break, of rows where there is one.

    Args:
        source: `source_row` (int64) and the export's columns.
        used: The columns that the mapping uses. Of these, any line break counts; of others, such as long
            descriptions, only one where the text has the delimiters of whole rows.
        delimiter: Between the fields of the export; empty where it has none.

    Returns:
        By `source_row`, the first such field of the row, `str`; empty where there is none.
    """
    found: dict[int, str] = {}
    columns = [str(column) for column in source.columns if column != SOURCE_ROW]
    folded = {name.casefold() for name in used}
    for place, name in enumerate(columns):
        texts = pa.array(source[name], pa.large_string())
        broken = pc.fill_null(pc.match_substring_regex(pc.utf8_trim_whitespace(texts), r"[\r\n]"), False)
        for row in np.flatnonzero(broken.to_numpy(zero_copy_only=False)):
            text = texts[row].as_py()
            if name.casefold() in folded or _holds_rows(text, delimiter, place, len(columns)):
                found.setdefault(int(source[SOURCE_ROW].iloc[row]), text)
    return pd.Series(found, dtype="str")


def _holds_rows(text: str, delimiter: str, place: int, columns: int) -> bool:
    """Whether a text is the end of a row, perhaps whole rows, and the beginning of another one up to its column."""
    if not delimiter or columns < 2:
        return False
    counts = [line.count(delimiter) for line in text.splitlines()]
    ends, begins = counts[0] == columns - 1 - place, counts[-1] == place
    return len(counts) > 1 and ends and begins and all(count == columns - 1 for count in counts[1:-1])
