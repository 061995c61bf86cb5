"""What people must know, found in the ledger and the queue, and publishing it: each alert once.

Belongs here: what the upload protocol knows of. Runs that failed are Dagster's (see `failed_runs`).
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlencode

from jwo_catalog_pipeline.errors import PipelineError
from jwo_catalog_pipeline.upload.alert_messages import Alert
from jwo_catalog_pipeline.upload.errors import LedgerUnavailable
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import Batch, BatchState, leaf_batches, utc
from jwo_catalog_pipeline.upload.results.unverified import unverified_sentence
from jwo_catalog_pipeline.wording import plural

T = TypeVar("T")
# Amazon takes up to an hour and is asked after 90 minutes by default: what is open half an hour later is stuck.
LEAST_OVERDUE_MINUTES, GRACE_MINUTES = 90, 30
UNVERIFIED, UNVERIFIED_ALERT_SECONDS = "unverified", 30 * 60
CLOSED = str(BatchState.CLOSED)


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
