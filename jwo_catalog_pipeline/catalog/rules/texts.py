"""What the rules need to know of SKUs, names and other texts.

Belongs here: looking at columns of text.
Does not belong here: judging them (see `text_rules.py`).
"""

from __future__ import annotations

import string

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jwo_catalog_pipeline.catalog.rules.barcodes import marked_up
from jwo_catalog_pipeline.catalog.rules.rules import LINE_BREAKS

TEXTS = ("item_name", "brand_name", "product_category", "product_subcategory")
_BREAK = r"[\n\r\x0b\x0c\x{85}\x{2028}\x{2029}]"
EDGE = r"[\s\p{Z}\p{Cf}\p{Cc}]"
_SPACED = rf"^{EDGE}|{EDGE}$|[\p{{Cc}}\p{{Zl}}\p{{Zp}}\x{{200B}}\x{{FEFF}}]"
# What the bytes 80 to BF of UTF-8 become in Windows-1252 or Latin-1; `_LETTER` without what may follow a word.
_BYTE = r"\x{80}-\x{BF}€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
_LETTER = r"\x{80}-\x{9F}¡-§©ª¬¯±´-¶¸º¼¾¿€‚ƒ„†‡ˆ‰Š‹ŒŽ‘“˜š›œžŸ"
_WRONGLY_READ = "|".join(
    (
        "\N{REPLACEMENT CHARACTER}|ï¿½|ï»¿|â€|â‚¬|ðŸ",
        rf"[ÂÃ][{_BYTE}]",
        rf"[ÄÅĂĹ][{_LETTER}]|[a-z][ÄÅĂĹ][{_BYTE}]",
        # Greek, Cyrillic, Hebrew and Arabic, two letters of it; Chinese, Japanese, Thai and Hindi.
        rf"(?:[ÎÏ][{_BYTE}]){{2}}|(?:[ÐÑ][{_BYTE}]){{2}}|(?:×[{_BYTE}]){{2}}|(?:[ØÙ][{_BYTE}]){{2}}",
        rf"(?:[à-é][{_BYTE}]{{2}}){{2}}",
        # UTF-8 read as Mac Roman, as a code page of DOS, as Windows-1251 and as Windows-1255.
        "√[©®´∞±≥¥µ∂∑∏π∫ªºΩæø°¢£§•¶ß™¨≠Æüúùûôöòñ]",
        r"[├┬][^\s├┬]",
        "(?:[РС][^\\sа-яА-ЯёA-Za-z0-9]){2}",
        r"(?:׳[^א-ת\s\w]){2}",
        # The bytes themselves, written out.
        r"\\x[89A-Fa-f][0-9A-Fa-f]",
    )
)


def text_facts(items: pa.Table) -> dict[str, pa.Array]:
    """What can be said about the texts of items.

    Args:
        items: At least `item_sku`, `item_name`, `brand_name`, `product_category` and `product_subcategory`; perhaps
            `line_breaks`.

    Returns:
        Columns of the same length. Booleans: `sku_spaced` (white space around it, line ends, invisible characters),
        `sku_unusual`, `name_lettered`, `name_marked` (holds HTML). Texts, missing where all is well: `text_damaged` (a
        text that was read with a wrong encoding), `text_broken` (a text with a line break).
    """
    rows = len(items)
    unusual = rows_holding(items["item_sku"], _UNUSUAL)
    spaced = unusual[_matches(items["item_sku"].take(pa.array(unusual)), _SPACED)]
    marked, damaged, broken = np.zeros(rows, dtype=bool), dict[int, str](), dict[int, str]()
    for field in TEXTS:
        hits = rows_holding(items[field], _EXTRAORDINARY)
        if not len(hits):
            continue
        there = items[field].take(pa.array(hits)).combine_chunks()
        for found, pattern in ((damaged, _WRONGLY_READ), (broken, _BREAK)):
            wrong = np.flatnonzero(_matches(there, pattern))
            found |= dict(zip(hits[wrong].tolist(), there.take(pa.array(wrong)).to_pylist(), strict=True))
        if field == "item_name":
            html = np.flatnonzero(_matches(there, "[&<]"))
            if len(html):
                marked[hits[html]] = marked_up(there.take(pa.array(html)))
    broken_texts = _at(broken, rows)
    if LINE_BREAKS in items.column_names:
        broken_texts = pc.coalesce(broken_texts, items[LINE_BREAKS].combine_chunks())
    return {
        "sku_spaced": _true_at(spaced, rows),
        "sku_unusual": _true_at(unusual, rows),
        "name_lettered": pa.array(_lettered(items["item_name"])),
        "name_marked": pa.array(marked),
        "text_damaged": _at(damaged, rows),
        "text_broken": broken_texts,
    }


def rows_holding(texts: pa.ChunkedArray, wanted: np.ndarray) -> np.ndarray:
    """The places of texts that hold one of some bytes.

    Args:
        texts: large strings.
        wanted: for each of the 256 bytes whether it is one.
    """
    found, first = [np.empty(0, dtype="int64")], 0
    for chunk in texts.chunks:
        _, ends, content = chunk.buffers()
        if content is not None and len(chunk):
            offsets = np.frombuffer(ends, "int64", len(chunk) + 1, 8 * chunk.offset)
            data = np.frombuffer(content, "uint8")[offsets[0] : offsets[-1]]
            rows = np.searchsorted(offsets, np.flatnonzero(wanted[data]) + offsets[0], side="right") - 1
            rows = np.unique(rows)
            found.append(first + rows[np.asarray(chunk.is_valid())[rows]] if chunk.null_count else first + rows)
        first += len(chunk)
    return np.concatenate(found)


def _without(ordinary: str) -> np.ndarray:
    table = np.ones(256, dtype=bool)
    table[list(ordinary.encode())] = False
    return table


# One look at most texts: printable ASCII without &, < and backslashes, of which nothing above needs to be asked.
_EXTRAORDINARY = _without("".join(chr(sign) for sign in range(0x20, 0x7F) if chr(sign) not in "&<\\"))
_UNUSUAL = _without(f"{string.ascii_letters}{string.digits}._-")


def _true_at(places: np.ndarray, rows: int) -> pa.Array:
    flags = np.zeros(rows, dtype=bool)
    flags[places] = True
    return pa.array(flags)


def _at(texts: dict[int, str], rows: int) -> pa.Array:
    """A column of so many rows with these texts at these places, and missing elsewhere."""
    if not texts:
        return pa.nulls(rows, pa.large_string())
    places = np.full(rows, -1, dtype="int64")
    places[list(texts)] = np.arange(len(texts))
    return pa.array(list(texts.values()), pa.large_string()).take(pa.array(places, mask=places < 0))


def _matches(texts: pa.Array | pa.ChunkedArray, pattern: str, of_missing: bool = False) -> np.ndarray:
    return np.asarray(pc.fill_null(pc.match_substring_regex(texts, pattern), of_missing))


def _lettered(names: pa.ChunkedArray) -> np.ndarray:
    """Whether a name has a letter or an &, which is a word, or is missing."""
    lettered = np.array(_matches(names, "[A-Za-z]", of_missing=True))
    others = np.flatnonzero(~lettered)
    lettered[others] = _matches(names.take(pa.array(others)), r"\pL|&|^$")
    return lettered
