"""A retailer whose pipeline is run as in production, and can be killed: what a run does, and what comes after.

Every step runs in a process of its own, forked from one that has imported everything and connected to nothing.
"""

import os
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pandas as pd

from jwo_catalog_pipeline import failpoints
from jwo_catalog_pipeline.catalog_api.client import CatalogApi
from jwo_catalog_pipeline.catalog_api.errors import CatalogApiError
from jwo_catalog_pipeline.catalog_api.signing import AmbientCredentials
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.upload.errors import UploadError
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.plan.changes import IN_FLIGHT, SENT_KINDS
from jwo_catalog_pipeline.upload.results.in_doubt import expire_doubts, reconcile_orphans
from jwo_catalog_pipeline.upload.results.polling import ask_overdue, mark_reported
from jwo_catalog_pipeline.upload.waiting import Waits
from jwo_catalog_pipeline_tests.support.parts import FIELDS, Clock, Parts, api_client, items
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

Key = tuple[str, str]
STORES = ("JWO-STORE-01", "JWO-STORE-02", "JWO-STORE-03")
DAY = 24 * 3600
LEASE = 301  # seconds, after which whoever was killed no longer holds a batch
DAYS_TO_REST = 6
DONE, FAILED, STOPPED = 0, 1, 2  # how a step's process ends: well, by an error that nobody expects, by one of ours
EXPECTED = (UploadError, CatalogApiError)


@dataclass
class Retailer:
    """Its source, and a clock that only the harness moves. `errors` is where steps say why they failed."""

    sandbox: RunningSandbox
    errors: Path
    source: dict[Key, int] = field(default_factory=dict)  # item to the version of its content
    seconds: float = Clock.seconds
    uploads: int = 0

    def __post_init__(self) -> None:
        env = self.sandbox.environment
        self.bucket = Bucket(boto3.client("s3"), env["JWO_BUCKET"])
        self.table = boto3.resource("dynamodb").Table(env["JWO_LEDGER_TABLE"])
        self.api = _api(self.sandbox)
        self.queue = boto3.client("sqs")

    # -- what the harness does ---------------------------------------------------------------------------------

    def next_upload(self) -> str:
        self.uploads += 1
        return f"u{self.uploads:05}"

    def rows(self) -> pd.DataFrame:
        """The valid items of the source, as the field mapping gives them."""
        parts = []
        for version in sorted(set(self.source.values())):
            for store in STORES:
                skus = [sku for (at, sku), one in self.source.items() if (at, one) == (store, version)]
                parts.append(items(*skus, store=store, item_name=f"Item v{version}"))
        table = pd.concat([items(), *parts], ignore_index=True)
        return table.sort_values(["store_id", "item_sku"], ignore_index=True)

    def expected(self) -> dict[Key, dict[str, Any]]:
        """What Amazon must hold in the end, by store and SKU."""
        fields = {"external_product_id": "4006381333931", "external_product_id_type": "EAN", "standard_price": "1.99"}
        return {
            (store, sku): {"item_sku": sku, "store_id": store, "item_name": f"Item v{version}", **fields}
            for (store, sku), version in self.source.items()
        }

    def step(self, work: Callable[[Parts], object], observer: Callable[[str], None] | None = None) -> int:
        """Do something in a process of its own; gives how it ended: an exit code, or minus a signal's number."""
        return ended(self.begin(work, observer))

    def begin(self, work: Callable[[Parts], object], observer: Callable[[str], None] | None = None) -> int:
        """Start something in a process of its own; gives its id."""
        pid = os.fork()
        if pid:
            return pid
        code = FAILED
        try:
            if observer:
                failpoints.arm(observer)
            work(self.parts())
            code = DONE
        except EXPECTED:
            self.errors.write_text(traceback.format_exc())
            code = STOPPED
        except BaseException:  # noqa: BLE001 (whatever it is, it must not go on in the parent's stack)
            self.errors.write_text(traceback.format_exc())
        finally:
            os._exit(code)

    def must(self, work: Callable[[Parts], object]) -> None:
        """Do something that has to go well, after whatever happened before."""
        if self.step(work) != DONE:
            raise AssertionError(f"a step failed though nothing was broken in it: {self.errors.read_text()[-2000:]}")

    def parts(self) -> Parts:
        clock = Clock(self.seconds)
        return Parts(self.sandbox, self.bucket, Ledger(self.table, clock), self.api, clock, queue=self.queue)

    def warm_up(self) -> None:
        """Do a day's work in this process, so that those forked from it find everything imported.

        Never of the retailer whose steps are run: they would share its connections.
        """
        self.rest("")(self.parts())

    # -- what a run of the pipeline does -----------------------------------------------------------------------

    def upload(self, key: str) -> Callable[[Parts], object]:
        """Plan and apply an upload, or apply the plan that is there, or resume; archiving is on."""
        stored = self.errors.with_name(f"{self.bucket.name} {key}.parquet")  # the plan, as Dagster's asset keeps it

        def work(parts: Parts) -> None:
            changes = pd.read_parquet(stored) if stored.exists() else self.plan(parts, key)
            if not stored.exists():
                unfinished = stored.with_suffix(f".{os.getpid()}")
                changes.to_parquet(unfinished)
                unfinished.rename(stored)
            parts.sender(owner=f"run {os.getpid()}").apply(key, changes, FIELDS)

        return work

    def plan(self, parts: Parts, key: str) -> pd.DataFrame:
        return parts.plan(key, self.rows(), archive_stores=STORES, retry_rejected=True)

    @staticmethod
    def hear(parts: Parts) -> None:
        """All that the sensors do, and the runs that they ask for."""
        parts.inbox().receive(20)
        mark_reported(parts.ledger)
        ask_overdue(parts.ledger, parts.api, 0)
        reconcile_orphans(parts.ledger, parts.bucket, parts.settler().fetch)
        expire_doubts(parts.ledger, Waits())
        mark_reported(parts.ledger)
        for upload in parts.ledger.open_uploads():
            parts.results(upload)

    def settle_everything(self, resume: str = "") -> None:
        """Resume, hear and upload again, as sensors and schedule would, until nothing is left to do.

        Raises:
            AssertionError: it does not come to rest, or a step fails.
        """
        self.must(self.rest(resume))
        self.uploads += DAYS_TO_REST
        self.seconds += DAYS_TO_REST * (DAY + 1) + LEASE

    def rest(self, resume: str) -> Callable[[Parts], object]:
        """The work of coming to rest; moves the clock of its own process by up to `DAYS_TO_REST` days."""

        def work(parts: Parts) -> None:
            if resume:
                parts.clock.seconds += LEASE
                with suppress(*EXPECTED):
                    self.upload(resume)(parts)
            for day in range(1, DAYS_TO_REST + 1):
                self.sandbox.drain()
                self.hear(parts)
                key = f"u{self.uploads + day:05}"
                changes = self.plan(parts, key)
                open_kinds = {*SENT_KINDS, "archive", IN_FLIGHT} & set(changes["change"])
                if not open_kinds:
                    return
                if open_kinds != {IN_FLIGHT}:
                    parts.sender(owner=f"run {os.getpid()}").apply(key, changes, FIELDS)
                if day > 1:
                    parts.clock.seconds += DAY + 1
            raise AssertionError(f"does not come to rest: the last plan still has {sorted(open_kinds)}")

        return work


def ended(pid: int) -> int:
    """How a process ended, once it has: an exit code, or minus a signal's number."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _api(sandbox: RunningSandbox) -> CatalogApi:
    """The client with the static key pair: a session would cost every process a call to STS."""
    return api_client(sandbox, credentials=AmbientCredentials())
