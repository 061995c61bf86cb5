"""What the rules need to know of SKUs, names and other texts.

Belongs here: looking at columns of text, each different text once where that is cheaper.
Does not belong here: judging them (see `text_rules.py`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from jwo_catalog_pipeline.catalog.rules.barcodes import marked_up
from jwo_catalog_pipeline.catalog.rules.rules import LINE_BREAKS
from jwo_catalog_pipeline.catalog.rules.twins import others_named, text_at

TEXTS = ("item_name", "brand_name", "product_category", "product_subcategory")
# One look at most texts: printable ASCII without &, < and backslashes, of which nothing below needs to be asked.
_ORDINARY = r"^[ -%'-;=-\[\]-~]*$"
_BREAK = r"[\n\r\x0b\x0c\x{85}\x{2028}\x{2029}]"
_EDGE = r"[\s\p{Z}\p{Cf}\p{Cc}]"
_SPACED = rf"^{_EDGE}|{_EDGE}$|[\p{{Cc}}\p{{Zl}}\p{{Zp}}\x{{200B}}\x{{FEFF}}]"
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


def text_facts(items: pd.DataFrame, skus: np.ndarray, sku_texts: pd.Index) -> pd.DataFrame:
    """What can be said about the texts of items.

    Args:
        items: At least `item_name`, `brand_name`, `product_category` and `product_subcategory`, `str`; perhaps
            `line_breaks` (`str`).
        skus: For each row, the place of its SKU in `sku_texts`, -1 where it has none.
        sku_texts: Each SKU once.

    Returns:
        Same index. Booleans: `sku_spaced` (white space around it, line ends, invisible characters), `sku_unusual`,
        `name_lettered`, `name_marked` (holds HTML). `str`, missing where all is well: `sku_twins` (the SKUs that are
        the same but for capitals and white space), `text_damaged` (a text that was read with a wrong encoding),
        `text_broken` (a text with a line break).
    """
    facts = pd.DataFrame(index=items.index)
    texts = pa.array(sku_texts.append(pd.Index([""])), pa.large_string())  # the last one for what is missing: -1
    facts["sku_spaced"] = _matches(texts, _SPACED)[skus]
    facts["sku_unusual"] = ~_matches(texts, r"^[A-Za-z0-9._-]*$")[skus]
    facts["sku_twins"] = _twins(texts, skus)
    names = pa.array(items["item_name"], pa.large_string())
    facts["name_lettered"] = _lettered(names)
    marked = np.zeros(len(items), dtype=bool)
    damaged, broken = (text_at(np.array([], dtype="int64"), np.array([]), len(items)) for _ in range(2))
    for field in TEXTS:
        column = pa.array(items[field], pa.large_string())
        unusual = np.flatnonzero(~_matches(column, _ORDINARY, of_missing=True))
        if not len(unusual):
            continue
        there = column.take(unusual)
        for found, pattern in ((damaged, _WRONGLY_READ), (broken, _BREAK)):
            hits = unusual[_matches(there, pattern)]
            found.iloc[hits] = items[field].to_numpy()[hits] if len(hits) else ""
        if field == "item_name":
            hits = unusual[_matches(there, "[&<]")]
            marked[hits] = marked_up(items[field].take(hits).reset_index(drop=True)).to_numpy() if len(hits) else False
    facts["name_marked"] = marked
    facts["text_damaged"] = damaged
    facts["text_broken"] = broken.fillna(items[LINE_BREAKS]) if LINE_BREAKS in items else broken
    return facts


def _matches(texts: pa.Array, pattern: str, of_missing: bool = False) -> np.ndarray:
    found = pc.fill_null(pc.match_substring_regex(texts, pattern), of_missing)
    return np.array(found.to_numpy(zero_copy_only=False))


def _lettered(names: pa.Array) -> np.ndarray:
    """Whether a name has a letter or an &, which is a word, or is missing."""
    lettered = _matches(names, "[A-Za-z]", of_missing=True)
    others = np.flatnonzero(~lettered)
    lettered[others] = _matches(names.take(others), r"\pL|&|^$")
    return lettered


def _twins(texts: pa.Array, skus: np.ndarray) -> pd.Series:
    """For each row the SKUs that differ from its own only in capitals and white space."""
    folded = pc.utf8_lower(pc.replace_substring_regex(texts, _EDGE, ""))
    groups = pd.factorize(folded.to_numpy(zero_copy_only=False))[0][:-1]
    if len(groups) == groups.max(initial=-1) + 1:
        return text_at(np.array([], dtype="int64"), np.array([]), len(skus))
    places, named = others_named(groups, np.arange(len(groups)), texts)
    of_sku = np.full(len(texts), None, dtype=object)
    of_sku[places] = named
    rows = np.flatnonzero(np.isin(skus, places))
    return text_at(rows, of_sku[skus[rows]], len(skus))
