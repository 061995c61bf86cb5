"""`jwo-catalog upload`: plan, show, confirm, send and follow one upload, with the jobs that `dagster dev` runs.

Functions import what they need when they run, so that --help is fast.
"""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from jwo_catalog_pipeline.cli.common import cli_errors, json_option, print_json
from jwo_catalog_pipeline.wording import plural

if TYPE_CHECKING:
    from rich.console import Console

    from jwo_catalog_pipeline.defs.in_process import Pipeline
    from jwo_catalog_pipeline.storage import Bucket
    from jwo_catalog_pipeline.upload.ledger.ledger import Ledger

PLAN_ASSETS = ["source_catalog", "jwo_catalog", "quarantined_items", "catalog_changes"]
PLANS = 5  # of one upload, where others are faster each time
POLL_SECONDS = 5.0  # Amazon takes minutes; a tick costs a call to SQS


def _guards(_context: click.Context, _option: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    if names:
        from jwo_catalog_pipeline.upload.plan.guards import GUARDS

        if unknown := sorted(set(names) - set(GUARDS)):
            raise click.BadParameter(f"there is no guard {', '.join(unknown)}; there are {', '.join(GUARDS)}")
    return names


@click.command()
@click.option("--dry-run", is_flag=True, help="Plan and show; send nothing.")
@click.option("--yes", is_flag=True, help="Send without asking.")
@click.option("--retry-rejected", is_flag=True, help="Send rejected items again even if they have not changed.")
@click.option("--allow", metavar="GUARD", multiple=True, callback=_guards, help="Override this guard for this upload.")
@click.option(
    "--max-invalid-share",
    type=click.FloatRange(0, 1),
    default=0.05,
    show_default=True,
    help="Largest share of invalid rows to accept.",
)
@click.option("--resume", metavar="UPLOAD", help="Resume an upload that stopped or has not settled.")
@click.option(
    "--follow-minutes", type=click.FloatRange(0), default=120, show_default=True, help="How long to wait for results."
)
@json_option
def upload(
    *, dry_run: bool, yes: bool, resume: str | None, follow_minutes: float, as_json: bool, **settings: Any
) -> None:
    """Plan an upload, show the plan, ask for confirmation, send it, and wait until every item has an outcome."""
    if as_json and not (dry_run or yes or resume):
        raise click.UsageError("--json cannot ask for confirmation: add --dry-run or --yes")
    from datetime import UTC, datetime

    from rich.console import Console

    from jwo_catalog_pipeline.console import show_done, show_plan
    from jwo_catalog_pipeline.defs.failures import RunFailed
    from jwo_catalog_pipeline.upload.model import upload_key

    console = Console(stderr=as_json, highlight=False)
    with cli_errors() as resources, _pipeline() as pipeline:
        storage = resources["storage"]
        key = resume or upload_key(datetime.now(UTC))
        work = Upload(pipeline, storage.open_ledger(), storage.open_bucket(), key)
        plan: dict[str, Any] = {}
        for tries_left in reversed(range(PLANS)):
            if not resume:
                with console.status("reading, mapping, checking, planning"):
                    plan = work.plan(dry_run=dry_run, **settings)
                if not as_json:
                    show_plan(console, plan)
                if plan["stopped_by"] or dry_run:
                    _end_of_plan(plan, as_json=as_json)
                    return
                if plan["requests"] and not yes:
                    _ask(f"Send {plural(plan['requests'], 'request')} to Amazon?", key)
            try:
                done = work.apply(console, follow_minutes)
                break
            except RunFailed:
                if resume or not tries_left or not work.another_was_faster():
                    raise
            console.print("Another upload was applied meanwhile, so this one is planned again.")
    if as_json:
        print_json({**plan, **done})
    else:
        show_done(console, done)


def _ask(question: str, key: str) -> None:
    """Ask before sending; end the command if the answer is no, or if there is no answer."""
    try:
        agreed = click.confirm(question)
    except click.Abort:  # Ctrl-C, or the end of the input
        if sys.stdin.isatty():
            raise
        raise click.ClickException(
            "nothing was sent, because there is no terminal to confirm at\n"
            f"Send this plan with --resume {key}, or plan and send without a question with --yes."
        ) from None
    if not agreed:
        raise click.Abort


def _end_of_plan(plan: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(plan)
    if plan["stopped_by"]:
        raise click.ClickException("; ".join(plan["stopped_by"]))
    if not as_json:
        click.echo("Nothing was sent. To send it: jwo-catalog upload")


def _pipeline() -> AbstractContextManager[Pipeline]:
    """The pipeline as the environment configures it; Dagster's UI shows its runs if DAGSTER_HOME is set."""
    from jwo_catalog_pipeline.definitions import build_defs  # reads the environment
    from jwo_catalog_pipeline.defs.in_process import open_pipeline

    return open_pipeline(build_defs(), os.environ.get("DAGSTER_HOME"))


@dataclass(frozen=True)
class Upload:
    """One upload from the command line."""

    pipeline: Pipeline
    ledger: Ledger
    bucket: Bucket
    key: str

    def another_was_faster(self) -> bool:
        """Whether another upload was applied since this one was planned, so that nothing of this one was sent."""
        plan = self.ledger.plan(self.key)
        return plan is not None and self.ledger.upload(self.key) is None and self.ledger.head() != plan.base

    def plan(
        self, *, dry_run: bool, retry_rejected: bool, allow: tuple[str, ...], max_invalid_share: float
    ) -> dict[str, Any]:
        """Read, map, check and plan; sends nothing. What stops a dry run is not noted in the ledger.

        Returns:
            `upload`, `compared_with`, `counts` by kind, `quarantined`, `excluded`, `merged`, `requests`, `stopped_by`
            and `allowed` (messages of guards), `why` (`change`, `reason`, `items`), `changed_fields`
            (`DIFFERENCE_COLUMNS`).

        Raises:
            RunFailed: there is no plan.
        """
        from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS
        from jwo_catalog_pipeline.defs.failures import DRY_RUN_TAG, RunFailed
        from jwo_catalog_pipeline.defs.io_manager import drop_own_tables, table_key
        from jwo_catalog_pipeline.defs.metadata import reasons
        from jwo_catalog_pipeline.defs.sensors import UPLOAD_JOB
        from jwo_catalog_pipeline.upload.errors import NoPlan
        from jwo_catalog_pipeline.upload.plan.differences import field_differences
        from jwo_catalog_pipeline.work_folder import new_path, work_folder

        ops = {
            "jwo_catalog": {"config": {"max_invalid_share": max_invalid_share}},
            "catalog_changes": {"config": {"retry_rejected": retry_rejected, "allow": list(allow)}},
        }
        try:
            self.pipeline.run(UPLOAD_JOB, self.key, ops, PLAN_ASSETS, {DRY_RUN_TAG: "true"} if dry_run else None)
        except RunFailed:
            # A plan that a guard stopped is there, and is shown.
            if self.ledger.plan(self.key) is None:
                raise
        record = self.ledger.plan(self.key)
        if record is None:
            raise NoPlan(f"upload {self.key} has no plan", "materialize catalog_changes for it first")
        if dry_run:
            drop_own_tables(self.bucket, self.key)
        with work_folder() as folder:
            changes = self.bucket.fetch(table_key("catalog_changes", self.key), new_path(folder, "changes"))
            fields, _ = field_differences(self.ledger, self.bucket, changes, list(ITEM_FIELDS))
            why = reasons(changes)
        shown = ("counts", "quarantined", "excluded", "merged", "requests", "stopped_by", "allowed")
        return {
            "upload": self.key,
            "compared_with": record.base_upload or None,
            **{name: getattr(record, name) for name in shown},
            "why": why.to_dict("records"),
            "changed_fields": fields.to_dict("records"),
        }

    def apply(self, console: Console, follow_minutes: float) -> dict[str, Any]:
        """Send the plan, or the rest of it, and follow the upload until it settles.

        Returns:
            `upload`, `state`, `items` by outcome, `reasons` why items were not accepted.

        Raises:
            RunFailed: it stopped; accepted batches stay accepted.
            NotSettled: it has not settled within `follow_minutes`.
        """
        from jwo_catalog_pipeline.defs.in_process import follow
        from jwo_catalog_pipeline.defs.sensors import UPLOAD_JOB
        from jwo_catalog_pipeline.upload.queries import not_accepted, outcome_counts, upload_outcomes
        from jwo_catalog_pipeline.work_folder import work_folder

        def send() -> None:
            self.pipeline.run(UPLOAD_JOB, self.key, only=["ingestion_record"])

        follow(console, self.pipeline, self.ledger, self.key, send, "record", follow_minutes * 60, POLL_SECONDS)
        with work_folder() as folder:
            outcomes = upload_outcomes(self.ledger, self.bucket, self.key, folder)
            items, reasons = outcome_counts(outcomes), not_accepted(outcomes)
        record = self.ledger.upload(self.key)
        return {
            "upload": self.key,
            "state": record.state if record else None,
            "items": items,
            "reasons": reasons.to_dict("records"),
        }
