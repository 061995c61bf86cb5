"""The field mapping file: what it may say, and how a wrong one is told."""

import hashlib
import json
from pathlib import Path

import pytest

from jwo_catalog_pipeline.catalog.errors import MappingError
from jwo_catalog_pipeline.catalog.mapping.loaded import load_mapping, shown
from jwo_catalog_pipeline.catalog.source.options import SourceOptions
from jwo_catalog_pipeline_tests.support.mapping_text import MINIMAL, write


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
    assert mapping.fields["external_product_id"].choices[0].columns == ("EAN code",)
    assert mapping.fields["item_name"].choices[0].note == "as on the shelf"
    assert mapping.fields["store_id"].choices[0].values == {"055": "JWO-1", "413": "JWO-2"}
    assert mapping.fields["store_id"].choices[0].otherwise == "JWO-3"
    assert mapping.fields["store_id"].choices[0].line == 7
    assert mapping.additional_barcodes[0].choices[0].name == "additional_barcodes[1]"
    assert mapping.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert shown(mapping.fields["store_id"].choices[0]) == "branch: 055 → JWO-1, 413 → JWO-2, else JWO-3"


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
        (MINIMAL.replace(": name", ": []"), 5, "fields.item_name: is empty"),
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
        ("fields: {}\n", 1, "'version' is missing; write `version: 1`"),
        (MINIMAL.replace("version: 1", "version: [1]"), 1, "version: must be text; write one value"),
        (MINIMAL.replace("item_name", "item_nme"), 5, "did you mean 'item_name'"),
        (MINIMAL + "extras:\n\n  a: 1\n", 7, "the known keys are version, source, where, stores, merge"),
        (MINIMAL.replace(": name", ": {expr: }"), 5, "item_name.expr: is empty; write the SQL expression"),
        (MINIMAL.replace(": name", ":\n    expr: name\n    values: {a: [b]}"), 7, "item_name.values.a: must be text"),
        (MINIMAL.replace(": name", ": {expr: name, values: {}}"), 5, "list what becomes what"),
        (MINIMAL.replace(": name", ": {expr: name, values: {~: x}}"), 5, "put it in quotes"),
        (MINIMAL.replace(": name", ": {expr: name, values: [x]}"), 5, "values: must hold keys"),
        (MINIMAL + "source:\n", 7, "source: is empty; write a value or remove the key"),
        (MINIMAL + "source: {format: jsn}\n", 7, "did you mean 'json' or 'jsonl'"),
        (MINIMAL + 'source: {options: {encoding: "\\0"}}\n', 7, "no text encoding"),
        (MINIMAL + "additional_barcodes:\n  - second\n  -\n", 9, "additional_barcodes[2]: is empty"),
        (
            MINIMAL + "additional_barcodes:\n  - second\n  - note: x\n",
            9,
            "additional_barcodes[2]: the key 'expr' is missing",
        ),
        # Of two errors, the first in the file.
        (MINIMAL.replace(": sku", ": []") + "source: csv\n", 3, "fields.item_sku: is empty"),
        (MINIMAL.replace("fields", "source: csv\nfields").replace(": sku", ": []"), 2, "source: must hold keys"),
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
    assert caught.value.remedy
    if line is not None:
        assert f"line {line}" in str(caught.value)


def test_values_are_text_as_it_is_written(tmp_path: Path) -> None:
    lookup = "{expr: branch, values: {no: yes, 2026-11-23: 1_000, 0x1F: 055, true: 1e3, '': .5}, else: 1:30}"
    path = write(tmp_path, MINIMAL.replace(": branch", f": {lookup}"))
    field = load_mapping(path).fields["store_id"].choices[0]
    assert field.values == {"no": "yes", "2026-11-23": "1_000", "0x1F": "055", "true": "1e3", "": ".5"}
    assert field.otherwise == "1:30"


@pytest.mark.parametrize(
    ("written", "otherwise"), [("", None), (", else: ", ""), (", else: ''", ""), (", else: x", "x")]
)
def test_an_empty_else_is_not_a_missing_one(tmp_path: Path, written: str, otherwise: str | None) -> None:
    text = MINIMAL.replace(": branch", f": {{expr: branch, values: {{a: b}}{written}}}")
    assert load_mapping(write(tmp_path, text)).fields["store_id"].choices[0].otherwise == otherwise


def test_aliases_give_what_their_anchor_gives(tmp_path: Path) -> None:
    text = MINIMAL.replace(": name", ": &a {expr: name, note: x}") + "additional_barcodes: [*a]\n"
    mapping = load_mapping(write(tmp_path, text))
    assert mapping.additional_barcodes[0].choices[0].note == mapping.fields["item_name"].choices[0].note == "x"


@pytest.mark.parametrize(
    "value",
    [
        "&z [" + ", ".join(f"&l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" if n else "&l0 [x]" for n in range(30)) + "]",
        "&z {a: *z}",
        "&z [*z]",
    ],
    ids=["grows", "keys in themselves", "list in itself"],
)
@pytest.mark.parametrize("place", ["version", "fields", "stores", "extras", "source"])
def test_aliases_fill_no_memory(tmp_path: Path, value: str, place: str) -> None:
    path = write(tmp_path, f"{place}: {value}\n")
    with pytest.raises(MappingError, match="line 1") as caught:
        load_mapping(path)
    assert len(str(caught.value)) < 500


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
    with pytest.raises(MappingError, match=r"mapping\.yaml, line 5, fields\.item_name: ") as caught:
        load_mapping(write(tmp_path, text))
    assert caught.value.remedy
