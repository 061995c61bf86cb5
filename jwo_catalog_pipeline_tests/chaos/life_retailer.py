"""A retailer with exports, an agenda, and the queue from the other side."""

import hashlib
import heapq
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

import boto3
import pandas as pd

from jwo_catalog_pipeline_tests.chaos.life_pipeline import DAY, HOUR, Pipeline
from jwo_catalog_pipeline_tests.chaos.life_runs import File
from jwo_catalog_pipeline_tests.support.parts import Parts, items

STORES = ("JWO-STORE-01", "JWO-STORE-02")
SKUS = tuple(f"S{number}" for number in range(8))
MOST_CHANGES = 6  # of the 16 items, in an ordinary export


class Retailer:
    """A retailer and what it has done. `closed`: uploads that a person has closed; periods are since and until."""

    def __init__(self, pipeline: Pipeline, chance: random.Random):
        self.pipeline, self.chance = pipeline, chance
        self.parts, self.sandbox = pipeline.parts, pipeline.parts.sandbox
        self.prices = {(store, sku): 1000 for store in STORES for sku in SKUS}
        self.agenda: list[tuple[float, int, Callable[[], None]]] = []
        self.order = count()
        self.table = boto3.resource("dynamodb").Table(self.sandbox.environment["JWO_LEDGER_TABLE"])
        self.outages: list[str] = []
        self.happened: Counter[str] = Counter()
        self.pauses: list[tuple[int, int]] = []
        self.burials: list[tuple[int, int]] = []
        self.closed: set[str] = set()
        self.lost_attempts: Counter[str] = Counter()
        self.restored = False
        self.dead: list[tuple[int, str]] = []

    # -- exports --------------------------------------------------------------------------------------------------

    def write(self, *, factor: float = 1, keep: bool = True) -> File:
        """A new export: some prices change a little; or all, by a factor."""
        prices = dict(self.prices)
        for key in self.chance.sample(sorted(prices), self.chance.randint(1, MOST_CHANGES)):
            prices[key] += self.chance.choice((-30, -10, 10, 20, 40))
        if factor != 1:
            prices = {key: round(price * factor) for key, price in prices.items()}
        if keep:
            self.prices = prices
        self.parts.clock.seconds += 1
        now = self.pipeline.now
        file = File(f"exports/{now}.csv", now, table(prices), sha(prices))
        self.pipeline.folder.append(file)
        self.pipeline.say(f"written: {file.name} x {factor:g}")
        return file

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self.agenda, (self.pipeline.now + seconds, next(self.order), what))

    def live(self, kinds: Sequence[Callable[[], None]], events: int, days: int) -> None:
        """Let some days pass, with so many events of these kinds."""
        start = self.pipeline.now
        self.write()
        self.pipeline.start().whole()
        for day in range(1, days + 1):
            self.later(day * DAY + 3 * HOUR, self.schedule)
            if self.chance.random() < 0.8:
                self.later(day * DAY + 2.5 * HOUR, lambda: self.write() and None)
        for _ in range(events):
            self.later(self.chance.uniform(HOUR, days * DAY), self.chance.choice(kinds))
        while self.agenda:
            at, _, what = heapq.heappop(self.agenda)
            self.pipeline.advance(max(0, at - self.pipeline.now))
            what()
        self.pipeline.say(f"the week is over, {(self.pipeline.now - start) / DAY:.1f} days")

    def schedule(self) -> None:
        self.pipeline.say("catalog_schedule")
        self.pipeline.start().whole()


def table(prices: dict[tuple[str, str], int]) -> pd.DataFrame:
    """The valid items of an export."""
    rows = [items(sku, store=store, standard_price=f"{cents / 100:.2f}") for (store, sku), cents in prices.items()]
    return pd.concat(rows, ignore_index=True).sort_values(["store_id", "item_sku"], ignore_index=True)


def sha(prices: dict[tuple[str, str], int]) -> str:
    """Names the content of an export."""
    return hashlib.sha256(repr(sorted(prices.items())).encode()).hexdigest()


def taken(queue: Any, url: str) -> list[str]:
    """Bodies of what is in a queue, which is empty then."""
    bodies: list[str] = []
    while messages := queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            bodies.append(message["Body"])
    return bodies


def aged(body: str, seconds: int) -> str:
    """A message that was published so long ago, by the clock from which SQS has the time."""
    try:
        envelope = json.loads(body)
    except ValueError:
        return body
    if "Timestamp" in envelope:
        at = datetime.now(UTC).timestamp() - seconds
        envelope["Timestamp"] = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return json.dumps(envelope)


def dead_letter_queue(parts: Parts) -> str:
    """The address of the dead-letter queue."""
    sqs = boto3.client("sqs")
    url = parts.sandbox.environment["JWO_QUEUE_URL"]
    policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]["RedrivePolicy"]
    name = json.loads(policy)["deadLetterTargetArn"].split(":")[-1]
    return str(sqs.get_queue_url(QueueName=name)["QueueUrl"])
