"""The JSON Schema that editors use: it says of a file's shape what the loader says."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import jwo_catalog_pipeline
from jwo_catalog_pipeline.catalog.errors import MappingError
from jwo_catalog_pipeline.catalog.mapping.json_schema import mapping_schema
from jwo_catalog_pipeline.catalog.mapping.loaded import load_mapping

PACKAGE = Path(jwo_catalog_pipeline.__file__).parent
MAPPINGS = [*PACKAGE.rglob("*.yaml"), *PACKAGE.parent.glob("examples/*.yaml")]
RIGHT = """version: 1
fields:
  {item_sku: a, external_product_id: b, item_name: {expr: c, note: x}, store_id: {expr: d, values: {1: S}, else: }}
"""
WITHOUT_STORE = RIGHT.replace(", store_id: {expr: d, values: {1: S}, else: }", "")


class EditorLoader(yaml.SafeLoader):
    """Reads dates as text, as YAML 1.2 does, and so do editors."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def accepts(text: str) -> bool:
    return Draft202012Validator(mapping_schema()).is_valid(yaml.load(text, EditorLoader))


def loads(path: Path, text: str) -> bool:
    path.write_text(text, encoding="utf-8")
    try:
        load_mapping(path)
    except MappingError as error:
        # Never pydantic's own words.
        assert str(error).startswith(f"{path}, line ")
        assert error.remedy
        assert not any(word in str(error) for word in ("Input should", "Field required", "pydantic"))
        return False
    return True


def test_the_file_in_the_package_is_the_schema() -> None:
    Draft202012Validator.check_schema(mapping_schema())
    assert json.loads((PACKAGE / "catalog/mapping/presets/mapping.schema.json").read_text()) == mapping_schema()


@pytest.mark.parametrize("path", MAPPINGS, ids=lambda path: path.stem)
def test_it_accepts_every_mapping_that_ships(path: Path) -> None:
    assert accepts(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "text",
    [
        RIGHT,
        WITHOUT_STORE + "stores: [S1]\n",
        RIGHT + "source: {format: csv, options: {delimiter: ';', quote: ''}}\nadditional_barcodes: [e, {expr: f}]\n",
        RIGHT.replace("version: 1", "version: 2"),
        RIGHT.replace("item_sku: a, ", ""),
        RIGHT.replace("item_sku", "item_skew"),
        RIGHT.replace("note", "nite"),
        RIGHT.replace("values: {1: S}, ", ""),
        RIGHT.replace("expr: c, ", ""),
        RIGHT.replace("values: {1: S}", "values: {}"),
        RIGHT + "stores: [S1]\n",
        RIGHT + "source: {format: excel}\n",
        RIGHT + "source: {options: {delimiter: '||'}}\n",
        RIGHT + "additional_barcodes: e\n",
        RIGHT.replace("version: 1", "version: '1'"),
        RIGHT.replace("version: 1\n", ""),
        RIGHT.replace("item_name: {expr: c, note: x}", "item_name:"),
        RIGHT.replace("note: x", "note:"),
        RIGHT.replace("note: x", "note: 2026-11-23"),
        RIGHT.replace("else:", "else: yes"),
        RIGHT.replace("else:", "else: ''"),
        RIGHT.replace("else:", "else: []"),
        RIGHT.replace("1: S", "no: yes, 055: 022"),
        RIGHT.replace("1: S", "1:"),
        RIGHT + "source: {}\n",
        RIGHT + "source:\n",
        RIGHT + "source: {format:}\n",
        RIGHT + "source: {options: {delimiter: ''}}\n",
        RIGHT + "source: {options: {encoding: ''}}\n",
        RIGHT + "source: {records: 2026}\n",
        RIGHT + "additional_barcodes: []\n",
        RIGHT + "additional_barcodes: [[e]]\n",
        RIGHT + "additional_barcodes: [[e, {expr: f}, null]]\n",
        RIGHT + "additional_barcodes: [[null]]\n",
        RIGHT + "additional_barcodes: [[]]\n",
        RIGHT.replace("item_sku: a", "item_sku: [a, {expr: b, values: {1: 2}}]"),
        RIGHT.replace("item_sku: a", "item_sku: [a, null]"),
        RIGHT.replace("item_sku: a", "item_sku: []"),
        RIGHT.replace("item_sku: a", "item_sku: [[a]]"),
        RIGHT.replace("item_sku: a", "item_sku: a, brand_name: [e, null]"),
        RIGHT.replace("item_sku: a", "item_sku: a, brand_name: null"),
        RIGHT + "where: a\n",
        RIGHT + "where: {expr: a, note: b}\n",
        RIGHT + "where: [a, {expr: a, note: b}, [c, null]]\n",
        RIGHT + "where: {expr: a, values: {1: 2}}\n",
        RIGHT + "where: []\n",
        RIGHT + "where:\n",
        RIGHT + "where: [null]\n",
        RIGHT + "merge: barcodes\n",
        RIGHT + "merge: rows\n",
        RIGHT + "merge:\n",
        RIGHT.replace("1: S", "file: x, keys: y, value: z"),
        RIGHT.replace("1: S", "file: x.csv"),
        WITHOUT_STORE + "stores: {S1: {where: a, standard_price: b, brand_name: [c, null]}, S2: {}}\n",
        WITHOUT_STORE + "stores: {S1: {store_id: a}}\n",
        WITHOUT_STORE + "stores: {S1: {item_name: [a, null]}}\n",
        WITHOUT_STORE + "stores: {S1: {prices: a}}\n",
        WITHOUT_STORE + "stores: {S1: }\n",
        WITHOUT_STORE + "stores: {S1: a}\n",
        WITHOUT_STORE + "stores: {'': {}}\n",
        WITHOUT_STORE + "stores: {}\n",
        RIGHT + "stores: {S1: {}}\n",
        WITHOUT_STORE,
        WITHOUT_STORE + "stores: []\n",
        WITHOUT_STORE + "stores: [S, S]\n",
        WITHOUT_STORE + "stores: [022, {}]\n",
    ],
)
def test_it_agrees_with_the_loader(tmp_path: Path, text: str) -> None:
    assert accepts(text) is loads(tmp_path / "mapping.yaml", text)


WHOLE = """version: 1
source: {format: csv, records: r, options: {delimiter: ';', quote: '"', encoding: utf-8}}
where: [a, {expr: b, note: n}, [c, null]]
stores: %s
merge: barcodes
fields:
  item_sku: [a, {expr: b}]
  external_product_id: {expr: b, values: {x: y}, else: z, note: n}
  item_name: c
  brand_name: [d, null]
additional_barcodes: [e, {expr: f, values: {1: 2}}]
"""
WHOLE = [WHOLE % "[S1, S2]", WHOLE % "{S1: {where: [a, b], item_name: c, brand_name: [d, null]}, S2: {}}"]
KEYS = ["version", "source", "stores", "fields", "additional_barcodes", "format", "records", "options", "delimiter"]
KEYS += ["quote", "encoding", "expr", "values", "else", "note", "item_sku", "store_id", "brand_name", "other"]
KEYS += ["where", "merge", "key", "value"]
# Each is a right expression, or no expression at all: only DuckDB can tell wrong SQL from right.
VALUES: list[Any] = [
    None,
    "",
    "a",
    "ab",
    7.5,
    True,
    [],
    ["a"],
    ["a", "a"],
    ["a", None],
    "barcodes",
    {},
    {"expr": "a"},
    {"a": "b"},
    [{}],
    {"a": None},
]


def parts(value: Any) -> Iterator[Any]:
    """The value and all that is in it, where it holds others."""
    if isinstance(value, dict | list):
        yield value
        for each in value.values() if isinstance(value, dict) else value:
            yield from parts(each)


@st.composite
def mappings(draw: st.DrawFn) -> dict[str, Any]:
    """A right mapping, changed in up to three places."""
    mapping = copy.deepcopy(yaml.safe_load(draw(st.sampled_from([*WHOLE, RIGHT]))))
    for _ in range(draw(st.integers(0, 3))):
        holder = draw(st.sampled_from(list(parts(mapping))))
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if keys and draw(st.booleans()):
            del holder[draw(st.sampled_from(keys))]
        elif isinstance(holder, dict):
            holder[draw(st.sampled_from([*keys, *KEYS]))] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        else:
            holder.append(copy.deepcopy(draw(st.sampled_from(VALUES))))
    return mapping


def has_a_wrong_encoding(mapping: dict[str, Any]) -> bool:
    """Which encodings there are, only Python knows."""
    source = mapping.get("source")
    options = source.get("options") if isinstance(source, dict) else None
    return isinstance(options, dict) and options.get("encoding") in ("a", "ab", "barcodes", 7.5, True)


def has_null_in_the_middle(value: Any) -> bool:
    """No schema can say that something is last in a list."""
    if isinstance(value, list) and None in value[1:-1]:
        return True
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(map(has_null_in_the_middle, inner))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mapping=mappings().filter(lambda each: not has_a_wrong_encoding(each) and not has_null_in_the_middle(each)))
def test_it_agrees_with_the_loader_on_any_changed_mapping(tmp_path: Path, mapping: dict[str, Any]) -> None:
    text = yaml.safe_dump(mapping, sort_keys=False)
    assert accepts(text) is loads(tmp_path / "mapping.yaml", text), text


def described(schema: dict[str, Any], keys: str = "") -> Iterator[str]:
    for name, part in schema.get("properties", {}).items():
        target = part.get("$ref", "").rpartition("/")[2]
        if not (part.get("description") or mapping_schema()["$defs"].get(target, {}).get("description")):
            yield f"{keys}.{name}"


def test_it_describes_every_key() -> None:
    schema = mapping_schema()
    assert [*described(schema), *(key for name, part in schema["$defs"].items() for key in described(part, name))] == []
