"""What people must know, found in the ledger and the queue, and publishing it: each alert once.

Belongs here: what the upload protocol knows of. Runs that failed are Dagster's (see `failed_runs`).
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlencode

from botocore.exceptions import BotoCoreError, ClientError

from jwo_catalog_pipeline.aws_words import aws_problem
from jwo_catalog_pipeline.errors import PipelineError
from jwo_catalog_pipeline.failpoints import effect
from jwo_catalog_pipeline.upload.alert_messages import Alert, Place, counted, send_alert, together
from jwo_catalog_pipeline.upload.errors import AlertsUnavailable, LedgerUnavailable
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import AlertRecord, Batch, BatchState, leaf_batches, utc
from jwo_catalog_pipeline.upload.results.unverified import unverified_sentence
from jwo_catalog_pipeline.wording import plural

T = TypeVar("T")
METRICS, OVERDUE = "JwoCatalog", "OverdueIngestions"  # the alarms of deploy/cloudformation.yaml watch these
# Amazon takes up to an hour and is asked after 90 minutes by default: what is open half an hour later is stuck.
LEAST_OVERDUE_MINUTES, GRACE_MINUTES = 90, 30
CLAIM_SECONDS = 120  # to send one message; a crash before it is recorded lets it be sent once more after that
REMEMBERED_SECONDS = 90 * 86_400  # what was published; the same alert is published again after that
MOST_MESSAGES = 10  # at once; more become one message, because people do not read a hundred
UNVERIFIED, UNVERIFIED_ALERT_SECONDS = "unverified", 30 * 60
CLOSED = str(BatchState.CLOSED)
REPEAT_SECONDS = 86_400  # what goes on is published so often, and counted in between
MOST_SEEN = 200  # events that are remembered; a tick of the sensor brings a hundred at most


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
            pages=[upload_page("ingestion_results", upload)],
        )
        for upload, stuck in by_upload.items()
    ]


def upload_page(asset: str, upload: str) -> str:
    """The page of an upload's partition of an asset in Dagster's UI."""
    return f"/assets/{asset}?{urlencode({'partition': upload})}"


def _by_state(batches: Sequence[Batch]) -> str:
    counts = Counter(str(batch.state) for batch in batches)
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))


def unreadable_alerts(ledger: Ledger) -> list[Alert]:
    """At most one alert for each day on which messages came that cannot be read, with their number in all."""
    messages = sorted(ledger.unreadable_messages(), key=lambda message: message.received_at)
    if not messages:
        return []
    newest, day = messages[-1], (utc(messages[-1].received_at) or "")[:10]
    return [
        Alert(
            f"unreadable/{day}",
            f"JWO catalog: {plural(len(messages), 'unreadable message')}",
            f"{plural(len(messages), 'message')} of the queue could not be read, the first on "
            f"{utc(messages[0].received_at)}, the newest on {utc(newest.received_at)}: {newest.reason}. "
            "Nothing is lost: results are also asked for through the API.",
            f'the newest is kept at {newest.kept_at}. docs/runbook.md, "A message that cannot be read".',
        )
    ]


def unverified_alerts(ledger: Ledger) -> list[Alert]:
    """An alert while messages wait for so long that they can be verified that the cause does not pass by itself."""
    sentence = unverified_sentence(ledger, older_than=UNVERIFIED_ALERT_SECONDS)
    if not sentence:
        return []
    return [
        Alert(
            UNVERIFIED,
            "JWO catalog: messages cannot be verified",
            f"{sentence}. They are kept and not believed until then. Results are also asked for through the API, so "
            "uploads settle, but later.",
            '`jwo-catalog doctor` tries the host of the certificates. docs/runbook.md, "Messages that '
            'cannot be verified".',
            lasting=True,
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
        ' an item\'s history. docs/runbook.md, "Items that were not accepted".',
        pages=["/assets/fix_list", upload_page("ingestion_results", upload)],
    )


def _meaning(lost: Collection[str]) -> str:
    known = "Of the items that were not accepted, Amazon sells the old version, or nothing."
    return f"{known} What it has of closed items is not known: the next upload sends them." if CLOSED in lost else known


@dataclass
class Looks:
    """Looks at sources of news, each by itself: that one cannot be looked at is news, and all others are looked at.

    Attributes:
        unseen: alerts about sources that could not be looked at.
        unchecked: the keys of lasting alerts that could not be looked for.
    """

    unseen: list[Alert] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    def at(self, what: str, source: Callable[[], T], lasting: Collection[str] = ()) -> T | None:
        """What a source gives, or None where it cannot be looked at.

        Args:
            what: the source, for people.
            source: gives its news.
            lasting: the keys of lasting alerts that it may give.

        Raises:
            LedgerUnavailable: without the ledger nothing can be published once.
        """
        try:
            return source()
        except LedgerUnavailable:
            raise
        except PipelineError as error:
            unseen = Alert(
                f"{what} unseen",
                f"JWO catalog: the {what} cannot be looked at",
                f"{error.problem}. News may lie there unseen; all other alerts go on.",
                error.remedy or "`jwo-catalog doctor` says what the pipeline's role needs, or what is missing.",
                lasting=True,
            )
            self.unseen.append(unseen)
            self.unchecked += lasting
            return None


@dataclass(frozen=True)
class _Due:
    """Alerts with one key that are news, in the order in which they happened, and what is known of that key."""

    record: AlertRecord
    news: Sequence[Alert]

    @property
    def times(self) -> int:
        """How often it happened since it was published last."""
        return self.record.times + len({alert.occurrence for alert in self.news})

    @property
    def seen(self) -> list[str]:
        """The newest events, so that none is counted twice."""
        return list(dict.fromkeys([*self.record.seen, *(alert.occurrence for alert in self.news)]))[-MOST_SEEN:]

    @property
    def alert(self) -> Alert:
        """What to publish."""
        return counted(self.news[-1], self.times, self.record.told_at)


def _is_news(alert: Alert, record: AlertRecord) -> bool:
    return alert.occurrence not in record.seen if alert.occurrence else not record.told_at


@dataclass(frozen=True)
class AlertPublisher:
    """Publishes alerts through an SNS topic, and how much is stuck to CloudWatch.

    Attributes:
        ledger: remembers what was published.
        sns, cloudwatch: boto3 clients.
        topic_arn: the topic.
        place: the installation that the alerts name; None: the ledger's table alone.
    """

    ledger: Ledger
    sns: Any
    cloudwatch: Any
    topic_arn: str
    place: Place | None = None

    def publish(self, alerts: Sequence[Alert], unchecked: Collection[str] = ()) -> list[str]:
        """Publish what has not been published yet; gives its keys. Many at once are one message.

        What happens again within a day is counted, and the next message says how often it happened. A lasting alert
        that is not among these is over, unless its key is among the `unchecked`: those that could not be looked for
        now. At least once: a crash between publishing and noting it repeats the alert, and `untold` names what
        another process has claimed, and may have died before it was sent.

        Raises:
            AlertsUnavailable: the topic does not take a message; those before it are published.
        """
        known = {record.key: record for record in self.ledger.alerts()}
        due = [alert for alert in self._grouped(alerts, known) if self._is_due(alert)]
        published: list[str] = []
        for message in [due] if len(due) > MOST_MESSAGES else [[alert] for alert in due]:
            published += self._tell(message)
        for record in known.values():
            if record.lasting and record.key not in {*(alert.key for alert in alerts), *unchecked}:
                if record.over:
                    over = Alert(record.key, f"JWO catalog: {record.key} is over", record.over)
                    send_alert(self.sns, self.topic_arn, over, self.place or Place(self.ledger.table_name))
                self.ledger.forget_alert(record.key)
        return published

    def untold(self, alerts: Sequence[Alert]) -> set[str]:
        """Keys of alerts that were neither published nor counted: another process has claimed them, or died then."""
        known = {record.key: record for record in self.ledger.alerts()} if alerts else {}
        return {alert.key for alert in alerts if _is_news(alert, known.get(alert.key, AlertRecord(alert.key)))}

    @staticmethod
    def _grouped(alerts: Sequence[Alert], known: Mapping[str, AlertRecord]) -> list[_Due]:
        """By key, in their order: what is news, as the newest alert says it."""
        news: dict[str, list[Alert]] = {}
        for alert in alerts:
            if _is_news(alert, known.get(alert.key, AlertRecord(alert.key))):
                news.setdefault(alert.key, []).append(alert)
        return [_Due(known.get(key, AlertRecord(key)), same) for key, same in news.items()]

    def _is_due(self, due: _Due) -> bool:
        """Whether to publish it now; if not, it is counted."""
        if due.record.told_at and self.ledger.now() - due.record.told_at < REPEAT_SECONDS:
            self.ledger.count_alert(due.record, due.times, due.seen)
            return False
        return True

    def _tell(self, dues: Sequence[_Due]) -> list[str]:
        """Claim, send, and note that it is published: what a crash interrupts is told again once the claim is over."""
        mine = [due for due in dues if self.ledger.claim_alert(due.record.key, CLAIM_SECONDS, due.record.told_at)]
        if not mine:
            return []
        alerts = [due.alert for due in mine]
        message = alerts[0] if len(alerts) == 1 else together(alerts)
        place = self.place or Place(self.ledger.table_name)
        try:
            send_alert(self.sns, self.topic_arn, message, place)
        except AlertsUnavailable:
            for due in mine:
                self.ledger.release_alert(due.record.key)
            raise
        for due in mine:
            self.ledger.note_published(
                due.record.key,
                lasting=due.alert.lasting,
                seconds=REMEMBERED_SECONDS,
                seen=due.seen,
                over=due.alert.over,
            )
        return [due.record.key for due in mine]

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
            problem, remedy = aws_problem(error, "cloudwatch:PutMetricData", "CloudWatch")
            raise AlertsUnavailable(f"CloudWatch does not take the metric {OVERDUE}: {problem}", remedy) from None
