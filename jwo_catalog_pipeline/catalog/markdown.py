"""Tables as Markdown, for Dagster's UI and for pull requests.

Belongs here: escaping, for product names are other people's text.
Does not belong here: what the tables hold.
"""

from __future__ import annotations

import pandas as pd

MAX_CELL = 100  # characters; a cell is for looking, the table in the bucket has it all

# What would end a cell, begin markup or a link, or turn the direction of the text that follows.
_ESCAPES = {"&": "&amp;", "<": "&lt;", "|": "\\|", "`": "\\`", "[": "\\[", "*": "\\*", "_": "\\_", "\\": "\\\\"}
_ESCAPES |= dict.fromkeys("\n\r\t\u2028\u2029", " ")
_ESCAPES |= dict.fromkeys("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069", "")
_TABLE = str.maketrans(_ESCAPES)


def as_markdown(table: pd.DataFrame) -> str:
    """A small table; missing values are empty, long ones are cut."""
    header = [str(name) for name in table.columns]
    lines = [header, ["---"] * len(header), *([cell(value) for value in row] for row in table.itertuples(index=False))]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(value: object) -> str:
    """A value as the text of a table's cell."""
    text = "" if value is None or value != value else str(value)
    return text[:MAX_CELL].translate(_TABLE)
