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

import duckdb
import pyarrow as pa

from jwo_catalog_pipeline.settings import readable_settings
from jwo_catalog_pipeline.table_file import PIECE_ROWS, TableFile

LEAST_BYTES = 256 << 20  # with less DuckDB cannot work with large tables
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


@contextmanager
def connect(folder: Path, share: float = 1.0) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that moves to the folder what does not fit.

    Args:
        folder: of `work_folder`.
        share: of the memory that all of the process may use.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{int(memory_limit() * share)}B",
        "temp_directory": str(folder / "spilled"),
        "arrow_large_buffer_size": True,  # what pandas holds, so nothing is converted
        "autoinstall_known_extensions": False,
        "python_enable_replacements": False,
    }
    with duckdb.connect(config=config) as db:
        yield db


def view(db: duckdb.DuckDBPyConnection, name: str, table: TableFile) -> None:
    """Let SQL read a table under a name; the column `file_row_number` says where a row is, from 0."""
    path = str(table.path).replace("'", "''")
    db.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS FROM read_parquet('{path}', file_row_number = true)")


def pieces(
    db: duckdb.DuckDBPyConnection, query: str, parameters: dict[str, object] | None = None
) -> pa.RecordBatchReader:
    """The rows of a query, a piece at a time; they are computed as they are read."""
    return db.sql(query, params=parameters or {}).to_arrow_reader(PIECE_ROWS)


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
