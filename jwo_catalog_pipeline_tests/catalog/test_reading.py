"""Reading exports: what arrives is what was exported, and what is broken is named."""

import gzip
import json
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.source.options import SourceOptions
from jwo_catalog_pipeline.catalog.source.reading import read_source
from jwo_catalog_pipeline.work_folder import DiskFull


def read(tmp_path: Path, name: str, content: bytes, **options: str) -> pd.DataFrame:
    path = tmp_path / "download"  # the name that messages use is another one
    path.write_bytes(content)
    return read_source(path, SourceOptions(**options), f"s3://bucket/{name}")


def rows(frame: pd.DataFrame) -> list[list[object]]:
    return frame.astype(object).where(frame.notna(), None).to_numpy().tolist()


def test_a_csv_file_arrives_as_text_with_row_numbers(tmp_path: Path) -> None:
    content = '\ufeffArt,EAN,prix €\r\n007,0012,1.50\r\n"a ""b""\r\nc",,""\r\n'.encode()
    frame = read(tmp_path, "x.csv", content)
    assert list(frame.columns) == ["source_row", "Art", "EAN", "prix €"]
    assert rows(frame) == [[1, "007", "0012", "1.50"], [2, 'a "b"\r\nc', None, None]]
    assert frame["source_row"].dtype == "int64"
    assert all(frame[column].dtype == "str" for column in frame.columns[1:])


def test_a_csv_file_with_a_header_only_is_an_empty_table(tmp_path: Path) -> None:
    frame = read(tmp_path, "x.csv", b"a,b\n")
    assert len(frame) == 0
    assert [str(dtype) for dtype in frame.dtypes] == ["int64", "str", "str"]


def test_blank_lines_are_no_records(tmp_path: Path) -> None:
    assert rows(read(tmp_path, "x.csv", b"a,b\n1,2\n\n3,4\n\n")) == [[1, "1", "2"], [2, "3", "4"]]


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("x.csv", "a;b\n1;é\n".encode("cp1252"), {"delimiter": ";", "encoding": "cp1252"}),
        ("x.tsv", "a\tb\n1\té\n".encode(), {}),
        ("x.csv", "a,b\n1,é\n".encode("utf-16"), {"encoding": "utf-16"}),
        ("x.csv", "a,b\n1,'é'\n".encode(), {"quote": "'"}),
        ("x.csv.gz", gzip.compress("a,b\n1,é\n".encode(), mtime=0), {}),
        ("x.csv.zst", pa.compress("a,b\n1,é\n".encode(), codec="zstd", asbytes=True), {}),
        ("x.csv.gz", gzip.compress("a,b\n1,é\n".encode("cp1252"), mtime=0), {"encoding": "cp1252"}),
        ("x.json", '[{"a": 1, "b": "é"}]'.encode(), {}),
        ("x.json", '{"n": 1, "items": [{"a": "1", "b": "é"}]}'.encode(), {"records": "items"}),
        ("x.jsonl.gz", gzip.compress('{"a": 1}\n{"b": "é"}\n'.encode(), mtime=0), {}),
        ("unnamed", "a,b\n1,é\n".encode(), {"format": "csv"}),
    ],
)
def test_every_format_encoding_and_packing_reads_the_same(
    tmp_path: Path, name: str, content: bytes, options: dict[str, str]
) -> None:
    frame = read(tmp_path, name, content, **options)
    assert set(frame["a"].dropna()) == {"1"}
    assert set(frame["b"].dropna()) == {"é"}


def test_json_keeps_the_order_of_keys_and_writes_nested_values_as_json(tmp_path: Path) -> None:
    content = json.dumps([{"z": 12345678901234567890, "a": {"k": [1]}}, {"b b": True, "z": "", "a": None}]).encode()
    frame = read(tmp_path, "x.json", content)
    assert list(frame.columns) == ["source_row", "z", "a", "b b"]
    assert rows(frame) == [[1, "12345678901234567890", '{"k":[1]}', None], [2, None, None, "true"]]


def test_parquet_numbers_become_text_without_a_needless_point_zero(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    duckdb.execute(
        "COPY (SELECT 4006381333931::DOUBLE a, 1.5::DOUBLE b, [1] c, 9.90::DECIMAL(5, 2) d, '' e, NULL::INT f) "
        f"TO '{path}'"
    )
    frame = read_source(path, SourceOptions(), "x.parquet")
    assert rows(frame) == [[1, "4006381333931", "1.5", "[1]", "9.90", None, None]]


GZIPPED = gzip.compress(b"a,b\n" + b"1,2\n" * 1000, mtime=0)
ZSTD = pa.compress(b"a,b\n" + b"1,2\n" * 1000, codec="zstd", asbytes=True)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.csv", b"", ["is empty"]),
        ("x.csv.gz", gzip.compress(b"", mtime=0), ["is empty"]),
        ("x.csv", b"\n\n", ["line 1", "blank"]),
        ("x.csv", b"a,b\n1,2\n3", ["line 3", "1 field where the header has 2", "cut off"]),
        ("x.csv", b"a,b\n1\n3,4\n", ["line 2", "1 field where the header has 2", "quote"]),
        ("x.csv", b'a,b\n"x\ny",2\n3,4,5\n', ["line 4", "3 fields where the header has 2"]),
        ("x.csv", b'a,b\n1,2\n3,"4\n', ["line 3", "cut off"]),
        ("x.csv", b"a;b\n1;2\n3,5;4\n", ["line 3", "check whether ',' is the delimiter"]),
        ("x.csv", b"a,b\n1,2\n3,\xe9\n", ["line 3", "not UTF-8", "source.options.encoding"]),
        ("x.csv", b"a\xe9,b\n1,2\n", ["line 1", "not UTF-8"]),
        ("x.csv", b"a,source_row\n1,2\n", ["column 2", "'source_row'", "rename"]),
        ("x.csv.gz", GZIPPED[: len(GZIPPED) // 2], ["gzip", "end too early"]),
        ("x.csv.gz", GZIPPED[:-8], ["gzip", "end too early"]),
        ("x.csv.zst", ZSTD[:-3], ["zstd", "end too early"]),
        ("x.json", b'[{"a": 1}, {"a"', ["json", "cut off"]),
        ("x.json", b'[{"a": 1}, {"a": 2}', ["json", "cut off"]),
        ("x.json", b'{"items": [{"a": 1}]}', ["source.records"]),
        ("x.json", b'[{"a": 1}, 2]', ["record 2"]),
        ("x.json", b"[]", ["no records"]),
        ("x.jsonl", b'{"a": 1}\n{"a": ', ["cut off"]),
        ("x.parquet", b"PAR1" + b"x" * 50, ["Parquet", "cut off"]),
        ("x.xlsx", b"PK", ["not a workbook", "cut off"]),
    ],
)
def test_a_broken_file_is_named_with_its_place_and_the_remedy(
    tmp_path: Path, name: str, content: bytes, expected: list[str]
) -> None:
    with pytest.raises(SourceFileError) as caught:
        read(tmp_path, name, content)
    for text in [name, *expected]:
        assert text in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_text_that_is_not_in_the_declared_encoding_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceFileError, match="line 3: this is not cp1252 text"):
        read(tmp_path, "x.csv", b"a,b\n1,2\n3,\x81\n", encoding="cp1252")


@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceFileError, match=f"s3://b/{name} does not exist"):
        read_source(tmp_path / "nothing", SourceOptions(), f"s3://b/{name}")


def test_a_full_disk_is_no_bad_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator must not be told to export again when the machine is what failed."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jwo_catalog_pipeline.catalog.source.packed.shutil.copyfileobj", full)
    with pytest.raises(DiskFull, match="there is no room left"):
        read(tmp_path, "x.csv.gz", GZIPPED)


def test_a_path_with_the_letters_of_a_pattern_is_one_file(tmp_path: Path) -> None:
    for name in ("a*.csv", "a[1].csv", "a1.csv"):
        (tmp_path / name).write_text(f"a\n{name}\n")
    for name in ("a*.csv", "a[1].csv"):
        assert rows(read_source(tmp_path / name, SourceOptions(), name)) == [[1, name]]


def test_a_large_file_keeps_its_order(tmp_path: Path) -> None:
    """DuckDB reads with several threads."""
    content = "n,t\n" + "".join(f'{number},"line\n{number}"\n' for number in range(200_000))
    frame = read(tmp_path, "x.csv", content.encode())
    assert (frame["n"].astype("int64") + 1 == frame["source_row"]).all()
