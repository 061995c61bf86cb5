"""`price` reads the ways in which shops write a price, and leaves everything else for the rules to report."""

import re

import pytest

from jwo_catalog_pipeline_tests.support.sql_functions import results

READ = {
    "5.00": '5 kr|kr 5|5 kr.|5,-|5.-|5:-|5,–|5,--|5/-|5/=|€5,=|5.|5,|\'5|="5.00"|5 euro|5',
    "9.90": 'R$ 9,90|€ 9,90|9,90 €|9,9|EUR 9.90|9.90EUR|$9.90 USD|US$ 9.90|usd 9.90|\u200e₪9.90|9.90 ש"ח',
    "7.00": "CHF 7.-|Fr. 7.-|SFr. 7.00|7.00 CHF|Rs. 7/-|S/ 7.00|R 7.00|R7|٧٫٠٠|７.００|7 Kč|7 zł|7 Ft",
    "1299.00": "1 299,00|1\u00a0299,00|1\u202f299.00|1 299|1'299.00|1’299.00|1'299.-|1.299,-|1,299.-|1.299,00 €",
    "1299000.50": "1 299 000,5|1'299'000.50|1,299,000.50|1.299.000,50|12,99,000.50",
    "0.50": ".5|,50|$.50|0,5 €",
}
UNREAD = [
    *("99¢", "99 ¢", "99c", "99 ct", "99p", "50 cents", "￠99"),
    *("9 99", "9’99", "9'99", "1 2345", "12 34 567", "0 500", "1 299 00", "1'29", "9 .99", "9. 99", "1'299 000"),
    *("1.00 PLU", "9.99 ea", "each 5", "5 lb", "from 5", "ca. 5", "5 x", "5*", "~5", "#5", "1.00 CUP", "USDX 5"),
    *("2.99/lb", "9.99/kg", "3.99 per kg", "€3.99/100g", "5 kr/kg", "9.99 /ea", "2.99 ft"),
    *("2 for 5.00", "3/5.00", "2/$5", "2x5.00", "2 @ 5.00", "5.00 6.00", "$1.00 $2.00", "5.00\n6.00", "5.00;6.00"),
    *("1.00-2.00", "1-2", "1 – 2", "5.00 to 6.00"),
    *("-5", "−5", "5-", "5.00-", "(9.99)", "-5,-", "$-5", "-$5", "-.50", "+5"),
    *("free", "five", "gratis", "N/A", "null", "TBD", "-", "$", "€", "?"),
    *("50%", "5 %", "1E3", "1.5E+1", "1e-3", "0x10", "½", "9⁹⁹", "5²"),
    *("12.05.2024", "2024-05-12", "12/05/2024", "12:50", "5. May"),
    *("1.299", "1,299", "1.2.3", "1..5", "5.,", "1,2,3", "0.299", "1.2345", "5.00.-", "5.00,-", "5.00."),
]


@pytest.mark.parametrize(("decimal", "texts"), READ.items())
def test_the_ways_of_shops_to_write_a_price_are_read(decimal: str, texts: str) -> None:
    written = texts.split("|")
    assert dict(zip(written, results("price(x)", written), strict=True)) == dict.fromkeys(written, decimal)


def test_what_is_no_single_price_stays_as_it_is_and_the_rule_refuses_it() -> None:
    assert dict(zip(UNREAD, results("price(x)", UNREAD), strict=True)) == {text: text for text in UNREAD}
    assert [text for text in UNREAD if re.fullmatch(r"[0-9]+(\.[0-9]{1,2})?", text)] == []


def test_the_named_separator_settles_thousands_alone() -> None:
    assert results("price(x, ',')", ["1.299", "1,29", "1.299 kr", "9 99", "99¢", "1,299.00"]) == [
        "1299.00", "1.29", "1299.00", "9 99", "99¢", "1,299.00",
    ]  # fmt: skip
    assert results("price(x, '.')", ["1,299", "1.299,00"]) == ["1299.00", "1.299,00"]
