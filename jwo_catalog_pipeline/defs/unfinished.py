"""The sensor that lets an outage heal: uploads that are not finished go on by themselves while the cause can pass."""

import time
from collections.abc import Sequence
from typing import Any

import dagster as dg

from jwo_catalog_pipeline.defs.merchants import runs_of_merchant
from jwo_catalog_pipeline.defs.resources import StorageResource
from jwo_catalog_pipeline.defs.run_tags import PARTITION_TAG, SENDS, sends
from jwo_catalog_pipeline.defs.sensor_health import watched
from jwo_catalog_pipeline.defs.upload_assets import UPLOAD_JOB
from jwo_catalog_pipeline.defs.upload_runs import runs_of
from jwo_catalog_pipeline.redaction import redact_exceptions
from jwo_catalog_pipeline.upload.model import utc
from jwo_catalog_pipeline.upload.resuming import resuming_reason, unfinished_upload
from jwo_catalog_pipeline.wording import plural


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
    upload, left = unfinished_upload(ledger)
    if upload:
        return _requested(context, storage, upload, f"{plural(left, 'batch')} not sent", [SENDS], {})
    return _not_applied(context, storage)


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
    runs = runs_of(context.instance, storage.merchant, upload)
    reason = resuming_reason(storage.open_ledger(), upload, runs, time.time())
    if reason:
        return dg.SkipReason(f"upload {upload}, {state}: {reason}")
    context.log.info(f"upload {upload}, {state}, goes on")
    assets = [storage.asset_key(name) for name in only] if only else None
    request = dg.RunRequest(partition_key=upload, asset_selection=assets, run_config=run_config)
    return dg.SensorResult(
        run_requests=[request], dynamic_partitions_requests=[storage.uploads().build_add_request([upload])]
    )
