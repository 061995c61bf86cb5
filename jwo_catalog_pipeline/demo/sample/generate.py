"""Writes `grocery.csv`: the export of a grocer with three stores, as true to life as a made-up one can be.

Run it as `python -m jwo_catalog_pipeline.demo.sample.generate`; it writes the same bytes every time.
Belongs here: made-up products, and rows that are wrong in every way that a row of this export can be.
Does not belong here: anything of the pipeline; the check digits here only serve to make the data.
"""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

SEED = 20261123
COLUMNS = ["Article No", "Barcode", "Barcode kind", "Second barcode", "Brand", "Description", "Pack size", "Branch"]
COLUMNS += ["Retail price", "Tax class", "Department", "Aisle"]
BRANCHES = ["012", "045", "101"]
Row = dict[str, str]

# Department: tax class, aisle, brands, products, sizes.
DEPARTMENTS: dict[str, tuple[str, str, list[str], list[str], list[str]]] = {
    "Dairy": (
        "F",
        "Chilled",
        ["Alpenhof", "Crémerie Dubois", "Green Valley", "Morning Farm"],
        ["Whole Milk", "Greek Yogurt", "Crème Fraîche", "Salted Butter", "Aged Cheddar", "Kefir", "Cottage Cheese"],
        ["200 g", "250 g", "500 g", "1 l"],
    ),
    "Bakery": (
        "B",
        "Bread",
        ["Old Mill", "Bäckerei Huber", "Daily Crust"],
        ["Sourdough Loaf", "Rye Bread", "Butter Croissant", "Bagels", "Brioche Buns", "Pain au Levain"],
        ["2 pcs", "4 pcs", "400 g", "750 g"],
    ),
    "Drinks": (
        "D",
        "Beverages",
        ["Blue Spring", "Citrona", "Café Olé", "Highland Tea Co."],
        ["Still Water", "Sparkling Water", "Orange Juice", "Cold Brew", "Earl Grey Tea", "Ginger Beer", "Tonic Water"],
        ["330 ml", "500 ml", "1 l", "1.5 l"],
    ),
    "Pantry": (
        "F",
        "Dry goods",
        ["Nonna Pia", "Pantry & Co", "El Jalapeño", "Golden Field"],
        ["Spaghetti", "Basmati Rice", "Chickpeas", "Tomato Passata", "Olive Oil", "Jalapeño Salsa", "Rolled Oats"],
        ["250 g", "400 g", "500 g", "1 kg"],
    ),
    "Snacks": (
        "F",
        "Sweets",
        ["Crunchwell", "Señor Nacho", "Sweet Harbor"],
        ["Sea Salt Chips", "Trail Mix", "Dark Chocolate", "Oat Cookies", "Popcorn", "Dulce de Leche Wafers"],
        ["45 g", "90 g", "150 g", "200 g"],
    ),
    "Household": (
        "S",
        "Cleaning",
        ["Brightly", "EcoHaus", "Puro"],
        ["Dish Soap", "Laundry Gel", "Paper Towels", "Glass Cleaner", "Sponges"],
        ["2 pcs", "500 ml", "1 l"],
    ),
}
PRODUCE = {
    "4011": "Bananas",
    "4065": "Green Peppers",
    "4225": "Hass Avocado",
    "4608": "Garlic",
    "4664": "Tomatoes on the Vine",
    "4959": "Mangoes",
    "3107": "Navel Oranges",
    "4131": "Fuji Apples",
    "94011": "Organic Bananas",
    "94225": "Organic Avocado",
}


def with_check_digit(digits: str) -> str:
    """Add the GS1 check digit."""
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return digits + str(-total % 10)


def make_products(rng: random.Random) -> list[Row]:
    """About 800 products without branch, each with a barcode that is right once its lost zeros are put back."""
    products = []
    for department, (tax, aisle, brands, names, sizes) in DEPARTMENTS.items():
        for brand in brands:
            for name in names:
                for size in rng.sample(sizes, k=min(len(sizes), 3)):
                    for kind in rng.sample(["", "Organic ", "Light ", "Family "], k=2):
                        row = dict.fromkeys(COLUMNS, "")
                        row |= {"Brand": brand, "Description": kind + name, "Pack size": size, "Department": department}
                        row |= {"Tax class": tax, "Aisle": aisle, "Retail price": _price(rng)}
                        products.append(row)
    for plu, name in PRODUCE.items():
        row = dict.fromkeys(COLUMNS, "") | {"Barcode": plu, "Description": name, "Pack size": "each"}
        products.append(
            row | {"Tax class": "P", "Department": "Produce", "Aisle": "Fruit", "Retail price": _price(rng)}
        )
    for number, product in enumerate(products):
        product["Article No"] = f"A{100001 + number}"
        if not product["Barcode"]:
            product["Barcode"] = _barcode(rng, number)
        if number % 12 == 5:
            product["Second barcode"] = with_check_digit(f"50{number:04d}{rng.randrange(10**6):06d}")
    return products


def _price(rng: random.Random) -> str:
    price = f"{rng.randrange(1, 30)}.{rng.choice(['29', '49', '79', '99', '5', '00'])}"
    return f"${price}" if rng.random() < 0.1 else price


def _barcode(rng: random.Random, number: int) -> str:
    """Unique by its number; as a spreadsheet leaves it: leading zeros are gone."""
    if number % 5 == 0:  # an American UPC with number system 0
        return with_check_digit(f"04{number:04d}{rng.randrange(10**5):05d}").lstrip("0")
    if number % 29 == 7:  # EAN8; none that would be a UPC-E too
        return with_check_digit(f"4{number:06d}")
    if number % 97 == 3:  # a case that is sold as a whole
        return with_check_digit(f"15{number:05d}{rng.randrange(10**6):06d}")
    return with_check_digit(f"40{number:05d}{rng.randrange(10**5):05d}")


def make_rows() -> list[Row]:
    """Every product in about every branch, and the rows that are wrong, in a mixed order."""
    rng = random.Random(SEED)  # noqa: S311 - sample data
    products = make_products(rng)
    for product in products[200:204]:  # luxury tax: our rules cannot know that Amazon has no such code
        product["Tax class"] = "L"
    rows = [product | {"Branch": branch} for product in products for branch in BRANCHES if rng.random() < 0.99]
    rows += faulty_rows(rng) + remarkable_rows()
    rng.shuffle(rows)
    return rows


def _numbered(prefix: str, changes: list[Row]) -> list[Row]:
    """Sound rows of their own, changed as given."""
    rows = []
    for number, change in enumerate(changes):
        row = dict.fromkeys(COLUMNS, "") | {"Article No": f"{prefix}{number:03d}", "Brand": "Sample"}
        row |= {"Barcode": with_check_digit(f"49{prefix[1]}{number:09d}"), "Description": f"Item {prefix}{number:03d}"}
        row |= {"Pack size": "1 pc", "Branch": BRANCHES[number % 3], "Retail price": "2.49", "Tax class": "S"}
        rows.append(row | {"Department": "Household", "Aisle": "Seasonal"} | change)
    return rows


def faulty_rows(rng: random.Random) -> list[Row]:
    """Rows that break the error rules, each rule by at least two rows."""
    wrong_digit = with_check_digit("400999999999")[:-1]
    changes = [
        *({"Branch": branch} for branch in ["099", "099", "12", "HQ"]),
        *({"Branch": "777"} for _ in range(2)),
        *({"Branch": ""} for _ in range(2)),
        *({"Article No": ""} for _ in range(3)),
        *({"Barcode": ""} for _ in range(4)),
        *({"Brand": "", "Description": "  ", "Pack size": ""} for _ in range(3)),
        *({"Article No": "X" * 256 + letter} for letter in "AB"),
        *({"Barcode": "7" * 260} for _ in range(2)),
        *({"Description": "Very long description " * 12} for _ in range(2)),
        *({"Barcode kind": kind} for kind in ["QR", "CODE128", "EAN13"]),
        {"Barcode kind": "UPC"},
        {"Barcode kind": "PLU"},
        *({"Barcode": wrong_digit + digit} for digit in "0123456789" if with_check_digit(wrong_digit)[-1] != digit),
        *({"Barcode": f"1234567890{digit}"} for digit in "01"),
        *({"Barcode": "080442957" + digit, "Barcode kind": "ISBN"} for digit in "12"),
        *({"Retail price": price} for price in ["n/a", "1.299", "-1.00", "2,499", "free", "3.999", "see tag"]),
        *({"Second barcode": "500000000000" + digit} for digit in "123"),
    ]
    rows = _numbered("E1", changes)
    twice = _numbered("E2", [{} for _ in range(4)])
    return rows + twice + [row | {"Retail price": f"{rng.randrange(3, 9)}.99"} for row in twice]


def remarkable_rows() -> list[Row]:
    """Rows that are sent, with a warning, and barcodes that look wrong and are right."""
    rows = _numbered(
        "W3",
        [
            *({"Description": "Gift Basket with Many Things " + "and One More " * 7} for _ in range(2)),
            *({"Barcode": code} for code in ["72", "90"]),
            *({"Barcode": code} for code in ["02589855", "03400500"]),  # right both as EAN8 and as UPC-E
            *({"Retail price": price} for price in ["0.00", "0"]),
            {"Barcode": "080442957X", "Description": "Cookbook"},
            {"Barcode": "0-306-40615-2", "Description": "Cookbook, Second Helping"},
            {"Barcode": "4-006381-333931", "Description": "Marker"},
            {"Retail price": "1,299.00", "Description": "Espresso Machine"},
        ],
    )
    other = rows[-1] | {"Branch": BRANCHES[0], "Barcode": with_check_digit("498888888888")}
    return [*rows, other]


def grocery_csv() -> str:
    """The whole file."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(make_rows())
    return out.getvalue()


def main() -> None:
    """Write `grocery.csv` beside this file."""
    Path(__file__).with_name("grocery.csv").write_text(grocery_csv(), encoding="utf-8", newline="")


if __name__ == "__main__":
    main()
