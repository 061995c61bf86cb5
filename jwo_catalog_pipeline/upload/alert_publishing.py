"""Publishing alerts: each once, counted where the same happens again, and once more when what lasted is over."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from jwo_catalog_pipeline.aws_words import aws_problem
from jwo_catalog_pipeline.failpoints import effect
from jwo_catalog_pipeline.upload.alert_messages import Alert, Place, counted, send_alert, together
from jwo_catalog_pipeline.upload.errors import AlertsUnavailable
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.notices import AlertRecord

METRICS, OVERDUE = "JwoCatalog", "OverdueIngestions"  # the alarms of deploy/cloudformation.yaml watch these
CLAIM_SECONDS = 120  # to send one message; a crash before it is recorded lets it be sent once more after that
REMEMBERED_SECONDS = 90 * 86_400  # what was published; the same alert is published again after that
MOST_MESSAGES = 10  # at once; more become one message, because people do not read a hundred
REPEAT_SECONDS = 86_400  # what goes on is published so often, and counted in between
MOST_SEEN = 200  # events that are remembered; a tick of the sensor brings a hundred at most


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
            published += self._publish(message)
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

    def _publish(self, dues: Sequence[_Due]) -> list[str]:
        """Claim, send, and note that it is published; after a crash it is published again once the claim is over."""
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
