"""Applying an upload in Dagster: who sends, who may stop it, and what is done when another upload was faster."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS
from jwo_catalog_pipeline.catalog.rules.validation import checked_with, revalidate
from jwo_catalog_pipeline.defs.failures import was_terminated
from jwo_catalog_pipeline.defs.io_manager import drop_own_tables
from jwo_catalog_pipeline.defs.planning import plan_again, planner
from jwo_catalog_pipeline.defs.resources import CatalogApiResource, StorageResource, UploadPolicyResource
from jwo_catalog_pipeline.table_file import TableFile
from jwo_catalog_pipeline.upload.errors import Overtaken, SendingHalted
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import Batch
from jwo_catalog_pipeline.upload.plan.payload import sent_rows
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
    _check_again(ledger, upload, changes, policy, folder)
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
        batches = newest_first.apply(upload, changes, list(ITEM_FIELDS))
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
) -> TableFile:
    changes = plan_again(context, storage, policy, folder)
    _check_again(storage.open_ledger(), context.partition_key, changes, policy, folder)
    return changes


def _check_again(ledger: Ledger, upload: str, changes: TableFile, policy: UploadPolicyResource, folder: Path) -> None:
    """Check what is about to be sent, unless these very rules, with these stores, have checked it."""
    recorded, stores = ledger.plan(upload), policy.store_ids or None
    if recorded is None or recorded.checked_with != checked_with(stores):
        revalidate(sent_rows(changes, list(ITEM_FIELDS), folder), folder, stores)


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
