"""The locked DuckDB in which mappings and barcode rules run.

Belongs here: opening it, and the list of functions that a mapping may call.
Does not belong here: reading files; this database cannot.
"""

from __future__ import annotations

import os
from functools import cache
from importlib import resources

import duckdb
import pyarrow as pa

# A mapping of a few million rows fits; an expression that makes endless text ends in an error, not in a dead machine.
MEMORY_LIMIT = "2GB"

# Macros that DuckDB itself defines and that only compute; the others look into the catalog or the session.
_BUILT_IN_MACROS = {"nullif", "split_part", "if", "fmod", "fdiv", "array_to_string", "list_first", "list_last"}
_BUILT_IN_MACROS |= {"list_reverse", "list_min", "list_max", "list_sum", "list_any_value", "days_in_month"}
# Scalar functions whose result may be as large as one of their arguments says.
_GROWING = {"printf", "format", "bar", "list_resize", "array_resize"}


# The SQL that defines the functions of field mappings and barcode rules.
FUNCTIONS = resources.files(__package__).joinpath("functions.sql").read_text(encoding="utf-8")


def connect_locked() -> duckdb.DuckDBPyConnection:
    """Open a connection with the project's functions that can reach neither files nor settings.

    All connections of a process are to one database in memory, in which nothing is stored: it takes a tenth of a second
    to define the functions, and a run needs several connections. What one registers, no other sees.
    """
    return _locked_database(os.getpid(), MEMORY_LIMIT).cursor()


@cache
def _locked_database(process: int, memory_limit: str) -> duckdb.DuckDBPyConnection:
    """The database of a process: its threads do not survive a fork."""
    db = duckdb.connect(config={"python_enable_replacements": False})  # as a setting it would hold for this one alone
    db.execute(FUNCTIONS)
    db.execute(
        # Arrow's large strings are what pandas holds, so nothing is converted.
        f"SET arrow_large_buffer_size = true; SET memory_limit = '{memory_limit}'; SET temp_directory = ''; "
        "SET enable_external_access = false; SET lock_configuration = true"
    )
    return db


def register(db: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    """Show a table to the database, in pieces, for DuckDB shares out whole pieces among its threads."""
    db.register(name, pa.Table.from_batches(table.to_batches(max_chunksize=61440), table.schema))


@cache
def callable_functions() -> frozenset[str]:
    """Names, in lower case, of the functions that a mapping's expression may call.

    Scalar functions whose result depends on their arguments only, and the project's macros. Not: aggregates, table
    functions, what reads clock, chance or session, what makes text of any length, names that begin with an underscore.
    """
    with connect_locked() as db:
        names = db.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE CASE function_type "
            "  WHEN 'scalar' THEN stability = 'CONSISTENT' "
            "  WHEN 'macro' THEN NOT internal OR function_name IN $macros END "
            "AND function_name[1] <> '_' AND function_name NOT IN $growing "
            "EXCEPT SELECT function_name FROM duckdb_functions() "
            "WHERE function_type NOT IN ('scalar', 'macro') AND function_name <> 'repeat'",
            {"macros": sorted(_BUILT_IN_MACROS), "growing": sorted(_GROWING)},
        ).fetchall()
    return frozenset(name.lower() for (name,) in names)
