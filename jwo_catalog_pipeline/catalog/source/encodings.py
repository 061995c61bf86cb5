"""Finds out in which encoding a text is that does not say so.

Belongs here: which bytes fit which encoding, and how plausible the text is that they make.
Does not belong here: anything about tables (see `detection.py`).

Charset-normalizer was tried and not taken: on the few lines with accents that a small export has, it names an
encoding of another part of the world as often as the right one, and says that it is sure.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from jwo_catalog_pipeline.catalog.source.signatures import marked_encoding, unmarked_utf16

_WESTERN = "àâäáãåæçèéêëìíîïñòóôöõøùúûüß"
_CENTRAL = "ąćęłńóśźżáčďéěíňřšťúůýžőűöüäôĺľŕăâîşţđ"
# The encodings of exports, the usual first, with the letters beyond ASCII that their languages use. Of two that fit
# equally well, the first is taken: windows-1252 is what Western programs write.
_LETTERS = {
    "windows-1252": _WESTERN,
    "windows-1254": "çğıöşüâîûé",
    "windows-1250": _CENTRAL,
    "windows-1257": "āčēģīķļņšūžąęėįųõäöü",
    "cp850": _WESTERN,
    "mac_roman": _WESTERN,
    "cp852": _CENTRAL,
    "iso-8859-2": _CENTRAL,
    "windows-1255": "אבגדהוזחטיךכלםמןנסעףפץצקרשת",
    "cp862": "אבגדהוזחטיךכלםמןנסעףפץצקרשת",
    "windows-1251": "абвгдежзийклмнопрстуфхцчшщъыьэюяёіїєґў",
    "koi8-r": "абвгдежзийклмнопрстуфхцчшщъыьэюяё",
    "cp866": "абвгдежзийклмнопрстуфхцчшщъыьэюяё",
    "windows-1253": "αβγδεζηθικλμνξοπρστυφχψωάέήίόύώς",
    "windows-1256": "ابتثجحخدذرزسشصضطظعغفقكلمنهويةىئءؤآأإپچژگ",
    "cp874": "".join(map(chr, range(0x0E01, 0x0E5C))),
    "cp932": "",
    "gb18030": "",
    "cp949": "",
    "big5": "",
}
# What the others must be better than windows-1252 by; any bytes are Thai.
_PRIOR = {name: 0.0 if name == "windows-1252" else 0.7 if name == "cp874" else 0.3 for name in _LETTERS}
_SYMBOLS = frozenset("€£©®°½¼¾²³™–—“”‘’„‚…•§ºª¡¿·×±\xa0\xad«»₪₹¢¥№")
_JOINING = frozenset("’‘·\xad\xa0'-–°²³")  # these may stand between letters
_ITALIAN_ENDS = frozenset("ìòù")
_SAMPLE = 20_000  # characters looked at for one encoding


@dataclass(frozen=True)
class Encoding:
    """An encoding, by the name that a mapping file gives it.

    Attributes:
        name: A Python codec; `utf-8` also where the file begins with a mark.
        marked: Whether the file begins with a byte order mark.
        sure: False where another encoding fits almost as well; a person should look at the letters.
        shown: A word that holds letters beyond ASCII, as the encoding reads it; "" where there is none.
        plain: Whether every byte is ASCII, so that nearly every encoding reads the same.
    """

    name: str
    marked: bool = False
    sure: bool = True
    shown: str = ""
    plain: bool = False


def find_encoding(blocks: Iterable[bytes]) -> Encoding:
    """The encoding of a text, of which all bytes are looked at, for the first accent may be in the last line."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    beyond: list[bytes] = []
    size, first, is_utf8 = 0, b"", True
    for block in blocks:
        if not first:
            first = block
            if marked := marked_encoding(block):
                return Encoding(marked, marked=True)
            if wide := unmarked_utf16(block[:4096]):
                return Encoding(wide)
        if is_utf8:
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                is_utf8 = False
        if size < _SAMPLE and not block.isascii():
            lines = [line for line in re.split(rb"[\r\n]+", block) if not line.isascii()]
            beyond += lines
            size += sum(map(len, lines))
        if not is_utf8 and size >= _SAMPLE:
            break
    if is_utf8:
        return Encoding("utf-8", plain=not beyond)
    return _single_byte(b"\n".join(beyond))


def _single_byte(text: bytes) -> Encoding:
    scores: dict[str, float] = {}
    for name, letters in _LETTERS.items():
        score = _plausibility(text[:_SAMPLE], name, letters)
        if score is not None:
            scores[name] = score - _PRIOR[name]
    if not scores:
        return Encoding("windows-1252", sure=False)
    best = max(scores, key=lambda name: scores[name])  # the first of several that are equal
    shown = _word_beyond_ascii(text[:_SAMPLE].decode(best, "replace"))
    near = max((score for name, score in scores.items() if name != best and not _alike(text, best, name)), default=-9.0)
    return Encoding(best, sure=scores[best] > 0.35 and scores[best] - near > 0.1, shown=shown)


def _alike(text: bytes, one: str, other: str) -> bool:
    """Whether two encodings read the text the same."""
    return text[:_SAMPLE].decode(one, "replace") == text[:_SAMPLE].decode(other, "replace")


def _plausibility(text: bytes, name: str, letters: str) -> float | None:
    """From -2 to 1, the mean over the characters beyond ASCII; None where the bytes are not of this encoding."""
    try:
        decoded = text.decode(name)
    except UnicodeDecodeError as error:
        if error.start < len(text) - 3:  # a character that the end of the sample cuts in two is none of its faults
            return None
        decoded = text[: error.start].decode(name, "ignore")
    usual = frozenset(letters)
    padded = f" {decoded} "
    points = [
        _points(padded[place - 1], padded[place], padded[place + 1], usual)
        for place in range(1, len(padded) - 1)
        if padded[place] > "\x7f"
    ]
    return sum(points) / len(points) if points else 0.0


def _points(before: str, character: str, after: str, usual: frozenset[str]) -> float:
    if not character.isprintable() and character not in _SYMBOLS:
        return -2.0
    if not character.isalpha() and not unicodedata.combining(character):
        if before.isalpha() and after.isalpha() and character not in _JOINING:
            return -2.0
        return 0.4 if character in _SYMBOLS else -1.0
    if usual:
        latin = "ß" in usual or "ö" in usual
        if latin and before > "\x7f" and after > "\x7f" and before.isalpha() and after.isalpha():
            return -2.0  # letters with accents do not stand three in a row
        if not latin and (_is_ascii_letter(before) or _is_ascii_letter(after)):
            return -2.0  # two scripts in one word
        if character.isupper() and before.islower():
            return -2.0
        if not before.isalpha() and not after.isalpha():
            return -0.5 if before.isdigit() or after.isdigit() else 0.0
        if usual >= _ITALIAN_ENDS and character in _ITALIAN_ENDS and after.isalpha():
            return 0.6  # inside a word they are Czech letters, misread
        return 1.0 if character.lower() in usual else -0.3
    if _is_ascii_letter(before) or _is_ascii_letter(after):
        return -1.0
    common = "\u3040" <= character <= "\u30ff" or "\u4e00" <= character <= "\u9fff" or "\uac00" <= character <= "\ud7a3"
    return 0.7 if common else -1.0


def _is_ascii_letter(character: str) -> bool:
    return character.isascii() and character.isalpha()


def _word_beyond_ascii(text: str) -> str:
    return next((word[:30] for word in re.findall(r"[^\W\d_]+", text) if not word.isascii()), "")
