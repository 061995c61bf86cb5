"""Applying an upload in Dagster: who sends, who may stop it, and what is done when another upload was faster."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS
from jwo_catalog_pipeline.catalog.rules.validation import revalidate
from jwo_catalog_pipeline.defs.failures import was_terminated
from jwo_catalog_pipeline.defs.io_manager import drop_own_tables
from jwo_catalog_pipeline.defs.planning import plan_again, planner
from jwo_catalog_pipeline.defs.resources import CatalogApiResource, StorageResource, UploadPolicyResource
from jwo_catalog_pipeline.table_file import TableFile, table_of
from jwo_catalog_pipeline.upload.errors import Overtaken, SendingHalted
from jwo_catalog_pipeline.upload.model import Batch
from jwo_catalog_pipeline.upload.plan.changes import to_send
from jwo_catalog_pipeline.upload.send.newest import NewestFirst
from jwo_catalog_pipeline.upload.send.sender import Sender
from jwo_catalog_pipeline.wording import plural

_LOOK_SECONDS = 1.0  # between two looks at whether to stop, while waiting


def apply_upload(
    context: dg.AssetExecutionContext,
    storage: StorageResource,
    api: CatalogApiResource,
    policy: UploadPolicyResource,
    folder: Path,
    changes: TableFile,
) -> list[Batch] | None:
    """Send the plan of the run's upload, or what is left of it; gives the upload's batches.

    None where an upload of a newer export was faster than a run that plans by itself: nothing is left to send.

    If this run, or one that it repeats, has made the plan, it plans again where another upload was applied since. A
    plan that was made apart from the sending has been looked at, so it is sent as it is, or not at all.

    Raises:
        Overtaken: a plan that was made apart is older than what another upload has applied.
        UploadError, CatalogApiError: as `Sender.apply`.
    """
    upload, ledger = context.partition_key, storage.open_ledger()
    stop = ledger.stopped(upload)
    if stop and not stop.kind.heals:
        ledger.forget_stopped(upload)  # somebody has started it again
    sent = table_of(to_send(changes.frame()), folder / "to_send.parquet")
    revalidate(sent, folder, policy.store_ids or None)
    sender = Sender(
        ledger,
        storage.open_bucket(),
        api.client(ledger),
        owner=context.run.run_id,
        lease_seconds=policy.lease_seconds,
        on_batch=lambda batch, of: context.log.info(
            f"batch {batch.id} ({of:,} in all): {plural(batch.items, 'item')}, {batch.state} {batch.ingestion_id}"
        ),
        halted=partial(_halted, context),
    )
    recorded = ledger.plan(upload)
    ours = recorded is not None and recorded.planned_by == planner(context)
    again = partial(_plan_again, context, storage, policy, folder) if ours else None
    newest_first = NewestFirst(sender, again, partial(_wait, context), context.log.info)
    try:
        batches = newest_first.apply(upload, changes.frame(), list(ITEM_FIELDS))
    except Overtaken as overtaken:
        if not ours:
            _tidy_up(storage, upload)
            raise
        context.log.info(str(overtaken))
        batches = None
    _tidy_up(storage, upload)
    return batches


def _plan_again(
    context: dg.AssetExecutionContext, storage: StorageResource, policy: UploadPolicyResource, folder: Path
) -> pd.DataFrame:
    changes = plan_again(context, storage, policy, folder).frame()
    revalidate(table_of(to_send(changes), folder / "to_send.parquet"), folder, policy.store_ids or None)
    return changes


def _tidy_up(storage: StorageResource, upload: str) -> None:
    """The upload is applied, or needs not be: its tables are no longer its own, and nothing stops it."""
    bucket, ledger = storage.open_bucket(), storage.open_ledger()
    drop_own_tables(bucket, upload)
    if ledger.stopped(upload):
        ledger.forget_stopped(upload)


def _halted(context: Any) -> str:
    """Why sending is to stop; also where Dagster's signal did not reach this process."""
    return "a person terminated the run" if was_terminated(context) else ""


def _wait(context: Any, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, _LOOK_SECONDS))
        if reason := _halted(context):
            raise SendingHalted(reason)
