"""A disk without room for tables: one sentence with what helps, and nothing is sent."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jwo_catalog_pipeline_tests.support.project import HEADER, Project

SMALL = "1m"  # of a disk; the tables take about four times as much
MOUNTED = 'mount -t tmpfs -o size=$0 none "$1" && shift && exec "$@"'


def on_a_small_disk(disk: Path, command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command that alone sees a small disk at a folder."""
    private = ["unshare", "--mount", "sh", "-c", MOUNTED, SMALL, str(disk)]
    if subprocess.run([*private, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a small disk, which takes root")
    return subprocess.run([*private, *command], capture_output=True, text=True, check=False, env=env)


def test_a_full_disk_is_one_sentence_and_nothing_is_sent(project: Project, tmp_path: Path) -> None:
    names = (f"{os.urandom(40).hex()}" for _ in range(20_000))  # nothing makes them smaller
    project.export(HEADER, *(f"S{number},4006381333931,{name},JWO-STORE-01,1.99" for number, name in enumerate(names)))
    (disk := tmp_path / "disk").mkdir()
    (home := tmp_path / "home").mkdir()
    env = {**os.environ, **project.env, "TMPDIR": str(disk), "DAGSTER_HOME": str(home)}
    command = [str(Path(sys.executable).with_name("jwo-catalog")), "upload", "--yes"]
    done = on_a_small_disk(disk, command, env)
    assert done.returncode == 1
    said = done.stderr.strip().splitlines()[-1]
    assert said.startswith("Error: ") and f"there is no room left for tables in {disk}" in said
    assert "let TMPDIR name a folder with more room" in said
    assert "Traceback" not in done.stderr
    assert project.requests() == []
