"""`unquote`, `plain`, `ascii` and `clean` make text readable, and lose no word of it."""

import html

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jwo_catalog_pipeline_tests.support.sql_functions import results


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ('="P-1"', "P-1"),
        ('="a ""b"""', 'a "b"'),
        ("'0123", "0123"),
        ("1002.0", "1002"),
        ("1001.0000000000", "1001"),
        ("4.006381333931E+12", "4006381333931"),
        *((same, same) for same in ("it's", "1E5", "1.00E+05", "4.00638E+12", "12.5", "4.000", "0123", "5'")),
        ("", None),
        ('=""', None),
    ],
)  # fmt: skip
def test_unquote_undoes_what_spreadsheets_do_to_text(written: str, text: str | None) -> None:
    assert results("unquote(x)", [written]) == [text]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("Ben &amp; Jerry&#39;s <b>ice</b>", "Ben & Jerry's ice"),
        ("Caf&eacute; &#x27;x&#x27; &euro;5", "Café 'x' €5"),
        ("Levi&#146;s&nbsp;501&trade;", "Levi’s 501™"),
        ("Ben &amp;amp; Jerry&amp;#39;s", "Ben & Jerry's"),
        ("&lt;p&gt;Green<br/>tea&lt;/p&gt;", "Green tea"),
        ('<a href="https://x">tea</a><!-- x --><script>a<b</script>', "tea"),
        *((same, same) for same in ("1 < 2 & 3", "<3 tea", "a<b and c>d", "AT&T", "&Pepper;", "<Brand> x")),
        ("a &lt; b", "a < b"),
        ("<br>", None),
        (None, None),
    ],
)  # fmt: skip
def test_plain_takes_entities_and_tags_out_and_nothing_else(written: str | None, text: str | None) -> None:
    assert results("plain(x)", [written]) == [text]


def test_plain_reads_every_entity_of_html_4() -> None:
    names = [name for name in html.entities.name2codepoint if name not in ("zwnj", "zwj", "lrm", "rlm", "shy")]
    found = results("plain('[' || x || ']')", [f"&{name};" for name in names])
    spaces = {"nbsp", "ensp", "emsp", "thinsp"}
    expected = ["[ ]" if name in spaces else f"[{html.unescape(f'&{name};')}]" for name in names]
    assert dict(zip(names, found, strict=True)) == dict(zip(names, expected, strict=True))


@pytest.mark.parametrize("text", ["עברית", "Coca קולה", "Кофе 3в1", "緑茶", "ق٥", "Χαλβάς", "★", "₪"])
def test_ascii_keeps_a_text_that_would_lose_its_letters(text: str) -> None:
    assert results("ascii(x)", [text]) == [text]


def test_ascii_spells_letters_and_drops_decoration() -> None:
    pairs = {
        "Crème brûlée": "Creme brulee",
        "Nº 5 ★": "No 5",
        "5 m² – ½ l": "5 m2 - 1/2 l",
        "Thé\tvert™": "The vert",
        "£5": "GBP5",
    }
    assert results("ascii(x)", list(pairs)) == list(pairs.values())


def test_clean_drops_what_nobody_sees() -> None:
    assert results("clean(x)", [" a\u200bb\u2060 \ufeff\t\u061c c\u200f"]) == ["ab c"]


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.text(st.characters(codec="utf-8"), max_size=30) | st.from_regex(r"[&<>#a-z0-9;/= ]{1,20}"), max_size=30)
)
def test_no_text_breaks_a_function_and_no_letter_is_lost_to_ascii(texts: list[str]) -> None:
    calls = "[unquote(x), plain(x), price(x), restore_barcode(x), clean(x), ascii(x)]"
    found = results(calls, texts)
    assert len(found) == len(texts)
    for text, (*_, plain) in zip(texts, found, strict=True):
        assert any(map(str.isalpha, plain or "")) >= any(map(str.isalpha, text))
