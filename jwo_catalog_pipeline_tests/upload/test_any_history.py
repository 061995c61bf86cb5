"""Any history of edits, uploads, delays, rejections and lost messages ends with Amazon holding the newest valid source.

    .venv/bin/pytest -m thorough jwo_catalog_pipeline_tests/upload/test_any_history.py    100 histories
    PROGRAMS=2000 .venv/bin/pytest -m thorough jwo_catalog_pipeline_tests/upload/test_any_history.py

The model knows only the source; what Amazon holds is asked of the sandbox.
"""

import os
from contextlib import suppress
from typing import Any, ClassVar

import boto3
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from jwo_catalog_pipeline.storage import Bucket, table_bytes
from jwo_catalog_pipeline.upload.errors import AnotherUploadSince, UploadStopped
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.plan.changes import ARCHIVE, IN_FLIGHT, SENT_KINDS
from jwo_catalog_pipeline.upload.recovery import applied_uploads
from jwo_catalog_pipeline.upload.results.polling import ask_overdue, mark_reported
from jwo_catalog_pipeline_tests.support.parts import FIELDS, Clock, Parts, api_client, items
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

FEW, PROGRAMS = 6, int(os.environ.get("PROGRAMS", "100"))
Key = tuple[str, str]
OPERATIONS = ("upload", "archive")
SKUS, STORES = ("A", "B", "C"), ("JWO-STORE-01", "JWO-STORE-02")
keys = st.tuples(st.sampled_from(STORES), st.sampled_from(SKUS))
some_keys = st.sets(keys, min_size=1, max_size=4)
delays = st.sampled_from((60, 3600, 7200))  # seconds from accepting to processing: in any order
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
some_skus = st.sets(st.sampled_from(SKUS), max_size=2).map(sorted)
troubles = st.one_of(
    st.builds(lambda fault, of: {fault: 1, "operation": of}, st.sampled_from(FAULTS), st.sampled_from(OPERATIONS)),
    some_skus.map(lambda skus: {"reject_skus": skus}),
    some_skus.map(lambda skus: {"still_on_planogram": skus}),
    st.booleans().map(lambda reorder: {"reorder_notifications": reorder}),
)


class History(RuleBasedStateMachine):
    """One retailer: a source that changes, uploads, and an Amazon that takes its time."""

    sandbox: ClassVar[RunningSandbox]

    @initialize(some=some_keys, mixed=st.booleans())
    def open_shop(self, some: set[Key], mixed: bool) -> None:
        self.sandbox.reset()
        env = self.sandbox.environment
        self.sandbox.misbehave(delay=3600, **({"report_shape": "mixed"} if mixed else {}))
        clock = Clock()
        table = boto3.resource("dynamodb").Table(env["JWO_LEDGER_TABLE"])
        bucket = Bucket(boto3.client("s3"), env["JWO_BUCKET"])
        self.parts = Parts(self.sandbox, bucket, Ledger(table, clock), api_client(self.sandbox), clock)
        self.source = dict.fromkeys(some, 1)
        self.quarantine: set[Key] = set()
        self.version = 1
        self.uploads = 0
        self.planned: list[tuple[str, pd.DataFrame]] = []

    # -- the source --------------------------------------------------------------------------------------------

    @rule(some=some_keys, how=st.sampled_from(("edit", "turn_back", "remove", "remove_skus", "break_rows")))
    def change(self, some: set[Key], how: str) -> None:
        getattr(self, how)(some)
        self.quarantine |= some if how == "break_rows" else set()

    def edit(self, some: set[Key]) -> None:
        """Change items, or add them, or bring them back."""
        self.version += 1
        self.put(some, self.version)

    def turn_back(self, some: set[Key]) -> None:
        """Give items the content that they had at first, as after a rollback."""
        self.put(some, 1)

    def put(self, some: set[Key], version: int) -> None:
        self.source.update(dict.fromkeys(some, version))
        self.quarantine -= some

    def remove(self, some: set[Key]) -> None:
        for key in some:
            self.source.pop(key, None)
        self.quarantine -= some

    def remove_skus(self, some: set[Key]) -> None:
        self.remove({(store, sku) for store in STORES for _, sku in some})

    def break_rows(self, some: set[Key]) -> None:
        self.remove(some)

    # -- uploads -----------------------------------------------------------------------------------------------

    @rule(some=st.sets(keys, max_size=4), archive=st.booleans(), retry=st.booleans(), seconds=delays)
    def upload(self, some: set[Key], *, archive: bool, retry: bool, seconds: int) -> None:
        """Upload, most often with changes, to an Amazon that is done with it before, or after, what it got earlier."""
        self.edit(some)
        self.plan(archive=archive, retry=retry)
        self.apply(0, seconds)

    @rule(archive=st.booleans(), retry=st.booleans())
    def plan(self, *, archive: bool, retry: bool) -> None:
        """Plan only; what is applied later may rest on an older state."""
        self.uploads += 1
        name = f"u{self.uploads:03}"
        self.planned.append((name, self.make_plan(name, archive=archive, retry=retry)))

    @precondition(lambda self: self.planned)
    @rule(back=st.integers(0, 2), seconds=delays)
    def apply(self, back: int, seconds: int) -> None:
        """Apply the newest plan, or one that others have overtaken; whatever stops it, it may be resumed, too."""
        self.sandbox.misbehave(delay=seconds)
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

    @rule(trouble=troubles)
    def trouble(self, trouble: dict[str, Any]) -> None:
        self.sandbox.misbehave(**trouble)

    @rule()
    def process(self) -> None:
        self.sandbox.drain()

    # -- results -----------------------------------------------------------------------------------------------

    @rule(how=st.sampled_from(("receive", "poll", "settle")))
    def hear(self, how: str) -> None:
        getattr(self, how)()

    def receive(self) -> None:
        self.parts.inbox().receive(20)
        mark_reported(self.parts.ledger)

    def poll(self) -> None:
        ask_overdue(self.parts.ledger, self.parts.api, 0)
        mark_reported(self.parts.ledger)

    def settle(self) -> None:
        for upload in self.parts.ledger.open_uploads():
            self.parts.results(upload)

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
    def rows(versions: dict[Key, int]) -> pd.DataFrame:
        parts = [items(sku, store=store, item_name=f"Item v{v}") for (store, sku), v in sorted(versions.items())]
        return pd.concat([items(), *parts], ignore_index=True)

    def held(self) -> dict[Key, int]:
        return {
            (each["store_id"], each["item_sku"]): int(each["item_name"].removeprefix("Item v"))
            for each in self.sandbox.get("catalog")
        }

    @rule()
    def rebuild(self) -> None:
        """What was applied is remembered, and the running state is what all of it comes to."""
        applied = [f"u{n:03}" for n in range(1, self.uploads + 1) if self.parts.ledger.upload(f"u{n:03}")]
        assert sorted(applied_uploads(self.parts.ledger)) == applied
        running = self.parts.state()
        assert table_bytes(running) == table_bytes(self.parts.rebuilt())

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
            self.apply(0, 60)
            if not set(self.planned[-1][1]["change"]) & {*SENT_KINDS, ARCHIVE, IN_FLIGHT}:
                break
        else:
            raise AssertionError("does not come to rest")
        self.rebuild()
        held, skus = self.held(), {sku for _, sku in (*self.source, *self.quarantine)}
        assert {key: held.get(key) for key in self.source} == self.source
        assert {sku for _, sku in held} <= skus


def search(sandbox: RunningSandbox, programs: int) -> None:
    """Look at so many histories, the same ones each time, so that a change is judged alone; PROGRAMS finds others."""
    History.sandbox = sandbox
    limits: dict[str, Any] = {
        "max_examples": programs,
        "stateful_step_count": 20,
        "deadline": None,
        "derandomize": "PROGRAMS" not in os.environ,
    }
    run_state_machine_as_test(
        History, settings=settings(**limits, suppress_health_check=list(HealthCheck), print_blob=True)
    )


def test_after_a_few_histories_amazon_holds_the_newest_valid_source(sandbox: RunningSandbox) -> None:
    search(sandbox, FEW)


@pytest.mark.thorough
def test_after_any_history_amazon_holds_the_newest_valid_source(sandbox: RunningSandbox) -> None:
    search(sandbox, PROGRAMS)
