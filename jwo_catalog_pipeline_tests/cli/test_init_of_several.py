"""`jwo-catalog mapping init` of a glob: one way to read all files, and one file for each store."""

from pathlib import Path

import openpyxl
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner, Result

from jwo_catalog_pipeline.cli.main import main

HEADER = "SKU;Barcode;Name;Price"
ROWS = ["A-1;4006381110006;Green tea;1,99", "A-2;4006381110013;Oat bar;2,99", "A-3;4006381110020;Rice;0,99"]
ACCENTS = ["A-1;4006381110006;Grüner Tee;1,99", "A-2;4006381110013;Käse;2,99", "A-4;4006381110037;Süßer Wein;9,99"]


def run(*arguments: str) -> Result:
    """Never with a traceback: an exception would be raised here."""
    return CliRunner().invoke(main, ["mapping", *arguments], catch_exceptions=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, rows: list[str], encoding: str = "utf-8", header: str = HEADER) -> None:
    path.write_bytes("".join(line + "\n" for line in [header, *rows]).encode(encoding))


def test_one_file_for_each_store_is_recognised(folder: Path) -> None:
    write(folder / "haifa.csv", ROWS)
    write(folder / "holon.csv", [*ROWS[:2], "A-9;4006381110099;Salt;0,49"])
    said = run("init", "h*.csv", "-o", "mapping.yaml").output
    assert "2 files are one export: haifa.csv, holon.csv." in said
    assert "store_id: only you know which file is of which store" in said
    assert "the same as another row" not in said
    written = (folder / "mapping.yaml").read_text()
    assert "NOT SURE: only you know which file" in written
    values = {"haifa.csv": "YOUR-STORE-ID-1", "holon.csv": "YOUR-STORE-ID-2"}
    assert yaml.safe_load(written)["fields"]["store_id"] == {"expr": "source_file", "values": values}
    (folder / "mapping.yaml").write_text(written.replace("YOUR-STORE-ID", "STORE"))
    assert "valid" in run("apply", "h*.csv", "--mapping", "mapping.yaml", "-o", "rows.csv").output
    rows = pd.read_csv(folder / "rows.csv", dtype="str")
    assert rows["status"].eq("valid").all()
    assert rows["store_id"].tolist() == ["STORE-1"] * 3 + ["STORE-2"] * 3


def test_a_date_in_the_names_is_no_part_of_the_store(folder: Path) -> None:
    for store in ("001", "013"):
        write(folder / f"prices_{store}_20261128.csv", ROWS)
    store_id = yaml.safe_load(run("init", "prices_*.csv").output)["fields"]["store_id"]
    assert store_id["values"] == {"001": "YOUR-STORE-ID-1", "013": "YOUR-STORE-ID-2"}
    # The mapping of today reads the files of tomorrow.
    (folder / "mapping.yaml").write_text(run("init", "prices_*.csv").output.replace("YOUR-STORE-ID", "STORE"))
    for path in folder.glob("prices_*"):
        path.rename(folder / path.name.replace("20261128", "20261129"))
    run("apply", "prices_*.csv", "--mapping", "mapping.yaml", "-o", "rows.csv")
    assert pd.read_csv(folder / "rows.csv", dtype="str")["store_id"].tolist() == ["STORE-1"] * 3 + ["STORE-2"] * 3


def test_the_parts_of_one_catalog_are_no_stores(folder: Path) -> None:
    write(folder / "part1.csv", ROWS[:2])
    write(folder / "part2.csv", ROWS[2:])
    found = yaml.safe_load(run("init", "part*.csv").output)
    assert found["stores"] == ["YOUR-STORE-ID"]
    assert "store_id" not in found["fields"]


def test_files_that_repeat_a_sku_within_themselves_are_no_stores(folder: Path) -> None:
    for store in ("a", "b"):
        write(folder / f"{store}.csv", [*ROWS, *ROWS])
    output = run("init", "*.csv").output
    assert "store_id" not in yaml.safe_load(output)["fields"]
    assert "NOT SURE: 100% of the rows have the same as another row" in output


def test_a_column_of_stores_is_taken_rather_than_the_files(folder: Path) -> None:
    for store in ("1", "2"):
        write(folder / f"{store}.csv", [f"{row};{store}" for row in ROWS], header=f"{HEADER};Store")
    assert yaml.safe_load(run("init", "*.csv").output)["fields"]["store_id"]["expr"] == '"Store"'


def test_the_encoding_is_found_where_only_the_last_file_has_accents(folder: Path) -> None:
    write(folder / "1.csv", ROWS)
    write(folder / "2.csv", ACCENTS, "windows-1252")
    assert yaml.safe_load(run("init", "*.csv").output)["source"]["options"]["encoding"] == "windows-1252"


@pytest.mark.parametrize(
    ("rows", "encoding", "message"),
    [
        (ACCENTS, "windows-1252", "differ in the encoding: utf-8 in 1.csv; windows-1252 in 2.csv"),
        ([row.replace(";", "\t") for row in ACCENTS], "utf-8", "differ in the delimiter: ';' in 1.csv; '\\t' in 2.csv"),
    ],
)
def test_files_that_cannot_be_read_in_one_way_are_said_to_differ(
    folder: Path, rows: list[str], encoding: str, message: str
) -> None:
    write(folder / "1.csv", ACCENTS)
    write(folder / "2.csv", rows, encoding, HEADER.replace(";", "\t") if "\t" in rows[0] else HEADER)
    result = run("init", "*.csv")
    assert result.exit_code == 1
    assert message in result.output
    assert "export them alike, or name files of one kind by the glob" in result.output


def test_a_title_above_the_names_of_one_file_alone_is_said(folder: Path) -> None:
    write(folder / "1.csv", ROWS)
    write(folder / "2.csv", [HEADER, *ROWS], header="Prices of today")
    result = run("init", "*.csv")
    assert result.exit_code == 1
    assert "differ in the row of the names: 1 in 1.csv; 2 in 2.csv" in result.output


def test_a_file_of_one_row_is_read_as_the_others(folder: Path) -> None:
    write(folder / "1.csv", ROWS)
    write(folder / "2.csv", ["A-5;4006381110044;Plain salt;0,49"])
    assert yaml.safe_load(run("init", "*.csv").output)["source"]["options"] == {"delimiter": ";"}


def test_workbooks_and_text_may_be_one_export(folder: Path) -> None:
    write(folder / "1.csv", ROWS)
    book = openpyxl.Workbook()
    for row in [HEADER, *ROWS]:
        book.active.append(row.split(";"))
    book.save(folder / "2.xlsx")
    result = run("init", "[12].*")
    assert result.exit_code == 0, result.output
    assert yaml.safe_load(result.output)["source"] == {"options": {"delimiter": ";"}}
