"""The sensor that lets an outage heal: uploads that are not finished go on by themselves while the cause can pass."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from jwo_catalog_pipeline.defs.failures import PARTITION_TAG
from jwo_catalog_pipeline.defs.merchants import runs_of_merchant
from jwo_catalog_pipeline.defs.resources import StorageResource
from jwo_catalog_pipeline.defs.sensor_health import watched
from jwo_catalog_pipeline.defs.upload_assets import UPLOAD_JOB
from jwo_catalog_pipeline.defs.upload_runs import SENDS, backoff_reason, decided_reason, runs_of, sends
from jwo_catalog_pipeline.redaction import redact_exceptions
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import utc
from jwo_catalog_pipeline.wording import plural

LONGEST_PAUSE = timedelta(minutes=30)
# Nothing is sent that nobody has tried to send for so long, such as after an installation was off for weeks.
FORGOTTEN_SECONDS = 24 * 3600
SHORTEST_PAUSE_SECONDS = 60  # after a stop of which Dagster has no run: one of the command line


@dg.sensor(job_name=UPLOAD_JOB, minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
@redact_exceptions()
@watched("ingestion_record")
def unfinished_uploads_sensor(
    context: dg.SensorEvaluationContext, storage: StorageResource
) -> dg.SensorResult | dg.SkipReason:
    """Resume the newest upload after an outage, or start it again where it was never applied."""
    ledger = storage.open_ledger()
    if pause := ledger.paused():
        return dg.SkipReason(f"all sending has been held since {utc(pause.since)} by {pause.by}: {pause.reason}")
    upload, left = _unfinished(ledger)
    if upload:
        return _requested(context, storage, upload, f"{plural(left, 'batch')} not sent", [SENDS], {})
    return _not_applied(context, storage)


def _unfinished(ledger: Ledger) -> tuple[str, int]:
    """The newest applied upload, if some of its batches are not sent, and how many; "" if none is left."""
    upload = ledger.head().upload
    record = ledger.upload(upload) if upload else None
    if record is None or not record.is_open:
        return "", 0
    left = [batch for batch in ledger.batches(upload) if batch.state.sendable and not batch.is_closed]
    return (upload, len(left)) if left else ("", 0)


def _not_applied(context: dg.SensorEvaluationContext, storage: StorageResource) -> dg.SensorResult | dg.SkipReason:
    """Start the upload again that a run was started for last, if it failed before anything was recorded."""
    records = runs_of_merchant(context.instance, storage.merchant, dg.RunsFilter(job_name=UPLOAD_JOB), 1)
    run = records[0].dagster_run if records else None
    upload = run.tags.get(PARTITION_TAG) if run else None
    if not run or not upload or not sends(run) or run.status is dg.DagsterRunStatus.SUCCESS:
        return dg.SkipReason("no upload is unfinished")
    if storage.open_ledger().upload(upload):
        return dg.SkipReason("no upload is unfinished")
    return _requested(context, storage, upload, "not applied", None, dict(run.run_config))


def _requested(
    context: dg.SensorEvaluationContext,
    storage: StorageResource,
    upload: str,
    state: str,
    only: Sequence[str] | None,
    run_config: dict[str, Any],
) -> dg.SensorResult | dg.SkipReason:
    ledger, now = storage.open_ledger(), datetime.now(UTC)
    runs = runs_of(context.instance, storage.merchant, upload)
    recent = [(run.dagster_run.status, run.update_timestamp) for run in runs]
    reason = decided_reason(ledger, upload, runs) or backoff_reason(recent, now, LONGEST_PAUSE)
    if not reason and any(batch.holds_lease(ledger.now()) for batch in ledger.batches(upload)):
        reason = "it is being sent"
    last = _last_try(ledger, upload, runs)
    if not reason and not runs and ledger.now() < last + SHORTEST_PAUSE_SECONDS:
        reason = "it stopped a moment ago"
    if not reason and ledger.now() > last + FORGOTTEN_SECONDS:
        reason = f"nobody has tried since {utc(last)}, so the next export, or a person, starts an upload"
    if reason:
        return dg.SkipReason(f"upload {upload}, {state}: {reason}")
    context.log.info(f"upload {upload}, {state}, goes on")
    assets = [storage.asset_key(name) for name in only] if only else None
    request = dg.RunRequest(partition_key=upload, asset_selection=assets, run_config=run_config)
    return dg.SensorResult(
        run_requests=[request], dynamic_partitions_requests=[storage.uploads().build_add_request([upload])]
    )


def _last_try(ledger: Ledger, upload: str, runs: Sequence[dg.RunRecord]) -> float:
    """When somebody last tried to send the upload, epoch seconds."""
    record, stop = ledger.upload(upload), ledger.stopped(upload)
    times = [runs[0].update_timestamp.replace(tzinfo=UTC).timestamp()] if runs else []
    return max([*times, stop.stopped_at if stop else 0, record.applied_at if record else 0])
