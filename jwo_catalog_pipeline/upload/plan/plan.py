"""Making a plan: compare the catalog with the published state, and record what that rests on. Sends nothing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from jwo_catalog_pipeline.catalog.rules.validation import CHECKED_WITH
from jwo_catalog_pipeline.engine import connect
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.table_file import TableFile
from jwo_catalog_pipeline.upload.errors import AlreadyApplied, Conflict
from jwo_catalog_pipeline.upload.exports import UNKNOWN_EXPORT, AppliedExport, Export, ExportHistory
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import Head, PlanRecord
from jwo_catalog_pipeline.upload.plan.changes import PlanRules, plan_changes
from jwo_catalog_pipeline.upload.plan.figures import count_plan
from jwo_catalog_pipeline.upload.plan.guards import AcknowledgedGaps, GuardLimits, Verdict, check_plan
from jwo_catalog_pipeline.upload.plan.payload import contents_of
from jwo_catalog_pipeline.upload.published_state import published_state
from jwo_catalog_pipeline.upload.snapshots import LAYERED_ITEMS, keep_before, write_before
from jwo_catalog_pipeline.upload.waiting import Waits

# In the `attrs` of quarantined rows: rows that the mapping leaves out, or makes part of another item.
EXCLUDED, MERGED = "excluded", "merged"
ARCHIVE_RETRY_HOURS = 24  # a SKU that is still on a planogram today may be off it tomorrow
_HOUR = 3600


@dataclass(frozen=True)
class PlanSettings:
    """How an upload is planned.

    Attributes:
        waits: how long outcomes are waited for.
        archive_stores: the retailer's complete list of stores where archiving is on; empty where it is off.
        retry_rejected: send rejected items again though they have not changed.
        limits: the guards' thresholds.
        allow: guards that a person has overridden for this upload.
        planned_by: what may plan again by itself; "" for nothing.
        layered_items: the catalog's size from which a plan that changes little stores no snapshot.
    """

    waits: Waits = field(default_factory=Waits)
    archive_stores: Sequence[str] = ()
    retry_rejected: bool = False
    limits: GuardLimits = field(default_factory=GuardLimits)
    allow: Collection[str] = ()
    planned_by: str = ""
    layered_items: int = LAYERED_ITEMS


@dataclass(frozen=True)
class Plan:
    """A recorded plan.

    Attributes:
        upload: the upload's key.
        digest: names the plan by what it sends and what it rests on.
        base: the head that it was made against.
        changes: the plan's columns, and the item's fields in the rows that are uploaded. Unchanged items have no row:
            they are the valid items that have none.
        counts: items by kind of change, unchanged ones included.
        by_store: the same for each store; see `PlanFigures`.
        verdicts: what the guards say; with one that has not passed the plan cannot be applied.
        requests: how many calls applying it takes.
    """

    upload: str
    digest: str
    base: Head
    changes: TableFile
    counts: dict[str, int]
    by_store: pd.DataFrame
    verdicts: list[Verdict]
    requests: int


def make_plan(
    ledger: Ledger,
    bucket: Bucket,
    upload: str,
    items: TableFile,
    quarantined: TableFile,
    fields: Sequence[str],
    settings: PlanSettings,
    folder: Path,
    export: Export = UNKNOWN_EXPORT,
) -> Plan:
    """Plan an upload and record the plan, with the state that it was made against.

    Args:
        ledger: where the head and the batches are read, and the plan is recorded.
        bucket: keeps the snapshot of the published state.
        upload: the upload's key.
        items: the valid items, with `fields` as text columns; its `attrs` may say what they were checked with.
        quarantined: rows that count as present, with `fields`; its `attrs` may say how many rows were excluded or
            merged before.
        fields: the item's fields.
        settings: how it is planned.
        folder: where the plan's table is written, and others that it is made of.
        export: what the items were made from; it is recorded with the plan.

    Raises:
        AlreadyApplied: the upload has been recorded; what it sends cannot change any more.
    """
    if ledger.upload(upload):
        raise _already_applied(upload)
    # The head before the state: whatever is sent in between makes the plan refuse to be applied.
    base = ledger.head()
    with connect(folder) as db:
        published = published_state(ledger, bucket, folder)
        changes = plan_changes(db, items, published, quarantined, fields, _rules(ledger, settings), folder)
        figures = count_plan(db, settings.limits.price_factor)
    history = _history(ledger, base, export)
    verdicts = check_plan(figures, settings.limits, _seen(ledger, base), settings.allow, history)
    contents = contents_of(changes, fields, settings.archive_stores)
    digest = contents.digest(base)
    requests = len(contents.batches(upload, digest))
    before = keep_before(ledger, bucket, base, published, requests, settings.layered_items)
    write_before(bucket, upload, digest, before)
    recorded = PlanRecord(
        plan=digest,
        base_upload=base.upload,
        base_fence=base.fence,
        planned_at=ledger.now(),
        counts=figures.counts,
        quarantined=quarantined.rows,
        excluded=quarantined.attrs.get(EXCLUDED, 0),
        merged=quarantined.attrs.get(MERGED, 0),
        checked_with=items.attrs.get(CHECKED_WITH, ""),
        requests=requests,
        archive_stores=list(settings.archive_stores),
        missing_stores=figures.missing_stores,
        absent=figures.absent,
        waiting=figures.waiting,
        waits_for=figures.waits_for,
        stopped_by=[verdict.message for verdict in verdicts if not verdict.passed],
        allowed=[verdict.message for verdict in verdicts if verdict.allowed],
        planned_by=settings.planned_by,
        export=export,
    )
    try:
        ledger.record_plan(upload, recorded)
    except Conflict:
        raise _already_applied(upload) from None
    return Plan(upload, digest, base, changes, figures.counts, figures.by_store, verdicts, requests)


def _already_applied(upload: str) -> AlreadyApplied:
    return AlreadyApplied(
        f"upload {upload} has been applied, and its plan cannot be made again",
        "materialize ingestion_record to resume it, or add a new partition to catalog_uploads for a new upload",
    )


def _rules(ledger: Ledger, settings: PlanSettings) -> PlanRules:
    now = ledger.now()
    return PlanRules(
        waiting_since=now - settings.waits.in_flight_seconds,
        doubted_since=now - settings.waits.doubt_seconds,
        archive=bool(settings.archive_stores),
        archive_again_before=now - ARCHIVE_RETRY_HOURS * _HOUR,
        retry_rejected=settings.retry_rejected,
    )


def _seen(ledger: Ledger, base: Head) -> AcknowledgedGaps:
    """What the applied plan before this one had left missing."""
    before = ledger.plan(base.upload) if base.upload else None
    return AcknowledgedGaps(frozenset(before.missing_stores), before.absent) if before else AcknowledgedGaps()


def _history(ledger: Ledger, base: Head, export: Export) -> ExportHistory:
    """Two reads, however many uploads there were."""
    head = ledger.upload(base.upload) if base.upload else None
    newest = AppliedExport(base.upload, head.applied_at, head.export) if head else None
    return ExportHistory(export, newest, ledger.applied_export(export.sha256) if export.sha256 else None)
