"""Any history of edits, uploads, delays, rejections and lost messages ends with Amazon holding the newest valid source.

    .venv/bin/pytest jwo_catalog_pipeline_tests/test_any_history.py            100 histories
    PROGRAMS=2000 .venv/bin/pytest jwo_catalog_pipeline_tests/test_any_history.py

The model knows only the source; what Amazon holds is asked of the sandbox.
"""

import os
from contextlib import suppress
from typing import Any, ClassVar

import boto3
import pandas as pd
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from jwo_catalog_pipeline.catalog.changes import ARCHIVE, IN_FLIGHT, SENT_KINDS
from jwo_catalog_pipeline.storage import Bucket, table_bytes
from jwo_catalog_pipeline.upload.errors import AnotherUploadSince, UploadStopped
from jwo_catalog_pipeline.upload.ledger import Ledger
from jwo_catalog_pipeline.upload.published import published_state
from jwo_catalog_pipeline.upload.rebuilding import rebuild_state
from jwo_catalog_pipeline.upload.settling import ask_overdue, mark_reported
from jwo_catalog_pipeline_tests.conftest import FIELDS, Clock, Parts, api_client, items
from jwo_catalog_pipeline_tests.sandbox_fixture import RunningSandbox

PROGRAMS = int(os.environ.get("PROGRAMS", "100"))
SKUS, STORES = ("A", "B", "C"), ("JWO-STORE-01", "JWO-STORE-02")
keys = st.tuples(st.sampled_from(STORES), st.sampled_from(SKUS))
some_keys = st.sets(keys, min_size=1, max_size=4)
FAULTS = (
    "cancel",
    "fatal",
    "drop_notifications",
    "duplicate_notifications",
    "unreadable_notifications",
    "expire_links",
    "close_before_ingesting",
    "close_after_ingesting",
    "error_after_ingesting",
    "no_ingestion_id",
    "throttle",
    "forbid",
)


class History(RuleBasedStateMachine):
    """One retailer: a source that changes, uploads, and an Amazon that takes its time."""

    sandbox: ClassVar[RunningSandbox]

    @initialize(some=some_keys, mixed=st.booleans())
    def open_shop(self, some: set[tuple[str, str]], mixed: bool) -> None:
        self.sandbox.reset()
        env = self.sandbox.environment
        self.sandbox.misbehave(delay=3600, **({"report_shape": "mixed"} if mixed else {}))
        clock = Clock()
        table = boto3.resource("dynamodb").Table(env["JWO_LEDGER_TABLE"])
        bucket = Bucket(boto3.client("s3"), env["JWO_BUCKET"])
        self.parts = Parts(self.sandbox, bucket, Ledger(table, clock), api_client(self.sandbox), clock)
        self.source = dict.fromkeys(some, 1)
        self.quarantine: set[tuple[str, str]] = set()
        self.version = 1
        self.uploads = 0
        self.planned: list[tuple[str, pd.DataFrame]] = []

    # -- the source --------------------------------------------------------------------------------------------

    @rule(some=some_keys)
    def edit(self, some: set[tuple[str, str]]) -> None:
        """Change items, or add them, or bring them back."""
        self.version += 1
        self.source.update(dict.fromkeys(some, self.version))
        self.quarantine -= some

    @rule(some=some_keys, version=st.integers(1, 3))
    def turn_back(self, some: set[tuple[str, str]], version: int) -> None:
        """Give items content that they had before, as after a rollback."""
        self.source.update(dict.fromkeys(some, version))
        self.quarantine -= some

    @rule(some=some_keys)
    def remove(self, some: set[tuple[str, str]]) -> None:
        for key in some:
            self.source.pop(key, None)
        self.quarantine -= some

    @rule(key=keys)
    def break_a_row(self, key: tuple[str, str]) -> None:
        self.source.pop(key, None)
        self.quarantine.add(key)

    # -- uploads -----------------------------------------------------------------------------------------------

    @rule(archive=st.booleans(), retry=st.booleans())
    def upload(self, archive: bool, retry: bool) -> None:
        self.plan(archive, retry)
        self.apply()

    @rule(archive=st.booleans(), retry=st.booleans())
    def plan(self, archive: bool, retry: bool) -> None:
        """Plan only; what is applied later may rest on an older state."""
        self.uploads += 1
        name = f"u{self.uploads:03}"
        self.planned.append((name, self.make_plan(name, archive=archive, retry=retry)))

    @precondition(lambda self: self.planned)
    @rule(back=st.integers(0, 2))
    def apply(self, back: int = 0) -> None:
        """Apply the newest plan, or one that others have overtaken; whatever stops it, it may be resumed, too."""
        upload, plan = self.planned[max(-len(self.planned), -1 - back)]
        with suppress(AnotherUploadSince, UploadStopped):
            self.parts.sender().apply(upload, plan, FIELDS)

    @precondition(lambda self: self.uploads > 1)
    @rule(back=st.integers(1, 3))
    def resume_an_older_upload(self, back: int) -> None:
        upload = f"u{max(1, self.uploads - back):03}"
        if self.parts.ledger.upload(upload):
            with suppress(AnotherUploadSince, UploadStopped):
                self.parts.sender().apply(upload, pd.DataFrame(), FIELDS)

    # -- Amazon ------------------------------------------------------------------------------------------------

    @rule(fault=st.sampled_from(FAULTS), operation=st.sampled_from(("upload", "archive")))
    def misbehave(self, fault: str, operation: str) -> None:
        self.sandbox.misbehave(**{fault: 1, "operation": operation})

    @rule(skus=st.sets(st.sampled_from(SKUS), max_size=2))
    def reject(self, skus: set[str]) -> None:
        self.sandbox.misbehave(reject_skus=sorted(skus))

    @rule(skus=st.sets(st.sampled_from(SKUS), max_size=2))
    def keep_on_planogram(self, skus: set[str]) -> None:
        self.sandbox.misbehave(still_on_planogram=sorted(skus))

    @rule(seconds=st.sampled_from((60, 3600, 7200)), reorder=st.booleans())
    def take_longer(self, seconds: int, reorder: bool) -> None:
        """What is accepted later is processed earlier, or later."""
        self.sandbox.misbehave(delay=seconds, reorder_notifications=reorder)

    @rule()
    def process(self) -> None:
        self.sandbox.drain()

    # -- results -----------------------------------------------------------------------------------------------

    @rule()
    def receive(self) -> None:
        self.parts.inbox().receive(20)
        mark_reported(self.parts.ledger)

    @rule()
    def poll(self) -> None:
        ask_overdue(self.parts.ledger, self.parts.api, 0)
        mark_reported(self.parts.ledger)

    @rule()
    def settle(self) -> None:
        for upload in self.parts.ledger.open_uploads():
            self.parts.settler().settle(upload)

    @rule()
    def a_day_passes(self) -> None:
        """Amazon is done with everything long before."""
        self.sandbox.drain()
        self.parts.clock.seconds += 25 * 3600

    # -- what must hold ----------------------------------------------------------------------------------------

    def make_plan(self, upload: str, *, archive: bool, retry: bool) -> pd.DataFrame:
        stores = self.sandbox.environment["JWO_STORE_IDS"].split(",") if archive else []
        quarantined = self.rows(dict.fromkeys(self.quarantine, 0))
        return self.parts.plan(upload, self.valid(), quarantined, archive_stores=stores, retry_rejected=retry)

    def valid(self) -> pd.DataFrame:
        return self.rows(self.source)

    @staticmethod
    def rows(versions: dict[tuple[str, str], int]) -> pd.DataFrame:
        parts = [items(sku, store=store, item_name=f"Item v{v}") for (store, sku), v in sorted(versions.items())]
        return pd.concat([items(), *parts], ignore_index=True)

    def held(self) -> dict[tuple[str, str], int]:
        return {
            (each["store_id"], each["item_sku"]): int(each["item_name"].removeprefix("Item v"))
            for each in self.sandbox.get("catalog")
        }

    @rule()
    def rebuild(self) -> None:
        running = published_state(self.parts.ledger, self.parts.bucket)
        assert table_bytes(running) == table_bytes(rebuild_state(self.parts.ledger, self.parts.bucket).now)

    def teardown(self) -> None:
        """Let everything come to an end, and compare what Amazon holds with the source."""
        if not hasattr(self, "parts"):
            return
        self.sandbox.misbehave(**dict.fromkeys(FAULTS, 0), operation="upload")
        self.sandbox.misbehave(**dict.fromkeys(FAULTS, 0), operation="archive")
        self.sandbox.misbehave(reject_skus=[], still_on_planogram=[])
        for _ in range(5):
            self.a_day_passes()
            self.receive()
            self.poll()
            self.settle()
            self.plan(archive=True, retry=True)
            self.apply()
            if not set(self.planned[-1][1]["change"]) & {*SENT_KINDS, ARCHIVE, IN_FLIGHT}:
                break
        else:
            raise AssertionError("does not come to rest")
        self.rebuild()
        held, skus = self.held(), {sku for _, sku in (*self.source, *self.quarantine)}
        assert {key: held.get(key) for key in self.source} == self.source
        assert {sku for _, sku in held} <= skus


def test_after_any_history_amazon_holds_the_newest_valid_source(sandbox: RunningSandbox) -> None:
    History.sandbox = sandbox
    # The same histories each time, so that a change is judged by itself; a long run looks for new ones.
    known = "PROGRAMS" not in os.environ
    limits: dict[str, Any] = {
        "max_examples": PROGRAMS,
        "stateful_step_count": 20,
        "deadline": None,
        "derandomize": known,
    }
    run_state_machine_as_test(
        History, settings=settings(**limits, suppress_health_check=list(HealthCheck), print_blob=True)
    )
