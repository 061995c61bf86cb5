"""Alerts about failed runs: the error of the step, and the checks or guards that stopped the run.

https://docs.dagster.io/guides/observe/alerts
"""

import hashlib
import re
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster import DagsterEventType
from dagster._core.execution.plan.objects import ErrorSource, UserFailureData

from jwo_catalog_pipeline.defs.catalog_assets import mapped_catalog, source_catalog
from jwo_catalog_pipeline.defs.failures import HEALS
from jwo_catalog_pipeline.defs.merchants import MERCHANT_TAG, asset_key
from jwo_catalog_pipeline.defs.upload_assets import (
    RESULTS_JOB,
    UPLOAD_JOB,
    catalog_changes,
    fix_list,
    ingestion_record,
    ingestion_results,
)
from jwo_catalog_pipeline.upload.alert_messages import Alert
from jwo_catalog_pipeline.upload.alerts import upload_page
from jwo_catalog_pipeline.upload.plan.guards import GUARDS

OVERLAP_SECONDS = 60  # looked at again, because runs may become visible out of the order of their times
LOOK_BACK = timedelta(days=1)  # a longer outage of this sensor sets off the alarm on its metric
MOST_RUNS = 100  # in one tick; the next tick takes the rest
_ASSETS = (source_catalog, mapped_catalog, catalog_changes, ingestion_record, ingestion_results, fix_list)
OUR_ASSETS = frozenset(key.to_user_string() for asset in _ASSETS for key in asset.keys)
WILL_RETRY = "dagster/will_retry"
# Request ids, whatever they look like; long words with a digit, such as ids of S3; numbers, UUIDs, times.
_DIFFERS = (
    r"(?i:request ?-?id)[\s:=]*[^\s),;]+",
    r"(?<![\w+/=-])(?=[\w+/=-]*\d)[\w+/=-]{16,}",
    r"[0-9a-fA-F]*\d[0-9a-fA-F-]*",
)
_SHOWN = 1_500  # characters of the error of a step
_EVENTS = {DagsterEventType.STEP_FAILURE, DagsterEventType.RUN_FAILURE, DagsterEventType.ASSET_CHECK_EVALUATION}


def failed_runs(
    instance: dg.DagsterInstance,
    since: float | None,
    now: datetime,
    most: int = MOST_RUNS,
    location: str = "",
    merchant: str = "",
) -> tuple[list[Alert], float | None]:
    """Alerts about runs that failed and will not be retried.

    Args:
        instance: has the runs.
        since: the time up to which runs were looked at before, epoch seconds; None: a day ago.
        now: the current time.
        most: how many runs at the most.
        location: this code location's name; runs of others are left out. "": it is not known.
        merchant: the merchant's name; runs of others are left out.

    Returns:
        The alerts, oldest first, and the time up to which runs were looked at. Runs that Dagster will retry are
        left out. Failures of the same job, step and cause share a key, so only one alert is published, and counted.
    """
    after = max(datetime.fromtimestamp(since or 0, UTC), now - LOOK_BACK)
    records = instance.get_run_records(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=after),
        limit=most,
        order_by="update_timestamp",
        ascending=True,
    )
    final = [
        record
        for record in records
        if record.dagster_run.tags.get(WILL_RETRY) != "true" and _is_ours(record.dagster_run, location, merchant)
    ]
    newest = max((record.update_timestamp.replace(tzinfo=UTC).timestamp() for record in records), default=None)
    if newest is None:
        return [], since
    # With more than fit into one look, an overlap could give the same ones for ever.
    alerts = [_alert(instance, record) for record in final]
    return [alert for alert in alerts if alert], newest - OVERLAP_SECONDS * (len(records) < most)


def _is_ours(run: dg.DagsterRun, location: str, merchant: str) -> bool:
    """Whether a run is of this code location: others may use the same Dagster instance, and the same names of jobs."""
    origin = run.remote_job_origin
    here = bool(location and origin and origin.location_name == location)
    if location and origin and not here:
        return False
    if set(run.asset_selection or ()) & {asset_key(merchant, name) for name in OUR_ASSETS}:
        return True
    # A run of before the merchant had a name, or an older version's, has no tag.
    named = run.tags.get(MERCHANT_TAG, merchant if here else "")
    return named == merchant and run.job_name in (UPLOAD_JOB, RESULTS_JOB)


def _alert(instance: dg.DagsterInstance, record: dg.RunRecord) -> Alert | None:
    """None for what heals by itself: `stop_alerts` publishes it, if it lasts."""
    run = record.dagster_run
    upload = run.tags.get("dagster/partition", "")
    step, message, stopped_by, heals = _what_happened(instance, run.run_id)
    if heals and run.job_name == UPLOAD_JOB:
        return None
    of = f" of upload {upload}" if upload else ""
    if guards := [name for name in stopped_by if name in GUARDS]:
        subject, page = f"JWO catalog: upload {upload} stopped by {', '.join(guards)}", "catalog_changes"
        helps = (
            "look at the plan in catalog_changes of this upload. If it is right, allow it for this upload alone with "
            f"the run config ops: catalog_changes: config: allow: [{', '.join(guards)}]. Nothing was sent."
        )
    elif stopped_by:
        subject, page = f"JWO catalog: {', '.join(stopped_by)} blocks upload {upload}", "quarantined_items"
        helps = "quarantined_items has the rows and the reasons. Nothing was sent."
    else:
        subject, page = f"JWO catalog: {run.job_name}{of} failed", ""
        helps = "once the cause is gone, start the job again for this upload: what was accepted is not sent again."
    began = f", which began {_utc(record.start_time)}" if record.start_time else ""
    text = f"{run.job_name}{of}{began}, failed{f' at {step}' if step else ''}: {message}"
    # Guards and checks stop each upload for reasons of its own. An error of the same cause is published once a day and
    # counted in between, whatever numbers and ids its text has.
    about = [upload, message] if stopped_by else [_cause(message)]
    digest = hashlib.sha256("\0".join([run.job_name, step, *about]).encode()).hexdigest()[:16]
    helps = f'{helps} docs/runbook.md, "An upload failed or was stopped". In the UI: Runs, {run.run_id}.'
    pages = [f"/runs/{run.run_id}", *([_page(page, upload)] if page else [])]
    return Alert(f"run/{digest}", subject, text, helps, occurrence=run.run_id, pages=pages)


def _page(asset: str, upload: str) -> str:
    return upload_page(asset, upload) if asset == "catalog_changes" else f"/assets/{asset}"


def _what_happened(instance: dg.DagsterInstance, run_id: str) -> tuple[str, str, list[str], bool]:
    """The failed step ("" if no step failed), its error, the blocking checks that failed, and whether it heals."""
    step, message, stopped_by, heals = "", "", [], False
    events = [entry.dagster_event for entry in instance.all_logs(run_id, of_type=_EVENTS)]
    for event in filter(None, events):
        if event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if check.blocking and not check.passed:
                stopped_by.append(check.check_name)
        elif event.event_type is DagsterEventType.STEP_FAILURE and not step:
            data = event.step_failure_data
            step, failure, error = event.step_key or "", data.user_failure_data, data.error
            cause = error.cause if error and error.cause else error
            heals = data.error_source is ErrorSource.INTERRUPT or _heals(failure)
            message = (failure.description if failure else None) or (cause.message.strip() if cause else "")
        elif not message:
            message = event.message or ""
    return step, message[:_SHOWN], stopped_by, heals


def _heals(failure: UserFailureData | None) -> bool:
    """Whether the step said that the upload goes on by itself (`as_dagster_failure`)."""
    noted = failure.metadata.get(HEALS) if failure else None
    return bool(noted and noted.value)


def _cause(message: str) -> str:
    """The text of an error without what differs each time: numbers, ids, times."""
    return re.sub("|".join(_DIFFERS), "#", message)


def _utc(epoch_seconds: float) -> str:
    return f"{datetime.fromtimestamp(epoch_seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
