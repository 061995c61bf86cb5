"""One history with one network fault in it: what a user and the sensors do around it, until everything rests; and what
must hold then, asked of the sandbox and the proxy, which know nothing of the ledger.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from jwo_catalog_pipeline.catalog_api import requests
from jwo_catalog_pipeline.catalog_api.errors import CatalogApiError
from jwo_catalog_pipeline.catalog_api.requests import item_documents
from jwo_catalog_pipeline.upload.errors import UploadError
from jwo_catalog_pipeline.upload.model import Batch, BatchState, leaf_batches
from jwo_catalog_pipeline.upload.results.in_doubt import expire_doubts, reconcile_orphans
from jwo_catalog_pipeline.upload.results.polling import ask_overdue, mark_reported
from jwo_catalog_pipeline.upload.waiting import Waits
from jwo_catalog_pipeline_tests.chaos.network_kinds import Kind
from jwo_catalog_pipeline_tests.chaos.network_parts import Shop
from jwo_catalog_pipeline_tests.chaos.proxy import Proxy
from jwo_catalog_pipeline_tests.support.parts import FIELDS, items

OPERATIONS = ("upload", "status", "report", "archive")  # in the order in which a history gets to them
CALLS = 3  # of each operation: a first, a middle and a last one
SKUS = ("A", "B", "C", "D", "E", "F")
KEPT = "Z"  # what stays when all of these are archived, for an empty source archives nothing
ROUNDS = 6
HOUR = 3600


@dataclass(frozen=True)
class Scenario:
    """A kind of fault at some of the calls (from 1) of each operation in turn."""

    kind: Kind
    places: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.kind.name}, at call {' and '.join(map(str, self.places))} of {CALLS}"

    @property
    def operations(self) -> list[str]:
        """The operations that it can happen to."""
        return [name for name in OPERATIONS if not (self.kind.needs_body and name == "report")]

    @property
    def faults(self) -> int:
        """How often the fault happens."""
        return len(self.operations) * len(self.places)


class History:
    """Runs a scenario. `troubles` are the errors that stopped somebody, `uploads` what was planned, by name."""

    def __init__(self, shop: Shop, scenario: Scenario):
        shop.sandbox.reset()
        shop.sandbox.misbehave(delay=HOUR)  # so that what is accepted stays in flight until it is drained
        self.sandbox, self.scenario = shop.sandbox, scenario
        self.proxy = Proxy(shop.sandbox.environment["JWO_API_URL"])
        self.parts = shop.open(self.proxy)
        self.stores = self.sandbox.environment["JWO_STORE_IDS"].split(",")
        self.source = items(*SKUS, KEPT)
        self.uploads: dict[str, pd.DataFrame] = {}
        self.told: dict[str, pd.Series] = {}  # the newest outcomes of each upload
        self.planned_source = self.source
        self.troubles: list[str] = []
        self.wrong: list[str] = []
        self._batches: dict[str, list[Batch]] = {}  # as they are when all is over

    def run(self) -> list[str]:
        """What does not hold in the end; nothing, if all is well."""
        try:
            with batches_of(3):  # of seven items
                self._plan()
                self._struck("upload", self._apply)
                self._resume()
                if any(batch.state is BatchState.REFUSED for batch in leaf_batches(self.parts.ledger.batches("u1"))):
                    self._plan()  # the next upload sends those items again
                    self._apply()
            self.sandbox.misbehave(drop_notifications=99)
            self.sandbox.drain()
            self.sandbox.misbehave(drop_notifications=0)
            self._struck("status", self._ask)
            self._ask()  # for what the first try did not get to
            self._struck("report", self._settle)
            self._come_to_rest()
            self.source = items(KEPT)
            with batches_of(2):  # of six SKUs
                self._plan()
                self._struck("archive", self._apply)
                self._edit()
                self._plan()  # by somebody in a hurry, who does not wait for Amazon, and takes over
                self._apply()
                self._come_to_rest()
            return [*self.wrong, *self._wrong()]
        finally:
            self.proxy.stop()

    def _struck(self, operation: str, act: Callable[[], bool]) -> None:
        """Do something while the fault happens to it, and see whether it happened, and was borne where it must be."""
        if operation not in self.scenario.operations:
            act()
            return
        self.proxy.arm(self.scenario.kind, operation, self.scenario.places)
        if not act() and self.scenario.kind.borne:
            self.wrong.append(f"not borne by {operation}: {self.troubles}")
        for _ in range(ROUNDS):
            self.proxy.heal()
            if self.proxy.fired:
                return
            act()
        self.wrong.append(f"the fault did not happen to {operation}")

    # -- what people and sensors do; whether it succeeded at the first try ----------------------------------------

    def _edit(self) -> None:
        """The source moves on: an item that is being archived is back, with a new price."""
        self.source = pd.concat([items("A", standard_price="2.49"), self.source], ignore_index=True)

    def _plan(self) -> pd.DataFrame:
        name = f"u{len(self.uploads) + 1}"
        self.planned_source = self.source
        self.uploads[name] = self.parts.plan(name, self.source, archive_stores=self.stores)
        return self.uploads[name]

    def _apply(self) -> bool:
        """Apply the newest plan, or resume it."""
        name = list(self.uploads)[-1]
        try:
            batches = self.parts.sender().apply(name, self.uploads[name], FIELDS)
        except (UploadError, CatalogApiError) as error:
            self.troubles.append(f"{type(error).__name__}: {error}")
            return False
        return [batch.attempts for batch in batches] == [1] * CALLS

    def _resume(self) -> None:
        """As long as anything of the newest upload can be sent."""
        for _ in range(ROUNDS):
            if not any(batch.state.sendable for batch in self.parts.ledger.batches(list(self.uploads)[-1])):
                return
            self.proxy.heal()
            self.parts.clock.seconds += HOUR  # past every lease
            self._apply()

    def _ask(self) -> bool:
        answers = ask_overdue(self.parts.ledger, self.parts.api, 0)
        mark_reported(self.parts.ledger)
        return list(answers.values()) == ["DONE"] * CALLS

    def _settle(self) -> bool:
        troubles, accepted = [], True
        for upload in self.parts.ledger.open_uploads():
            outcomes, problems = self.parts.results(upload)
            self.told[upload] = outcomes["outcome"]
            troubles += problems
            accepted &= bool((outcomes["outcome"] == "accepted").all())
        self.troubles += troubles
        return accepted and not troubles

    def _come_to_rest(self) -> None:
        """Resume, hear from Amazon, plan again and send, a day apart, until Amazon is known to hold the source."""
        for _ in range(ROUNDS):
            self._resume()
            self.sandbox.drain()
            self.parts.inbox().receive(20)
            self._ask()
            reconcile_orphans(self.parts.ledger, self.parts.bucket, self.parts.settler().fetch)
            self._ask()
            self._settle()
            if not self._pending():
                self.parts.clock.seconds += 25 * HOUR  # after which no news of what was in doubt is waited for
                expire_doubts(self.parts.ledger, Waits())
                return
            self._plan()
            self._apply()
            self.parts.clock.seconds += 25 * HOUR
        self.wrong.append(f"does not come to rest: {self.troubles[-1:]}")

    def _pending(self) -> bool:
        """Whether another plan would send anything; cheaper than making one, above all where there was no trouble."""
        if self.planned_source is not self.source:
            return True
        told = self.told.get(list(self.uploads)[-1])
        if not self.troubles and told is not None and (told == "accepted").all():
            return False
        known = self.parts.state()
        wanted = item_documents(self.source, FIELDS)
        same = known[known["state"] == "accepted"].merge(wanted, on=["store_id", "item_sku", "content_hash"])
        return not len(same) == len(known) == len(wanted)

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
        table = self.parts.state()
        state = dict(zip(zip(table["store_id"], table["item_sku"], strict=True), table["state"], strict=True))
        yield from (f"unaccounted: {key} is {state.get(key)}" for key in keys if state.get(key) != "accepted")
        yield from (f"unaccounted: {key} is {state[key]}, and gone" for key in state.keys() - keys)
        for upload, batches in self._recorded().items():
            yield from (f"unaccounted: batch {each.id} is {each.state}" for each in batches if not each.is_closed)
            if upload not in self.told:  # refused as a whole, and so never settled
                self.told[upload] = self.parts.outcomes(upload)["outcome"]
            if len(self.told[upload]) != sum(batch.items for batch in leaf_batches(batches)):
                yield f"unaccounted: the outcomes of upload {upload} tell of {len(self.told[upload])} items only"

    def _recorded(self) -> dict[str, list[Batch]]:
        if not self._batches:
            self._batches = {upload: self.parts.ledger.batches(upload) for upload in self.uploads}
        return self._batches

    def _sent_wrongly(self) -> Iterator[str]:
        """Bytes that no batch has; ingestions of one item that were in flight at once, unless of the same bytes."""
        recorded = {batch.sha256 for batches in self._recorded().values() for batch in batches}
        bodies = {hashlib.sha256(body).hexdigest(): body for name, body in self.proxy.bodies if name != "status"}
        ingestions = self.sandbox.get("ingestions")
        sent = bodies.keys() | {call["body_sha256"] for call in ingestions}
        yield from (f"foreign bytes: {sha}" for sha in sent - recorded)
        yield from (f"foreign bytes: {sha} came from nowhere" for sha in sent - bodies.keys())
        known = [call for call in ingestions if call["body_sha256"] in bodies]
        for first, second in combinations(known, 2):
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
