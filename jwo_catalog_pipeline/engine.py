"""DuckDB for tables in files: how much memory it may use, and where it puts what does not fit.

Belongs here: opening a database, and its limits. The database in which field mappings run is `catalog/mapping/
sql_engine.py`'s: that one cannot read files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import duckdb
import pandas as pd
import pyarrow as pa

from jwo_catalog_pipeline.settings import readable_settings
from jwo_catalog_pipeline.table_file import PIECE_ROWS, TableFile, as_frame

LEAST_BYTES = 256 << 20  # with less DuckDB cannot work with large tables
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


@contextmanager
def connect(folder: Path, share: float = 1.0) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a database in memory that moves to the folder what does not fit.

    Opening a database takes as long as planning some thousand items, so who works in a folder in which one is open gets
    a connection to that; what one connection makes, no other sees. The last one closes it.

    Args:
        folder: of `work_folder`.
        share: of the memory that all of the process may use.
    """
    key = (folder, share)
    with _opening:
        db, users = _open.get(key) or (_database(folder, share), 0)
        _open[key] = db, users + 1
    try:
        with db.cursor() as connection:
            yield connection
    finally:
        with _opening:
            db, users = _open.pop(key)
            if users > 1:
                _open[key] = db, users - 1
            else:
                db.close()


_opening = Lock()
_open: dict[tuple[Path, float], tuple[duckdb.DuckDBPyConnection, int]] = {}


def _database(folder: Path, share: float) -> duckdb.DuckDBPyConnection:
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{int(memory_limit() * share)}B",
        "temp_directory": str(folder / "spilled"),
        "arrow_large_buffer_size": True,  # what pandas holds, so nothing is converted
        "autoinstall_known_extensions": False,
        "python_enable_replacements": False,
    }
    return duckdb.connect(config=config)


def view(db: duckdb.DuckDBPyConnection, name: str, table: TableFile) -> None:
    """Let SQL read a table under a name; the column `file_row_number` says where a row is, from 0."""
    file = f"read_parquet('{quoted(table.path)}', file_row_number = true)"
    db.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS FROM {file}")


def pieces(
    db: duckdb.DuckDBPyConnection, query: str, parameters: dict[str, object] | None = None
) -> pa.RecordBatchReader:
    """The rows of a query, a piece at a time; they are computed as they are read."""
    return db.sql(query, params=parameters or {}).to_arrow_reader(PIECE_ROWS)


def tables(
    db: duckdb.DuckDBPyConnection, query: str, parameters: dict[str, object] | None = None, rows: int = PIECE_ROWS
) -> Iterator[pa.Table]:
    """The same as tables, as they are written to a file."""
    found = db.sql(query, params=parameters or {}).to_arrow_reader(rows)
    return (pa.Table.from_batches([batch]) for batch in found)


def ask(query: str, parameters: dict[str, object] | None = None, **named: TableFile) -> pd.DataFrame:
    """The few rows that a query finds in tables, which it calls by these names."""
    with connect(next(iter(named.values())).path.parent) as db:
        for name, table in named.items():
            view(db, name, table)
        return as_frame(db.sql(query, params=parameters or {}).to_arrow_table())


def quoted(text: str | Path) -> str:
    """A text within single quotes of SQL."""
    return str(text).replace("'", "''")


def memory_limit() -> int:
    """Bytes that DuckDB may use in this process: JWO_MEMORY_LIMIT, or half of what the container or machine has."""
    setting = readable_settings(os.environ)[0].memory_limit
    return max(LEAST_BYTES, parse_bytes(setting) if setting else _available() // 2)


def parse_bytes(text: str) -> int:
    """Bytes of a text such as 2GB or 512MiB.

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT]i?B)", text.strip(), re.IGNORECASE)
    if not found:
        raise ValueError(f"{text!r} is not an amount of memory")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def _available() -> int:
    """What the container or service may use, or else the machine's memory.

    https://docs.kernel.org/admin-guide/cgroup-v2.html and .../cgroup-v1/memory.html
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _limit_files():
        try:
            limits.append(int(path.read_text(encoding="ascii")))
        except (OSError, ValueError):  # another kind of container, or "max": no limit
            continue
    return min(limits)


def _limit_files() -> Iterator[Path]:
    """Where a limit of this process, or of a group that it belongs to, may be."""
    try:
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        groups = []
    for line in ("0::/", "0:memory:/", *groups):
        _, controllers, group = line.split(":", 2)
        root, name = Path("/sys/fs/cgroup"), "memory.max"
        if "memory" in controllers.split(","):
            root, name = root / "memory", "memory.limit_in_bytes"
        elif controllers:
            continue
        own = root / group.lstrip("/")
        yield from (folder / name for folder in (own, *own.parents) if folder.is_relative_to(root))
