"""`jwo-catalog upload`: plan, show, ask, apply and follow one upload, with the jobs that `dagster dev` runs."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dagster as dg
from rich.console import Console

from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS
from jwo_catalog_pipeline.defs.failures import RunFailed
from jwo_catalog_pipeline.defs.in_process import Pipeline, follow
from jwo_catalog_pipeline.defs.io_manager import table_key
from jwo_catalog_pipeline.defs.plan_metadata import reasons
from jwo_catalog_pipeline.defs.sensors import UPLOAD_JOB
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.upload.errors import NoPlan
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.plan.changes import UNCHANGED
from jwo_catalog_pipeline.upload.plan.differences import field_differences
from jwo_catalog_pipeline.upload.results.settle import not_accepted, upload_outcomes

PLAN_ASSETS = ["source_catalog", "jwo_catalog", "quarantined_items", "catalog_changes"]
POLL_SECONDS = 5.0  # Amazon takes minutes; a tick costs a call to SQS


@contextmanager
def open_pipeline() -> Iterator[Pipeline]:
    """The pipeline as the environment configures it; its runs are shown in Dagster's UI where DAGSTER_HOME is set."""
    from jwo_catalog_pipeline.definitions import build_defs  # reads the environment

    if os.environ.get("DAGSTER_HOME"):
        with dg.DagsterInstance.get() as instance:
            yield Pipeline(build_defs(), instance)
        return
    with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.local_temp(folder) as instance:
        yield Pipeline(build_defs(), instance)


@dataclass(frozen=True)
class Upload:
    """One upload from the command line."""

    pipeline: Pipeline
    ledger: Ledger
    bucket: Bucket
    key: str

    def plan(self, *, retry_rejected: bool, allow: tuple[str, ...], max_invalid_share: float) -> dict[str, Any]:
        """Read, map, check and plan; sends nothing.

        Returns:
            `upload`, `compared_with`, `counts` by kind, `quarantined`, `requests`, `stopped_by` and `allowed`
            (sentences of guards), `why` (`change`, `reason`, `items`), `changed_fields` (`DIFFERENCE_COLUMNS`).

        Raises:
            RunFailed: there is no plan.
        """
        ops = {
            "jwo_catalog": {"config": {"max_invalid_share": max_invalid_share}},
            "catalog_changes": {"config": {"retry_rejected": retry_rejected, "allow": list(allow)}},
        }
        try:
            self.pipeline.run(UPLOAD_JOB, self.key, ops, PLAN_ASSETS)
        except RunFailed:
            # A plan that a guard stopped is there, and is shown.
            if self.ledger.plan(self.key) is None:
                raise
        record = self.ledger.plan(self.key)
        if record is None:
            raise NoPlan(f"upload {self.key} has no plan; materialize catalog_changes for it first")
        changes = self.bucket.get_table(table_key("catalog_changes", self.key))
        fields, _ = field_differences(self.ledger, self.bucket, changes, list(ITEM_FIELDS))
        return {
            "upload": self.key,
            "compared_with": record.base_upload or None,
            **{name: getattr(record, name) for name in ("counts", "quarantined", "requests", "stopped_by", "allowed")},
            "why": reasons(changes[changes["change"] != UNCHANGED]).to_dict("records"),
            "changed_fields": fields.to_dict("records"),
        }

    def apply(self, console: Console, follow_minutes: float) -> dict[str, Any]:
        """Send the plan, or what is left of it, and follow it to its end.

        Returns:
            `upload`, `state`, `items` by outcome, `reasons` why items were not accepted, `fix_list` (its address).

        Raises:
            RunFailed: it stopped; what was accepted stays accepted.
            NotSettled: not within `follow_minutes`.
        """

        def send() -> None:
            self.pipeline.run(UPLOAD_JOB, self.key, only=["ingestion_record"])

        follow(console, self.pipeline, self.ledger, self.key, send, "record", follow_minutes * 60, POLL_SECONDS)
        outcomes = upload_outcomes(self.ledger, self.bucket, self.key)
        record = self.ledger.upload(self.key)
        return {
            "upload": self.key,
            "state": record.state if record else None,
            "items": {str(name): int(count) for name, count in outcomes["outcome"].value_counts().items()},
            "reasons": not_accepted(outcomes).to_dict("records"),
        }
