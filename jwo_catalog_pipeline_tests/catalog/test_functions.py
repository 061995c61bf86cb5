"""The functions that the project adds to SQL, against published examples and as properties."""

import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jwo_catalog_pipeline.catalog.mapping.sql_engine import connect_locked


class Database:
    """Hypothesis keeps a test's arguments for ever, and DuckDB complains at exit of connections that still live."""

    def __init__(self) -> None:
        self.connection = connect_locked()

    def close(self) -> None:
        self.connection.close()
        del self.connection


@pytest.fixture(scope="module")
def db() -> Iterator[Database]:
    database = Database()
    yield database
    database.close()


def ask(db: Database, sql: str, *values: object) -> object:
    [row] = db.connection.execute(f"SELECT {sql}", list(values)).fetchall()
    return row[0]


# Published: GS1 (629104150021 3; 614141000036; the SSCC is too long for an item), Wikipedia on EAN, UPC, UPC-E,
# ISBN, EAN-8; the ISBN handbook.
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("6291041500213", "EAN"),
        ("4006381333931", "EAN"),
        ("9780306406157", "EAN"),
        ("614141000036", "UPC"),
        ("036000291452", "UPC"),
        ("73513537", "EAN8"),
        ("96385074", "EAN8"),
        ("04252614", "UPC"),
        ("10614141000415", "GTIN"),
        ("0306406152", "ISBN"),
        ("080442957X", "ISBN"),
        ("4011", "PLU"),
        ("94011", "PLU"),
    ],
)
def test_published_codes_have_their_type_and_a_right_check_digit(db: Database, code: str, kind: str) -> None:
    assert ask(db, "barcode_type(?)", code) == kind
    assert ask(db, "_check_digit_right(?, ?)", code, kind) in ((None,) if kind == "PLU" else (True,))
    assert ask(db, "_fits_type(?, ?)", code, kind) is True
    assert ask(db, "restore_barcode(?)", code) == code


@pytest.mark.parametrize(
    "code", ["6291041500214", "036000291453", "73513538", "10614141000416", "0306406153", "12", ""]
)
def test_a_wrong_code_has_no_type(db: Database, code: str) -> None:
    assert ask(db, "barcode_type(?)", code) is None


def test_a_code_that_is_both_ean8_and_upc_e_is_told(db: Database) -> None:
    assert ask(db, "barcode_type('01234565')") == "EAN8"
    assert ask(db, "_ambiguous('01234565')") is True
    assert ask(db, "_ambiguous('04252614')") is False
    assert ask(db, "_ambiguous('96385074')") is False


@pytest.mark.parametrize(
    ("upce", "upca"),
    [
        ("04252614", "042100005264"),
        ("01234505", "012000003455"),
        ("01234515", None),
        ("01234531", "012300000451"),
        ("01234543", "012340000053"),
        ("01234565", "012345000065"),
        ("01234592", "012345000096"),
    ],
)
def test_upc_e_expands_as_gs1_says(db: Database, upce: str, upca: str | None) -> None:
    expanded = str(ask(db, "_upce_expanded(?)", upce))
    assert len(expanded) == 12
    if upca is not None:
        assert expanded[:11] == upca[:11]
    assert ask(db, "_upce_right(?)", upce) == ask(db, "_gs1_right(?::BIGINT)", expanded)


@pytest.mark.parametrize(
    ("given_", "restored"),
    [
        ("36000291452", "036000291452"),
        ("3513537", "3513537"),
        ("4252614", "04252614"),
        ("4-006381-333931", "4006381333931"),
        (" 4006381333931\u00a0", "4006381333931"),
        ("0-306-40615-2", "0306406152"),
        ("080442957x", "080442957X"),
        ("4011", "4011"),
        ("12345678901", "12345678901"),
        ("AB-123", "AB-123"),
        ("", None),
        (None, None),
    ],
)
def test_lost_zeros_come_back_only_where_the_check_digit_proves_it(
    db: Database, given_: str | None, restored: str | None
) -> None:
    assert ask(db, "restore_barcode(?)", given_) == restored


@pytest.mark.parametrize(
    ("text", "plain", "point", "comma"),
    [
        ("1,299.00", "1299.00", "1299.00", "1,299.00"),
        ("1.299,00", "1299.00", "1.299,00", "1299.00"),
        ("$9.99", "9.99", "9.99", "9.99"),
        ("1.299", "1.299", "1.299", "1299.00"),
        ("1,299", "1,299", "1299.00", "1,299"),
        ("1.500", "1.500", "1.50", "1500.00"),
        ("9", "9.00", "9.00", "9.00"),
        ("9,9", "9.90", "9.90", "9.90"),
        (".5", "0.50", "0.50", "0.50"),
        ("0.299", "0.299", "0.299", "0.299"),
        ("46.5000", "46.50", "46.50", "46.50"),
        ("1 299,00 €", "1299.00", "1299.00", "1299.00"),
        ("1'299.00", "1299.00", "1299.00", "1299.00"),
        ("ILS 12", "12.00", "12.00", "12.00"),
        ("1,299,000.50", "1299000.50", "1299000.50", "1,299,000.50"),
        ("007.10", "7.10", "7.10", "7.10"),
        ("-5", "-5", "-5", "-5"),
        ("1.2.3", "1.2.3", "1.2.3", "1.2.3"),
        ("free", "free", "free", "free"),
    ],
)
def test_a_price_is_read_where_there_is_one_way_to_read_it(
    db: Database, text: str, plain: str, point: str, comma: str
) -> None:
    assert ask(db, "price(?)", text) == plain
    assert ask(db, "price(?, '.')", text) == point
    assert ask(db, "price(?, ',')", text) == comma


def test_clean_and_ascii_make_receipt_text(db: Database) -> None:
    assert ask(db, "clean(?)", " a\t\n b\x00c \u00a0 d\u200f ") == "a bc d"
    assert ask(db, "clean(?)", " \n ") is None
    assert (
        ask(db, "ascii(?)", "Crème Straße Łódź “smørrebrød” — œuf 5€") == 'Creme Strasse Lodz "smorrebrod" - oeuf 5EUR'
    )
    assert ask(db, "ascii(?)", "עברית") == "עברית"
    assert ask(db, "ascii(?)", "plain ") == "plain"


def gs1(digits: str) -> str:
    """Written from the standard's text, apart from the code under test."""
    padded = digits.zfill(13)
    total = sum(int(digit) * (3, 1)[place % 2] for place, digit in enumerate(padded))
    return digits + str((10 - total % 10) % 10)


def digit_texts(length: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=length, max_size=length)


codes = st.sampled_from([11, 12, 13]).flatmap(digit_texts).map(gs1)


@settings(max_examples=80, deadline=None)
@given(code=codes, data=st.data())
def test_a_changed_digit_is_noticed(db: Database, code: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(code) - 1))
    other = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != code[place]]))
    changed = code[:place] + other + code[place + 1 :]
    assert ask(db, "_check_digit_right(?, NULL)", code) is True
    assert ask(db, "_check_digit_right(?, NULL)", changed) is False


@settings(max_examples=80, deadline=None)
@given(digits=st.text("123456789", min_size=1, max_size=1).flatmap(lambda first: digit_texts(9).map(first.__add__)))
def test_a_upc_with_its_zero_cut_off_comes_back(db: Database, digits: str) -> None:
    upc = gs1("0" + digits)
    cut = upc.lstrip("0")
    assert len(cut) == 11
    assert ask(db, "restore_barcode(?)", cut) == upc


@settings(max_examples=80, deadline=None)
@given(text=st.text(max_size=20))
def test_no_text_breaks_a_function(db: Database, text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    restored = ask(db, "restore_barcode(?)", text)
    assert ask(db, "restore_barcode(?)", restored) == restored
    price = ask(db, "price(?)", text)
    assert ask(db, "price(?)", price) == price
    cleaned = ask(db, "clean(?)", text)
    assert ask(db, "clean(?)", cleaned) == cleaned


CODES = st.from_regex(r"[0-9]{7,15}|[0-9]{9}X|[ 0-9-]{1,16}|[01][0-9]{7}", fullmatch=True) | st.text(max_size=15)
PRICES = st.from_regex(r"[$€]?0?[0-9]{1,4}([.,][0-9]{1,4}){0,2}", fullmatch=True) | st.text(max_size=12)


@pytest.mark.thorough
@settings(deadline=None, max_examples=300)
@given(CODES, st.none() | st.sampled_from(["UPC", "EAN", "EAN8", "ISBN", "GTIN", "PLU"]))
def test_the_quick_way_to_facts_about_a_barcode_finds_what_the_slow_one_does(
    db: Database, code: str, kind: str | None
) -> None:
    found = ask(db, "_barcode_facts(?, ?)", code, kind)
    long = re.fullmatch("[0-9]{12,14}", code) is not None  # their faults are left to arithmetic
    assert found == {
        "fits": ask(db, "_fits_type(?, ?)", code, kind) if kind else found["fits"],
        "right": ask(db, "_check_digit_right(?, ?)", code, kind),
        "known": ask(db, "_known_form(?) OR _barcode_fault(?) > 0", code, code),
        "ambiguous": ask(db, "_ambiguous(?)", code),
        "fault": -1 if long else ask(db, "_barcode_fault(?)", code),
        "number": ask(db, "_code_number(?, ?)", code, kind),
    }
    assert kind or found["fits"] in (None, True)


@pytest.mark.thorough
@settings(deadline=None, max_examples=300)
@given(CODES, PRICES)
def test_the_quick_way_out_of_a_function_leads_where_the_slow_one_does(db: Database, code: str, price: str) -> None:
    assert ask(db, "restore_barcode(?)", code) == ask(db, "_padded(_bare_code(?))", code)
    slow = ask(db, "coalesce(_decimal(_number(?)), nullif(?, ''))", price, price)
    assert ask(db, "price(?)", price) == slow


def test_nested_functions_do_not_multiply_the_work(db: Database) -> None:
    """Macros paste their argument wherever they name it; unbound, this would take minutes."""
    started = time.monotonic()
    sql = "barcode_type(restore_barcode(restore_barcode(restore_barcode(clean(clean(ascii(x)))))))"
    table = "(SELECT (4000000000000 + i)::VARCHAR AS x FROM range(100000) r(i))"
    assert ask(db, f"count({sql}) FROM {table}") == 10_000
    assert time.monotonic() - started < 5
