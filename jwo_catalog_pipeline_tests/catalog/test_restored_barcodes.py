"""`restore_barcode` undoes what spreadsheets and databases do to barcodes, and guesses nothing."""

import gzip
import random
import re

import pytest
from stdnum import ean, isbn

from jwo_catalog_pipeline_tests.support import ROOT
from jwo_catalog_pipeline_tests.support.sql_functions import results

REAL_DAYS = ROOT.parent / "shared" / "data" / "supermarket"


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ('="036001110004"', "036001110004"),
        ('=" 36001110004 "', "036001110004"),
        ('"4006381110020"', "4006381110020"),
        ("=036001110004", "036001110004"),
        ("'036001110011", "036001110011"),
        ("’036001110011", "036001110011"),
        ("36000291452.0", "036000291452"),
        ("4006381333931,00", "4006381333931"),
        ("4006381333931.0000000000", "4006381333931"),
        ("4011.0", "4011"),
        ("4.006381333931E+12", "4006381333931"),
        ("4,006381333931e+12", "4006381333931"),
        ("4.006381333931E12", "4006381333931"),
        ("4.0063813339310E+012", "4006381333931"),
        ("3.6000291452E+10", "036000291452"),
        ("4.00638111002E+12", "4006381110020"),
        ("\u200b4006381110020\u00a0", "4006381110020"),
        ("\ufeff4006381110020", "4006381110020"),
        ("\u200e4006381110020\u200f", "4006381110020"),
        ("\u2067400638\u00ad1110020\u2069", "4006381110020"),
        ("٤٠٠٦٣٨١١١٠٠٢٠", "4006381110020"),
        ("４００６３８１１１００２０", "4006381110020"),
        ("4 006381 333931\r\n", "4006381333931"),
        ("4‐006381–333931", "4006381333931"),
        ("0-8044-2957-x", "080442957X"),
    ],
)
def test_what_a_spreadsheet_did_to_a_code_is_undone(written: str, code: str) -> None:
    assert results("restore_barcode(x)", [written]) == [code]


@pytest.mark.parametrize(
    "written",
    [
        "4.00638E+12",  # rounded
        "4.00638133393E+12",
        "4.0063813339E+12",
        "1.23456789012346E+15",
        "4E+12",
        "4.006381333931E-12",
        "4.000",  # perhaps four thousand
        "12.5",
        "N/A",
        "UPC 036001110004",
        "4006381110006,4006381110013",
        "4006381110006 4006381110013",
        "4006381110006/4",
        "[4006381110006, 4006381110013]",
        "4011\n4012",
        "123456789012345",
        "0x4006381110",
        "ABC",
    ],
)
def test_what_is_no_code_or_was_rounded_stays_for_the_rules_to_see(written: str) -> None:
    assert results("restore_barcode(x)", [written]) == [written]


def test_a_cell_of_signs_that_nobody_sees_is_empty() -> None:
    assert results("restore_barcode(x)", ["\u200b", " \u00a0", "\ufeff", "", None]) == [None] * 5


def restored(code: str) -> str:
    """The same in plain Python: the shortest length with a right check digit, which python-stdnum knows."""
    if not 7 <= len(code) <= 11 or (len(code) == 10 and isbn.is_valid(code)):
        return code
    padded = [code.zfill(length) for length in (8, 12, 13, 14) if length >= len(code)]
    return next((long for long in padded if ean.is_valid(long) or is_upc_e(long)), code)


def is_upc_e(code: str) -> bool:
    """GS1 General Specifications 5.2.2.4.2: the last but one digit says where the zeros stand."""
    found = re.fullmatch("([01])(..)(...)([0-9])(.)", code)
    if not found:
        return False
    system, two, three, last, check = found.groups()
    middle = {
        "3": two + three[0] + "00000" + three[1:],
        "4": two + three[:2] + "00000" + three[2],
    }.get(last, two + last + "0000" + three if last < "3" else two + three + "0000" + last)
    return ean.is_valid(system + middle + check)


def random_codes(count: int) -> list[str]:
    """Codes of any length, half of them with a right check digit, some of these without their zeros."""
    chance = random.Random(7)
    codes = []
    for _ in range(count):
        code = "".join(chance.choices("0123456789", k=chance.randint(1, 15)))
        if chance.random() < 0.5:
            code = "0" * chance.choice((0, 0, 1, 2, 5)) + code
            code = (code + ean.calc_check_digit(code)).lstrip("0" if chance.random() < 0.5 else "")
        codes.append(code[:14] or "0")
    return codes


def real_codes() -> list[str]:
    """The codes of the real days, where they are at hand; each also as a float."""
    codes: set[str] = set()
    for day in sorted(REAL_DAYS.glob("*.csv.gz")):
        with gzip.open(day, "rt", encoding="utf-8") as lines:
            codes |= set(re.findall(r"(?<=,)[0-9]{1,14}(?=,)", lines.read()))
    return sorted(codes)


def check_agreement(codes: list[str]) -> None:
    expected = [restored(code) for code in codes]
    for written in ("{}", " {}\u200b", "'{}", '="{}"'):
        found = results("restore_barcode(x)", [written.format(code) for code in codes])
        assert [pair for pair in zip(codes, found, expected, strict=True) if pair[1] != pair[2]][:5] == []


def test_it_agrees_with_python_stdnum() -> None:
    check_agreement(random_codes(20_000))


@pytest.mark.thorough
def test_it_agrees_with_python_stdnum_on_a_million_random_and_real_codes() -> None:
    check_agreement([*random_codes(1_000_000), *real_codes()])
