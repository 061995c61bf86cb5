"""The field mapping: a strict file, scalar expressions, and one output row for every source row."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jwo_catalog_pipeline.catalog.applying import apply_mapping
from jwo_catalog_pipeline.catalog.errors import MappingError
from jwo_catalog_pipeline.catalog.mapping import load_mapping, mapping_table
from jwo_catalog_pipeline.catalog.reading import SourceOptions
from jwo_catalog_pipeline.catalog.schema import ITEM_FIELDS
from jwo_catalog_pipeline.catalog.validation import validate

MINIMAL = """version: 1
fields:
  item_sku: sku
  external_product_id: ean
  item_name: name
  store_id: branch
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mapping.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def source(**columns: list[str | None]) -> pd.DataFrame:
    frame = pd.DataFrame(columns, dtype="str")
    frame.insert(0, "source_row", np.arange(1, len(frame) + 1, dtype="int64"))
    return frame


def export(**changes: list[str | None]) -> pd.DataFrame:
    columns: dict[str, list[str | None]] = {
        "sku": ["A", "B"],
        "ean": ["4006381333931", "96385074"],
        "name": ["Pen", "Gum"],
        "branch": ["055", "413"],
        "price": ["1.50", "x"],
    }
    return source(**(columns | changes))


def applied(tmp_path: Path, text: str, frame: pd.DataFrame) -> pd.DataFrame:
    return apply_mapping(load_mapping(write(tmp_path, text)), frame)


def test_a_mapping_file_is_read_as_it_is_written(tmp_path: Path) -> None:
    text = """version: 1
source: {format: csv, options: {delimiter: ";", encoding: cp1255}}
fields:
  item_sku: sku
  external_product_id: restore_barcode("EAN code")
  item_name: {expr: clean(name), note: as on the shelf}
  store_id: {expr: branch, values: {055: JWO-1, 413: JWO-2}, else: JWO-3}
additional_barcodes: [second]
"""
    path = write(tmp_path, text)
    mapping = load_mapping(path)
    assert mapping.path == path
    assert mapping.source == SourceOptions(format="csv", delimiter=";", encoding="cp1255")
    assert list(mapping.fields) == ["item_sku", "external_product_id", "item_name", "store_id"]
    assert mapping.fields["external_product_id"].columns == ("EAN code",)
    assert mapping.fields["item_name"].note == "as on the shelf"
    assert mapping.fields["store_id"].values == {"055": "JWO-1", "413": "JWO-2"}
    assert mapping.fields["store_id"].otherwise == "JWO-3"
    assert mapping.fields["store_id"].line == 7
    assert mapping.additional_barcodes[0].name == "additional_barcodes[1]"
    assert mapping.sha256 == hashlib.sha256(text.encode()).hexdigest()
    table = mapping_table(mapping)
    assert list(table.columns) == ["field", "expression", "source_columns", "note"]
    assert table.loc[3, "expression"] == "branch: 055 → JWO-1, 413 → JWO-2, else JWO-3"


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("", None, "is empty"),
        ("version: 1\nfields: [", 2, "no YAML"),
        (MINIMAL.replace("version: 1", "version: 2"), 1, "must be `version: 1`"),
        ("version: 1\n", None, "'fields' is missing"),
        (MINIMAL + "extras: 1\n", 7, "'extras' is not known"),
        (MINIMAL + "  item_nme: name\n", 7, "did you mean 'item_name'"),
        (MINIMAL + "  item_name: sku\n", 7, "a second time"),
        (MINIMAL.replace("  item_name: name\n", ""), 3, "required field 'item_name' is not mapped"),
        (MINIMAL.replace(": name", ":"), 5, "is empty"),
        (MINIMAL.replace(": name", ": [name]"), 5, "must hold keys with values"),
        (MINIMAL.replace(": name", ": {expr: name, vals: {}}"), 5, "did you mean 'values'"),
        (MINIMAL.replace(": name", ": {note: x}"), 5, "'expr' is missing"),
        (MINIMAL.replace(": name", ": {expr: name, else: x}"), 5, "needs 'values'"),
        (MINIMAL + "source: {format: exel}\n", 7, "must be one of csv"),
        (MINIMAL + "source: {options: {encoding: utf-88}}\n", 7, "no text encoding"),
        (MINIMAL + "source: {options: {encoding: base64}}\n", 7, "no text encoding"),
        (MINIMAL + "source: {options: {delimiter: '||'}}\n", 7, "one character"),
        (MINIMAL + "source: {options: {sep: ';'}}\n", 7, "'sep' is not known"),
        (MINIMAL + "additional_barcodes: second\n", 7, "must be a list"),
        (MINIMAL + "additional_barcodes:\n  - second\n  - count(second)\n", 9, "additional_barcodes[2]"),
        (MINIMAL + "stores: [S1]\n", 7, "fields.store_id is mapped as well"),
        (MINIMAL.replace("  store_id: branch\n", "") + "stores: [S1, S2, S1]\n", 6, "'S1' is listed twice"),
        (MINIMAL.replace("  store_id: branch\n", "") + "stores: []\n", 6, "list the stores"),
        ("!!python/object/apply:os.system ['true']", 1, "must hold keys"),
    ],
)
def test_a_wrong_mapping_file_is_named_with_line_and_remedy(
    tmp_path: Path, text: str, line: int | None, expected: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(MappingError) as caught:
        load_mapping(path)
    assert expected in str(caught.value)
    assert str(path) in str(caught.value)
    if line is not None:
        assert f"line {line}" in str(caught.value)


def test_a_missing_mapping_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"nothing\.yaml does not exist.*JWO_MAPPING"):
        load_mapping(tmp_path / "nothing.yaml")


@pytest.mark.parametrize(
    "expr",
    [
        "name, sku",
        "name) FROM source --",
        "name FROM source",
        "name; SELECT 1",
        "name AS x",
        "DISTINCT name",
        "name ORDER BY 1",
        "name UNION SELECT 1",
        "(SELECT 1)",
        "name IN (SELECT 'x')",
        "(SELECT content FROM read_text('/etc/passwd'))",
        "count(*)",
        "max(name)",
        "max(name) OVER ()",
        "list_transform([name], lambda x: x)",
        "unnest([1, 2])",
        "range(1000000000)",
        "read_text('/etc/passwd')",
        "*",
        "COLUMNS(*)",
        "#1",
        "$1",
        "?",
        "random()",
        "now()",
        "current_setting('home_directory')",
        "getenv('HOME')",
        "error('x')",
        "_gs1_right(1)",
        "no_such_function(name)",
        "source.name",
        "main.upper(name)",
        "name COLLATE NOCASE",
        "COPY source TO '/tmp/x'",
        "'unterminated",
        "name +",
        "/* name",
        "ATTACH 'x.db' AS y",
        "repeat('x', 1000000000)",
        "repeat(name, 1e9::BIGINT)",
        "rpad(name, 2000000000, 'x')",
        "lpad(name, length(name) * 1000000)",
        "printf('%1000000000d', 1)",
        "format('{:>1000000000}', name)",
        "array_to_string(list_resize([name], 1000000000, 'x'), '')",
        "__internal_json_copy_to_json(name)",
        "INSTALL httpfs",
        "SET memory_limit = '1TB'",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "EXPORT DATABASE '/tmp'",
        "glob('/etc/*')",
        "parquet_scan('/etc/passwd')",
        "query('SELECT 1')",
        "nextval('x')",
    ],
)
def test_only_one_scalar_expression_is_allowed(tmp_path: Path, expr: str) -> None:
    text = MINIMAL.replace("item_name: name", "item_name: " + json.dumps(expr))
    with pytest.raises(MappingError, match=r"mapping\.yaml, line 5, fields\.item_name: "):
        load_mapping(write(tmp_path, text))


@pytest.mark.parametrize(
    ("expr", "result"),
    [
        ("name || ' ' || sku -- a remark", "Pen A"),
        ("CASE WHEN branch = '055' AND NOT sku LIKE 'B%' THEN 'yes' ELSE 'no' END", "yes"),
        ("CASE WHEN length(name) BETWEEN 3 AND 4 OR name IN ('x') THEN name[1:2] END", "Pe"),
        ("coalesce(nullif(name, 'Pen'), upper(NAME), 'none')", "PEN"),
        ("TRY_CAST(price AS DECIMAL(9, 2)) * 2", "3.00"),
        ("regexp_replace(split_part(name, 'n', 1), 'e', 'a')", "Pa"),
        ("concat_ws('-', name, sku, NULL)", "Pen-A"),
        ("strftime(DATE '2026-11-23', '%Y')", "2026"),
        ("ascii('é' || name)", "ePen"),
        ("price(price, ',')", "1.50"),
        ("'it''s; -- text'", "it's; -- text"),
    ],
)
def test_scalar_expressions_are_evaluated(tmp_path: Path, expr: str, result: str) -> None:
    text = MINIMAL.replace("item_name: name", "item_name: " + json.dumps(expr))
    assert applied(tmp_path, text, export()).loc[0, "item_name"] == result


def test_the_result_has_every_field_and_every_row_in_order(tmp_path: Path) -> None:
    frame = export().iloc[[1, 0]]
    items = applied(tmp_path, MINIMAL, frame)
    assert list(items.columns) == ["source_row", *ITEM_FIELDS, "mapping_errors"]
    assert items["source_row"].tolist() == [1, 2]
    assert items["source_row"].dtype == "int64"
    assert all(items[column].dtype == "str" for column in items.columns[1:])
    assert items["item_sku"].tolist() == ["A", "B"]
    assert items["external_product_id_type"].tolist() == ["EAN", "EAN8"]
    assert items["mapping_errors"].isna().all()


def test_an_expression_that_makes_very_long_text_is_an_error_of_its_row(tmp_path: Path) -> None:
    text = MINIMAL.replace(": name", ": repeat(repeat(name, 1000), 1000)")
    frame = applied(tmp_path, text, export(name=["Pen", "Gum"]))
    assert frame["mapping_errors"].tolist() == ["item_name: the result is longer than 10,000 bytes"] * 2
    assert frame["item_name"].isna().all()


def test_an_expression_that_needs_too_much_memory_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jwo_catalog_pipeline.catalog.engine.MEMORY_LIMIT", "100MB")
    text = MINIMAL.replace(": name", ": repeat(repeat(repeat(name, 1000), 1000), 100)")
    with pytest.raises(MappingError, match="look for an expression that makes very long text"):
        applied(tmp_path, text, export())


def test_a_row_can_stand_for_an_item_in_each_of_several_stores(tmp_path: Path) -> None:
    text = MINIMAL.replace("  store_id: branch\n", "") + "stores: [S1, 022]\n"
    frame = applied(tmp_path, text, export())
    assert frame[["source_row", "item_sku", "store_id"]].to_numpy().tolist() == [
        [1, "A", "S1"],
        [1, "A", "022"],
        [2, "B", "S1"],
        [2, "B", "022"],
    ]
    assert len(validate(frame).valid) == 4
    assert mapping_table(load_mapping(write(tmp_path, text))).iloc[-1].tolist()[:2] == [
        "store_id",
        "every row in each of S1, 022",
    ]


def test_an_empty_export_gives_an_empty_table(tmp_path: Path) -> None:
    items = applied(tmp_path, MINIMAL, export().iloc[:0])
    assert len(items) == 0
    assert items["item_sku"].dtype == "str"


def test_blank_text_is_missing(tmp_path: Path) -> None:
    items = applied(tmp_path, MINIMAL, export(name=["", " \t\n\u00a0"]))
    assert items["item_name"].isna().all()


def test_an_expression_that_fails_on_a_row_is_told_and_harms_no_other(tmp_path: Path) -> None:
    items = applied(tmp_path, MINIMAL + "  standard_price: CAST(price AS DECIMAL(9, 2))\n", export())
    assert items["standard_price"].tolist()[0] == "1.50"
    assert items["mapping_errors"].isna().tolist() == [True, False]
    assert items.loc[1, "mapping_errors"] == "standard_price: the expression fails on this row"


def test_a_null_result_is_no_failure(tmp_path: Path) -> None:
    items = applied(tmp_path, MINIMAL + "  standard_price: TRY_CAST(price AS DECIMAL(9, 2))\n", export())
    assert items["standard_price"].isna().tolist() == [False, True]
    assert items["mapping_errors"].isna().all()


def test_a_value_that_is_not_listed_is_an_error_of_its_row_unless_else_is_given(tmp_path: Path) -> None:
    lookup = "{expr: branch, values: {055: JWO-1}%s}"
    frame = export(branch=["055", "it's 999"])
    items = applied(tmp_path, MINIMAL.replace(": branch", ": " + lookup % ""), frame)
    assert items["store_id"].tolist()[0] == "JWO-1"
    assert items.loc[1, "mapping_errors"] == "store_id: 'it's 999' is not listed in values"
    assert items["store_id"].isna().tolist() == [False, True]
    items = applied(tmp_path, MINIMAL.replace(": branch", ": " + lookup % ", else: it's other"), frame)
    assert items["store_id"].tolist() == ["JWO-1", "it's other"]
    assert items["mapping_errors"].isna().all()


def test_a_missing_value_is_not_looked_up(tmp_path: Path) -> None:
    text = MINIMAL.replace(": branch", ": {expr: branch, values: {055: JWO-1}, else: JWO-9}")
    items = applied(tmp_path, text, export(branch=["055", None]))
    assert items["store_id"].isna().tolist() == [False, True]
    assert items["mapping_errors"].isna().all()


def test_further_barcodes_are_distinct_typed_and_without_the_main_one(tmp_path: Path) -> None:
    text = MINIMAL + "additional_barcodes: [c1, c2, c3]\n"
    frame = export(c1=["4006381333931", None], c2=["96385074", ""], c3=["96385074", None]).assign(
        c3=pd.Series(["96385074", None], dtype="str")
    )
    items = applied(tmp_path, text, frame)
    assert json.loads(items.loc[0, "additional_external_product_information"]) == [["96385074", "EAN8"]]
    assert items["additional_external_product_information"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"skuu": ["A"], "ean": ["1"], "name": ["x"], "branch": ["1"]}, "no column 'sku'; did you mean 'skuu'"),
        ({"sku;ean;name;branch": ["A;1;x;1"]}, "the delimiter is probably wrong"),
        ({"x": ["1"], "y": ["1"]}, "its columns are 'x', 'y'"),
    ],
)
def test_a_column_that_the_export_has_not_is_named(
    tmp_path: Path, columns: dict[str, list[str | None]], expected: str
) -> None:
    with pytest.raises(MappingError) as caught:
        applied(tmp_path, MINIMAL, source(**columns))
    assert "line 3, fields.item_sku" in str(caught.value)
    assert expected in str(caught.value)


def test_an_expression_that_does_not_fit_its_columns_is_named(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"line 7, fields\.brand_name: .* does not work"):
        applied(tmp_path, MINIMAL + "  brand_name: name + date_part('year', name)\n", export())


cells = st.one_of(
    st.none(), st.text(st.characters(codec="utf-8"), max_size=12), st.sampled_from(["4011", "1.50", "055"])
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.lists(st.tuples(cells, cells, cells, cells, cells), max_size=12))
def test_every_row_of_any_export_is_valid_or_quarantined_once(
    tmp_path: Path, data: list[tuple[str | None, ...]]
) -> None:
    names = ["sku", "ean", "name", "branch", "price"]
    frame = source(**{name: [row[place] for row in data] for place, name in enumerate(names)})
    text = (
        MINIMAL
        + "  standard_price: CAST(price(price) AS DECIMAL(9, 2))\nadditional_barcodes: [restore_barcode(price)]\n"
    )
    result = validate(applied(tmp_path, text, frame))
    found = [*result.valid["source_row"], *result.quarantined["source_row"]]
    assert sorted(found) == frame["source_row"].tolist()
    assert (result.quarantined["reasons"].str.len() > 0).all()
