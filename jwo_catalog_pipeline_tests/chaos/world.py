"""Uploads that wait for their messages: what every delivery starts from, and what its results are.

The uploads are sent once. Every delivery then starts from that same ledger and bucket, so that its results can be
compared to the byte with those of another.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import boto3

from jwo_catalog_pipeline.catalog_api.sns_signature import SnsVerifier
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.results.inbox import Inbox
from jwo_catalog_pipeline.upload.results.polling import ask_overdue, mark_reported, uploads_to_fetch
from jwo_catalog_pipeline.upload.results.settle import Settler
from jwo_catalog_pipeline.work_folder import work_folder
from jwo_catalog_pipeline_tests.chaos.envelopes import certificate, notification
from jwo_catalog_pipeline_tests.support.parts import Clock, Parts, api_client, items
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

UPLOADS = 8
MINUTE = 60
BATCH_BYTES = 900_000  # of one send_message_batch: SQS takes 1 MiB altogether
SHALLOW = 50  # messages sent before they are received: moto's queue slows down with its depth
# No results: times, and what is kept besides them.
_TIMES = ("_at", "_until")
_BESIDES = (keys.INBOX, keys.NEWS, keys.UNREADABLE, keys.LINK)

Row = dict[str, Any]


@dataclass
class World:
    """Uploads that Amazon has processed, all of them without news so far, and the state to come back to."""

    parts: Parts
    inbox: Inbox
    settler: Settler
    told: list[Row]  # the message about each ingestion, with a link that works
    expired: list[Row]  # the same with a link whose time is over
    delivered: int = 0
    rows: dict[tuple[str, ...], Row] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)

    @property
    def topic(self) -> str:
        return self.parts.sandbox.environment["JWO_TOPIC_ARN"]

    def bodies(self, told: Sequence[Row]) -> list[str]:
        return [json.dumps(notification(each, self.topic)) for each in told]

    def remember(self) -> None:
        self.rows, self.keys = self._rows(), set(self._keys())

    def restore(self) -> None:
        """Put the ledger, the bucket and the clock back to what they were; the queue is empty (`results`)."""
        now = self._rows()
        with self._table.batch_writer() as writer:
            for key in now.keys() - self.rows.keys():
                writer.delete_item(Key=keys.key_of(now[key]))
            for key, row in self.rows.items():
                if now.get(key) != row:
                    writer.put_item(Item=row)
        for key in set(self._keys()) - self.keys:
            self._s3.delete_object(Bucket=self.parts.bucket.name, Key=key)
        self.parts.clock.seconds = Clock().seconds

    def deliver(self, bodies: Sequence[str]) -> None:
        """Send messages and have the inbox take them, a few at a time."""
        for start in range(0, len(bodies), SHALLOW):
            for entries in _batches(bodies[start : start + SHALLOW]):
                answer = self.inbox.sqs.send_message_batch(QueueUrl=self.inbox.queue_url, Entries=entries)
                assert not answer.get("Failed"), answer["Failed"]
            received = self.inbox.receive(60)
            assert sum(received.values()) == len(bodies[start : start + SHALLOW]), received
        self.delivered += len(bodies)

    def settle(self) -> None:
        """What the sensors and their runs do with the news."""
        mark_reported(self.parts.ledger)
        for upload in uploads_to_fetch(self.parts.ledger):
            with work_folder() as folder:
                _, problems = self.settler.settle(upload, folder)
            assert problems == [], problems

    def ask(self) -> None:
        """What the other sensor does where there is no news."""
        self.parts.clock.seconds += 91 * MINUTE
        while ask_overdue(self.parts.ledger, self.parts.api, 90 * MINUTE):
            mark_reported(self.parts.ledger)

    def results(self) -> dict[str, Any]:
        """Every object in the bucket, and everything in the ledger, but for times and what is no result."""
        found: dict[str, Any] = {
            key: self.parts.bucket.get(key) for key in set(self._keys()) - self.keys if not key.startswith("inbox/")
        }
        for key, row in self._rows().items():
            if keys.kind(row) not in _BESIDES:
                found[" ".join(key)] = {name: value for name, value in row.items() if not name.endswith(_TIMES)}
        known = {each["ingestionId"] for each in self.told}
        found["news not taken over"] = [
            each.ingestion_id for each in self.parts.ledger.news() if each.ingestion_id in known
        ]
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        left = self.inbox.sqs.get_queue_attributes(QueueUrl=self.inbox.queue_url, AttributeNames=names)
        found["messages left"] = left["Attributes"]
        return found

    @property
    def _s3(self) -> Any:
        return self.parts.bucket.client

    @property
    def _table(self) -> Any:
        return boto3.resource("dynamodb").Table(self.parts.sandbox.environment["JWO_LEDGER_TABLE"])

    def _rows(self) -> dict[tuple[str, ...], Row]:
        pages = self._table.meta.client.get_paginator("scan").paginate(TableName=self._table.name)
        return {tuple(keys.key_of(row).values()): row for page in pages for row in page["Items"]}

    def _keys(self) -> Iterator[str]:
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.parts.bucket.name):
            yield from (each["Key"] for each in page.get("Contents", []))


def _batches(bodies: Sequence[str]) -> Iterator[list[dict[str, str]]]:
    """Entries of send_message_batch: at most ten, and no more bytes than SQS takes."""
    entries: list[dict[str, str]] = []
    size = 0
    for number, body in enumerate(bodies):
        length = len(body.encode())
        if entries and (len(entries) == 10 or size + length > BATCH_BYTES):
            yield entries
            entries, size = [], 0
        entries.append({"Id": str(number), "MessageBody": body})
        size += length
    if entries:
        yield entries


def make_world(sandbox: RunningSandbox, count: int = UPLOADS) -> World:
    """Send uploads and have them processed, silently: reports of three shapes, two ingestions that end badly."""
    sandbox.reset()
    env = sandbox.environment
    os.environ.update({name: value for name, value in env.items() if name.startswith("AWS_")})
    clock, bucket = Clock(), Bucket(boto3.client("s3"), env["JWO_BUCKET"])
    table = boto3.resource("dynamodb").Table(env["JWO_LEDGER_TABLE"])
    parts = Parts(sandbox, bucket, Ledger(table, clock), api_client(sandbox), clock)
    sandbox.misbehave(drop_notifications=count, report_shape="mixed", reject_share=0.3, delay=3600)
    sandbox.misbehave(cancel=1, fatal=1)
    uploads = [f"u{number:02}" for number in range(count)]
    ids = [parts.apply(upload, items(*(f"{upload}-{i}" for i in range(6))))[0].ingestion_id for upload in uploads]
    sandbox.drain()
    told = [_told(parts, ingestion_id) for ingestion_id in ids]
    sandbox.misbehave(expire_links=count, operation="status")
    expired = [_told(parts, ingestion_id) for ingestion_id in ids]
    sandbox.misbehave(expire_links=0, operation="status")
    world = World(parts, parts.inbox(SnsVerifier(lambda _: certificate())), parts.settler(), told, expired)
    world.remember()
    return world


def _told(parts: Parts, ingestion_id: str) -> Row:
    status = parts.api.status(ingestion_id)
    link = {"reportDownloadLink": status.report_url} if status.report_url else {}
    return {"ingestionId": ingestion_id, "processingStatus": status.processing_status, **link}
