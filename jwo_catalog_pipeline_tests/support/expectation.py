"""What Amazon's catalog should be, worked out from CATALOG_API.md row by row in plain Python. No tests here.

Shares nothing with the code under test, not even a library: csv and re only. Slow and obvious on purpose.
"""

import csv
import gzip
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

Item = dict[str, object]
TYPES = {"UPC", "EAN", "EAN8", "ISBN", "GTIN", "PLU"}
SERVICE_TAX_CODES = {"A_GEN_TAX", "A_GEN_NOTAX", "A_FOOD_GEN", "A_FOOD_BREAD", "A_FOOD_PRODUCE", "A_BEVERAGE"}


def rows_of(path: Path) -> Iterator[dict[str, str]]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    yield from csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))


def gs1(code: str) -> bool:
    weighted = sum(int(digit) * (1, 3)[place % 2] for place, digit in enumerate(reversed(code)))
    return weighted % 10 == 0


def upce(code: str) -> bool:
    if len(code) != 8 or code[0] not in "01":
        return False
    body, last = code[1:6], code[6]
    middle = {
        "3": body[:3] + "00000" + body[3:],
        "4": body[:4] + "00000" + body[4:],
    }.get(last) or (body[:2] + last + "0000" + body[2:] if last in "012" else body + "0000" + last)
    return gs1(code[0] + middle + code[7])


def isbn(code: str) -> bool:
    if not re.fullmatch(r"\d{9}[\dX]", code):
        return False
    values = [10 if digit == "X" else int(digit) for digit in code]
    return sum(value * weight for value, weight in zip(values, range(10, 0, -1), strict=True)) % 11 == 0


def restore(text: str) -> str:
    code = re.sub(r"[\s-]", "", text)
    if not re.fullmatch(r"\d{7,12}", code) or isbn(code):
        return code
    for length in (8, 12, 13, 14):
        padded = code.rjust(length, "0")
        if len(padded) == length and (gs1(padded) or upce(padded)):
            return padded
    return code


def type_of(code: str) -> str | None:
    if re.fullmatch(r"\d{3,6}", code):
        return "PLU"
    if isbn(code):
        return "ISBN"
    if re.fullmatch(r"\d{8}", code) and not gs1(code) and upce(code):
        return "UPC"
    known = {8: "EAN8", 12: "UPC", 13: "EAN", 14: "GTIN"}.get(len(code))
    return known if known and code.isdigit() and gs1(code) else None


def right_barcode(code: str, kind: str | None) -> bool:
    """Whether the code may be sent: form of its declared type, and right check digit."""
    forms = {"UPC": r"\d{12}|[01]\d{7}", "EAN": r"\d{13}", "EAN8": r"\d{8}", "GTIN": r"\d{14}"}
    forms |= {"ISBN": r"\d{9}[\dX]", "PLU": r"\d{3,6}"}
    if kind and not re.fullmatch(forms[kind], code):
        return False
    if kind == "ISBN":
        return isbn(code)
    if re.fullmatch(r"\d{8}", code):
        return (kind != "UPC" and gs1(code)) or (kind != "EAN8" and upce(code))
    if re.fullmatch(r"\d{12,14}", code):
        return gs1(code)
    return len(code) != 11 or not code.isdigit()


def price(text: str) -> str | None:
    """Two places; None where the text is no price that can be read in one way only."""
    found = re.fullmatch(r"\$?(\d{1,3}(?:,\d{3})+\.\d+|\d+(?:\.\d{1,2}0*)?)", text)
    if not found or re.fullmatch(r"\d{1,3}[.,]\d{3}", text):
        return None
    whole, _, fraction = found[1].replace(",", "").partition(".")
    return f"{int(whole)}.{fraction[:2]:0<2}"


def clean(text: str) -> str:
    kept = "".join(c for c in text if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf"))
    return " ".join(kept.split())


def grocery(row: dict[str, str]) -> Item | None:
    """The sample's row as an item; None where a rule forbids to send it."""
    stores = {"012": "JWO-STORE-01", "045": "JWO-STORE-02", "101": "JWO-STORE-03"}
    taxes = {"F": "A_FOOD_GEN", "B": "A_FOOD_BREAD", "P": "A_FOOD_PRODUCE", "D": "A_BEVERAGE"}
    taxes |= {"S": "A_GEN_TAX", "N": "A_GEN_NOTAX", "L": "A_FOOD_LUXURY"}
    code, second = restore(row["Barcode"]), restore(row["Second barcode"])
    kind = row["Barcode kind"] or type_of(code)
    item = {
        "item_sku": row["Article No"],
        "external_product_id": code,
        "external_product_id_type": kind,
        "item_name": clean(" ".join(filter(None, (row["Brand"], row["Description"], row["Pack size"])))),
        "store_id": stores.get(row["Branch"]),
        "standard_price": price(row["Retail price"]),
        "brand_name": row["Brand"],
        "product_tax_code": taxes[row["Tax class"]],
        "product_category": row["Department"],
        "product_subcategory": row["Aisle"],
        "additional_external_product_information": [
            {"external_product_id": second, "external_product_id_type": type_of(second)}
        ]
        if second
        else None,
    }
    needed = ("item_sku", "external_product_id", "item_name", "store_id", "standard_price")
    fits = all(item[name] and len(str(item[name])) <= 255 for name in needed)
    if not fits or (kind and kind not in TYPES) or not right_barcode(code, kind):
        return None
    return None if second and not right_barcode(second, None) else item


def supermarket(row: dict[str, str]) -> Item | None:
    """A row of the published prices, as examples/supermarket.yaml says it is an item."""
    chain, code, brand = row["מזהה רשת"], restore(row["ברקוד"]), clean(row["יצרן"])
    kind = type_of(code)
    item: Item = {
        "item_sku": f"{chain}-{row['ברקוד']}",
        "external_product_id": code,
        "external_product_id_type": None if kind == "PLU" else kind,
        "item_name": clean(row["שם מוצר"]),
        "store_id": f"{chain}-{row['מזהה חנות']}",
        "standard_price": price(row["מחיר (₪)"]),
        "brand_name": brand if brand != "לא ידוע" else None,
    }
    return item if item["item_name"] and item["standard_price"] and right_barcode(code, None) else None


def service_accepts(item: Item) -> bool:
    """What the service checks and no rule of ours can know or forbids."""
    if item.get("product_tax_code") not in {None, *SERVICE_TAX_CODES}:
        return False
    return bool(type_of(str(item["external_product_id"])))


def expected(path: Path, mapped: Callable[[dict[str, str]], Item | None]) -> tuple[int, dict[tuple[str, str], Item]]:
    """Rows of the file, and the items to be sent by store and SKU; a key that occurs twice is never sent."""
    items = [mapped(row) for row in rows_of(path)]
    found = [{name: value for name, value in item.items() if value} for item in items if item]
    times = Counter((item["store_id"], item["item_sku"]) for item in found)
    once = {(str(item["store_id"]), str(item["item_sku"])): item for item in found}
    return len(items), {key: item for key, item in once.items() if times[key] == 1}
