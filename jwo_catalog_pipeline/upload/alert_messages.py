"""What an alert says: what happened, what helps, in which installation, where to look; and sending it to a topic."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from jwo_catalog_pipeline.aws_words import aws_problem
from jwo_catalog_pipeline.failpoints import effect
from jwo_catalog_pipeline.redaction import redacted
from jwo_catalog_pipeline.upload.errors import AlertsUnavailable
from jwo_catalog_pipeline.upload.model import utc
from jwo_catalog_pipeline.wording import plural

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
        over: what is published once that state has ended; "" for nothing.
        occurrence: names the event, such as a run, where the same can happen again; such alerts are counted.
        pages: paths in Dagster's UI, such as `/runs/ID`; of assets without the prefix of a merchant.
    """

    key: str
    subject: str
    problem: str
    remedy: str = ""
    lasting: bool = False
    over: str = ""
    occurrence: str = ""
    pages: Sequence[str] = ()

    @property
    def text(self) -> str:
        """Both parts, for people."""
        return f"{self.problem}\n\nWhat helps: {self.remedy}" if self.remedy else self.problem


@dataclass(frozen=True)
class Place:
    """Which installation an alert is of: a test and a production may share a topic, and a mailbox.

    Attributes:
        ledger: the ledger's table, whose name begins with that of the stack.
        account: of AWS; "" where it is not known.
        region: of AWS; "" where it is not known.
        ui_url: Dagster's UI; "" where it has no address.
        merchant: whose it is, where several share a Dagster instance: the prefix of the assets' keys; "" for none.
    """

    ledger: str
    account: str = ""
    region: str = ""
    ui_url: str = ""
    merchant: str = ""

    def described(self, pages: Sequence[str]) -> str:
        """The installation, and links to pages of its UI."""
        names = {
            "merchant": self.merchant,
            "ledger table": self.ledger,
            "AWS account": self.account,
            "region": self.region,
        }
        of = "Environment: " + ", ".join(f"{what} {name}" for what, name in names.items() if name)
        links = [f"{self.ui_url.rstrip('/')}{self._page(page)}" for page in dict.fromkeys(pages)] if self.ui_url else []
        return "\n".join([of, *links])

    def _page(self, page: str) -> str:
        return page.replace("/assets/", f"/assets/{self.merchant}/", 1) if self.merchant else page


def counted(alert: Alert, times: int, told_at: int) -> Alert:
    """The alert with how often it happened, where that was more than once since it was published last."""
    if told_at:
        often = f"It happened {plural(times, 'more time')} since the last alert, on {utc(told_at)}."
    elif times > 1:
        often = f"It happened {plural(times, 'time')}; this is about the last one."
    else:
        return alert
    return replace(alert, problem=f"{alert.problem}\n\n{often}")


def together(alerts: Sequence[Alert]) -> Alert:
    """One message for many alerts: their subjects with how often, and the first one in full."""
    counts = Counter(alert.subject for alert in alerts)
    lines = [
        f"- {subject}" + (f" ({plural(count, 'time')})" if count > 1 else "") for subject, count in counts.most_common()
    ]
    subjects = "\n".join(lines)
    text = f"{subjects}\n\nThe first: {alerts[0].text}"
    return Alert("", f"JWO catalog: {len(alerts):,} alerts at once", text, pages=alerts[0].pages)


def send_alert(sns: Any, topic_arn: str, alert: Alert, place: Place) -> None:
    """Send one message to the topic, without secrets.

    Raises:
        AlertsUnavailable: the topic does not take it.
    """
    subject = redacted(alert.subject).encode("ascii", "replace").decode()[:MAX_SUBJECT]
    end = f"\n\n{place.described(alert.pages)}"
    text = redacted(alert.text)[: MAX_TEXT - len(end)] + redacted(end)
    try:
        with effect("sns: alert"):
            sns.publish(TopicArn=topic_arn, Subject=subject, Message=text)
    except (ClientError, BotoCoreError) as error:
        problem, remedy = aws_problem(error, "sns:Publish", "SNS")
        raise AlertsUnavailable(
            f"the alert {alert.subject!r} could not be published to {topic_arn}: {problem}",
            remedy or "check JWO_ALERT_TOPIC_ARN and the pipeline's role",
        ) from None
