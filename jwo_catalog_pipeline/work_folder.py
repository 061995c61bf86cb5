"""Folders on this machine for tables while they are worked on. None outlives its process for long.

A killed process cannot remove its folder, so each folder is locked by the process that works in it, and whoever makes
the next one removes those that no process holds.
"""

from __future__ import annotations

import errno
import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import duckdb

from jwo_catalog_pipeline.errors import PipelineError, TransientError

_PREFIX = "jwo-catalog-"
_LOCK = "lock"
_YOUNG_SECONDS = 60  # a folder of this age may belong to a process that has not locked it yet


class DiskFull(PipelineError, TransientError):
    """There is no room left on this machine's disk for the tables of an upload."""


@contextmanager
def work_folder() -> Iterator[Path]:
    """An empty folder, which is removed at the end with all that is in it; also removes those of killed processes.

    Raises:
        DiskFull: what was to be written in it did not fit.
    """
    _remove_abandoned()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        except (OSError, duckdb.Error) as error:
            if (said := explained(error)) is not error:
                raise said from error
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def new_path(folder: Path, name: str) -> Path:
    """Where another table of this name may be written; no table is written twice."""
    return folder / f"{name}-{uuid4().hex[:12]}.parquet"


def explained(error: BaseException) -> BaseException:
    """The error, or, where it says that the disk is full, a `DiskFull` that says what helps."""
    if not isinstance(error, OSError | duckdb.Error) or not _is_full(error):
        return error
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free / 1e9
    return DiskFull(
        f"there is no room left for tables in {folder} ({free:,.1f} GB are free)",
        "free some, or let TMPDIR name a folder with more room: about 1 KB for each row of the export",
    )


def _is_full(error: OSError | duckdb.Error) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
    # DuckDB says so when what it moves from memory to disk reaches its limit, which is the free room of the disk.
    return "No space left" in str(error) or "max_temp_directory_size" in str(error)


def _remove_abandoned() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            with (folder / _LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except FileNotFoundError:
            if _age(folder) > _YOUNG_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # it is in use, or another user's
            continue


def _age(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:
        return 0.0
