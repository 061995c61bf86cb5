"""The records that are read are compared with an independent count, whatever the format."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.source import json_counts
from jwo_catalog_pipeline.catalog.source.json_counts import count_below, count_lines, count_objects
from jwo_catalog_pipeline.catalog.source.options import SourceOptions
from jwo_catalog_pipeline.catalog.source.reading import read_source
from jwo_catalog_pipeline.catalog.source.shaping import Read
from jwo_catalog_pipeline.catalog.source.storing import store

TEXTS = st.text(alphabet='ab"\\{}[],: é\n', max_size=8)
OBJECTS = st.dictionaries(
    TEXTS,
    st.recursive(TEXTS | st.integers(0, 9), lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)),
    max_size=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(records=st.lists(OBJECTS, max_size=6), keyed=st.booleans(), escaped=st.booleans(), piece=st.integers(1, 30))
def test_objects_are_counted_whatever_their_texts_hold(
    tmp_path: Path, records: list[dict[str, Any]], keyed: bool, escaped: bool, piece: int
) -> None:
    document = {f"{number}\\": record for number, record in enumerate(records)} if keyed else records
    (tmp_path / "x.json").write_text(json.dumps(document, ensure_ascii=escaped), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_counts, "_PIECE", piece)
        assert count_objects(tmp_path / "x.json") == len(records)


def test_records_below_keys_and_lines_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"products": [{"variants": [{"a": 1}, null, {"a": 2}]}, {}, {"variants": [{"a": 3}]}]}')
    assert count_below(path, ["products", "variants"]) == 3
    path.write_text('{"a": "x\\ny"}\n\n  \r\n{"a": 2}')
    assert count_lines(path) == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.json", '[{"a": "1"}, {"a": "]}"}, {"a": null}]'),
        ("x.jsonl", '{"a": "1"}\n\n{"a": "\\\\"}\n'),
        ("x.json", '{"S-1": {"a": "1"}, "S-2": {"a": "2"}}'),
    ],
)
def test_what_is_whole_is_read(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert len(read_source(tmp_path / name, SourceOptions(), name)) == 2


def test_a_difference_is_an_error_with_both_numbers(tmp_path: Path) -> None:
    rows = pa.table({"c0": pa.array(["1", "2"], pa.large_string())})
    read = Read(["a"], "s3://bucket/x.parquet", lambda: iter([rows]), lambda: 3)
    with pytest.raises(SourceFileError, match=r"s3://bucket/x.parquet: 2 records were read, and the file holds 3"):
        store(read, tmp_path / "rows.parquet")
    assert not (tmp_path / "rows.parquet").exists()
