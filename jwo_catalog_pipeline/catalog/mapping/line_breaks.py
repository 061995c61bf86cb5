"""Fields of an export that may have swallowed rows: a quotation mark was not closed.

Belongs here: finding them in the export itself, for a mapping may hide them, as clean() does.
Does not belong here: what is said about them (see the rule `text_line_break`).
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jwo_catalog_pipeline.catalog.rules.rules import SOURCE_ROW
from jwo_catalog_pipeline.catalog.rules.texts import rows_holding


def line_breaks(source: pa.Table, used: Collection[str], delimiter: str) -> dict[int, str]:
    """The fields that hold a line break, of rows where there is one.

    Args:
        source: `source_row` (int64) and the export's columns.
        used: The columns that the mapping uses. Of these, any line break counts; of others, such as long
            descriptions, only one where the text has the delimiters of whole rows.
        delimiter: Between the fields of the export; empty where it has none.

    Returns:
        By `source_row`, the first such field of the row; empty where there is none.
    """
    found: dict[int, str] = {}
    columns = [column for column in source.column_names if column != SOURCE_ROW]
    folded = {name.casefold() for name in used}
    for place, name in enumerate(columns):
        texts = source[name]
        candidates = rows_holding(texts, _ENDS)
        broken = candidates[_matches(pc.utf8_trim_whitespace(texts.take(pa.array(candidates))), r"[\r\n]")]
        for row in broken.tolist():
            text = texts[row].as_py()
            if name.casefold() in folded or _holds_rows(text, delimiter, place, len(columns)):
                found.setdefault(source[SOURCE_ROW][row].as_py(), text)
    return found


_ENDS = np.zeros(256, dtype=bool)
_ENDS[list(b"\r\n")] = True


def _matches(texts: pa.ChunkedArray, pattern: str) -> np.ndarray:
    return np.asarray(pc.fill_null(pc.match_substring_regex(texts, pattern), False))


def _holds_rows(text: str, delimiter: str, place: int, columns: int) -> bool:
    """Whether a text is the end of a row, perhaps whole rows, and the beginning of another one up to its column."""
    if not delimiter or columns < 2:
        return False
    counts = [line.count(delimiter) for line in text.splitlines()]
    ends, begins = counts[0] == columns - 1 - place, counts[-1] == place
    return len(counts) > 1 and ends and begins and all(count == columns - 1 for count in counts[1:-1])
