"""The rows of a large export that a proposal is made from."""

from pathlib import Path

import pandas as pd
import pytest

from jwo_catalog_pipeline.catalog.mapping import samples
from jwo_catalog_pipeline.catalog.mapping.samples import LAST_ROWS, sample_of
from jwo_catalog_pipeline.catalog.source.reading import FILES
from jwo_catalog_pipeline.table_file import TableFile, table_of


def export(folder: Path, rows: int, files: list[list[object]]) -> TableFile:
    numbers = range(1, rows + 1)
    frame = pd.DataFrame({"source_row": numbers, "sku": [f"S{number}" for number in numbers]})
    frame.attrs = {FILES: files}
    return table_of(frame, folder / "rows.parquet")


def test_a_sample_holds_the_beginning_of_each_file_and_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "ROWS_LOOKED_AT", 40)
    sample = sample_of(export(tmp_path, 1000, [["a.csv", 600], ["b.csv", 400]]))
    rows = sample["source_row"].tolist()
    assert rows == sorted(set(rows))
    assert {*range(1, 21), *range(601, 621), *range(1001 - LAST_ROWS, 1001)} <= set(rows)
    assert sample.attrs[FILES] == [
        ["a.csv", sum(row <= 600 for row in rows)],
        ["b.csv", sum(row > 600 for row in rows)],
    ]
    assert len(rows) < 100


def test_a_small_export_is_looked_at_as_a_whole(tmp_path: Path) -> None:
    sample = sample_of(export(tmp_path, 5, [["a.csv", 5]]))
    assert sample["source_row"].tolist() == [1, 2, 3, 4, 5]
    assert sample.attrs[FILES] == [["a.csv", 5]]
