"""What DuckDB says of a file."""

import re

import duckdb


def reason(error: duckdb.Error) -> str:
    """DuckDB's first sentence, shortened, and without the path, which is that of a local copy."""
    first = str(error).splitlines()[0].removeprefix("Invalid Input Error: ")
    return re.sub(r'(in|to) file "[^"]*",? ?', "", first)[:300]
