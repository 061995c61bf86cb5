"""News that comes days late, or is another's: it says nothing about what was sent since."""

import pytest

from jwo_catalog_pipeline.upload.errors import UploadStopped
from jwo_catalog_pipeline.upload.model import BatchState
from jwo_catalog_pipeline.upload.results.in_doubt import expire_doubts
from jwo_catalog_pipeline.upload.waiting import Waits
from jwo_catalog_pipeline_tests.support.hearing import hear, kinds
from jwo_catalog_pipeline_tests.support.parts import Parts, items
from jwo_catalog_pipeline_tests.support.queue import send_to_queue

STORES = ["JWO-STORE-01", "JWO-STORE-02", "JWO-STORE-03"]


def taken_from_the_queue(parts: Parts) -> list[str]:
    """Bodies of the messages that are in the queue, which then lie in the dead-letter queue."""
    url = parts.sandbox.environment["JWO_QUEUE_URL"]
    messages = parts.queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    for message in messages:
        parts.queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [message["Body"] for message in messages]


@pytest.mark.parametrize("shape", ["1", "2"])
def test_a_redriven_message_of_days_ago_says_nothing_about_the_prices_of_today(parts: Parts, shape: str) -> None:
    """Amazon held 1.99, the ledger said that 2.49 was accepted, and every plan said `unchanged`, for ever."""
    parts.sandbox.misbehave(close_after_ingesting=1, close_before_ingesting=4, operation="upload", report_shape=shape)
    with pytest.raises(UploadStopped):
        parts.apply("u1", items("A", "B"))
    parts.sandbox.misbehave(close_after_ingesting=0, close_before_ingesting=0, operation="upload")
    parts.sandbox.drain()
    dead_letters = taken_from_the_queue(parts)
    assert len(dead_letters) == 1
    parts.clock.seconds += 3 * 24 * 3600
    today = items("A", "B", standard_price="2.49")
    parts.sandbox.misbehave(close_before_ingesting=5, operation="upload")
    with pytest.raises(UploadStopped):
        parts.apply("u2", today)
    parts.sandbox.misbehave(close_before_ingesting=0, operation="upload")
    expire_doubts(parts.ledger, Waits())  # those of the first day
    for body in dead_letters:
        send_to_queue(parts, body)
    for _ in range(3):
        hear(parts)
    parts.clock.seconds += 25 * 3600
    expire_doubts(parts.ledger, Waits())
    assert set(kinds(parts.plan("u3", today)).values()) & {"unchanged"} == set()
    parts.apply("u3", today)
    parts.settle("u3")
    assert {item["standard_price"] for item in parts.sandbox.get("catalog")} == {"2.49"}
    assert kinds(parts.plan("u4", today)) == {"A": "unchanged", "B": "unchanged"}


def test_an_ingestion_that_had_ended_before_a_batch_was_sent_did_not_come_of_it(parts: Parts) -> None:
    stranger = parts.sandbox.upload(
        {"item_sku": "A", "external_product_id": "4006381333931", "item_name": "n", "store_id": STORES[0]}
    )
    parts.sandbox.drain()
    hear(parts)
    parts.clock.seconds += 3600
    parts.sandbox.misbehave(close_before_ingesting=5, operation="upload")
    with pytest.raises(UploadStopped):
        parts.apply("u1", items("A"))
    assert hear(parts)[stranger] == "fits 0 batches in doubt"
    (batch,) = parts.ledger.batches("u1")
    assert (batch.state, batch.doubts > 0) == (BatchState.IN_DOUBT, True)
