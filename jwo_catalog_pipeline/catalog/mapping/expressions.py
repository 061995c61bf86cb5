"""Which SQL expressions a field mapping may hold: scalar ones over the columns of the export, and nothing else.

Belongs here: parsing an expression with DuckDB's own parser and refusing what is not allowed.
Does not belong here: evaluating it (see `transform.py`).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from typing import Any

import duckdb

from jwo_catalog_pipeline.catalog.errors import MappingError
from jwo_catalog_pipeline.catalog.mapping.sql_engine import callable_functions

_ALLOWED = {"COLUMN_REF", "CONSTANT", "FUNCTION", "CAST", "TYPE", "CASE", "COMPARISON", "CONJUNCTION"}
_ALLOWED |= {"OPERATOR", "BETWEEN"}
# These make text as long as their second argument says, which must therefore be a plain, small number.
_LENGTH_GIVEN = {"lpad", "rpad", "repeat"}
MAX_LENGTH_GIVEN = 1_000  # characters, or repetitions; the longest field of an item has 255
_PLAIN_WORDS = {
    "SUBQUERY": "a subquery",
    "WINDOW": "a window function",
    "LAMBDA": "a lambda",
    "STAR": "a star",
    "PARAMETER": "a parameter",
    "POSITIONAL_REFERENCE": "a column number",
    "COLLATE": "a collation",
}


def parse_expression(db: duckdb.DuckDBPyConnection, sql: str, where: str) -> tuple[str, ...]:
    """Check one expression and give the names of the columns that it uses, in order of appearance.

    Args:
        db: Any connection; only its parser is used.
        sql: The expression.
        where: What messages begin with: file, line and field.

    Raises:
        MappingError: it is no SQL, more than one expression, or uses what is not allowed.
    """
    row = db.execute("SELECT json_serialize_sql($sql)", {"sql": f"SELECT\n{sql}\n"}).fetchone()
    parsed = json.loads(row[0]) if row else {}
    if parsed.get("error"):
        raise MappingError(
            f"{where}: {sql!r} is no SQL expression: {parsed.get('error_message')}",
            "write one SQL expression; names with spaces or symbols are in double quotes, text is in single quotes",
        )
    columns: dict[str, None] = {}
    _walk(_only_expression(parsed, sql, where), where, columns)
    return tuple(columns)


def _only_expression(parsed: dict[str, Any], sql: str, where: str) -> dict[str, Any]:
    statements = parsed["statements"]
    node = statements[0]["node"] if len(statements) == 1 else {}
    bare = (
        node.get("type") == "SELECT_NODE"
        and node["from_table"]["type"] == "EMPTY"
        and len(node["select_list"]) == 1
        and not node["select_list"][0]["alias"]
        and not any(node[part] for part in ("modifiers", "group_expressions", "group_sets"))
        and not any(node[part] for part in ("where_clause", "having", "sample", "qualify"))
        and not node["cte_map"]["map"]
    )
    if not bare:
        raise MappingError(
            f"{where}: {sql!r} is not one SQL expression",
            "write one expression over the columns of the export, and nothing else",
        )
    expression: dict[str, Any] = node["select_list"][0]
    return expression


def _walk(part: Any, where: str, columns: dict[str, None]) -> None:
    if isinstance(part, list):
        for child in part:
            _walk(child, where, columns)
        return
    if not isinstance(part, dict):
        return
    kind = part.get("class")
    if kind is not None:
        _check(part, kind, where, columns)
    for value in part.values():
        _walk(value, where, columns)


def _check(part: dict[str, Any], kind: str, where: str, columns: dict[str, None]) -> None:
    if kind not in _ALLOWED:
        what = _PLAIN_WORDS.get(kind, kind.lower().replace("_", " "))
        raise MappingError(
            f"{where}: {what} is not allowed", "use one expression over the columns of a single row of the export"
        )
    if kind == "COLUMN_REF":
        if len(part["column_names"]) != 1:
            name = ".".join(part["column_names"])
            raise MappingError(
                f"{where}: {name} is no column", f'write a name that holds a point in double quotes, "{name}"'
            )
        columns[part["column_names"][0]] = None
    elif kind == "FUNCTION":
        _check_function(part, where)


def _check_function(part: dict[str, Any], where: str) -> None:
    name = part["function_name"]
    plain = not (part["schema"] or part["catalog"] or part["filter"] or part["distinct"])
    if plain and not part["order_bys"]["orders"] and name.lower() in callable_functions():
        if name.lower() in _LENGTH_GIVEN and not _is_small_number(part["arguments"]):
            raise MappingError(
                f"{where}: the second argument of {name} is not a plain, small number",
                f"write a number of at most {MAX_LENGTH_GIVEN:,}",
            )
        return
    raise MappingError(
        f"{where}: the function {name} does not exist or is not allowed (aggregates, window and table functions, and "
        "what depends on the time, on chance or on the session, are not)",
        suggest(name.lower(), callable_functions()) or "docs/mapping.md lists the functions",
    )


def _is_small_number(arguments: list[dict[str, Any]]) -> bool:
    literal = arguments[1]["expression"].get("literal", {}) if len(arguments) > 1 else {}
    return literal.get("kind") == "INTEGER" and int(literal["text"]) <= MAX_LENGTH_GIVEN


def suggest(name: str, known: Iterable[str]) -> str:
    """The remedy for an unknown name: the nearest known ones as a question, or "" where none is near."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)
    near = near or [candidate for candidate in by_lower if len(name) > 2 and name.lower() in candidate][:3]
    return f"did you mean {' or '.join(repr(by_lower[candidate]) for candidate in near)}?" if near else ""
