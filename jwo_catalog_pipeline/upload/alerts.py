"""What people must know, found in the ledger and the queue, and publishing it: each alert once.

Belongs here: what the upload protocol knows of. Runs that failed are Dagster's (see `failed_runs`).
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from jwo_catalog_pipeline.failpoints import effect
from jwo_catalog_pipeline.redaction import redacted
from jwo_catalog_pipeline.upload.errors import AlertsUnavailable
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import Batch, BatchState, leaf_batches, utc
from jwo_catalog_pipeline.wording import plural

METRICS, OVERDUE = "JwoCatalog", "OverdueIngestions"  # the alarms of deploy/cloudformation.yaml watch these
# Amazon takes up to an hour and is asked after 90 minutes by default: what is open half an hour later is stuck.
LEAST_OVERDUE_MINUTES, GRACE_MINUTES = 90, 30
CLAIM_SECONDS = 120  # to send one message; a crash before it is recorded lets it be sent once more after that
REMEMBERED_SECONDS = 90 * 86_400  # what was published; the same alert is published again after that
MOST_MESSAGES = 10  # at once; more become one message, because people do not read a hundred
CLOSED = str(BatchState.CLOSED)
DEAD_LETTERS = "dead letters"  # the key of that alert
MAX_SUBJECT = 99  # characters, ASCII, documented for SNS
MAX_TEXT = 8_000  # characters; SNS takes 256 KB, and people do not read more than this


@dataclass(frozen=True)
class Alert:
    """One message to people.

    Attributes:
        key: what it is about; an alert is published once for each key.
        subject: what happened, in a few words.
        problem: what happened, how many items, since when.
        remedy: what helps.
        lasting: it is about a state that can end, after which the same news is new.
    """

    key: str
    subject: str
    problem: str
    remedy: str = ""
    lasting: bool = False

    @property
    def text(self) -> str:
        """Both parts, for people."""
        return f"{self.problem}\n\nWhat helps: {self.remedy}" if self.remedy else self.problem


def stuck_batches(ledger: Ledger, overdue_minutes: float) -> list[Batch]:
    """Batches that were sent and of which nothing has been heard for too long, unless a person has closed them."""
    before = ledger.now() - round((max(overdue_minutes, LEAST_OVERDUE_MINUTES) + GRACE_MINUTES) * 60)
    return [
        batch
        for upload in ledger.open_uploads()
        for batch in ledger.batches(upload)
        if not (batch.is_closed or batch.closed_at) and batch.sent_at and batch.sent_at <= before
    ]


def overdue_alerts(batches: Sequence[Batch]) -> list[Alert]:
    """One alert for each upload with stuck batches; see `stuck_batches`."""
    by_upload: dict[str, list[Batch]] = {}
    for batch in batches:
        by_upload.setdefault(batch.upload, []).append(batch)
    return [
        Alert(
            f"overdue/{upload}",
            f"JWO catalog: no results of upload {upload}",
            f"Upload {upload} has no result for {plural(sum(batch.items for batch in stuck), 'item')} in "
            f"{plural(len(stuck), 'batch')}, "
            f"the oldest since {utc(min(batch.sent_at for batch in stuck))} ({_by_state(stuck)}). Their changes wait, "
            "and Amazon may go on selling what it had.",
            "`jwo-catalog status` lists the batches and ingestions; `jwo-catalog doctor` checks the queue and the API. "
            'docs/runbook.md, "A stuck upload".',
        )
        for upload, stuck in by_upload.items()
    ]


def _by_state(batches: Sequence[Batch]) -> str:
    counts = Counter(str(batch.state) for batch in batches)
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))


def unreadable_alerts(ledger: Ledger) -> list[Alert]:
    """At most one alert for each hour in which messages came that cannot be read, with their number in all."""
    messages = sorted(ledger.unreadable_messages(), key=lambda message: message.received_at)
    if not messages:
        return []
    newest, hour = messages[-1], (utc(messages[-1].received_at) or "")[:13]
    return [
        Alert(
            f"unreadable/{hour}",
            f"JWO catalog: {plural(len(messages), 'unreadable message')}",
            f"{plural(len(messages), 'message')} of the queue could not be read, the first on "
            f"{utc(messages[0].received_at)}, the newest on {utc(newest.received_at)}: {newest.reason}. "
            "Nothing is lost: results are also asked for through the API.",
            f'the newest is kept at {newest.kept_at}. docs/runbook.md, "A message that cannot be read".',
        )
    ]


def settled_alerts(ledger: Ledger) -> dict[str, Alert | None]:
    """By upload that has settled since: an alert where not everything of it was accepted, else None."""
    return {note.upload: _settled_alert(ledger, note.upload, note.settled_at) for note in ledger.settled_notes()}


def _settled_alert(ledger: Ledger, upload: str, settled_at: int) -> Alert | None:
    lost: Counter[str] = Counter()
    batches = leaf_batches(ledger.batches(upload))
    for batch in batches:
        lost.update(batch.outcomes if batch.state is BatchState.SETTLED else {str(batch.state): batch.items})
    accepted, _ = lost.pop("accepted", 0), lost.pop(str(BatchState.SUPERSEDED), 0)
    if not lost.total():
        return None
    which = ", ".join(f"{count:,} {outcome}" for outcome, count in lost.most_common())
    first = min((batch.sent_at for batch in batches if batch.sent_at), default=0)
    return Alert(
        f"settled/{upload}",
        f"JWO catalog: {plural(lost.total(), 'item')} not accepted",
        f"Upload {upload} has settled: {which}; {accepted:,} accepted. Sent from {utc(first)}, settled "
        f"{utc(settled_at)}. {_meaning(lost)}",
        "the asset fix_list has the rows and Amazon's reasons, in the export's own format; `jwo-catalog item SKU` shows"
        " an item's history.",
    )


def _meaning(lost: Collection[str]) -> str:
    known = "Of the items that were not accepted, Amazon sells the old version, or nothing."
    return f"{known} What it has of closed items is not known: the next upload sends them." if CLOSED in lost else known


def dead_letter_alerts(sqs: Any, queue_url: str) -> list[Alert]:
    """An alert while messages wait in the dead-letter queue; none where the queue has no such queue.

    Raises:
        AlertsUnavailable: a queue cannot be looked at.
    """
    try:
        attributes = _attributes(sqs, queue_url, "RedrivePolicy")
        if "RedrivePolicy" not in attributes:
            return []
        arn = json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"]
        url = sqs.get_queue_url(QueueName=arn.split(":")[-1])["QueueUrl"]
        waiting = int(_attributes(sqs, url, "ApproximateNumberOfMessages")["ApproximateNumberOfMessages"])
    except (ClientError, BotoCoreError) as error:
        raise AlertsUnavailable(f"cannot look at the queue {queue_url} or its dead-letter queue ({error})") from None
    if not waiting:
        return []
    return [
        Alert(
            DEAD_LETTERS,
            "JWO catalog: messages in the dead-letter queue",
            f"The dead-letter queue {arn.split(':')[-1]} holds about {plural(waiting, 'message')}. SQS moves a message "
            "there after ten deliveries in which it was not processed. Results are also asked for through the API, so "
            "uploads settle, but later.",
            "`jwo-catalog doctor`; then move them back (SQS, Start DLQ redrive). docs/runbook.md, "
            '"Messages in the dead-letter queue".',
            lasting=True,
        )
    ]


def _attributes(sqs: Any, queue_url: str, name: str) -> Mapping[str, str]:
    attributes: Mapping[str, str] = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=[name]).get(
        "Attributes", {}
    )
    return attributes


def no_look_alert(error: AlertsUnavailable) -> Alert:
    """The dead-letter queue cannot be looked at; every other kind of news is published all the same."""
    return Alert(
        "dead letters unseen",
        "JWO catalog: the dead-letter queue cannot be looked at",
        f"{error.problem}. Messages may lie there unseen; all other alerts go on.",
        error.remedy or "`jwo-catalog doctor` says what the pipeline's role needs, or which queue is missing.",
        lasting=True,
    )


def _together(alerts: Sequence[Alert]) -> Alert:
    """One message for many alerts: their subjects with how often, and the first one in full."""
    counts = Counter(alert.subject for alert in alerts)
    lines = [f"- {subject}{f' ({count} times)' if count > 1 else ''}" for subject, count in counts.most_common()]
    subjects = "\n".join(lines)
    return Alert("", f"JWO catalog: {len(alerts):,} alerts at once", f"{subjects}\n\nThe first: {alerts[0].text}")


@dataclass(frozen=True)
class AlertPublisher:
    """Publishes alerts through an SNS topic, and how much is stuck to CloudWatch.

    Attributes:
        ledger: remembers what was published.
        sns, cloudwatch: boto3 clients.
        topic_arn: the topic.
    """

    ledger: Ledger
    sns: Any
    cloudwatch: Any
    topic_arn: str

    def publish(self, alerts: Sequence[Alert], unchecked: Collection[str] = ()) -> list[str]:
        """Publish what has not been published yet; gives its keys. Many at once are one message.

        A lasting alert that is not among these is over, unless its key is among the `unchecked`: those that could not
        be looked for now. At least once: a crash between publishing and noting it repeats the alert, and never loses
        it.

        Raises:
            AlertsUnavailable: the topic does not take a message; those before it are published.
        """
        known = self.ledger.alerts()
        published = {record.key for record in known if record.told_at}
        unpublished = {alert.key: alert for alert in alerts if alert.key not in published}
        new = [alert for key, alert in unpublished.items() if self.ledger.claim_alert(key, CLAIM_SECONDS)]
        for message in [new] if len(new) > MOST_MESSAGES else [[alert] for alert in new]:
            self._send(message[0] if len(message) == 1 else _together(message))
            for alert in message:
                self.ledger.note_published(alert.key, lasting=alert.lasting, seconds=REMEMBERED_SECONDS)
        for record in known:
            if record.lasting and record.key not in {*(alert.key for alert in alerts), *unchecked}:
                self.ledger.forget_alert(record.key)
        return [alert.key for alert in new]

    def _send(self, alert: Alert) -> None:
        subject = redacted(alert.subject).encode("ascii", "replace").decode()[:MAX_SUBJECT]
        text = redacted(alert.text)[:MAX_TEXT]
        try:
            with effect("sns: alert"):
                self.sns.publish(TopicArn=self.topic_arn, Subject=subject, Message=text)
        except (ClientError, BotoCoreError) as error:
            raise AlertsUnavailable(
                f"the alert {alert.subject!r} could not be published to {self.topic_arn} ({error})",
                "check JWO_ALERT_TOPIC_ARN and the pipeline's role",
            ) from None

    def measure(self, stuck: int) -> None:
        """Send CloudWatch the number of stuck batches; that it comes at all says that this sensor runs.

        Raises:
            AlertsUnavailable: CloudWatch does not take it.
        """
        dimensions = [{"Name": "Ledger", "Value": self.ledger.table_name}]
        data = [{"MetricName": OVERDUE, "Dimensions": dimensions, "Value": stuck, "Unit": "Count"}]
        try:
            with effect("cloudwatch: metric"):
                self.cloudwatch.put_metric_data(Namespace=METRICS, MetricData=data)
        except (ClientError, BotoCoreError) as error:
            raise AlertsUnavailable(f"CloudWatch does not take the metric {OVERDUE} ({error})") from None
