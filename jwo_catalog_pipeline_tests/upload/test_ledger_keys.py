"""The ledger's keys are written in one module."""

import re
from pathlib import Path

from jwo_catalog_pipeline_tests.support import ROOT

KEYS = ROOT / "jwo_catalog_pipeline/upload/ledger/keys.py"
# The attributes of the key, and the kinds of items that have no other meaning anywhere.
WRITTEN = re.compile(
    r"""["'](pk|sk|(UPLOAD|INGESTION|BATCH|ATTEMPT)#.*|NEWS|DOUBT|UNMATCHED|UNREADABLE|INBOX|SETTLED|RATE|DUPLICATE)["']"""
)


def test_no_key_of_the_ledger_is_written_outside_its_module() -> None:
    places = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for folder in ("jwo_catalog_pipeline", "jwo_catalog_pipeline_tests", "benchmarks")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path not in (KEYS, Path(__file__))
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if WRITTEN.search(line)
    ]
    assert places == []
