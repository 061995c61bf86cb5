"""The demo as a command: the sample the whole way, and nothing of the caller's own configuration."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-c", "from jwo_catalog_pipeline.cli.main import main; main()", "demo"]


def demo(folder: Path, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *options], cwd=folder, env={**os.environ, **env}, capture_output=True, text=True)


def test_the_demo_ends_by_itself_with_every_item_settled(tmp_path: Path) -> None:
    # A demo that took any of these from its caller would fail, or worse.
    real = {"AWS_PROFILE": "production", "JWO_API_URL": "http://127.0.0.1:9", "JWO_BUCKET": "a-real-bucket"}
    result = demo(tmp_path, "--no-ui", "--json", **real)
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    items = summary["items"]
    assert set(items) == {"accepted", "rejected", "quarantined"}
    assert min(items.values()) > 0
    assert sum(items.values()) == summary["source_rows"] > 2500
    assert {reason["code"] for reason in summary["rejection_reasons"]} == {"INVALID_TAX_CODE", "INVALID_BARCODE"}
    assert sum(reason["items"] for reason in summary["rejection_reasons"]) == items["rejected"]
    assert summary["quarantine_reasons"]["item_unique"] == 8
    assert "items settled" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == [".demo"]


@pytest.mark.thorough
def test_a_catalog_that_cannot_be_used_ends_the_demo_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "export.csv").write_text("sku,name\nA,Pen\n")
    (tmp_path / "mapping.yaml").write_text("version: 1\nfields:\n  item_sku: sku\n")
    result = demo(tmp_path, "--no-ui", "--source", "export.csv", "--mapping", "mapping.yaml")
    assert result.returncode == 1
    assert "Error: " in result.stderr
    assert "the required field 'external_product_id' is not mapped" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.thorough
def test_a_catalog_with_many_invalid_rows_leaves_the_worklist_behind(tmp_path: Path) -> None:
    (tmp_path / "export.csv").write_text("sku,code,name\nA,4006381333931,Pen\nB,4006381333932,Gum\n")
    fields = "item_sku: sku, external_product_id: code, item_name: name"
    (tmp_path / "mapping.yaml").write_text(f"version: 1\nstores: [S1]\nfields: {{{fields}}}\n")
    own = ("--no-ui", "--source", "export.csv", "--mapping", "mapping.yaml")
    blocked = demo(tmp_path, *own)
    assert blocked.returncode == 1
    assert "1 of 2 rows (50.0%) failed a check" in blocked.stderr
    assert ".demo/quarantined_items.csv" in blocked.stderr
    kept = (tmp_path / ".demo/quarantined_items.csv").read_text()
    assert "the check digit of '4006381333932' is wrong or missing" in kept
    allowed = demo(tmp_path, *own, "--max-invalid-share", "0.5", "--json")
    assert json.loads(allowed.stdout)["items"] == {"accepted": 1, "quarantined": 1}


def test_a_port_in_use_is_said_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = demo(tmp_path, "--port", str(taken.getsockname()[1]))
    assert result.returncode == 1
    assert "is in use; stop what uses it, or choose another with --port" in result.stderr
    assert list(tmp_path.iterdir()) == []
