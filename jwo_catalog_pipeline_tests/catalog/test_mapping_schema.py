"""The JSON Schema that editors use: it says of a file's shape what the loader says."""

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

import jwo_catalog_pipeline
from jwo_catalog_pipeline.catalog.errors import MappingError
from jwo_catalog_pipeline.catalog.mapping.json_schema import mapping_schema
from jwo_catalog_pipeline.catalog.mapping.model import load_mapping

PACKAGE = Path(jwo_catalog_pipeline.__file__).parent
MAPPINGS = [*PACKAGE.rglob("*.yaml"), *PACKAGE.parent.glob("examples/*.yaml")]
RIGHT = """version: 1
fields:
  {item_sku: a, external_product_id: b, item_name: {expr: c, note: x}, store_id: {expr: d, values: {1: S}, else: }}
"""


def accepts(text: str) -> bool:
    return Draft202012Validator(mapping_schema()).is_valid(yaml.safe_load(text))


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
        RIGHT.replace(", store_id: {expr: d, values: {1: S}, else: }", "") + "stores: [S1]\n",
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
    ],
)
def test_it_agrees_with_the_loader(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mapping.yaml"
    path.write_text(text)
    try:
        load_mapping(path)
        loads = True
    except MappingError:
        loads = False
    assert accepts(text) is loads
