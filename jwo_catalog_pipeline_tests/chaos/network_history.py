"""One history with one network fault in it: what a user and the sensors do around it, until everything rests; and what
must hold then, asked of the sandbox and the proxy, which know nothing of the ledger.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import boto3
import pandas as pd
import urllib3

from jwo_catalog_pipeline.catalog.changes import ARCHIVE, IN_FLIGHT, SENT_KINDS
from jwo_catalog_pipeline.catalog_api import requests
from jwo_catalog_pipeline.catalog_api.client import assumed_role
from jwo_catalog_pipeline.catalog_api.errors import CatalogApiError
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.upload.errors import UploadError
from jwo_catalog_pipeline.upload.inbox import Inbox
from jwo_catalog_pipeline.upload.ledger import Ledger
from jwo_catalog_pipeline.upload.published import published_state
from jwo_catalog_pipeline.upload.records import Batch
from jwo_catalog_pipeline.upload.settling import Settler, ask_overdue, mark_reported, upload_outcomes
from jwo_catalog_pipeline_tests.chaos.network_kinds import Kind
from jwo_catalog_pipeline_tests.chaos.proxy import Proxy
from jwo_catalog_pipeline_tests.conftest import FIELDS, Clock, Parts, api_client, items
from jwo_catalog_pipeline_tests.sandbox_fixture import RunningSandbox

OPERATIONS = ("upload", "archive", "status", "report")
CALLS = 3  # of the operation that the fault hits: a first, a middle and a last one
SKUS = ("A", "B", "C", "D", "E", "F")
READ_SECONDS = 0.5  # as the client waits for an answer; a healthy one takes some milliseconds
ROUNDS = 6
HOUR = 3600


@dataclass(frozen=True)
class Scenario:
    """A fault of this kind at the n-th call (from 1) of the operation."""

    kind: Kind
    operation: str
    nth: int

    def __str__(self) -> str:
        return f"{self.kind.name}, {self.operation} {self.nth} of {CALLS}"


class Shop:
    """A sandbox and clients to it, which outlive a history."""

    def __init__(self, sandbox: RunningSandbox):
        self.sandbox = sandbox
        self._clients = {name: boto3.client(name) for name in ("s3", "sqs", "sns", "sts")}
        self._tables = boto3.resource("dynamodb")

    def open(self, proxy: Proxy) -> "ProxiedParts":
        """The protocol's parts, for an Amazon that knows nothing yet; they reach it through the proxy only."""
        env, clock = self.sandbox.environment, Clock()
        timeout = urllib3.Timeout(connect=1, read=READ_SECONDS)
        api = api_client(
            self.sandbox,
            url=proxy.url,
            http=urllib3.PoolManager(timeout=timeout),
            credentials=assumed_role(env["JWO_API_ROLE_ARN"], lambda: self._clients["sts"]),
        )
        bucket = Bucket(self._clients["s3"], env["JWO_BUCKET"])
        ledger = Ledger(self._tables.Table(env["JWO_LEDGER_TABLE"]), clock)
        parts = ProxiedParts(self.sandbox, bucket, ledger, api, clock)
        parts.clients, parts.downloads = self._clients, urllib3.ProxyManager(proxy.url, timeout=timeout)
        return parts


class ProxiedParts(Parts):
    """Reports are downloaded through the proxy as well, which leaves their links as they are."""

    clients: dict[str, Any]
    downloads: urllib3.ProxyManager

    def inbox(self, verify: Any = None) -> Inbox:
        env = self.sandbox.environment
        queue, topic = env["JWO_QUEUE_URL"], env["JWO_TOPIC_ARN"]
        return Inbox(self.clients["sqs"], self.clients["sns"], queue, topic, self.ledger, self.bucket, verify)

    def settler(self) -> Settler:
        return replace(super().settler(), http=self.downloads)


class History:
    """Runs a scenario. `troubles` are the errors that stopped somebody, `uploads` what was planned, by name."""

    def __init__(self, shop: Shop, scenario: Scenario):
        shop.sandbox.reset()
        shop.sandbox.misbehave(delay=HOUR)  # so that what is accepted stays in flight until it is drained
        self.sandbox, self.scenario = shop.sandbox, scenario
        self.proxy = Proxy(shop.sandbox.environment["JWO_API_URL"])
        self.parts = shop.open(self.proxy)
        self.stores = self.sandbox.environment["JWO_STORE_IDS"].split(",")
        self.source = items(*SKUS)
        self.uploads: dict[str, pd.DataFrame] = {}
        self.troubles: list[str] = []

    def run(self) -> list[str]:
        """What does not hold in the end; nothing, if all is well."""
        try:
            with batches_of(len(SKUS) // CALLS):
                at_first_try = getattr(self, f"_{self.scenario.operation}")()
                happened = self.proxy.fired
                self._edit()
                rests = self._come_to_rest()
            found = [] if happened else ["the fault did not happen"]
            found += [] if rests else [f"does not come to rest: {self.troubles[-1:]}"]
            if self.scenario.kind.borne and not at_first_try:
                found.append(f"not borne: {self.troubles}")
            return found + list(self._wrong())
        finally:
            self.proxy.stop()

    # -- the call that the fault hits; whether it succeeded all the same ------------------------------------------

    def _upload(self) -> bool:
        self._plan()
        self._arm()
        return self._apply() and self._sent_once()

    def _archive(self) -> bool:
        self.source = items(*SKUS, "Z")
        with batches_of(len(SKUS) + 1):
            self._plan()
            self._apply()
        self._hear()
        self.source = items("Z")
        self._plan()
        self._arm()
        return self._apply() and self._sent_once()

    def _status(self) -> bool:
        self._plan()
        self._apply()
        self.sandbox.misbehave(drop_notifications=CALLS)
        self.sandbox.drain()
        self._arm()
        answers = ask_overdue(self.parts.ledger, self.parts.api, 0)
        mark_reported(self.parts.ledger)
        self._settle()
        return list(answers.values()) == ["DONE"] * CALLS

    def _report(self) -> bool:
        self._plan()
        self._apply()
        self.sandbox.drain()
        self.parts.inbox().receive(20)
        mark_reported(self.parts.ledger)
        self._arm()
        self._settle()
        asked = [call for call in self.sandbox.get("requests") if call["operation"] == "status"]
        return not self.troubles and not asked

    def _arm(self) -> None:
        self.proxy.arm(self.scenario.kind, self.scenario.operation, self.scenario.nth)

    def _sent_once(self) -> bool:
        return [batch.attempts for batch in self._batches()] == [1] * CALLS

    # -- what people and sensors do -------------------------------------------------------------------------------

    def _edit(self) -> None:
        """The source moves on: one item has a new price, or, where it had been archived, is back."""
        new = items("A", standard_price="2.49")
        self.source = pd.concat([new, self.source[self.source["item_sku"] != "A"]], ignore_index=True)

    def _plan(self) -> pd.DataFrame:
        name = f"u{len(self.uploads) + 1}"
        self.uploads[name] = self.parts.plan(name, self.source, archive_stores=self.stores)
        return self.uploads[name]

    def _apply(self) -> bool:
        """Apply the newest plan, or resume it."""
        name = list(self.uploads)[-1]
        try:
            self.parts.sender().apply(name, self.uploads[name], FIELDS)
        except (UploadError, CatalogApiError) as error:
            self.troubles.append(f"{type(error).__name__}: {error}")
            return False
        return True

    def _hear(self) -> None:
        """Amazon processes everything; what it says is received, asked for and fetched."""
        self.sandbox.drain()
        self.parts.inbox().receive(20)
        mark_reported(self.parts.ledger)
        ask_overdue(self.parts.ledger, self.parts.api, 0)
        mark_reported(self.parts.ledger)
        self._settle()

    def _settle(self) -> None:
        for upload in self.parts.ledger.open_uploads():
            self.troubles += self.parts.settler().settle(upload)[1]

    def _come_to_rest(self) -> bool:
        """Resume, hear and plan again, a day apart, until nothing is left to send; whether that came."""
        for _ in range(ROUNDS):
            self.proxy.heal()
            self.parts.clock.seconds += HOUR  # past every lease
            if any(batch.state.sendable for batch in self._batches()):
                self._apply()
            self._hear()
            if not set(self._plan()["change"]) & {*SENT_KINDS, ARCHIVE, IN_FLIGHT}:
                return True
            self._apply()
            self._hear()
            self.parts.clock.seconds += 25 * HOUR
        return False

    def _batches(self) -> list[Batch]:
        return self.parts.ledger.batches(list(self.uploads)[-1])

    # -- what must hold -------------------------------------------------------------------------------------------

    def _wrong(self) -> Iterator[str]:
        expected = {
            (row["store_id"], row["item_sku"]): {name: value for name, value in row.items() if pd.notna(value)}
            for row in self.source.to_dict("records")
        }
        held = {(each["store_id"], each["item_sku"]): each for each in self.sandbox.get("catalog")}
        yield from (f"lost: {key}" for key in expected.keys() - held.keys())
        yield from (f"stale: {key} was archived" for key in held.keys() - expected.keys())
        yield from (f"stale: {key}" for key in expected.keys() & held.keys() if held[key] != expected[key])
        yield from self._unaccounted(set(expected))
        yield from self._sent_wrongly()
        if self.proxy.trap.contacts:
            yield "redirected: the target was contacted"

    def _unaccounted(self, keys: set[tuple[str, str]]) -> Iterator[str]:
        table = published_state(self.parts.ledger, self.parts.bucket)
        state = dict(zip(zip(table["store_id"], table["item_sku"], strict=True), table["state"], strict=True))
        yield from (f"unaccounted: {key} is {state.get(key)}" for key in keys if state.get(key) != "accepted")
        yield from (f"unaccounted: {key} is {state[key]}, and gone" for key in state.keys() - keys)
        for upload in self.uploads:
            batches = self.parts.ledger.batches(upload)
            yield from (f"unaccounted: batch {each.number} is {each.state}" for each in batches if not each.state.final)
            outcomes = upload_outcomes(self.parts.ledger, self.parts.bucket, upload)
            if len(outcomes) != sum(batch.items for batch in batches):
                yield f"unaccounted: upload {upload} tells of {len(outcomes)} items only"

    def _sent_wrongly(self) -> Iterator[str]:
        """Bytes that no batch has; ingestions of one item that were in flight at once, unless of the same bytes."""
        recorded = {batch.sha256 for upload in self.uploads for batch in self.parts.ledger.batches(upload)}
        bodies = {hashlib.sha256(body).hexdigest(): body for name, body in self.proxy.bodies if name != "status"}
        ingestions = self.sandbox.get("ingestions")
        sent = bodies.keys() | {call["body_sha256"] for call in ingestions}
        yield from (f"foreign bytes: {sha}" for sha in sent - recorded)
        yield from (f"foreign bytes: {sha} came from nowhere" for sha in sent - bodies.keys())
        for first, second in combinations(ingestions, 2):
            if first["body_sha256"] == second["body_sha256"] or first["ended_at"] < second["accepted_at"]:
                continue
            if skus_of(bodies[first["body_sha256"]]) & skus_of(bodies[second["body_sha256"]]):
                yield f"in flight at once: {first['ingestion_id']} and {second['ingestion_id']}"


def skus_of(body: bytes) -> set[str]:
    """SKUs that a request is about; every history has one store only."""
    request = json.loads(body)
    return set(request.get("itemSkus") or (item["item_sku"] for item in request["catalogItems"]))


@contextmanager
def batches_of(count: int) -> Iterator[None]:
    """Have batches of so many items, to get several calls cheaply."""
    before, requests.MAX_ITEMS = requests.MAX_ITEMS, count
    try:
        yield
    finally:
        requests.MAX_ITEMS = before
