"""`jwo-catalog mapping init`, as somebody uses it who has nothing but a file."""

import csv
import io
import json
import os
from pathlib import Path

import openpyxl
import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from jwo_catalog_pipeline.cli.main import main
from jwo_catalog_pipeline_tests.support.applied import outcomes

TABLE = "SKU;Barcode;Name;Price\nA-1;4006381110006;Grüner Tee;1,99\nA-2;4006381110013;Käse;2,99\n"
# Exports with real trouble, which are not part of the repository.
CASES = Path(os.environ.get("JWO_EXPORT_CASES", Path(__file__).parents[3] / "shared" / "data" / "exports"))


def init(*arguments: str) -> Result:
    """Never with a traceback: an exception would be raised here."""
    return CliRunner().invoke(main, ["mapping", "init", *arguments], catch_exceptions=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_newcomer_is_told_what_was_found_what_is_in_doubt_and_what_to_do_next(folder: Path) -> None:
    (folder / "artikel.csv").write_bytes(TABLE.encode("windows-1252"))
    said = init("artikel.csv", "-o", "mapping.yaml").output
    assert "the system was not recognised" in said
    assert "The text is windows-1252, as in Grüner." in said
    assert "The fields are separated by semicolons." in said
    assert "NOT SURE (1):\n  stores: write Amazon's id of each store" in said
    assert said.endswith("  jwo-catalog mapping review artikel.csv --mapping mapping.yaml\n")


def test_what_was_found_is_written_under_source(folder: Path) -> None:
    (folder / "artikel.csv").write_bytes(TABLE.encode("windows-1252"))
    written = yaml.safe_load(init("artikel.csv").output)
    assert written["source"] == {"options": {"encoding": "windows-1252", "delimiter": ";"}}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--encoding", "nonsense"], "--encoding 'nonsense' is no text encoding that Python knows"),
        (["--encoding", "base64"], "--encoding"),
        (["--delimiter", "ab"], "--delimiter must be one character and is 'ab'"),
        (["--delimiter", ""], "--delimiter is empty"),
        (["--quote", "ab"], "--quote must be one character and is 'ab'"),
        (["--format", "docx"], "--format must be one of"),
        (["--header-row", "x"], "--header-row"),
        (["--header-row", "0"], "--header-row"),
        (["--encoding", "utf-16"], "is not utf-16 text"),
        (["--encoding", "utf-32"], "is not utf-32 text"),
    ],
)
def test_a_wrong_option_is_a_sentence(folder: Path, options: list[str], message: str) -> None:
    (folder / "artikel.csv").write_text(TABLE, encoding="utf-8")
    result = init("artikel.csv", *options)
    assert result.exit_code == 1
    assert message in result.output


@pytest.mark.parametrize("written", ["\\t", "tab", "\t"])
def test_a_tab_may_be_written_in_several_ways(folder: Path, written: str) -> None:
    (folder / "items.txt").write_text(TABLE.replace(";", "\t"), encoding="utf-8")
    found = yaml.safe_load(init("items.txt", "--delimiter", written).output)
    assert found["source"]["options"]["delimiter"] == "\t"
    assert found["fields"]["item_sku"] == '"SKU"'


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_read_with_and_without_a_mark(folder: Path, encoding: str) -> None:
    (folder / "items.csv").write_bytes(TABLE.encode(encoding))
    found = yaml.safe_load(init("items.csv").output)
    assert found["source"]["options"] == {"encoding": encoding, "delimiter": ";"}
    assert found["fields"]["item_name"] == 'clean("Name")'


def workbook(path: Path, **sheets: list[list[object]]) -> None:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)


ROWS: list[list[object]] = [["SKU", "Barcode", "Name", "Price"], ["A-1", 4006381110006, "Tea", 1.99]]


def test_the_sheet_and_the_row_of_the_names_are_found_in_a_workbook(folder: Path) -> None:
    workbook(folder / "a.xlsx", Notes=[["read me"]], Items=[["Price list"], [], *ROWS], Suppliers=[["Name"], ["X"]])
    found = yaml.safe_load(init("a.xlsx").output)
    assert found["source"] == {"sheet": "Items", "header_row": 3}


def test_a_workbook_under_a_wrong_name_is_recognised(folder: Path) -> None:
    workbook(folder / "a.xlsx", Items=ROWS)
    (folder / "a.xlsx").rename(folder / "a.csv")
    found = yaml.safe_load(init("a.csv").output)
    assert found["source"]["format"] == "xlsx"


def test_nested_json_is_found(folder: Path) -> None:
    variants = [{"sku": "A-1", "barcode": "4006381110006", "price": "1.99"}]
    (folder / "p.json").write_text(json.dumps({"products": [{"title": "Tea", "variants": variants}]}))
    found = yaml.safe_load(init("p.json").output)
    assert found["source"] == {"records": "products[].variants[]"}
    assert found["fields"]["item_name"] == 'clean("products.title")'


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\n\n", b"PK\x03\x04 junk", b"%PDF-1.7 junk", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"PAR1 junk"),
        *(b"{", b"[", b'{"a": 1}', b"\x1f\x8b junk", b"\x28\xb5\x2f\xfd", b"<html></html>"),
        *(b"\x00" * 50, b"a,a\n", b'"', b",,,\n,,\n"),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.xlsx", "a.json", "a.parquet", "a.zip", "a"])
def test_a_bad_file_is_a_sentence_and_a_remedy(folder: Path, content: bytes, name: str) -> None:
    (folder / name).write_bytes(content)
    result = init(name)
    assert result.exit_code in (0, 1, 2)
    assert result.output.strip()


@pytest.mark.thorough
@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=200), name=st.sampled_from(["a.csv", "a.xlsx", "a.json", "a.jsonl", "a.txt", "a"]))
def test_any_bytes_end_in_a_mapping_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    path = tmp_path_factory.mktemp("any") / name
    path.write_bytes(content)
    assert init(str(path)).exit_code in (0, 1, 2)


CELL = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@pytest.mark.thorough
@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), max_size=6)),
    delimiter=st.sampled_from(",;\t|"),
)
def test_any_csv_gives_a_mapping_that_can_be_applied(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], delimiter: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    (folder / "a.csv").write_text(text.getvalue(), encoding="utf-8", newline="")
    if init(str(folder / "a.csv"), "-o", str(folder / "m.yaml")).exit_code == 0:
        outcomes(folder / "a.csv", folder / "m.yaml")


@pytest.mark.thorough
@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not on this machine")
@pytest.mark.parametrize(
    "case", sorted(CASES.glob("*/expected.json")) if CASES.is_dir() else [], ids=lambda p: p.parent.name
)
def test_each_case_of_real_trouble_gives_a_mapping_that_can_be_applied(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = json.loads(case.read_text(encoding="utf-8"))
    monkeypatch.chdir(case.parent)
    mapping = str(tmp_path / "mapping.yaml")
    proposed = init(expected["argument"], "-o", mapping)
    assert proposed.exit_code == 0, proposed.output
    source = yaml.safe_load(Path(mapping).read_text(encoding="utf-8")).get("source", {})
    for key, value in expected.get("init", {}).items():
        assert source.get(key, source.get("options", {}).get(key)) == value, key
    if "*" not in expected["argument"]:
        assert outcomes(Path(expected["argument"]), Path(mapping))


@pytest.mark.parametrize(
    ("store_lines", "line", "place"),
    [
        ("stores: [YOUR-STORE-ID]\nfields:\n", 2, "stores: YOUR-STORE-ID"),
        ("stores:\n  JWO-1: {}\n  YOUR-STORE-ID-2: {}\nfields:\n", 4, "stores: YOUR-STORE-ID-2"),
        ("fields:\n  store_id: {expr: '\"Name\"', values: {x: JWO-1}, else: YOUR-STORE-ID}\n", 3, "fields.store_id:"),
        ("fields:\n  store_id: '''YOUR-STORE-ID'''\n", 3, "fields.store_id: YOUR-STORE-ID"),
    ],
)
def test_a_store_without_its_id_is_an_error_that_names_the_line(
    folder: Path, store_lines: str, line: int, place: str
) -> None:
    (folder / "artikel.csv").write_text(TABLE, encoding="utf-8")
    fields = "  item_sku: '\"SKU\"'\n  external_product_id: '\"Barcode\"'\n  item_name: '\"Name\"'\n"
    (folder / "mapping.yaml").write_text(f"version: 1\n{store_lines}{fields}source: {{options: {{delimiter: ';'}}}}\n")
    for command in ("review", "apply"):
        output = {"review": "page.html", "apply": "rows.csv"}[command]
        arguments = ["mapping", command, "artikel.csv", "--mapping", "mapping.yaml", "-o", output]
        said = CliRunner().invoke(main, arguments, catch_exceptions=False).output
        assert f"mapping.yaml, line {line}, {place}" in said
        assert "write Amazon's id" in said
    with (folder / "rows.csv").open(newline="") as file:
        found = [(row["store_id"], row["status"]) for row in csv.DictReader(file)]
    assert {status for store, status in found if store != "JWO-1"} == {"quarantined"}
    assert {status for store, status in found if store == "JWO-1"} <= {"valid"}
