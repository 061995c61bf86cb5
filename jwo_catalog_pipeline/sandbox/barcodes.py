"""Check digits, as the JWO service judges them. A second opinion: the pipeline has its own.

Rules: GS1 General Specifications 7.9 (mod 10), ISO 2108 (ISBN-10, mod 11), and CATALOG_API's table of types.
"""

from collections.abc import Callable


def _mod10(code: str) -> bool:
    """GS1: from the right, digits weigh 1, 3, 1, 3, ...; the sum is a multiple of 10."""
    return sum(int(digit) * (3 if i % 2 else 1) for i, digit in enumerate(reversed(code))) % 10 == 0


def _isbn10(code: str) -> bool:
    """ISO 2108: weights 10 to 1; the last place may be X for ten; the sum is a multiple of 11."""
    if not code[:9].isdigit() or not (code[9].isdigit() or code[9] == "X"):
        return False
    return sum((10 if c == "X" else int(c)) * (10 - i) for i, c in enumerate(code)) % 11 == 0


def expand_upc_e(code: str) -> str | None:
    """The 12-digit UPC-A of an 8-digit UPC-E, or None if it does not begin with 0 or 1."""
    if code[0] not in "01":
        return None
    system, a, b, c, d, e, last, check = list(code)
    if last in "012":
        middle = f"{a}{b}{last}0000{c}{d}{e}"
    elif last == "3":
        middle = f"{a}{b}{c}00000{d}{e}"
    elif last == "4":
        middle = f"{a}{b}{c}{d}00000{e}"
    else:
        middle = f"{a}{b}{c}{d}{e}0000{last}"
    return system + middle + check


def _upc_e(code: str) -> bool:
    expanded = expand_upc_e(code)
    return expanded is not None and _mod10(expanded)


def _always(code: str) -> bool:
    return True


_BY_TYPE: dict[str, dict[int, Callable[[str], bool]]] = {
    "UPC": {12: _mod10, 8: _upc_e},
    "EAN": {13: _mod10},
    "EAN8": {8: _mod10},
    "ISBN": {10: _isbn10},
    "GTIN": {14: _mod10},
    "PLU": dict.fromkeys(range(3, 7), _always),
}
TYPES = frozenset(_BY_TYPE)


def is_valid(code: str, barcode_type: str | None) -> bool:
    """Whether a code is right for its declared type, or, without one, for any type of its length.

    Args:
        code: the barcode as sent.
        barcode_type: one of `TYPES`, or None.

    Returns:
        False also for a code with anything but ASCII digits, save the X of an ISBN-10.
    """
    if not code.isascii() or not (code.isdigit() or (len(code) == 10 and code[:9].isdigit())):
        return False
    rules = [_BY_TYPE[barcode_type]] if barcode_type else list(_BY_TYPE.values())
    return any(len(code) in by_length and by_length[len(code)](code) for by_length in rules)
