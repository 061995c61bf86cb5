"""Tables in files: written and read in pieces, and equal however they are cut."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jwo_catalog_pipeline.engine import connect, memory_limit, parse_bytes, pieces, view
from jwo_catalog_pipeline.table_file import TableFile, TableWriter, hash_pieces, hash_table, table_of, write_table

ROWS = 150_000  # more than a piece


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    numbers = np.arange(1, ROWS + 1)
    texts = pd.Series(np.char.add("item ", numbers.astype(str)), dtype="str").mask(numbers % 7 == 0)
    table = pd.DataFrame({"source_row": numbers, "text": texts, "nothing": pd.Series(np.nan, texts.index, dtype="str")})
    table.attrs = {"made by": {"run": "a", "rows": ROWS}}
    return table


@pytest.fixture(scope="module")
def table(frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> TableFile:
    return table_of(frame, tmp_path_factory.mktemp("tables") / "table.parquet")


def test_a_frame_comes_back_as_it_was(frame: pd.DataFrame, table: TableFile) -> None:
    pd.testing.assert_frame_equal(table.frame(), frame)
    assert table.frame().attrs == frame.attrs == table.attrs
    assert (table.rows, table.columns) == (ROWS, list(frame.columns))


@pytest.mark.parametrize("first", [0, 1, 122_879, 122_880, ROWS - 10])
def test_a_slice_holds_the_rows_from_a_place_on(frame: pd.DataFrame, table: TableFile, first: int) -> None:
    found = table.slice(first, 10, ["text", "source_row"]).to_pandas()
    assert found["source_row"].tolist() == frame["source_row"].iloc[first : first + 10].tolist()


def test_pieces_hold_every_row_once_and_in_order(frame: pd.DataFrame, table: TableFile) -> None:
    parts = [piece["source_row"].to_numpy() for piece in table.pieces(rows=40_000)]
    assert max(map(len, parts)) == 40_000
    assert np.array_equal(np.concatenate(parts), frame["source_row"].to_numpy())


@pytest.mark.parametrize("rows", [1_000, 65_536, ROWS])
def test_equal_tables_have_equal_hashes_however_they_are_cut(
    frame: pd.DataFrame, table: TableFile, tmp_path: Path, rows: int
) -> None:
    cut = write_table(tmp_path / "cut.parquet", table.pieces(rows=rows), table.schema)
    in_memory = hashlib.sha256()
    hash_table(in_memory, frame)
    assert _hash(cut) == _hash(table) == in_memory.hexdigest()
    other = table_of(frame.assign(text=frame["text"].mask(frame["source_row"] == ROWS)), tmp_path / "other.parquet")
    assert _hash(other) != _hash(table)


def _hash(table: TableFile) -> str:
    hashed = hashlib.sha256()
    hash_pieces(hashed, table.pieces(), table.schema)
    return hashed.hexdigest()


def test_equal_rows_have_equal_digests_whatever_is_noted_about_them(
    frame: pd.DataFrame, table: TableFile, tmp_path: Path
) -> None:
    noted = write_table(tmp_path / "noted.parquet", table.pieces(), table.schema, {"made by": "another run"})
    assert noted.digest() == table.digest()
    renamed = frame.rename(columns={"nothing": "something"})
    assert table_of(renamed, tmp_path / "renamed.parquet").digest() != table.digest()
    changed = frame.assign(text=frame["text"].mask(frame["source_row"] == ROWS))
    assert table_of(changed, tmp_path / "changed.parquet").digest() != table.digest()


def test_a_table_that_could_not_be_finished_is_not_there(tmp_path: Path) -> None:
    schema = pa.schema({"number": pa.int64()})
    with pytest.raises(RuntimeError), TableWriter(tmp_path / "table.parquet", schema) as writer:
        writer.write(pa.table({"number": [1]}))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_sql_reads_tables_and_gives_pieces(table: TableFile, tmp_path: Path) -> None:
    with connect(tmp_path) as db:
        view(db, "rows_of_it", table)
        query = "SELECT file_row_number, source_row FROM rows_of_it WHERE source_row > $after ORDER BY source_row"
        found = pieces(db, query, {"after": ROWS - 2}).read_all()
    assert found.to_pydict() == {"file_row_number": [ROWS - 2, ROWS - 1], "source_row": [ROWS - 1, ROWS]}


def test_the_memory_limit_is_the_setting_or_half_of_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWO_MEMORY_LIMIT", "1.5 GB")
    assert memory_limit() == 1_500_000_000
    monkeypatch.delenv("JWO_MEMORY_LIMIT")
    assert 256 << 20 <= memory_limit() < 1 << 50


def test_an_amount_without_a_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="'2000'"):
        parse_bytes("2000")
