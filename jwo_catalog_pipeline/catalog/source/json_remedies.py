"""What helps where JSON is not as `source.records` says, or not JSON at all.

Belongs here: naming the lists of a document, and explaining DuckDB's errors.
Does not belong here: reading the records (see `json_files.py`).
"""

from __future__ import annotations

import json

import duckdb

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.source.duckdb_errors import reason


def lists_remedy(db: duckdb.DuckDBPyConnection, format_: str) -> str:
    """The remedy that names the lists of objects of the document; "" where there is none."""
    if format_ != "json":
        return ""
    found = db.execute("SELECT record FROM documents LIMIT 1").fetchall()
    try:
        document = json.loads(found[0][0]) if found else None
    except (ValueError, RecursionError):
        return ""
    paths = sorted(_paths(document, "", 0))
    return f"set source.records in the field mapping to the list, such as {', '.join(paths[:3])}" if paths else ""


def _paths(value: object, path: str, depth: int) -> set[str]:
    if depth > 5:
        return set()
    if isinstance(value, dict):
        if path and value and all(_is_record(each) for each in value.values()):
            return {path}
        inner = (_paths(each, f"{path}.{key}" if path else key, depth + 1) for key, each in value.items())
        return set().union(*inner)
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        inside = (_paths(each, f"{path}[]", depth + 1) for each in value[:20])
        return ({f"{path}[]"} if path else set()).union(*inside)
    return set()


def _is_record(value: object) -> bool:
    return isinstance(value, dict) and any(not isinstance(each, dict | list) for each in value.values())


def explained(error: duckdb.Error, name: str, format_: str, records: str | None) -> SourceFileError:
    """What DuckDB says of a file, with what helps."""
    problem = f"{name} cannot be read as {format_}: {reason(error)}"
    if "JSON transform" in problem:
        return SourceFileError(problem, f"source.records must name the key that holds the list, and it is {records!r}")
    return SourceFileError(f"{problem}: the file is cut off or damaged", "export it again")
