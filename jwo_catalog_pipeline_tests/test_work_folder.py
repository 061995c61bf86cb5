"""Folders for tables: none outlives its process for long, and a full disk is one sentence."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import pytest

from jwo_catalog_pipeline.work_folder import DiskFull, work_folder

WORKS_UNTIL_KILLED = """
import os, signal
from jwo_catalog_pipeline.work_folder import work_folder
with work_folder() as folder:
    (folder / "spilled").write_text("half a table")
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # where Python remembers what TMPDIR was
    return tmp_path


def test_a_folder_is_gone_when_its_work_is_done(temporary: Path) -> None:
    with work_folder() as folder:
        (folder / "table").write_text("rows")
        assert folder.parent == temporary
    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_has_left_is_gone_after_the_next_one(temporary: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", WORKS_UNTIL_KILLED], stdout=subprocess.PIPE, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    left = Path(killed.stdout.strip())
    assert (left / "spilled").exists()
    with work_folder():
        assert not left.exists()


def test_a_folder_in_which_another_process_works_stays(temporary: Path) -> None:
    with work_folder() as one, work_folder() as other:
        assert one.exists() and other.exists()


def test_a_folder_that_is_not_locked_yet_stays_while_it_is_young(temporary: Path) -> None:
    young, old = temporary / "jwo-catalog-young", temporary / "jwo-catalog-old"
    young.mkdir()
    old.mkdir()
    os.utime(old, (0, 0))
    with work_folder():
        assert young.exists() and not old.exists()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        duckdb.IOException('Could not write file "spilled/duckdb_temp_block": No space left on device'),
        duckdb.OutOfMemoryException("failed to offload data block; this limit was set by 'max_temp_directory_size'"),
    ],
)
def test_a_full_disk_is_one_sentence_with_what_helps(error: Exception) -> None:
    with pytest.raises(DiskFull, match="let TMPDIR name a folder with more room"), work_folder():
        raise error


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(duckdb.IOException, match="no such file"), work_folder():
        raise duckdb.IOException("no such file")
