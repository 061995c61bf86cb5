"""Lookup tables that others keep beside the mapping: how they are written, and what makes them unusable."""

import hashlib
from pathlib import Path

import openpyxl
import pytest

from jwo_catalog_pipeline.catalog.errors import MappingError
from jwo_catalog_pipeline.catalog.mapping.loaded import load_mapping
from jwo_catalog_pipeline_tests.support.mapping_text import MINIMAL, applied, export, write

LOOKUP = MINIMAL.replace(": branch", ": {expr: branch, values: {file: lookup/stores.csv, key: ours, value: jwo}%s}")


def lookup(tmp_path: Path, text: str, encoding: str = "utf-8") -> None:
    (tmp_path / "lookup").mkdir(exist_ok=True)
    (tmp_path / "lookup" / "stores.csv").write_bytes(text.encode(encoding))


def test_values_come_from_a_table_beside_the_mapping(tmp_path: Path) -> None:
    lookup(tmp_path, "ours,city,jwo\n055,Haifa,JWO-1\n056,,JWO-1\n056,Akko,JWO-1\n")
    items = applied(tmp_path, LOOKUP % "", export(branch=["055", "55"]))
    assert items["store_id"].fillna("").tolist() == ["JWO-1", ""]
    assert items.loc[1, "mapping_errors"] == "store_id: '55' is not listed in lookup/stores.csv"
    items = applied(tmp_path, LOOKUP % ", else: JWO-9", export(branch=["055", "55"]))
    assert items["store_id"].tolist() == ["JWO-1", "JWO-9"]


def test_a_changed_table_is_a_changed_mapping(tmp_path: Path) -> None:
    lookup(tmp_path, "ours,jwo\n055,JWO-1\n")
    path = write(tmp_path, LOOKUP % "")
    before = load_mapping(path).sha256
    assert before == hashlib.sha256(path.read_bytes() + (tmp_path / "lookup/stores.csv").read_bytes()).hexdigest()
    lookup(tmp_path, "ours,jwo\n055,JWO-2\n")
    assert load_mapping(path).sha256 != before


def test_a_large_table_keeps_the_rows_in_their_order(tmp_path: Path) -> None:
    lookup(tmp_path, "ours,jwo\n" + "".join(f"{n},S{n}\n" for n in range(30_000)))
    rows = 200_000
    branches: list[str | None] = [str(n * 7 % 30_000) for n in range(rows)]
    frame = export(sku=["A"] * rows, ean=["1"] * rows, name=["x"] * rows, branch=branches, price=["1"] * rows)
    items = applied(tmp_path, LOOKUP % "", frame)
    assert items["source_row"].tolist() == frame["source_row"].tolist()
    assert items["store_id"].tolist() == [f"S{branch}" for branch in branches]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (None, r"line 6, fields.store_id.values.file: the table .*stores.csv does not exist"),
        ("", r"fields.store_id.values.file: .*stores.csv is empty"),
        ("ours,jwo\n", r"fields.store_id.values: the table .*stores.csv holds no rows"),
        ("our,jwo\n055,S\n", r"values.key: the table .*stores.csv has no column 'ours'; did you mean 'our'"),
        ("ours,x\n055,S\n", r"values.value: the table .*stores.csv has no column 'jwo'; its columns are 'ours', 'x'"),
        ("ours,jwo\n1,S\n055,S\n055,T\n", r"row 3 of the table .*stores.csv gives 'T' for '055', and an earlier row"),
        ("ours,jwo\n055,\n", r"row 1 of the table .*stores.csv has no value for '055'"),
        ("ours,jwo\n055,S\n,T\n", r"row 2 of the table .*stores.csv has no key"),
        ("ours,jwo\n055\n", r"stores.csv.*line 2"),
    ],
)
def test_a_table_that_cannot_be_used_is_named_with_its_row(tmp_path: Path, table: str | None, expected: str) -> None:
    if table is not None:
        lookup(tmp_path, table)
    with pytest.raises(MappingError, match=expected) as caught:
        load_mapping(write(tmp_path, LOOKUP % ""))
    assert caught.value.remedy


CITIES = "ours;jwo\nZürich;JWO-1\nGenève;JWO-2\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (CITIES, "utf-8"),
        (CITIES, "utf-8-sig"),
        (CITIES, "windows-1252"),
        (CITIES, "utf-16"),
        (CITIES.replace(";", "\t"), "windows-1252"),
        ("sep=;\n" + CITIES, "utf-8"),
        ('ours,jwo\n"Zürich","JWO-1"\n"Genève","JWO-2"\n', "windows-1252"),
    ],
)
def test_how_a_table_is_written_is_recognised(tmp_path: Path, text: str, encoding: str) -> None:
    lookup(tmp_path, text, encoding)
    items = applied(tmp_path, LOOKUP % "", export(branch=["Zürich", "Genève"]))
    assert items["store_id"].tolist() == ["JWO-1", "JWO-2"]


def test_a_table_of_one_row_with_semicolons_is_read(tmp_path: Path) -> None:
    lookup(tmp_path, "ours;jwo\n055;JWO-1\n")
    assert applied(tmp_path, LOOKUP % "", export(branch=["055", "055"]))["store_id"].tolist() == ["JWO-1"] * 2


def test_a_table_may_be_a_workbook_under_any_name(tmp_path: Path) -> None:
    (tmp_path / "lookup").mkdir()
    book = openpyxl.Workbook()
    for row in [("ours", "jwo"), ("055", "JWO-1")]:
        book.active.append(row)
    book.save(tmp_path / "lookup" / "stores.csv")
    assert applied(tmp_path, LOOKUP % "", export(branch=["055", "055"]))["store_id"].tolist() == ["JWO-1"] * 2


def test_the_remedy_for_an_unreadable_table_is_about_the_table(tmp_path: Path) -> None:
    (tmp_path / "lookup").mkdir()
    (tmp_path / "lookup" / "stores.csv").write_bytes(b"%PDF-1.7 no table")
    with pytest.raises(MappingError, match=r"stores\.csv") as caught:
        load_mapping(write(tmp_path, LOOKUP % ""))
    assert caught.value.remedy.startswith("save it as CSV in UTF-8")
    assert caught.value.remedy.endswith("with the columns ours and jwo")
