"""What schema 2 of the ledger would have written: batches with numbers, and bodies whose keys do not name an operation.

A part of a batch had the whole's number plus 10,000 times its place in the tree of halves (root 1, halves 2n, 2n + 1).
"""

from functools import partial
from typing import Any

import boto3
import pandas as pd

from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.published_state import state_before
from jwo_catalog_pipeline.upload.snapshots import SNAPSHOTS, former_snapshot_key, read_before
from jwo_catalog_pipeline_tests.support.parts import Parts


def former_number(batch: str) -> int:
    whole, *halves = batch.split(".")
    place = 1
    for half in halves:
        place = 2 * place + int(half) - 1
    return place * 10_000 + int(whole) if halves else int(whole)


def back_to_schema_2(parts: Parts) -> None:
    """Rewrite the ledger and the bucket as schema 2 had them."""
    for key, _ in list(parts.bucket.list("uploads/")):
        if key.endswith("/published_before.json"):
            _own_snapshot(parts, key)
    parts.bucket.delete([key for key, _ in parts.bucket.list(SNAPSHOTS)] or ["nothing"])
    table = boto3.resource("dynamodb").Table(parts.ledger.table_name)
    for item in table.scan(ConsistentRead=True)["Items"]:
        table.delete_item(Key=keys.key_of(item))
        table.put_item(Item=_former_item(item))
    for key, _ in list(parts.bucket.list("uploads/")):
        _rename(parts, key)


def _own_snapshot(parts: Parts, key: str) -> None:
    """Give a plan a snapshot of its own, in place of the note that names one."""
    _, upload, plan, _ = key.split("/")
    noted = read_before(parts.bucket, upload, plan)
    shared = parts.bucket.get_table(noted.snapshot)
    before = partial(state_before, parts.ledger, parts.bucket, upload, plan, parts.folder)
    table = before().frame() if noted.layers else shared
    if not pd.api.types.is_integer_dtype(table["batch"]):
        table = table.assign(batch=pd.Series(map(former_number, table["batch"]), dtype="int64"))
    parts.bucket.put_table(former_snapshot_key(upload, plan), table)
    parts.bucket.delete([key])


def _former_item(item: dict[str, Any]) -> dict[str, Any]:
    kind, item = keys.kind(item), {**item, "schema": 2}
    if "base_fence" in item:
        item["base_sequence"] = item.pop("base_fence")
    if keys.is_ingestion(item) and item.pop("duplicate", False):
        item |= keys.former_duplicate(keys.owner(item))
    if "batch" in item:  # it names one
        item["number"] = former_number(item.pop("batch"))
    elif kind == keys.BATCH and "id" in item:
        batch = item.pop("id")
        item["number"] = former_number(batch)
        item["part_of"] = former_number(batch.rpartition(".")[0]) if "." in batch else 0
    sort_key = [_former_name(word) for word in keys.name(item).split("#")]
    return {**item, keys.SK: "#".join(sort_key)}


def _former_name(word: str) -> str:
    """The id of a batch as it was; any other word as it is, for no other has digits and dots alone."""
    return f"{former_number(word):04}" if "." in word and word.replace(".", "").isdigit() else word


def _rename(parts: Parts, key: str) -> None:
    folder, _, name = key.rpartition("/")
    if name.startswith("published_before"):
        return
    batch, *_, ending = name.replace(".upload", "").replace(".archive", "").rsplit(".", 1)
    former = f"{folder}/{former_number(batch):04}.{ending}"
    if former != key:
        parts.bucket.put(former, parts.bucket.get(key))
        parts.bucket.client.delete_object(Bucket=parts.bucket.name, Key=key)
