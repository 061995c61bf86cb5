"""What Dagster's runs and the ledger say of an upload: whether a sensor may start, resume or repeat it by itself.

A sensor starts nothing that a person or a guard has stopped, until something is new.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from jwo_catalog_pipeline.defs.failures import PARTITION_TAG
from jwo_catalog_pipeline.defs.merchants import runs_of_merchant
from jwo_catalog_pipeline.defs.resources import StorageResource
from jwo_catalog_pipeline.defs.upload_assets import UPLOAD_JOB
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.wording import plural

# After failed runs, the next is requested after 1, 2, 4 ... minutes, an hour at most.
MAX_PAUSE = timedelta(hours=1)
RECENT_RUNS = 10
# A run without an update for so long is dead, even if Dagster does not know it (run monitoring is optional).
LOST_RUN = timedelta(hours=1)
FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
SENDS = "ingestion_record"


def backoff_reason(
    runs: Sequence[tuple[dg.DagsterRunStatus, datetime]], now: datetime, most: timedelta = MAX_PAUSE
) -> str | None:
    """Why no run is requested yet, given the upload's recent runs, newest first; None if one may be.

    A run key would be simpler, but Dagster never runs a key again, even if its run failed.
    """
    failures = 0
    for status, _ in runs:
        if status is not dg.DagsterRunStatus.FAILURE:
            break
        failures += 1
    alive = now - LOST_RUN
    if any(status not in FINISHED and updated.replace(tzinfo=UTC) > alive for status, updated in runs):
        return "a run is already in progress"
    if failures:
        pause = min(timedelta(minutes=2 ** (failures - 1)), most)
        again = runs[0][1].replace(tzinfo=UTC) + pause
        if now < again:
            count = plural(failures, "run")
            return f"{count} failed; the next starts after {again:%H:%M:%S} UTC"
    return None


def runs_of(instance: dg.DagsterInstance, merchant: str, upload: str) -> Sequence[dg.RunRecord]:
    """The newest runs that send this upload of the merchant, newest first."""
    filters = dg.RunsFilter(job_name=UPLOAD_JOB, tags={PARTITION_TAG: upload})
    return [
        record for record in runs_of_merchant(instance, merchant, filters, RECENT_RUNS) if sends(record.dagster_run)
    ]


def sends(run: dg.DagsterRun) -> bool:
    """Whether a run is to send, and not only to plan or to make tables."""
    return not run.asset_selection or any(key.path[-1] == SENDS for key in run.asset_selection)


def decided_reason(ledger: Ledger, upload: str, runs: Sequence[dg.RunRecord]) -> str | None:
    """Why an upload is not started again by itself: a person or a guard stopped it, or a person must mend something.

    Args:
        ledger: knows what stopped the upload.
        upload: the upload's key.
        runs: its newest runs, newest first.
    """
    if runs and runs[0].dagster_run.status is dg.DagsterRunStatus.CANCELED:
        return f"a person cancelled run {runs[0].dagster_run.run_id} of upload {upload}"
    stop = ledger.stopped(upload)
    if stop is None or stop.kind.heals:
        return None
    return f"upload {upload} is stopped ({stop.kind}): {stop.problem}"


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
