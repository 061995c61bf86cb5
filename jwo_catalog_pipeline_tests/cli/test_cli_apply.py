"""`jwo-catalog mapping apply`: every row of an export with its status, in a file that keeps each value as it is."""

import json
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from jwo_catalog_pipeline.catalog.mapping import row_results
from jwo_catalog_pipeline.cli.main import main

MAPPING = """version: 1
where: {expr: status = 'active', note: drafts stay out}
stores: {S1: {}, S2: {where: sku <> 'B', standard_price: price}}
merge: barcodes
fields:
  item_sku: sku
  external_product_id: code
  item_name: name
  standard_price: price(price)
"""
EXPORT = """sku,code,name,price,status
007,4006381110006,=1+tea,1,active
007,4006381110013,=1+tea,1,active
B,4006381110020,+tea,x,active
C,4006381110037,@tea,1.00,draft
D,,-Crème,0,active
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JWO_STORE_IDS", raising=False)
    (tmp_path / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    (tmp_path / "items.csv").write_text(EXPORT, encoding="utf-8")

    def call(*arguments: str) -> Result:
        arguments = ("apply", "items.csv", "--mapping", "mapping.yaml", *arguments)
        return CliRunner().invoke(main, ["mapping", *arguments], catch_exceptions=False)

    return call


def rows(path: Path) -> list[tuple[str, ...]]:
    table = pd.read_csv(path, dtype="str", keep_default_na=False)
    return list(
        table[["source_row", "store_id", "item_sku", "status", "merged_into"]].itertuples(index=False, name=None)
    )


def test_every_row_has_a_status_in_every_store(run, tmp_path: Path) -> None:
    assert run("-o", "rows.csv").exit_code == 0
    assert rows(tmp_path / "rows.csv") == [
        ("1", "S1", "007", "valid", ""),
        ("1", "S2", "007", "valid", ""),
        ("2", "S1", "007", "valid", "1"),
        ("2", "S2", "007", "valid", "1"),
        ("3", "S1", "B", "quarantined", ""),
        ("3", "S2", "B", "excluded", ""),
        ("4", "S1", "C", "excluded", ""),
        ("4", "S2", "C", "excluded", ""),
        ("5", "S1", "D", "quarantined", ""),
        ("5", "S2", "D", "quarantined", ""),
    ]
    table = pd.read_csv(tmp_path / "rows.csv", dtype="str")
    assert list(table.columns[:5]) == ["source_row", "status", "reasons", "warnings", "merged_into"]
    # A row that is part of an item shows the item.
    assert table.loc[2, "external_product_id"] == "4006381110006"
    assert json.loads(table.loc[2, "additional_external_product_information"]) == [["4006381110013", "EAN"]]
    assert table.loc[4, "reasons"].startswith("price_decimal: 'x'")
    assert table.loc[5, "reasons"] == "stores.S2.where: sku <> 'B'"
    assert table.loc[6, "reasons"] == "where: drafts stay out"
    assert table.loc[8, "reasons"].startswith("external_product_id_required")
    assert "item_name_ascii: '-Crème' holds letters" in table.loc[8, "warnings"]
    assert "price_not_zero" in table.loc[8, "warnings"]


def test_programs_get_counts(run) -> None:
    found = json.loads(run("-o", "rows.parquet", "--json").output)
    assert {name: found[name] for name in ("rows", "valid", "quarantined", "excluded", "merged")} == {
        "rows": 10,
        "valid": 2,
        "quarantined": 3,
        "excluded": 3,
        "merged": 2,
    }
    assert found["conditions"] == {"where": 2, "stores.S2.where": 1}
    assert found["rules"]["price_decimal"] == {"level": "error", "rows": 1}


def test_people_get_counts_and_reasons(run) -> None:
    output = run("-o", "rows.csv").output
    assert "quarantined" in output
    assert "external_product_id_required" in output
    assert "stores.S2.where" in output
    assert "wrote rows.csv: 10 rows" in output


def test_other_stores_than_those_named_are_invalid(run) -> None:
    assert json.loads(run("-o", "rows.csv", "--stores", "S1", "--json").output)["rules"]["store_known"]["rows"] == 2


@pytest.mark.parametrize("kind", ["csv", "parquet", "xlsx", "XLSX"])
def test_each_kind_of_file_keeps_every_value(run, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"rows.{kind}"
    path.write_text("an older one")
    assert run("-o", str(path)).exit_code == 0
    if kind == "parquet":
        table = pd.read_parquet(path)
    elif kind == "csv":
        table = pd.read_csv(path, dtype="str")
    else:
        table = pd.read_excel(path, dtype="str", engine="openpyxl")
    assert table["item_sku"].tolist()[:2] == ["007", "007"]
    assert table["item_name"].tolist()[::2] == ["=1+tea", "=1+tea", "+tea", "@tea", "-Crème"]
    assert [name for name in tmp_path.iterdir() if name.name.startswith(".")] == []


def test_no_cell_of_a_workbook_is_a_formula_a_link_or_a_number(run, tmp_path: Path) -> None:
    text = "sku,code,name,price,status\n"
    signs = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "https://example.com", "1e5", "TRUE", "\x01\x0b", "_x0041_"]
    text += "".join(f'{n},4006381110006,"{sign}",1,active\n' for n, sign in enumerate(signs))
    (tmp_path / "items.csv").write_text(text, encoding="utf-8")
    assert run("-o", "rows.xlsx").exit_code == 0
    sheet = openpyxl.load_workbook(tmp_path / "rows.xlsx").active
    names = [cell.value for cell in sheet[1]]
    column = [row[names.index("item_name")] for row in sheet.iter_rows(min_row=2)][::2]
    assert all(cell.data_type in ("s", "inlineStr") and cell.hyperlink is None for cell in column)
    assert [cell.value for cell in column][:7] == signs[:7]
    assert sheet["A2"].value == 1


def test_what_a_workbook_cannot_hold_is_said_before_it_is_written(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_results, "MAX_SHEET_ROWS", 10)
    result = run("-o", "rows.xlsx")
    assert result.exit_code == 1
    assert "rows.xlsx: a sheet holds 9 rows, and there are 10; write a .csv or .parquet file instead" in result.output
    monkeypatch.setattr(row_results, "MAX_SHEET_ROWS", 11)
    monkeypatch.setattr(row_results, "MAX_CELL", 30)
    assert "reasons of row 3 is longer than the 30 characters of a cell" in run("-o", "rows.xlsx").output
    assert not (tmp_path / "rows.xlsx").exists()


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("rows.txt", "let it end in .csv, .parquet, .xlsx"),
        ("nowhere/rows.csv", "the folder nowhere does not exist"),
        ("items.csv", "items.csv is what would be read"),
        ("mapping.yaml", "mapping.yaml is what would be read"),
    ],
)
def test_a_file_that_cannot_be_written_is_a_sentence(run, tmp_path: Path, output: str, expected: str) -> None:
    result = run("-o", output)
    assert result.exit_code == 1
    assert expected in result.output
    assert (tmp_path / "items.csv").read_text(encoding="utf-8") == EXPORT
