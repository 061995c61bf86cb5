"""The fix list: in the export's own format, so that mending it and feeding it back is all there is to do."""

from pathlib import Path

import pandas as pd
import pytest

from jwo_catalog_pipeline.catalog.source.fix_list import REASONS, as_export, make_fix_list
from jwo_catalog_pipeline.catalog.source.options import SourceOptions
from jwo_catalog_pipeline.catalog.source.reading import read_source
from jwo_catalog_pipeline.table_file import table_of
from jwo_catalog_pipeline_tests.support.project import HEADER, ROWS, Project

SOURCE = pd.DataFrame(
    {"source_row": [1, 2, 3, 4], "sku": ["A", "B", "C", "D"], "name": ["ä; b", 'say "x"', "ç\nd", None]}
).astype({"sku": "str", "name": "str"})
QUARANTINED = pd.DataFrame({"source_row": [4, 2], "reasons": ["no_name: missing", "x: bad; y: worse"]})
REJECTED = pd.DataFrame({"source_row": [2, 3, 3], "reason": ["CODE: no", "CODE: why", "CODE: why"]})


def fix_list(
    folder: Path,
    source: pd.DataFrame = SOURCE,
    quarantined: pd.DataFrame = QUARANTINED,
    rejected: pd.DataFrame = REJECTED,
) -> pd.DataFrame:
    tables = [table_of(table, folder / f"{name}.table") for name, table in (("s", source), ("q", quarantined))]
    return make_fix_list(*tables, rejected)


FORMATS = {
    "export.csv": SourceOptions(),
    "export.tsv.gz": SourceOptions(),
    "semicolons.csv": SourceOptions(delimiter=";", encoding="windows-1252"),
    "export.json": SourceOptions(),
    "under_key.json": SourceOptions(records="catalogItems"),
    "export.jsonl": SourceOptions(),
    "export.parquet": SourceOptions(),
    "nested.json": SourceOptions(records="shop.products[].variants[]"),
    "titles.csv": SourceOptions(header_row=4),
    "backslashes.csv": SourceOptions(escape="\\"),
    "export.xlsx": SourceOptions(sheet="Items", header_row=3),
    "export.xls": SourceOptions(),
}


def test_each_row_is_listed_once_with_every_reason_in_the_export_s_order(tmp_path: Path) -> None:
    fixes = fix_list(tmp_path)
    assert list(fixes.columns) == [REASONS, "sku", "name"]
    assert fixes[REASONS].tolist() == [
        "row 2: x: bad; y: worse; rejected by Amazon: CODE: no",
        "row 3: rejected by Amazon: CODE: why",
        "row 4: no_name: missing",
    ]
    assert fixes["sku"].tolist() == ["B", "C", "D"]


@pytest.mark.parametrize("name", FORMATS)
def test_fed_back_it_reads_as_the_rows_of_the_export(name: str, tmp_path: Path) -> None:
    file, content = as_export(fix_list(tmp_path), FORMATS[name], name)
    (tmp_path / file).write_bytes(content)
    again = read_source(tmp_path / file, FORMATS[name], file)
    original = SOURCE.iloc[1:].drop(columns="source_row").reset_index(drop=True)
    pd.testing.assert_frame_equal(again.drop(columns=["source_row", REASONS]), original)


def test_a_file_that_quotes_nothing_stays_readable(tmp_path: Path) -> None:
    options = SourceOptions(delimiter="|", quote="")
    source = SOURCE.assign(name=["a", "b", "c", "d"])
    file, content = as_export(fix_list(tmp_path, source, QUARANTINED.assign(reasons="a|b")), options, "x.csv")
    (tmp_path / file).write_bytes(content)
    assert read_source(tmp_path / file, options, file)["name"].tolist() == ["b", "c", "d"]


def test_cells_that_a_spreadsheet_would_execute_are_harmless_and_numbers_stay(tmp_path: Path) -> None:
    cells = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "＝1+1", "-5", "+49", "-1.50", "=", "a=b"]
    source = pd.DataFrame({"source_row": range(1, len(cells) + 1), "name": pd.Series(cells, dtype="str")})
    quarantined = pd.DataFrame({"source_row": source["source_row"], "reasons": "bad"})
    _, content = as_export(fix_list(tmp_path, source, quarantined, REJECTED.iloc[:0]), SourceOptions(), "x.csv")
    told = [line.partition(",")[2].strip('"') for line in content.decode().split("\r\n")[1:-1]]
    assert told == ["'" + cell for cell in cells[:6]] + ["-5", "+49", "-1.50", "'=", "a=b"]


def test_the_pipeline_lists_what_was_quarantined_and_rejected_until_it_is_mended(project: Project) -> None:
    project.export(HEADER, *ROWS, *(f"ok{i},4006381333931,Fine {i},JWO-STORE-01,1.00" for i in range(30)))
    project.sandbox.misbehave(reject_skus=["B"])
    bad = "Q,4006381333932,Wrong check digit,JWO-STORE-01,1.00"
    rows = [*ROWS, *(f"ok{i},4006381333931,Fine {i},JWO-STORE-01,1.00" for i in range(30)), bad]
    project.export(HEADER, *rows)
    project.must_upload("u1")
    project.settle("u1")
    fixes = project.table("fix_list")
    assert fixes["sku"].tolist() == ["B", "Q"]
    assert "rejected by Amazon: REJECTED" in fixes[REASONS][0]
    stored = project.bucket.get("fix_list/fix_list.csv").decode()
    assert stored.splitlines()[0] == f"{REASONS},{HEADER}"
    rows[1] = rows[1].replace("0.99", "0.98")
    project.export(HEADER, *rows[:-1])
    project.must_upload("u2")
    assert project.table("fix_list").empty
