"""Exports as tills and shops give them: workbooks, zips, titles, odd headers, nested lists; and what cannot be read."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.source.options import ExportFile, SourceOptions
from jwo_catalog_pipeline.catalog.source.reading import FILES, NOTES, read_export, read_source, with_source_file
from jwo_catalog_pipeline.table_file import as_frame
from jwo_catalog_pipeline_tests.support.source_files import cells, read, workbook, zipped

ITEMS = [["SKU", "Barcode", "Price"], ["007", 4006381333931, 2.5], [1002.0, "036000291452", 0.1 + 0.2]]


def test_a_workbook_is_read_as_a_person_reads_it(tmp_path: Path) -> None:
    day = pd.Timestamp("2026-11-20").to_pydatetime()
    rows = [["title"], [], *ITEMS, [None, None, None], ["#N/A", True, day]]
    frame = read(tmp_path, "x.xlsx", workbook(Notes=[["read me"]], Items=rows), header_row=3)
    assert cells(frame)[0:] == [
        [1, "007", "4006381333931", "2.5"],
        [2, "1002", "036000291452", "0.3"],
        [3, "#N/A", "true", "2026-11-20"],
    ]
    assert frame.attrs[NOTES] == [
        "read from the sheet 'Items'",
        "cells that hold an error such as #N/A: 1 (A7)",
        "rows without content are left out: 1",
    ]


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (
            workbook(A=ITEMS, B=ITEMS),
            {},
            "several sheets of s3://bucket/x.xlsx hold tables: 'A', 'B'; set source.s",
        ),
        (workbook(A=[["x"]], B=[[]]), {}, "no sheet of s3://bucket/x.xlsx holds a table"),
        (workbook(A=ITEMS), {"sheet": "B"}, "has no sheet 'B'; it has 'A'"),
        (workbook(A=ITEMS), {"header_row": 9}, "ends at row 3, and source.header_row is 9"),
        (workbook(A=ITEMS)[:2000], {}, "cut off or damaged"),
        (b"SKU\tPrice\nA\t1\n", {}, "is text, and not a workbook.*source.format in the field mapping to csv"),
        (b"<html><table><tr><td>SKU</td></tr></table></html>", {}, "is an HTML page.*save it as .xlsx"),
        (b"%PDF-1.7", {}, "is a PDF document"),
    ],
)
def test_a_workbook_that_cannot_be_read_is_named_with_the_remedy(
    tmp_path: Path, content: bytes, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(SourceFileError, match=said):
        read(tmp_path, "x.xlsx", content, **options)


TABLE = "SKU,Price\nA,1\n"


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("x.zip", zipped(**{"__MACOSX/._a.csv": b"x", "a/": b"", "a/items.csv": TABLE.encode()}), {"format": "csv"}),
        ("x.csv.zip", zipped(items=TABLE.encode()), {}),
        ("x.csv.zip", zipped(**{"readme.txt": b"hello", "a.csv": TABLE.encode(), "a.csv.md5": b"0f"}), {}),
        ("x.txt", TABLE.encode("utf-16"), {}),
        ("x.txt", TABLE.encode("utf-16-be"), {}),
        ("x.txt", TABLE.encode("utf-16-be"), {"encoding": "utf-16"}),
        ("x.csv", b"sep=;\r\nSKU;Price\r\nA;1\r\n", {}),
        ("x.csv", b'Report of "today\nfor, us\n\nSKU,Price\nA,1\n', {"header_row": 4}),
        ("x.csv", b",\nSKU,Price\n,\nA,1\n , \n", {"header_row": 2}),
        ("x.csv", b"SKU,Price,\nA,1,\n", {}),
        ("x.csv", b"SKU,Price\nA,1\r\n", {}),
        ("x.csv", workbook(A=[["SKU", "Price"], ["A", 1]]), {}),
        ("x.dat", b'\xef\xbb\xbf{"SKU": "A", "Price": 1.0}\n{"SKU": null}\n', {"format": "jsonl"}),
        ("x.json", b'{"SKU": "A", "Price": 1e0}\n{}\n', {}),
        ("x.jsonl", b'[{"SKU": "A", "Price": 1}]', {}),
        ("x.json", b'{"data": {"items": [{"SKU": "A", "Price": 1.00}]}}', {"records": "data.items"}),
        ("x.json", b'{"items": {"17": {"SKU": "A", "Price": 1}}}', {"records": "items"}),
    ],
)
def test_the_same_table_comes_in_many_forms(tmp_path: Path, name: str, content: bytes, options: dict[str, Any]) -> None:
    frame = read(tmp_path, name, content, **options)
    assert cells(frame[["source_row", "SKU", "Price"]]) == [[1, "A", "1"]]


def test_fields_of_outer_objects_are_columns(tmp_path: Path) -> None:
    document = {
        "store": "413",
        "products": [
            {"title": "Tea", "tags": ["x"], "variants": [{"sku": "A", "barcode": 36001110004.0}, {"sku": "B"}]},
            {"title": "Oats", "variants": [{"sku": "C", "title": "own"}]},
            {"title": "None", "variants": []},
        ],
    }
    frame = read(tmp_path, "x.json", json.dumps(document).encode(), records="products[].variants[]")
    assert frame[["sku", "products.title", "store"]].to_numpy().tolist() == [
        ["A", "Tea", "413"],
        ["B", "Tea", "413"],
        ["C", "Oats", "413"],
    ]
    assert frame["barcode"].tolist()[0] == "36001110004"
    assert "products.tags" not in frame
    with pytest.raises(SourceFileError, match=r"no 'variant'; set source.records .* products\[\].variants\[\]"):
        read(tmp_path, "x.json", json.dumps(document).encode(), records="products[].variant[]")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("1002.0", "1002"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("0.10", "0.1"),
        ("4.006381333931e12", "4006381333931"),
        ("1E-2", "0.01"),
        ('"1002.0"', "1002.0"),
        ('"1e3"', "1e3"),
        ("-3.00", "-3"),
    ],
)
def test_json_numbers_lose_a_needless_zero_and_no_digit(tmp_path: Path, number: str, text: str) -> None:
    assert read(tmp_path, "x.json", f'[{{"a": {number}, "b": 1}}]'.encode())["a"].tolist() == [text]


def test_parquet_as_databases_and_spark_write_it(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    duckdb.execute(
        "COPY (SELECT 1001::DECIMAL(38, 10) a, 2.5::DECIMAL(38, 10) b, encode('Crème') c, 'nan'::DOUBLE d, "
        f"[4006381333931] e, DATE '2026-11-20' f, 36001110004::DOUBLE g) TO '{path}'"
    )
    frame = read_source(path, SourceOptions(), "x.parquet")
    assert cells(frame) == [[1, "1001", "2.50", "Crème", None, "[4006381333931]", "2026-11-20", "36001110004"]]


def test_odd_headers_are_put_right_and_noted(tmp_path: Path) -> None:
    frame = read(tmp_path, "x.csv", b'"SKU\n(ours)",name,,Name,,x\nA,b,,c,d,e\n')
    assert list(frame.columns) == ["source_row", "SKU\n(ours)", "name", "Name_2", "column_5", "x"]
    assert frame.attrs[NOTES] == [
        "columns without name and content are left out: 3",
        "columns without a name are called by their place: column_5",
        "names that come twice have a number: 'Name' is 'Name_2'",
    ]


def test_a_backslash_may_escape_quotes(tmp_path: Path) -> None:
    content = b'SKU,Name\nA,"5\\" pipe, long"\nB,"a\\\\b"\n'
    assert read(tmp_path, "x.csv", content, escape="\\")["Name"].tolist() == ['5" pipe, long', "a\\b"]


def test_files_of_one_export_are_one_table_that_knows_its_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("SKU,Price\nA,1\nB,2\n")
    (tmp_path / "b.csv").write_text("Price,SKU\n3,C\n")
    files = [ExportFile(tmp_path / name, f"s3://bucket/day/{name}") for name in ("a.csv", "b.csv")]
    table = read_export(files, SourceOptions(), tmp_path / "rows.parquet", {"of": "us"})
    assert (table.attrs[FILES], table.attrs["of"]) == ([["a.csv", 2], ["b.csv", 1]], "us")
    (piece,) = table.pieces()
    frame = as_frame(with_source_file(piece, table))
    assert cells(frame) == [[1, "A", "1", "a.csv"], [2, "B", "2", "a.csv"], [3, "C", "3", "b.csv"]]
    (tmp_path / "b.csv").write_text("SKU,Cost\nC,3\n")
    with pytest.raises(SourceFileError, match=r"beside s3://.*/a.csv, s3://bucket/day/b.csv lacks .*'Price' and"):
        read_export(files, SourceOptions(), tmp_path / "rows.parquet")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (zipped(a=b"x,y\n", b=b"x,y\n"), "holds 2 files, and not one: a, b"),
        (zipped(), "holds no file"),
        (zipped(**{"a.csv": b"a" * (150 << 20)}), "more than 200 times as large"),
        (zipped(**{"a.csv": b"a,b\n1,2\n"})[:60], "end too early or are damaged"),
    ],
)
def test_a_zip_that_holds_not_one_table_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(SourceFileError, match=said):
        read(tmp_path, "x.csv.zip", content)


@pytest.mark.parametrize(
    ("name", "content", "options", "said"),
    [
        ("x.csv", b"SKU;Price\nA;1\n", {}, 'one column.*set source.options.delimiter in the field mapping to ";"'),
        ("x.csv", b"SKU\tPrice\nA\t1\n", {}, r'set source.options.delimiter in the field mapping to "\\t"'),
        ("x.csv", b"a,b\n1,2\n", {"header_row": 5}, "fewer than 5 lines, and source.header_row is 5"),
        ("x.json", b'{"products": [{"items": [{"a": 1}]}]}', {}, r"set source.records .* products\[\]"),
        ("x.csv", b'[{"a": 1}]', {"format": "csv"}, "is a JSON document, and source.format is csv; set source.format"),
        ("x.parquet", b"a,b\n1,2\n", {}, "is no Parquet file"),
        ("x.json", b'{"products": {"A": {"sku": "A"}, "B": {"sku": "B"}}}', {}, "is one object.*such as products"),
        ("x.csv", b"\0" * 50, {}, "column 1 holds a zero byte"),
    ],
)
def test_the_remedy_says_what_the_file_is(
    tmp_path: Path, name: str, content: bytes, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(SourceFileError, match=said):
        read(tmp_path, name, content, **options)
