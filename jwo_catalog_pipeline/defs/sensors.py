"""The sensors: they start uploads of a changed export, fetch the results of ingestions, start uploads of waiting items,
and publish alerts.

A tick does little, and only what may be repeated. It requests runs from the state of the ledger and the run records,
never from the messages that it has just received.
https://docs.dagster.io/guides/automate/sensors
"""

from datetime import UTC, datetime

import dagster as dg

from jwo_catalog_pipeline.defs.export_watch import look_at_export
from jwo_catalog_pipeline.defs.failures import PARTITION_TAG
from jwo_catalog_pipeline.defs.resources import (
    AlertsResource,
    CatalogApiResource,
    QueueResource,
    SourceResource,
    StorageResource,
    UploadPolicyResource,
    settler,
)
from jwo_catalog_pipeline.defs.run_failures import failed_runs
from jwo_catalog_pipeline.defs.upload_assets import RESULTS_JOB, UPLOAD_JOB, catalog_uploads
from jwo_catalog_pipeline.defs.upload_runs import RECENT_RUNS, backoff_reason, decided_reason, export_reason
from jwo_catalog_pipeline.errors import PipelineError
from jwo_catalog_pipeline.failpoints import failpoint
from jwo_catalog_pipeline.redaction import redact_exceptions
from jwo_catalog_pipeline.upload.alerts import (
    DEAD_LETTERS,
    Alert,
    no_look_alert,
    overdue_alerts,
    settled_alerts,
    stuck_batches,
    unreadable_alerts,
    unverified_alerts,
)
from jwo_catalog_pipeline.upload.errors import AlertsUnavailable
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import upload_key, utc
from jwo_catalog_pipeline.upload.results.in_doubt import expire_doubts, reconcile_orphans
from jwo_catalog_pipeline.upload.results.polling import ask_overdue, mark_reported, uploads_to_fetch
from jwo_catalog_pipeline.upload.waiting import waiting_items
from jwo_catalog_pipeline.wording import plural

# On a run: the upload whose waiting items it sends.
AFTER_TAG = "jwo_catalog/sends_what_waited_in"
# Short, because people may be waiting for results; a tick without messages is one call to SQS.
RESULTS_SECONDS = 5
# Dagster stops a tick after 60 s; receiving ends well before that, and the next tick takes the other messages.
RECEIVE_SECONDS = 20


@dg.sensor(job_name=UPLOAD_JOB, minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.STOPPED)
@redact_exceptions()
def source_catalog_sensor(
    context: dg.SensorEvaluationContext, source: SourceResource, storage: StorageResource
) -> dg.SensorResult | dg.SkipReason:
    """Start an upload when the export is new or has changed."""
    try:
        file = source.find()
        reason = export_reason(context.instance, storage.open_ledger(), file.version)
    except PipelineError as error:
        return dg.SkipReason(str(error))
    if reason:
        return dg.SkipReason(f"{file.uri} has not changed: {reason}")
    key = upload_key(datetime.now(UTC))
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=file.version, partition_key=key)],
        dynamic_partitions_requests=[catalog_uploads.build_add_request([key])],
    )


@dg.sensor(
    job_name=RESULTS_JOB, minimum_interval_seconds=RESULTS_SECONDS, default_status=dg.DefaultSensorStatus.RUNNING
)
@redact_exceptions()
def ingestion_results_sensor(
    context: dg.SensorEvaluationContext, queue: QueueResource, storage: StorageResource
) -> dg.SensorResult | dg.SkipReason:
    """Take Amazon's messages from the queue, and request runs that fetch the announced reports."""
    try:
        ledger = storage.open_ledger()
        inbox = queue.inbox(ledger, storage.open_bucket())
        received = inbox.receive(RECEIVE_SECONDS)
        verified, waits = inbox.verify_again()
        received += verified
    except PipelineError as error:
        return dg.SkipReason(str(error))
    if received:  # each tick that logs writes an object to S3 if compute logs are kept there
        summary = ", ".join(plural(count, f"{kind} message") for kind, count in sorted(received.items()))
        context.log.info(f"received {summary}")
    return _fetch_requests(context, ledger, waits)


@dg.sensor(job_name=RESULTS_JOB, minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
@redact_exceptions()
def overdue_ingestions_sensor(
    context: dg.SensorEvaluationContext,
    storage: StorageResource,
    catalog_api: CatalogApiResource,
    policy: UploadPolicyResource,
) -> dg.SensorResult | dg.SkipReason:
    """Ask Amazon about ingestions without a notification, so that uploads settle without the queue; end doubts."""
    try:
        ledger, bucket = storage.open_ledger(), storage.open_bucket()
        answers = ask_overdue(ledger, catalog_api.client(ledger), policy.overdue_minutes * 60)
        matched = reconcile_orphans(ledger, bucket, settler(storage, catalog_api).fetch)
        expire_doubts(ledger, policy.waits())
    except PipelineError as error:
        return dg.SkipReason(str(error))
    for ingestion_id, answer in {**answers, **matched}.items():
        context.log.info(f"ingestion {ingestion_id}: {answer}")
    return _fetch_requests(context, ledger)


@dg.sensor(job_name=UPLOAD_JOB, minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
@redact_exceptions()
def waiting_items_sensor(
    context: dg.SensorEvaluationContext, storage: StorageResource, policy: UploadPolicyResource
) -> dg.SensorResult | dg.SkipReason:
    """Start the next upload when the results are in for which items of the last one had to wait."""
    try:
        ledger = storage.open_ledger()
        waiting = waiting_items(ledger, policy.waits())
    except PipelineError as error:
        return dg.SkipReason(str(error))
    if not waiting.items:
        return dg.SkipReason("no item waits")
    if waiting.blocked_by:
        first = waiting.blocked_by[0]
        return dg.SkipReason(
            f"{plural(waiting.items, 'item')} waiting for {plural(len(waiting.blocked_by), 'batch')}, first for "
            f"batch {first.id} of upload {first.upload}, {first.state} since {utc(first.sent_at)}"
        )
    runs = context.instance.get_run_records(
        dg.RunsFilter(job_name=UPLOAD_JOB, tags={AFTER_TAG: waiting.upload}), limit=RECENT_RUNS
    )
    recent = [(run.dagster_run.status, run.update_timestamp) for run in runs]
    started = runs[0].dagster_run.tags.get(PARTITION_TAG, "") if runs else ""
    decided = decided_reason(ledger, started, runs) if started else None
    if decided:
        decided += "; the next export, or a person, starts an upload"
    if reason := decided or backoff_reason(recent, datetime.now(UTC)):
        return dg.SkipReason(f"{plural(waiting.items, 'item')} can be sent; {reason}")
    key = upload_key(datetime.now(UTC))
    context.log.info(f"upload {key} sends {plural(waiting.items, 'item')} that upload {waiting.upload} left waiting")
    return dg.SensorResult(
        run_requests=[dg.RunRequest(partition_key=key, tags={AFTER_TAG: waiting.upload})],
        dynamic_partitions_requests=[catalog_uploads.build_add_request([key])],
    )


@dg.sensor(minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
@redact_exceptions()
def alerts_sensor(
    context: dg.SensorEvaluationContext,
    source: SourceResource,
    storage: StorageResource,
    queue: QueueResource,
    policy: UploadPolicyResource,
    alerts: AlertsResource,
) -> dg.SensorResult | dg.SkipReason:
    """Publish alerts about uploads, items, the queue and the export, and the metric of stuck batches."""
    if not alerts.topic_arn:
        return dg.SkipReason("JWO_ALERT_TOPIC_ARN is not set, so no alert is published (README)")
    try:
        ledger = storage.open_ledger()
        publisher = alerts.publisher(ledger)
        stuck = stuck_batches(ledger, policy.overdue_minutes)
        settled = settled_alerts(ledger)
        failed, looked_at = failed_runs(context.instance, _seconds(context.cursor), datetime.now(UTC))
        news = [alert for alert in settled.values() if alert]
        dead, unchecked = _dead_letters(queue)
        export = look_at_export(source, ledger)
        published = publisher.publish(
            [
                *failed,
                *overdue_alerts(stuck),
                *unreadable_alerts(ledger),
                *unverified_alerts(ledger),
                *news,
                *dead,
                *export.alerts,
            ],
            unchecked,
        )
        for upload in settled:
            ledger.acknowledge_settled(upload)
        publisher.measure(len(stuck))
    except PipelineError as error:
        return dg.SkipReason(str(error))
    for key in published:
        context.log.info(f"published alert {key}")
    summary = f"published {plural(len(published), 'alert')}"
    cursor = str(looked_at) if looked_at else context.cursor
    return dg.SensorResult(skip_reason=summary, cursor=cursor, asset_events=export.events(published))


def _dead_letters(queue: QueueResource) -> tuple[list[Alert], list[str]]:
    """Alerts about the dead-letter queue, and keys of those that could not be looked for."""
    try:
        return queue.dead_letters(), []
    except AlertsUnavailable as error:
        return [no_look_alert(error)], [DEAD_LETTERS]


def _seconds(cursor: str | None) -> float | None:
    return float(cursor) if cursor else None


def _fetch_requests(
    context: dg.SensorEvaluationContext, ledger: Ledger, waits: str = ""
) -> dg.SensorResult | dg.SkipReason:
    """Request a run for every upload whose reports can be fetched, unless a run is already fetching them.

    Args:
        context: of the tick.
        ledger: says what can be fetched.
        waits: a sentence about what else is waited for.
    """
    try:
        mark_reported(ledger)
        waiting = uploads_to_fetch(ledger)
    except PipelineError as error:
        return dg.SkipReason(str(error))
    requests, reasons = [], []
    for upload, batches in waiting.items():
        runs = context.instance.get_run_records(
            dg.RunsFilter(job_name=RESULTS_JOB, tags={"dagster/partition": upload}), limit=RECENT_RUNS
        )
        if reason := backoff_reason(
            [(run.dagster_run.status, run.update_timestamp) for run in runs], datetime.now(UTC)
        ):
            reasons.append(f"{upload}: {reason}")
        else:
            context.log.info(f"upload {upload}: {plural(batches, 'report')} to fetch")
            requests.append(dg.RunRequest(partition_key=upload))
    if requests:
        # Adds the partitions too: the ledger outlives a Dagster instance, and people delete partitions.
        known = [catalog_uploads.build_add_request([str(request.partition_key) for request in requests])]
        failpoint("before dagster: run requests")
        return dg.SensorResult(run_requests=requests, dynamic_partitions_requests=known)
    return dg.SkipReason("; ".join([*(reasons or ["no report to fetch"]), *filter(None, [waits])]))
