"""What is found out about a file without a description: encoding, delimiter, header row, list in JSON."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.source.detection import Detected, detect
from jwo_catalog_pipeline.catalog.source.encodings import find_encoding
from jwo_catalog_pipeline.catalog.source.json_lists import find_lists

TABLE = "SKU;Bezeichnung;Preis\n1;{};1,49\n2;Milch;2,49\n3;Brot;3,49\n"


def found(folder: Path, content: bytes | str, name: str = "items.csv", **written: Any) -> Detected:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return detect(path, name, written)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "Crème brûlée"),
        ("utf-8-sig", "Crème brûlée"),
        ("utf-16", "Crème brûlée"),
        ("utf-16-le", "Crème brûlée"),
        ("utf-16-be", "Crème brûlée"),
        ("utf-32", "Crème brûlée"),
        *(
            ("windows-1252", word)
            for word in ("Käse", "Crème brûlée", "Jalapeño", "Größe 38", "Pão de ló", "Più", "5 €")
        ),
        ("windows-1250", "Mąka pszenna, śmietana"),
        ("windows-1251", "Молоко 3,2%"),
        ("windows-1253", "Γάλα φρέσκο"),
        ("windows-1254", "Süt, yoğurt, ıspanak"),
        ("windows-1255", "חלב טרי"),
        ("windows-1256", "حليب طازج"),
        ("cp850", "Crème brûlée, Käse"),
        ("mac_roman", "Crème brûlée, Käse"),
        ("cp932", "牛乳;食パン ライ麦"),
    ],
)
def test_a_small_file_is_read_in_its_encoding(encoding: str, text: str) -> None:
    content = TABLE.format(text).encode(encoding)
    name = find_encoding([content]).name
    assert content.decode("utf-8-sig" if name == "utf-8" else name) == TABLE.format(text)


def test_an_accent_far_below_decides(tmp_path: Path) -> None:
    content = b"SKU,Name\n" + b"1,Milk\n" * 400_000 + "2,Käse\n".encode("windows-1252")
    assert found(tmp_path, content).source == {"options": {"encoding": "windows-1252"}}


def test_what_fits_two_encodings_is_not_sure() -> None:
    assert not find_encoding(["Name\nגבינה\n".encode("windows-1255")]).sure
    assert find_encoding(["Name\nKäse\n".encode("windows-1252")]).sure


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("a,b,c\n1,2,3\n", {}),
        ("a;b;c\n1;2,5;3\n4;5,5;6\n", {"options": {"delimiter": ";"}}),
        ("a\tb\n1,5\t2\n", {"options": {"delimiter": "\t"}}),
        ("a|b|c\n1|x, y|2\n", {"options": {"delimiter": "|"}}),
        ("sep=;\na;b\n1;2\n", {"options": {"delimiter": ";"}}),
        ("a,b\n'x, y','2'\n'z','3'\n", {"options": {"quote": "'"}}),
        ('a,b,c\n1,"Big" pipe,2\n2,"3" bolt,4\n3,"5,6\n', {"options": {"quote": ""}}),
        ('a,b\n"x\n, y",2\n"z; w",3\n', {}),
        ("Price list,,\n\nSKU,Name,Price\nA,Tea,1.00\nB,Bar,2.00\n", {"header_row": 3}),
        ("Store:;Main Street\nDate:;2026-11-20\n\nSKU;Name;Price\nA;Tea;1,00\nB;Bar;2,00\n",
         {"options": {"delimiter": ";"}, "header_row": 4}),
    ],
)  # fmt: skip
def test_delimiter_quote_and_header_row_are_found(tmp_path: Path, text: str, source: dict[str, Any]) -> None:
    assert found(tmp_path, text).source == source


def test_a_file_without_names_is_not_sure(tmp_path: Path) -> None:
    doubts = found(tmp_path, "1001,4006381333931,1.99\n1002,96385074,2.99\n").doubts
    assert any("looks like data" in doubt for doubt in doubts)


def test_what_a_person_has_said_is_kept(tmp_path: Path) -> None:
    source = found(tmp_path, "x\na;b\n1;2\n", header_row="1", options={"delimiter": ","}).source
    assert source == {"header_row": "1", "options": {"delimiter": ","}}


@pytest.mark.parametrize(
    ("text", "name", "source"),
    [
        ('[{"sku": "1"}]', "items.json", {}),
        ('{"items": [{"sku": "1", "price": 1}]}', "items.json", {"records": "items[]"}),
        ('{"data": {"rows": [{"sku": "1"}]}}', "items.json", {"records": "data.rows[]"}),
        ('{"sku": "1"}\n{"sku": "2"}\n', "items.json", {"format": "jsonl"}),
        ('{"sku": "1"}\n', "items.jsonl", {}),
        ('[{"sku": "1"}]', "items.csv", {"format": "json"}),
        ("a,b\n1,2\n", "items.dat", {"format": "csv"}),
        ("[SKU],[Name]\n1,2\n", "items.csv", {}),
    ],
)
def test_the_list_in_json_and_the_real_format_are_found(
    tmp_path: Path, text: str, name: str, source: dict[str, Any]
) -> None:
    assert found(tmp_path, text, name).source == source


def test_the_list_of_variants_is_preferred_to_products_and_pictures() -> None:
    product = {
        "title": "Tea",
        "images": [{"id": 1, "src": "a"}, {"id": 2, "src": "b"}],
        "variants": [{"sku": "1", "barcode": "96385074", "price": "1.00"}],
    }
    assert find_lists({"products": [product]})[0].path == "products[].variants[]"


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf\n"])
def test_a_file_without_text_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SourceFileError, match=r"items.csv (is empty|holds no text)"):
        found(tmp_path, content)


@given(content=st.binary(max_size=300), name=st.sampled_from(["x.csv", "x.json", "x.jsonl", "x.txt", "x"]))
def test_any_bytes_are_found_out_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    try:
        found(tmp_path_factory.mktemp("any"), content, name)
    except SourceFileError as error:
        assert error.remedy
