"""The script that a retailer would write first: read the export row by row, map and check each, send 10,000 at a time.

It keeps no record and compares with nothing, so it sends everything every time; a crash leaves nobody the wiser.
"""

import csv
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from typing import Any

import boto3
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

STORE_IDS = {"012": "S1", "045": "S2", "101": "S3", "102": "S4"}
TAX_CODES = {"F": "A_FOOD_GEN", "S": "A_GEN_TAX"}
BARCODE_TYPES = {8: "EAN8", 12: "UPC", 13: "EAN", 14: "GTIN"}
BATCH = 10_000
PRICE = re.compile(r"\d+(\.\d{1,2})?")


def clean(text: str) -> str:
    """One space for all white space."""
    return " ".join(text.split())


def check_digit_right(code: str) -> bool:
    """GS1: weights 3 and 1 from the right."""
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(code)))
    return total % 10 == 0


def to_item(row: dict[str, str]) -> dict[str, str] | None:
    """One item as Amazon wants it, or None where the row is not valid."""
    barcode = row["barcode"].replace("-", "").replace(" ", "")
    if barcode.isdigit() and 9 < len(barcode) < 12:
        barcode = barcode.zfill(12)
    if not barcode.isdigit() or len(barcode) not in BARCODE_TYPES or not check_digit_right(barcode):
        return None
    price = row["gross"].strip()
    name = clean(f"{row['brand']} {row['name']}")
    if not PRICE.fullmatch(price) or not row["sku"] or not name or len(name) > 255:
        return None
    return {
        "item_sku": row["sku"],
        "external_product_id": barcode,
        "external_product_id_type": BARCODE_TYPES[len(barcode)],
        "item_name": name,
        "store_id": STORE_IDS[row["branch"]],
        "standard_price": f"{float(price):.2f}",
        "brand_name": clean(row["brand"]),
        "product_tax_code": TAX_CODES[row["tax"]],
        "product_category": row["category"],
    }


def items_of(path: str) -> Iterator[dict[str, str]]:
    """The valid items of an export; a second row of the same store and SKU is left out."""
    seen = set()
    with open(path, encoding="utf-8", newline="") as file:  # noqa: PTH123
        for row in csv.DictReader(file):
            item = to_item(row)
            if item and (key := (item["store_id"], item["item_sku"])) not in seen:
                seen.add(key)
                yield item


class Sender:
    """Signs and posts, at most `limit` times a second (0: without limit)."""

    def __init__(self) -> None:
        role = os.environ["JWO_API_ROLE_ARN"]
        found: Any = boto3.client("sts").assume_role(RoleArn=role, RoleSessionName="script")["Credentials"]
        self.credentials = Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
        self.url = os.environ["JWO_API_URL"] + "/v1/catalog/upload"
        self.pause = 1 / limit if (limit := int(os.environ["JWO_API_REQUESTS_PER_SECOND"])) else 0.0
        self.session = requests.Session()
        self.last = 0.0

    def send(self, items: list[dict[str, str]]) -> None:
        """Post one batch until it is accepted."""
        body = json.dumps({"catalogItems": items}, ensure_ascii=False).encode()
        while True:
            time.sleep(max(0.0, self.last + self.pause - time.monotonic()))
            self.last = time.monotonic()
            request = AWSRequest("POST", self.url, data=body, headers={"Content-Type": "application/json"})
            SigV4Auth(self.credentials, "execute-api", os.environ["JWO_API_REGION"]).add_auth(request)
            answer = self.session.post(self.url, data=body, headers=dict(request.headers.items()), timeout=60)
            if answer.status_code != 429:
                answer.raise_for_status()
                return
            time.sleep(0.5)


def main(path: str) -> None:
    """Send an export."""
    sender, batch = Sender(), []
    for item in items_of(path):
        batch.append(item)
        if len(batch) == BATCH:
            sender.send(batch)
            batch = []
    if batch:
        sender.send(batch)


if __name__ == "__main__":
    began = time.time()
    main(sys.argv[1])
    print(json.dumps({"began": began, "ended": time.time()}))
