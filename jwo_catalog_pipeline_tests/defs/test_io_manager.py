"""Tables between assets: handles for steps, DataFrames for people, and nothing is fetched twice."""

from pathlib import Path

import boto3
import dagster as dg
import pandas as pd
import pytest

from jwo_catalog_pipeline.defs.io_manager import ParquetIOManager
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.table_file import TableFile, table_of
from jwo_catalog_pipeline_tests.support.project import Project

KEY = "assets/words.parquet"


def loaded(manager: ParquetIOManager, kind: type) -> TableFile | pd.DataFrame:
    types = {TableFile: dg.PythonObjectDagsterType(TableFile), pd.DataFrame: dg.PythonObjectDagsterType(pd.DataFrame)}
    return manager.load_input(dg.build_input_context(asset_key="words", dagster_type=types[kind]))


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the tables that were fetched from S3."""
    keys: list[str] = []
    fetch = Bucket.fetch

    def recorded(self: Bucket, key: str, path: Path) -> TableFile:
        keys.append(key)
        return fetch(self, key, path)

    monkeypatch.setattr(Bucket, "fetch", recorded)
    return keys


@pytest.fixture
def manager(project: Project, tmp_path: Path) -> ParquetIOManager:
    return ParquetIOManager(project.bucket, tmp_path)


@pytest.fixture
def words(tmp_path: Path) -> TableFile:
    frame = pd.DataFrame({"word": pd.Series(["a", None, "c"], dtype="str")})
    frame.attrs = {"run_id": "r1"}
    return table_of(frame, tmp_path / "made.parquet")


def test_what_a_run_has_stored_is_not_fetched_again(
    manager: ParquetIOManager, words: TableFile, fetched: list[str]
) -> None:
    manager.handle_output(dg.build_output_context(asset_key="words"), words)
    assert loaded(manager, TableFile) == words
    assert fetched == []


def test_what_somebody_else_has_stored_since_is_fetched(
    project: Project, manager: ParquetIOManager, words: TableFile, fetched: list[str]
) -> None:
    manager.handle_output(dg.build_output_context(asset_key="words"), words)
    project.bucket.put_table(KEY, pd.DataFrame({"word": ["theirs"]}))
    table = loaded(manager, TableFile)
    assert isinstance(table, TableFile)
    assert table.frame()["word"].tolist() == ["theirs"]
    assert fetched == [KEY]


def test_another_run_fetches_the_table_with_what_is_noted_about_it(
    project: Project, manager: ParquetIOManager, words: TableFile, tmp_path: Path
) -> None:
    manager.handle_output(dg.build_output_context(asset_key="words"), words)
    (tmp_path / "other").mkdir()
    table = loaded(ParquetIOManager(project.bucket, tmp_path / "other"), TableFile)
    assert isinstance(table, TableFile)
    assert (table.rows, table.attrs) == (3, {"run_id": "r1"})


def test_who_asks_for_a_data_frame_gets_one(manager: ParquetIOManager, words: TableFile) -> None:
    manager.handle_output(dg.build_output_context(asset_key="words"), words)
    frame = loaded(manager, pd.DataFrame)
    assert isinstance(frame, pd.DataFrame)
    pd.testing.assert_frame_equal(frame, words.frame())


def test_a_notebook_loads_an_asset_as_a_data_frame(project: Project) -> None:
    project.must_upload("u1")
    items = project.defs.load_asset_value("jwo_catalog", instance=project.instance)
    assert isinstance(items, pd.DataFrame)
    assert items["item_sku"].tolist() == project.table("jwo_catalog")["item_sku"].tolist()


def test_what_is_no_table_is_refused(manager: ParquetIOManager) -> None:
    with pytest.raises(TypeError, match="words gave list, not a table"):
        manager.handle_output(dg.build_output_context(asset_key="words"), [1])  # type: ignore[arg-type]


def test_a_large_file_goes_in_parts_and_comes_back_whole(project: Project, tmp_path: Path) -> None:
    content = bytes(range(256)) * (70 << 12)  # 70 MiB: above the size from which S3 gets parts
    (tmp_path / "large").write_bytes(content)
    project.bucket.put_file("assets/large.parquet", tmp_path / "large")
    head = boto3.client("s3").head_object(Bucket=project.bucket.name, Key="assets/large.parquet")
    assert head["ContentLength"] == len(content)
    assert "-" in head["ETag"]  # S3's mark of an object that came in parts
    fetched = project.bucket.fetch("assets/large.parquet", tmp_path / "fetched")
    assert fetched.path.read_bytes() == content
