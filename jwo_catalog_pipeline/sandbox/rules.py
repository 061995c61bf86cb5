"""What the JWO service accepts: first a request as a whole, then each item of it.

Texts that Amazon documents are exact; for the others, which are unknown, a plausible one stands here.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from jwo_catalog_pipeline.sandbox import barcodes

MAX_ITEMS = 10_000
MAX_LENGTH = 255
MAX_ADDITIONAL = 50
REQUIRED = ("item_sku", "external_product_id", "item_name", "store_id")
ADDITIONAL = "additional_external_product_information"
TAX_CODES = frozenset(("A_GEN_TAX", "A_GEN_NOTAX", "A_FOOD_GEN", "A_FOOD_BREAD", "A_FOOD_PRODUCE", "A_BEVERAGE"))

UNKNOWN_STORE = "One or more StoreID's present in the request is incorrect"
MIXED_STORES = "List of store ID's present in the request are either incorrect/not associated with same retailer"
INVALID_BODY = "Invalid request body"
TOO_MANY = f"Number of items in the request exceeds the limit of {MAX_ITEMS}"
TOO_LONG = "One or more fields in the request exceed the length limit"
INCOMPLETE_STORES = "allApplicableStores is not the complete list of the retailer's stores"
UNKNOWN_INGESTION = "Ingestion id is incorrect/not associated with this retailer"

Item = dict[str, Any]


class RequestRefusedError(Exception):
    """The request is refused as a whole with a 400; the text is its `errorMsg`."""


@dataclass(frozen=True)
class Outcome:
    """What became of one item: `code` is None for success. An archived SKU has no store."""

    item_sku: str
    store_id: str | None
    code: str | None = None
    message: str = ""


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a request body, or a refusal."""
    try:
        found = json.loads(body)
    except ValueError:
        raise RequestRefusedError(INVALID_BODY) from None
    if not isinstance(found, dict):
        raise RequestRefusedError(INVALID_BODY)
    return found


def read_upload(body: bytes, stores: set[str]) -> list[Item]:
    """Check an upload request.

    Args:
        body: the bytes received.
        stores: ids of the retailer's stores.

    Returns:
        Its items.

    Raises:
        RequestRefusedError: the whole request is refused.
    """
    items = read_object(body).get("catalogItems")
    if not isinstance(items, list) or not items:
        raise RequestRefusedError(INVALID_BODY)
    if len(items) > MAX_ITEMS:
        raise RequestRefusedError(TOO_MANY)
    for item in items:
        _check_shape(item)
    named = {item["store_id"] for item in items}
    if named - stores:
        raise RequestRefusedError(MIXED_STORES if named & stores else UNKNOWN_STORE)
    return items


def read_archive(body: bytes, stores: set[str]) -> list[str]:
    """The SKUs of an archive request, or a refusal: it must name every store of the retailer and no other."""
    request = read_object(body)
    skus, named = request.get("itemSkus"), request.get("allApplicableStores")
    for values in (skus, named):
        if not isinstance(values, list) or not values or not all(isinstance(v, str) and v for v in values):
            raise RequestRefusedError(INVALID_BODY)
    assert isinstance(skus, list) and isinstance(named, list)  # noqa: S101 for mypy: the loop has seen to it
    if len(skus) > MAX_ITEMS:
        raise RequestRefusedError(TOO_MANY)
    if any(len(sku) > MAX_LENGTH for sku in skus):
        raise RequestRefusedError(TOO_LONG)
    if set(named) - stores:
        raise RequestRefusedError(MIXED_STORES if set(named) & stores else UNKNOWN_STORE)
    if stores - set(named):
        raise RequestRefusedError(INCOMPLETE_STORES)
    return skus


def check_none_of(content: list[Any], refused: list[str], text: str = "") -> None:
    """Refuse a request, of items or of SKUs, that holds one of these SKUs; the documented text names neither."""
    skus = {entry if isinstance(entry, str) else entry["item_sku"] for entry in content}
    if not skus.isdisjoint(refused):
        raise RequestRefusedError(text or INVALID_BODY)


def _check_shape(item: Any) -> None:
    """The required values are there, and every value is a non-empty string; attributes not known yet may pass."""
    if not isinstance(item, dict) or any(not item.get(name) for name in REQUIRED):
        raise RequestRefusedError(INVALID_BODY)
    texts = [value for name, value in item.items() if name != ADDITIONAL]
    if ADDITIONAL in item:
        texts += _additional_texts(item[ADDITIONAL])
    if not all(isinstance(text, str) and text for text in texts):
        raise RequestRefusedError(INVALID_BODY)
    if any(len(text) > MAX_LENGTH for text in texts):
        raise RequestRefusedError(TOO_LONG)


def _additional_texts(additional: Any) -> list[Any]:
    if not isinstance(additional, list) or not additional:
        raise RequestRefusedError(INVALID_BODY)
    if len(additional) > MAX_ADDITIONAL:
        raise RequestRefusedError(TOO_LONG)
    for element in additional:
        if not isinstance(element, dict) or not element.get("external_product_id"):
            raise RequestRefusedError(INVALID_BODY)
        if element.keys() - {"external_product_id", "external_product_id_type"}:
            raise RequestRefusedError(INVALID_BODY)
    return [text for element in additional for text in element.values()]


def judge(item: Item) -> Outcome:
    """Validate one item of an accepted upload, as the ingestion does.

    Args:
        item: an item that `read_upload` has let through.

    Returns:
        Its outcome; the first fault found is named.
    """
    code, message = _fault(item) or (None, "")
    return Outcome(item["item_sku"], item["store_id"], code, message)


def _fault(item: Item) -> tuple[str, str] | None:
    for element in (item, *item.get(ADDITIONAL, [])):
        barcode, barcode_type = element["external_product_id"], element.get("external_product_id_type")
        if barcode_type is not None and barcode_type not in barcodes.TYPES:
            return "INVALID_BARCODE_TYPE", f"external_product_id_type {barcode_type!r} is not known"
        if not barcodes.is_valid(barcode, barcode_type):
            return "INVALID_BARCODE", f"external_product_id {barcode!r} is not a valid {barcode_type or 'code'}"
    price = item.get("standard_price")
    if price is not None and not re.fullmatch(r"[0-9]+(\.[0-9]+)?", price):
        return "INVALID_PRICE", f"standard_price {price!r} is not a decimal"
    tax_code = item.get("product_tax_code")
    if tax_code is not None and tax_code not in TAX_CODES:
        return "INVALID_TAX_CODE", f"product_tax_code {tax_code!r} is not known"
    return None
