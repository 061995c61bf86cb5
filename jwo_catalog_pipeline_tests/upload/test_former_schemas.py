"""A ledger that an older version of this software wrote is read, and its uploads go on."""

from dataclasses import replace
from typing import Any

import boto3
import pytest

from jwo_catalog_pipeline.storage import NoSuchObject, table_bytes
from jwo_catalog_pipeline.upload.batch_ids import parent_of, part_id, whole_id
from jwo_catalog_pipeline.upload.errors import UploadStopped
from jwo_catalog_pipeline.upload.history import item_history
from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.ledger.dynamodb import SCHEMA
from jwo_catalog_pipeline.upload.model import BatchState
from jwo_catalog_pipeline.upload.outcomes import batch_body, body_key, items_key
from jwo_catalog_pipeline.upload.recovery import salvage
from jwo_catalog_pipeline.upload.results.in_doubt import reconcile_orphans
from jwo_catalog_pipeline_tests.support.former_schema import back_to_schema_2, former_number
from jwo_catalog_pipeline_tests.support.parts import FIELDS, Parts, items


def all_items(parts: Parts) -> list[dict[str, Any]]:
    return boto3.resource("dynamodb").Table(parts.ledger.table_name).scan(ConsistentRead=True)["Items"]


def test_a_ledger_of_the_first_version_is_read_and_its_upload_resumed(parts: Parts) -> None:
    """That one knew no schema and no `first_row`, and made every batch's bytes before the first was sent."""
    plan = parts.plan("u1", items("A", "B"))
    parts.sandbox.misbehave(throttle=99)
    with pytest.raises(UploadStopped):
        parts.sender().apply("u1", plan, FIELDS)
    table = boto3.resource("dynamodb").Table(parts.ledger.table_name)
    for item in all_items(parts):
        new = {name: item.pop(name) for name in ("schema", "first_row") if name in item}
        assert "schema" in new
        assert keys.kind(item) != keys.BATCH or (item["sha256"] and "first_row" in new)
        table.put_item(Item=item)
    parts.sandbox.misbehave(throttle=0)
    assert [str(batch.state) for batch in parts.sender().apply("u1", plan, FIELDS)] == ["submitted"]
    assert parts.settle("u1")["outcome"].tolist() == ["accepted", "accepted"]
    assert set(parts.plan("u2", items("A", "B"))["change"]) == {"unchanged"}


def test_a_batch_that_schema_1_calls_accepted_is_submitted_and_settles(parts: Parts) -> None:
    parts.apply("u1", items("A"))
    table = boto3.resource("dynamodb").Table(parts.ledger.table_name)
    (old,) = [item for item in all_items(parts) if keys.kind(item) == keys.BATCH and not keys.is_ingestion(item)]
    assert (old["state"], old["schema"]) == ("submitted", SCHEMA)
    table.put_item(Item={**old, "state": "accepted", "schema": 1})
    (batch,) = parts.ledger.batches("u1")
    assert batch.state is BatchState.SUBMITTED
    assert parts.ledger.note_asked(batch, 1)
    assert not parts.ledger.note_asked(replace(batch, attempts=2), 1)
    assert parts.settle("u1")["outcome"].tolist() == ["accepted"]
    (batch,) = parts.ledger.batches("u1")
    assert batch.state is BatchState.SETTLED


def test_a_part_of_schema_2_knows_what_it_was_cut_out_of() -> None:
    whole = "0007"
    halves = [part_id(whole, 1), part_id(whole, 2)]
    quarters = [part_id(half, part) for half in halves for part in (1, 2)]
    for part in [*halves, *quarters]:
        assert parent_of(f"{former_number(part):04}") == f"{former_number(parent_of(part)):04}"
    assert parent_of(whole) == ""


def test_a_cut_batch_of_schema_2_goes_on_where_it_stopped(parts: Parts) -> None:
    parts.sandbox.misbehave(refuse_skus=["A"])
    plan = parts.plan("u1", items("A", "B", "C", "D"))
    parts.sender().apply("u1", plan, FIELDS)
    before = [(batch.items, batch.state, batch.refusal) for batch in parts.ledger.batches("u1")]
    back_to_schema_2(parts)
    batches = parts.ledger.batches("u1")
    assert "20001" in [batch.id for batch in batches]
    assert sorted((batch.items, batch.state, batch.refusal) for batch in batches) == sorted(before)
    outcomes = parts.settle("u1")
    assert dict(zip(outcomes["item_sku"], outcomes["outcome"], strict=True)) == {
        "A": "refused",
        **dict.fromkeys("BCD", "accepted"),
    }
    changes = parts.plan("u2", items("A", "B", "C", "D"))
    assert dict(zip(changes["item_sku"], changes["change"], strict=True)) == {
        "A": "held",
        **dict.fromkeys("BCD", "unchanged"),
    }


def test_a_plan_of_schema_2_is_applied(parts: Parts) -> None:
    parts.apply("u1", items("A", "B"))
    parts.settle("u1")
    plan = parts.plan("u2", items("A", "B", standard_price="2.99"))
    back_to_schema_2(parts)
    parts.sender().apply("u2", plan, FIELDS)
    assert parts.settle("u2")["outcome"].tolist() == ["accepted", "accepted"]
    (first, second) = item_history(parts.ledger, parts.bucket, "A", None)["sent"]
    assert (first["item"]["standard_price"], second["item"]["standard_price"]) == ("1.99", "2.99")
    assert len(parts.rebuilt()) == 2


def test_what_amazon_holds_is_the_same_bytes_however_it_is_found(parts: Parts) -> None:
    """The first upload's snapshot has no rows; a column of it was still one of numbers."""
    for upload in ("u1", "u2"):
        parts.apply(upload, items("A", "B", standard_price=f"{upload[1]}.99"))
        parts.settle(upload)
        back_to_schema_2(parts)
        running = parts.state()
        assert table_bytes(running) == table_bytes(parts.rebuilt())
        assert set(running["batch"]) == {"0001"}


def test_a_body_that_is_gone_is_named_by_the_key_that_it_should_have(parts: Parts) -> None:
    parts.apply("u1", items("A"))
    (batch,) = parts.ledger.batches("u1")
    key, body = batch_body(parts.bucket, batch)
    assert key.endswith("batches/0001.upload.json")
    back_to_schema_2(parts)
    former, same = batch_body(parts.bucket, batch)
    assert (former.endswith("batches/0001.json"), same) == (True, body)
    parts.bucket.client.delete_object(Bucket=parts.bucket.name, Key=former)
    with pytest.raises(NoSuchObject, match=r"batches/0001\.upload\.json does not exist"):
        batch_body(parts.bucket, batch)


def test_parts_that_a_worker_of_schema_2_had_not_recorded_are_not_salvaged(parts: Parts) -> None:
    parts.sandbox.misbehave(refuse_skus=["B"])
    parts.apply("u1", items("A", "B"))
    parts.settle("u1")
    whole = parts.ledger.batches("u1")[0]
    for half, part in ((1, "20001"), (2, "30001")):  # as that worker had named them
        named = replace(whole, id=part)
        parts.bucket.put_table(items_key(named), parts.bucket.get_table(items_key(replace(whole, id=f"0001.{half}"))))
        parts.bucket.put(body_key(named).replace(".upload", ""), b"{}")
    assert salvage(parts.ledger, parts.bucket, write=True) == []
    assert [batch.id for batch in parts.ledger.batches("u1")] == ["0001", "0001.1", "0001.2"]


@pytest.mark.parametrize("number", [1, 9_999, 10_000, 20_001])
def test_a_whole_batch_is_never_taken_for_a_part(number: int) -> None:
    assert parent_of(whole_id(number)) == ""
    assert parent_of(part_id(whole_id(number), 2)) == whole_id(number)


def test_a_duplicate_of_schema_2_is_still_known_as_one(parts: Parts) -> None:
    parts.sandbox.misbehave(close_after_ingesting=1, operation="upload")
    parts.apply("u1", items("A"))
    parts.sandbox.drain()
    parts.inbox().receive(20)
    (batch,) = parts.ledger.batches("u1")
    other = next(news.ingestion_id for news in parts.ledger.news() if news.ingestion_id != batch.ingestion_id)
    assert reconcile_orphans(parts.ledger, parts.bucket, parts.settler().fetch) != {}
    back_to_schema_2(parts)
    assert parts.ledger.ingestion(other).duplicate
    assert not parts.ledger.ingestion(batch.ingestion_id).duplicate
    assert parts.settle("u1")["outcome"].tolist() == ["accepted"]


def test_a_bucket_of_schema_2_brings_a_lost_ledger_back(parts: Parts) -> None:
    parts.sandbox.misbehave(refuse_skus=["B"])
    parts.apply("u1", items("A", "B"))
    parts.settle("u1")
    parts.apply("u2", items("C"), archive_stores=["JWO-STORE-01", "JWO-STORE-02", "JWO-STORE-03"])
    parts.settle("u2")
    before = {f"{former_number(batch.id):04}": batch.operation.name for batch in parts.ledger.batches("u2")}
    assert "archive" in before.values()
    back_to_schema_2(parts)
    table = boto3.resource("dynamodb").Table(parts.ledger.table_name)
    for item in all_items(parts):
        table.delete_item(Key=keys.key_of(item))
    salvage(parts.ledger, parts.bucket, write=True)
    assert {batch.id: batch.operation.name for batch in parts.ledger.batches("u2")} == before
    assert [batch.split for batch in parts.ledger.batches("u1")] == [True, False, False]
