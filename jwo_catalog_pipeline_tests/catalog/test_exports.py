"""Small exports with real trouble: every case of the shared folder, row by row, through `jwo-catalog mapping apply`."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from jwo_catalog_pipeline.cli.main import main
from jwo_catalog_pipeline_tests.support import ROOT

EXPORTS = ROOT.parent / "shared" / "data" / "exports"
CASES = sorted(path.parent for path in EXPORTS.glob("*/expected.json"))
ALL_KINDS = [".csv", ".parquet", ".xlsx"]  # of results
pytestmark = pytest.mark.skipif(not CASES, reason="the shared exports are not here")


def expected(case: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((case / "expected.json").read_text(encoding="utf-8"))
    return content


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, [*arguments])
    assert result.exit_code == 0, result.output
    return result.output


def read_rows(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix == ".csv":
        return pd.read_csv(path, dtype="str", keep_default_na=False, na_values=[""])
    return pd.read_excel(path, engine="openpyxl", dtype="str", keep_default_na=False, na_values=[""])


def rows_of(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of a SKU, or of `store/SKU`."""
    alone = table["item_sku"] == name
    store, _, sku = name.partition("/")
    return table[alone if alone.any() else (table["store_id"] == store) & (table["item_sku"] == sku)]


def check(row: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert row["status"] == wanted["status"], row
    for field, value in wanted.get("fields", {}).items():
        assert row[field] == value, (field, row)
    said = f"{row['reasons']} {row['warnings']}"
    assert wanted.get("rule", "") in said, row
    assert wanted.get("norule", "\0") not in said, row


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        pytest.param(case, kind, id=f"{case.name}{kind}")
        for case in CASES
        for kind in (ALL_KINDS if case.name in ("locations", "barcode_rows", "spreadsheet") else [".csv"])
    ],
)
def test_every_row_of_a_shared_export_becomes_what_it_must(
    case: Path, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(case)
    output = tmp_path / f"rows{kind}"
    run("mapping", "apply", expected(case)["argument"], "--mapping", "mapping.yaml", "--output", str(output))
    table = read_rows(output)
    for name, wanted in expected(case)["rows"].items():
        rows = rows_of(table, name).to_dict("records")
        assert rows or wanted["status"] == "excluded", name
        for row in rows:
            check(row, wanted)


@pytest.mark.parametrize("case", [case for case in CASES if "init" in expected(case)], ids=lambda case: case.name)
def test_init_finds_out_how_a_shared_export_is_written(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `init` proposes reads the export; what it must find is under the keys of `source`."""
    import yaml

    monkeypatch.chdir(case)
    source = yaml.safe_load(run("mapping", "init", expected(case)["argument"])).get("source", {})
    found = {**source, **source.get("options", {})}
    for key, value in expected(case)["init"].items():
        assert _same(found.get(key), value), (key, found)


def _same(found: Any, wanted: Any) -> bool:
    """Equal, or two names of one encoding."""
    import codecs

    try:
        return found == wanted or codecs.lookup(found).name == codecs.lookup(wanted).name
    except (LookupError, TypeError):
        return False
