"""The sensors: they start uploads of a changed export, fetch the results of ingestions, start uploads of waiting items,
and publish alerts.

A tick does little, and only what may be repeated. It requests runs from the state of the ledger and the run records,
never from the messages that it has just received.
https://docs.dagster.io/guides/automate/sensors
"""

import time
from datetime import UTC, datetime

import dagster as dg

from jwo_catalog_pipeline.catalog_api.errors import CatalogApiError
from jwo_catalog_pipeline.defs.alerts import AlertsResource
from jwo_catalog_pipeline.defs.export_watch import look_at_export
from jwo_catalog_pipeline.defs.merchants import runs_of_merchant
from jwo_catalog_pipeline.defs.resources import (
    CatalogApiResource,
    QueueResource,
    SourceResource,
    StorageResource,
    UploadPolicyResource,
    settler,
)
from jwo_catalog_pipeline.defs.run_failures import failed_runs
from jwo_catalog_pipeline.defs.run_tags import PARTITION_TAG
from jwo_catalog_pipeline.defs.sensor_health import Hindered, watched
from jwo_catalog_pipeline.defs.upload_assets import RESULTS_JOB, UPLOAD_JOB
from jwo_catalog_pipeline.defs.upload_runs import LONGEST_PAUSE_SECONDS, RECENT_RUNS, as_runs, export_reason
from jwo_catalog_pipeline.errors import PipelineError
from jwo_catalog_pipeline.failpoints import failpoint
from jwo_catalog_pipeline.redaction import redact_exceptions
from jwo_catalog_pipeline.upload.alerts import (
    UNVERIFIED,
    Looks,
    overdue_alerts,
    settled_alerts,
    stuck_batches,
    unreadable_alerts,
    unverified_alerts,
)
from jwo_catalog_pipeline.upload.dead_letters import DEAD_LETTERS
from jwo_catalog_pipeline.upload.errors import AlertsUnavailable
from jwo_catalog_pipeline.upload.model import upload_key, utc
from jwo_catalog_pipeline.upload.results.in_doubt import expire_doubts, reconcile_orphans
from jwo_catalog_pipeline.upload.results.polling import ask_overdue, mark_reported, uploads_to_fetch
from jwo_catalog_pipeline.upload.resuming import backoff_reason, decided_reason
from jwo_catalog_pipeline.upload.stop_alerts import STOP_ALERTS, stop_alerts
from jwo_catalog_pipeline.upload.waiting import waiting_items
from jwo_catalog_pipeline.wording import plural

# On a run: the upload whose waiting items it sends.
AFTER_TAG = "jwo_catalog/sends_what_waited_in"
# Short, because people may be waiting for results; a tick without messages is one call to SQS.
RESULTS_SECONDS = 5
# A tick takes at most two seconds or so, however much there is to do; the next one does what is left.
RECEIVE_SECONDS = MARK_SECONDS = 0.6


@dg.sensor(job_name=UPLOAD_JOB, minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.STOPPED)
@redact_exceptions()
def source_catalog_sensor(
    context: dg.SensorEvaluationContext, source: SourceResource, storage: StorageResource
) -> dg.SensorResult | dg.SkipReason:
    """Start an upload when the export is new or has changed."""
    try:
        file = source.find()
        reason = export_reason(context.instance, storage, file.version)
    except PipelineError as error:
        return dg.SkipReason(str(error))
    if reason:
        return dg.SkipReason(f"{file.uri} has not changed: {reason}")
    key = upload_key(datetime.now(UTC))
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=file.version, partition_key=key)],
        dynamic_partitions_requests=[storage.uploads().build_add_request([key])],
    )


@dg.sensor(
    job_name=RESULTS_JOB, minimum_interval_seconds=RESULTS_SECONDS, default_status=dg.DefaultSensorStatus.RUNNING
)
@redact_exceptions()
@watched("ingestion_results")
def ingestion_results_sensor(
    context: dg.SensorEvaluationContext, queue: QueueResource, storage: StorageResource
) -> dg.SensorResult | dg.SkipReason:
    """Take Amazon's messages from the queue, and request runs that fetch the announced reports."""
    ledger = storage.open_ledger()
    inbox = queue.inbox(ledger, storage.open_bucket())
    received = inbox.receive(RECEIVE_SECONDS)
    verified, waits = inbox.verify_again()
    received += verified
    if received:  # each tick that logs writes an object to S3 if compute logs are kept there
        summary = ", ".join(plural(count, f"{kind} message") for kind, count in sorted(received.items()))
        context.log.info(f"received {summary}")
    return _fetch_requests(context, storage, waits)


@dg.sensor(job_name=RESULTS_JOB, minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
@redact_exceptions()
@watched("ingestion_results")
def overdue_ingestions_sensor(
    context: dg.SensorEvaluationContext,
    storage: StorageResource,
    catalog_api: CatalogApiResource,
    policy: UploadPolicyResource,
) -> dg.SensorResult | dg.SkipReason | Hindered:
    """Ask Amazon about ingestions without a notification, so that uploads settle without the queue; end doubts."""
    ledger, bucket = storage.open_ledger(), storage.open_bucket()
    failures: list[CatalogApiError] = []
    answers = ask_overdue(ledger, catalog_api.client(ledger), policy.overdue_minutes * 60, failures.append)
    matched = reconcile_orphans(ledger, bucket, settler(storage, catalog_api).fetch)
    expire_doubts(ledger, policy.waits())
    for ingestion_id, answer in {**answers, **matched}.items():
        context.log.info(f"ingestion {ingestion_id}: {answer}")
    result = _fetch_requests(context, storage)
    return Hindered(result, failures[0]) if failures else result


@dg.sensor(job_name=UPLOAD_JOB, minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
@redact_exceptions()
@watched("catalog_changes")
def waiting_items_sensor(
    context: dg.SensorEvaluationContext, storage: StorageResource, policy: UploadPolicyResource
) -> dg.SensorResult | dg.SkipReason:
    """Start the next upload when the results are in for which items of the last one had to wait."""
    ledger = storage.open_ledger()
    waiting = waiting_items(ledger, policy.waits())
    if not waiting.items:
        return dg.SkipReason("no item waits")
    if waiting.blocked_by:
        first = waiting.blocked_by[0]
        return dg.SkipReason(
            f"{plural(waiting.items, 'item')} waiting for {plural(len(waiting.blocked_by), 'batch')}, first for "
            f"batch {first.id} of upload {first.upload}, {first.state} since {utc(first.sent_at)}"
        )
    after = dg.RunsFilter(job_name=UPLOAD_JOB, tags={AFTER_TAG: waiting.upload})
    records = runs_of_merchant(context.instance, storage.merchant, after, RECENT_RUNS)
    started, runs = records[0].dagster_run.tags.get(PARTITION_TAG, "") if records else "", as_runs(records)
    decided = decided_reason(ledger, started, runs) if started else None
    if decided:
        decided += "; the next export, or a person, starts an upload"
    if reason := decided or backoff_reason(runs, time.time(), LONGEST_PAUSE_SECONDS):
        return dg.SkipReason(f"{plural(waiting.items, 'item')} can be sent; {reason}")
    key = upload_key(datetime.now(UTC))
    context.log.info(f"upload {key} sends {plural(waiting.items, 'item')} that upload {waiting.upload} left waiting")
    return dg.SensorResult(
        run_requests=[dg.RunRequest(partition_key=key, tags={AFTER_TAG: waiting.upload})],
        dynamic_partitions_requests=[storage.uploads().build_add_request([key])],
    )


@dg.sensor(minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
@redact_exceptions()
@watched("ingestion_results")
def alerts_sensor(
    context: dg.SensorEvaluationContext,
    source: SourceResource,
    storage: StorageResource,
    queue: QueueResource,
    policy: UploadPolicyResource,
    alerts: AlertsResource,
) -> dg.SensorResult | dg.SkipReason | Hindered:
    """Publish alerts about uploads, items, the queue and the export, and the metric of stuck batches."""
    if not alerts.topic_arn:
        return dg.SkipReason("JWO_ALERT_TOPIC_ARN is not set, so no alert is published (README)")
    ledger = storage.open_ledger()
    publisher = alerts.publisher(ledger)
    failed, looked_at = failed_runs(
        context.instance,
        _seconds(context.cursor),
        datetime.now(UTC),
        location=_location(context),
        merchant=storage.merchant,
    )
    looks = Looks()
    stuck = looks.at("open uploads", lambda: stuck_batches(ledger, policy.overdue_minutes))
    settled = looks.at("settled uploads", lambda: settled_alerts(ledger)) or {}
    unreadable = looks.at("unreadable messages", lambda: unreadable_alerts(ledger)) or []
    unverified = looks.at("unverified messages", lambda: unverified_alerts(ledger), lasting=[UNVERIFIED]) or []
    stopped = looks.at("stopped uploads", lambda: stop_alerts(ledger), lasting=STOP_ALERTS) or []
    dead = looks.at("dead-letter queue", queue.dead_letters, lasting=[DEAD_LETTERS]) or []
    export = look_at_export(source, ledger)
    not_accepted = [alert for alert in settled.values() if alert]
    lasting = [*overdue_alerts(stuck or []), *unreadable, *unverified, *stopped, *dead, *export.alerts, *looks.unseen]
    news = [*failed, *not_accepted, *lasting]
    published = publisher.publish(news, looks.unchecked)
    untold = publisher.untold(news)
    for upload, alert in settled.items():
        if alert is None or alert.key not in untold:
            ledger.acknowledge_settled(upload)
    for key in published:
        context.log.info(f"published alert {key}")
    summary = f"published {plural(len(published), 'alert')}"
    # What another process has claimed, and may have died of, is looked at again.
    seen = looked_at and not untold & {alert.key for alert in failed}
    cursor = str(looked_at) if seen else context.cursor
    result = dg.SensorResult(
        skip_reason=summary, cursor=cursor, asset_events=export.events(published, storage.asset_key("source_catalog"))
    )
    try:
        if stuck is not None:
            publisher.measure(len(stuck))
    except AlertsUnavailable as error:
        return Hindered(result, error)
    return result


def _location(context: dg.SensorEvaluationContext) -> str:
    return context.code_location_origin.location_name if context.code_location_origin else ""


def _seconds(cursor: str | None) -> float | None:
    return float(cursor) if cursor else None


def _fetch_requests(
    context: dg.SensorEvaluationContext, storage: StorageResource, waits: str = ""
) -> dg.SensorResult | dg.SkipReason:
    """Request a run for every upload whose reports can be fetched, unless a run is already fetching them.

    Args:
        context: of the tick.
        storage: its ledger says what can be fetched.
        waits: a sentence about what else is waited for.
    """
    ledger = storage.open_ledger()
    if mark_reported(ledger, MARK_SECONDS):
        # A run writes the whole upload's table, so one run for all of them is better than several.
        return dg.SkipReason("; ".join(filter(None, ["more reports are announced than one tick records", waits])))
    waiting = uploads_to_fetch(ledger)
    requests, reasons = [], []
    for upload, batches in waiting.items():
        fetching = dg.RunsFilter(job_name=RESULTS_JOB, tags={PARTITION_TAG: upload})
        runs = runs_of_merchant(context.instance, storage.merchant, fetching, RECENT_RUNS)
        if reason := backoff_reason(as_runs(runs), time.time(), LONGEST_PAUSE_SECONDS):
            reasons.append(f"{upload}: {reason}")
        else:
            context.log.info(f"upload {upload}: {plural(batches, 'report')} to fetch")
            requests.append(dg.RunRequest(partition_key=upload))
    if requests:
        # Adds the partitions too: the ledger outlives a Dagster instance, and people delete partitions.
        known = [storage.uploads().build_add_request([str(request.partition_key) for request in requests])]
        failpoint("before dagster: run requests")
        return dg.SensorResult(run_requests=requests, dynamic_partitions_requests=known)
    return dg.SkipReason("; ".join([*(reasons or ["no report to fetch"]), *filter(None, [waits])]))
