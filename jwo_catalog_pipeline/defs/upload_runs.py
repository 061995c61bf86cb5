"""What Dagster's runs say of an upload. `upload.resuming` says what follows from that."""

from collections.abc import Sequence
from datetime import UTC

import dagster as dg

from jwo_catalog_pipeline.defs.merchants import runs_of_merchant
from jwo_catalog_pipeline.defs.resources import StorageResource
from jwo_catalog_pipeline.defs.run_tags import PARTITION_TAG, sends
from jwo_catalog_pipeline.defs.upload_assets import UPLOAD_JOB
from jwo_catalog_pipeline.upload.resuming import Run, RunState

RECENT_RUNS = 10
LONGEST_PAUSE_SECONDS = 3600  # after failed runs; see `backoff_reason`. Dagster never runs a run key again
_ENDS = {
    dg.DagsterRunStatus.SUCCESS: RunState.SUCCEEDED,
    dg.DagsterRunStatus.FAILURE: RunState.FAILED,
    dg.DagsterRunStatus.CANCELED: RunState.CANCELLED,
}


def as_runs(records: Sequence[dg.RunRecord]) -> list[Run]:
    """Dagster's records of runs, as `upload.resuming` knows them."""
    return [
        Run(
            record.dagster_run.run_id,
            _ENDS.get(record.dagster_run.status, RunState.GOING_ON),
            record.update_timestamp.replace(tzinfo=UTC).timestamp(),
        )
        for record in records
    ]


def runs_of(instance: dg.DagsterInstance, merchant: str, upload: str) -> list[Run]:
    """The newest runs that send this upload of the merchant, newest first."""
    filters = dg.RunsFilter(job_name=UPLOAD_JOB, tags={PARTITION_TAG: upload})
    records = runs_of_merchant(instance, merchant, filters, RECENT_RUNS)
    return as_runs([record for record in records if sends(record.dagster_run)])


def export_reason(instance: dg.DagsterInstance, storage: StorageResource, version: str) -> str | None:
    """Why no upload is started for a version of the export: it was dealt with, or is being dealt with; None if not.

    It counts as dealt with when it was applied or overtaken, and not when it was only read.
    """
    ledger = storage.open_ledger()
    head = ledger.head().upload
    record = ledger.upload(head) if head else None
    if record and record.export.version == version:
        return f"upload {head} was made of it"
    started = runs_of_merchant(instance, storage.merchant, dg.RunsFilter(tags={"dagster/run_key": version}), 1)
    event = instance.get_latest_materialization_event(storage.asset_key("source_catalog"))
    read = event.asset_materialization.metadata.get("version") if event and event.asset_materialization else None
    if not started and event and read and read.value == version:
        started = list(instance.get_run_records(dg.RunsFilter(run_ids=[event.run_id]), limit=1))
    if not started or not sends(run := started[0].dagster_run) or run.job_name != UPLOAD_JOB:
        return None
    # Reading a bad file again does not make it better; what heals, `unfinished_uploads_sensor` starts again.
    return (
        f"run {run.run_id} of upload {run.tags.get(PARTITION_TAG)}, {run.status.value.lower()}, was started for it; "
        "jwo-catalog status says what stopped it"
    )
