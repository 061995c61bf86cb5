"""A retailer whose export is in the bucket of a deployment: what it exports, and what was sent of it."""

from typing import Any

import boto3

from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline_tests.production.deployment import Deployment
from jwo_catalog_pipeline_tests.support.project import HEADER

ITEMS, CHANGED = 100_000, 45_000  # a guard asks about more than half
CODE = "4006381333931"
STORES = ("JWO-STORE-01", "JWO-STORE-02", "JWO-STORE-03")
KEY = "source/export.csv"

Source = dict[tuple[str, str], dict[str, Any]]


class Shop:
    """The retailer's export, as it changes."""

    def __init__(self, world: Deployment) -> None:
        self.world = world
        self.prices = {(STORES[n % 3], f"S{n:06}"): "1.99" for n in range(ITEMS)}

    def export(self, first: int = 0, changed: int = 0, price: str = "1.99") -> None:
        for key in list(self.prices)[first : first + changed]:
            self.prices[key] = price
        rows = [f"{sku},{CODE},Item {sku},{store},{cost}" for (store, sku), cost in self.prices.items()]
        body = "\n".join([HEADER, *rows, ""]).encode()
        self.world.sandbox.client("s3").put_object(
            Bucket=self.world.sandbox.environment["JWO_BUCKET"], Key=KEY, Body=body
        )

    def expected(self) -> Source:
        """What Amazon must hold."""
        same = {"external_product_id": CODE, "external_product_id_type": "EAN"}
        return {
            (store, sku): {
                "item_sku": sku,
                "store_id": store,
                "item_name": f"Item {sku}",
                "standard_price": cost,
                **same,
            }
            for (store, sku), cost in self.prices.items()
        }

    def sent(self) -> int:
        return sum(call["operation"] == "upload" for call in self.world.sandbox.get("requests"))

    def until_sent(self, calls: int) -> None:
        self.world.until(f"{calls} calls", lambda: self.sent() >= calls)

    @property
    def ledger(self) -> Ledger:
        return Ledger(boto3.resource("dynamodb").Table(self.world.sandbox.environment["JWO_LEDGER_TABLE"]))

    def until_settled(self, upload: str) -> int:
        """Until every batch is settled; gives the number of items."""

        def settled() -> bool:
            batches = self.ledger.batches(upload) if self.ledger.upload(upload) else []
            return bool(batches) and {str(batch.state) for batch in batches} == {"settled"}

        self.world.until(f"{upload} settled", settled)
        return sum(batch.items for batch in self.ledger.batches(upload))
