"""The upload protocol's parts, wired to the sandbox, and what they work on."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
import pandas as pd
import urllib3

from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS
from jwo_catalog_pipeline.catalog_api.client import CatalogApi, SignedCall, http_pool
from jwo_catalog_pipeline.catalog_api.operations import OPERATIONS
from jwo_catalog_pipeline.catalog_api.report import report_http
from jwo_catalog_pipeline.catalog_api.requests import upload_body
from jwo_catalog_pipeline.catalog_api.responses import Accepted
from jwo_catalog_pipeline.catalog_api.signing import RoleCredentials
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.table_file import TableFile, as_arrow, table_of
from jwo_catalog_pipeline.upload.exports import UNKNOWN_EXPORT
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import Batch
from jwo_catalog_pipeline.upload.plan.guards import GUARDS
from jwo_catalog_pipeline.upload.plan.plan import Plan, PlanSettings, make_plan
from jwo_catalog_pipeline.upload.published_state import published_state
from jwo_catalog_pipeline.upload.queries import upload_outcomes
from jwo_catalog_pipeline.upload.recovery import rebuild_state
from jwo_catalog_pipeline.upload.results.inbox import Inbox
from jwo_catalog_pipeline.upload.results.polling import mark_reported
from jwo_catalog_pipeline.upload.results.settle import Settler
from jwo_catalog_pipeline.upload.send.sender import Sender
from jwo_catalog_pipeline.work_folder import new_path, work_folder
from jwo_catalog_pipeline_tests.support.project import KEY, assert_every_item_once, not_in
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

FIELDS = list(ITEM_FIELDS)
# Guards have tests of their own; in the others a catalog of three items may lose two.
ALLOWED = {"allow": tuple(GUARDS)}


@dataclass
class Clock:
    """A clock that only tests move; starts at a real moment, for signatures have nothing to do with it."""

    seconds: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


class FrameSender(Sender):
    """Takes a plan as rows in memory, too: with rows of unchanged items, it is one of schema 3."""

    def apply(self, upload: str, changes: pd.DataFrame | TableFile, fields: list[str]) -> list[Batch]:
        with TemporaryDirectory() as folder:
            table = table_of(changes, Path(folder, "plan.parquet")) if isinstance(changes, pd.DataFrame) else changes
            return super().apply(upload, table, fields)


@dataclass
class Parts:
    """The upload protocol's parts, wired to the sandbox; `slept` lists the pauses that sending asked for."""

    sandbox: RunningSandbox
    bucket: Bucket
    ledger: Ledger
    api: CatalogApi
    clock: Clock
    slept: list[float] = field(default_factory=list)
    owners: Iterator[int] = field(default_factory=count)
    queue: Any = field(default_factory=lambda: boto3.client("sqs"))
    topics: Any = field(default_factory=lambda: boto3.client("sns"))
    work: Any = field(default_factory=TemporaryDirectory)

    def sender(self, **changes: Any) -> FrameSender:
        values = {"api": self.api, "owner": f"run-{next(self.owners)}", "sleep": self.slept.append, **changes}
        return FrameSender(self.ledger, self.bucket, **values)

    def inbox(self, verify: Any = None) -> Inbox:
        env = self.sandbox.environment
        return Inbox(
            self.queue,
            self.topics,
            env["JWO_QUEUE_URL"],
            env["JWO_TOPIC_ARN"],
            self.ledger,
            self.bucket,
            verify,
        )

    def settler(self) -> Settler:
        return Settler(self.ledger, self.bucket, self.api, report_http(), self.sandbox.environment["AWS_ENDPOINT_URL"])

    def make_plan(
        self, upload: str, items: pd.DataFrame, quarantined: pd.DataFrame | None = None, **settings: Any
    ) -> Plan:
        nothing = items.iloc[:0]
        quarantined = nothing if quarantined is None else quarantined
        export = settings.pop("export", UNKNOWN_EXPORT)
        plan_settings = PlanSettings(**{**ALLOWED, **settings})
        tables = (table_of(table, new_path(self.folder, "given")) for table in (items, quarantined))
        plan = make_plan(self.ledger, self.bucket, upload, *tables, FIELDS, plan_settings, self.folder, export)
        assert_every_item_once(plan.changes.frame(), items, quarantined, plan.counts["unchanged"])
        return plan

    def plan(self, upload: str, items: pd.DataFrame, quarantined: pd.DataFrame | None = None, **settings: Any) -> Any:
        """The rows of a plan, and one for each unchanged item: valid, published and in no row of it."""
        plan = self.make_plan(upload, items, quarantined, **settings)
        changes, published = plan.changes.frame(), self.state()
        unchanged = not_in(changes, items.merge(published[[*KEY, "content_hash"]])).assign(
            change="unchanged", document_bytes=0
        )
        assert len(unchanged) == plan.counts["unchanged"]
        rows = pd.concat([changes, unchanged[[name for name in changes if name in unchanged]]])
        return rows.sort_values(KEY, ignore_index=True) if len(unchanged) else changes

    def apply(self, upload: str, items: pd.DataFrame, **settings: Any) -> list[Batch]:
        return self.sender().apply(upload, self.plan(upload, items, **settings), FIELDS)

    def settle(self, upload: str) -> pd.DataFrame:
        """Process, receive, mark and fetch: everything that follows an upload."""
        self.sandbox.drain()
        self.inbox().receive(20)
        mark_reported(self.ledger)
        outcomes, problems = self.results(upload)
        assert problems == []
        return outcomes

    @property
    def folder(self) -> Path:
        """Where tables are worked on; it goes with the parts."""
        return Path(self.work.name)

    def state(self) -> pd.DataFrame:
        """What Amazon is known to hold, by store and SKU."""
        return published_state(self.ledger, self.bucket, self.folder).frame().sort_values(KEY, ignore_index=True)

    def rebuilt(self) -> pd.DataFrame:
        """The same from every batch and report."""
        return rebuild_state(self.ledger, self.bucket, self.folder).now.frame().sort_values(KEY, ignore_index=True)

    def results(self, upload: str) -> tuple[pd.DataFrame, list[str]]:
        """Fetch what is reported."""
        with work_folder() as folder:
            outcomes, problems = self.settler().settle(upload, folder)
            return outcomes.frame(), problems

    def outcomes(self, upload: str) -> pd.DataFrame:
        """What is known of an upload's items."""
        with work_folder() as folder:
            return upload_outcomes(self.ledger, self.bucket, upload, folder).frame()

    def published(self) -> dict[tuple[str, str], str]:
        table = self.state()
        return dict(zip(zip(table["store_id"], table["item_sku"], strict=True), table["state"], strict=True))

    def sent(self) -> int:
        """Upload calls that reached the service."""
        return sum(call["operation"] == "upload" for call in self.sandbox.get("requests"))


class KilledWhileSending:
    """A client whose worker is killed in a call, before or after Amazon got it."""

    def __init__(self, api: CatalogApi, *, sent: bool):
        self.api, self.sent = api, sent
        self.check_ready, self.sign = api.check_ready, api.sign

    def deliver(self, call: SignedCall, seconds: float) -> None:
        if self.sent:
            self.api.deliver(call, seconds)
        raise KeyboardInterrupt


class NoLimit:
    """A call budget that is never used up; tests of the real one are in `test_call_budget`."""

    def take(self) -> None:
        pass

    def slow_down(self) -> None:
        pass


def api_client(sandbox: RunningSandbox, **changes: Any) -> CatalogApi:
    env = sandbox.environment
    values = {
        "url": env["JWO_API_URL"],
        "region": env["JWO_API_REGION"],
        "credentials": RoleCredentials(env["JWO_API_ROLE_ARN"], lambda: boto3.client("sts")),
        "budget": NoLimit(),
        "http": http_pool(),
        **changes,
    }
    return CatalogApi(**values)


def deliver(api: CatalogApi, body: bytes, operation: str = "upload") -> Accepted:
    return api.deliver(api.sign(OPERATIONS[operation], body))


def impatient_pool() -> urllib3.PoolManager:
    """Gives up after a quarter of a second, where a test waits for a time-out."""
    return urllib3.PoolManager(timeout=urllib3.Timeout(connect=1, read=0.25))


def items(*skus: str, store: str = "JWO-STORE-01", **changes: str) -> pd.DataFrame:
    """Valid items with these SKUs, ordered by SKU; changes apply to all of them."""
    rows = [
        {
            **dict.fromkeys(FIELDS),
            "item_sku": sku,
            "external_product_id": "4006381333931",
            "external_product_id_type": "EAN",
            "item_name": f"Item {sku}",
            "store_id": store,
            "standard_price": "1.99",
            **changes,
        }
        for sku in sorted(skus)
    ]
    return pd.DataFrame(rows, columns=FIELDS, dtype="str")


def body_of(**changes: str) -> bytes:
    return upload_body(as_arrow(items("A", **changes)), FIELDS)
