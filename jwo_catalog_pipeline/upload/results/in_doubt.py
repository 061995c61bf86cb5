"""Ingestions that no answer named: finding the batch that they came of, and ending the doubt about it.

A call whose answer never came may have become an ingestion. Its notification then names an id that the ledger does not
know. It is matched by what its report says of which items, with the one batch that has more attempts than responses and
carries just these. Names of items prove no content, so a match ends the waiting and no more: what Amazon holds of the
items stays unknown, and the next plan sends them again. What cannot be matched stays a doubt until
`JWO_DOUBT_MINUTES` have passed; after that a late ingestion may still be the batch's.

Other installations may hear of their ingestions on the same topic, and theirs may carry items of the same names. So the
status API is asked first: it answers 400 where an id is another's (documented). Without a doubt it is not asked.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import pyarrow as pa

from jwo_catalog_pipeline.catalog_api.errors import (
    AccessDenied,
    CatalogApiError,
    ForbiddenReportLink,
    ReportUnavailable,
    RequestRefused,
    WrongEndpoint,
)
from jwo_catalog_pipeline.catalog_api.report import Report, read_report
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.lifecycle import close_if_final, supersede_older, uploads_of_a_tick
from jwo_catalog_pipeline.upload.model import Batch, BatchState, leaf_batches
from jwo_catalog_pipeline.upload.notices import News
from jwo_catalog_pipeline.upload.outcomes import batch_item_table
from jwo_catalog_pipeline.upload.waiting import Waits
from jwo_catalog_pipeline.wording import plural

REPORTS_A_TICK = 3  # each may take many seconds, and a sensor's tick must stay far below its 60 s
IDS_A_TICK = 20  # 2 s of the call budget
BEFORE_A_TICK = 5  # they cost no call of the API, as long as no batch was given up
GIVEN_UP_A_TICK = 100  # batches in doubt, or given up, that late news may be about
# The clocks of two machines of ours: one that is further off cannot sign a call that Amazon takes.
CLOCK_SKEW_SECONDS = 300
# Amazon may not have the id of an ingestion everywhere at once. One that has ended was known for minutes by then, so
# this is ample: what is refused when its news is older than this is not ours.
NOT_OURS_SECONDS = 600
LOOK_AGAIN_SECONDS, LONGEST_PAUSE_SECONDS = 60, 4 * 3600  # after trouble with one report; doubled each time
FITS = "fits {} in doubt"
GIVEN_UP = "no news for {minutes:g} minutes: no longer waited for, and what became of it is not known"
# These are about one ingestion, or may be; any other error would most likely be the next one's too.
_ABOUT_ONE = (AccessDenied, ForbiddenReportLink, ReportUnavailable, WrongEndpoint)
_log = logging.getLogger(__name__)


def reconcile_orphans(ledger: Ledger, bucket: Bucket, fetch: Callable[[str], bytes | None]) -> dict[str, str]:
    """Match ended ingestions that the ledger does not know with the batches that are in doubt.

    The newest and the oldest are looked at first, so that ours is reached whatever lies there of others.

    Args:
        ledger: holds the news and the doubts.
        bucket: holds the batches' items; keeps the reports of unknown ingestions, which say what they were.
        fetch: gives the report of an ingestion, None where there is none; raises `RequestRefused` where the status API
            does not know the id.

    Returns:
        What was found out, by ingestion id: at most `REPORTS_A_TICK` reports and `IDS_A_TICK` ids.
    """
    sending = _sending(ledger)
    if any(batch.holds_lease(ledger.now()) for batch in sending):
        return {}  # what is being sent right now may be what the news is about
    for batch in sending:
        ledger.leave_in_doubt(batch, f"run {batch.owner} has not been heard of since")
    findings: dict[str, str] = {}
    reports = 0
    candidates = _candidates(ledger)
    for news in _due(ledger, candidates):
        if reports == REPORTS_A_TICK or not any(candidate.is_waited_for for candidate in candidates):
            break
        if _is_done(ledger, news):
            continue
        possible = [candidate.batch for candidate in candidates if candidate.may_be(news)]
        if not possible:
            findings[news.ingestion_id] = FITS.format("0 batches")
            ledger.put_aside(news, "had ended before any batch in doubt was sent")
            continue
        try:
            findings[news.ingestion_id] = _examine(ledger, bucket, fetch(news.ingestion_id), news, possible)
        except RequestRefused as error:
            findings[news.ingestion_id] = _refused(ledger, news, error)
        except CatalogApiError as error:
            findings[news.ingestion_id] = f"its report cannot be had: {error}"
            if not isinstance(error, _ABOUT_ONE):
                break
            _look_later(ledger, news)
        else:
            reports += 1
            candidates = _candidates(ledger)  # a match has ended a doubt
    return findings


def _is_done(ledger: Ledger, news: News) -> bool:
    """Whether a batch is known for the news by now, or it is a copy of what was put aside."""
    if ledger.ingestion(news.ingestion_id) or ledger.orphan(news.ingestion_id):
        ledger.claim_news(news)
        return True
    if ledger.is_put_aside(news.ingestion_id):
        ledger.forget_news(news)
        return True
    return False


def _examine(ledger: Ledger, bucket: Bucket, content: bytes | None, news: News, possible: list[Batch]) -> str:
    """Match a report with the batch whose items it names, or put it aside; says which."""
    report = read_report(content) if content else None
    matching = [batch for batch in possible if report and _fits(batch_item_table(bucket, batch), report)]
    if len(matching) == 1:
        ledger.end_doubt(news.ingestion_id, matching[0], by_items=True, news=news)
        return f"is batch {matching[0].id} of upload {matching[0].upload}"
    if content:
        bucket.put(f"inbox/unknown/{quote(news.ingestion_id, safe='')}.json", content, "application/json")
    # Nothing was being sent: a later doubt is about a later call, and so not about this ingestion.
    finding = FITS.format(plural(len(matching), "batch"))
    ledger.put_aside(news, finding)
    return finding


@dataclass(frozen=True)
class _Candidate:
    """A batch that an ingestion may have come of, and when it was first sent, epoch seconds."""

    batch: Batch
    first_sent: int

    @property
    def is_waited_for(self) -> bool:
        """Whether it is in doubt, and not given up."""
        return self.batch.doubts > 0

    def may_be(self, news: News) -> bool:
        """Whether the ingestion had not ended yet when the batch was first sent."""
        return news.had_ended_by >= self.first_sent - CLOCK_SKEW_SECONDS


def _candidates(ledger: Ledger) -> list[_Candidate]:
    """The batches in doubt, and those given up where there are such; none where nothing is in doubt."""
    doubtful = leaf_batches(ledger.doubtful())
    batches = [*doubtful, *leaf_batches(ledger.given_up(GIVEN_UP_A_TICK))] if doubtful else []
    return [_Candidate(batch, ledger.first_sent(batch)) for batch in batches]


def _due(ledger: Ledger, candidates: list[_Candidate]) -> list[News]:
    """News to look at now: what may be about the doubts, and some of what was heard before they arose."""
    waited_for = [candidate.first_sent for candidate in candidates if candidate.is_waited_for]
    if not waited_for:
        return []
    since = min(waited_for) - CLOCK_SKEW_SECONDS
    newest = ledger.unclaimed_news(since, IDS_A_TICK // 2, newest_first=True)
    oldest = ledger.unclaimed_news(since, IDS_A_TICK // 2, newest_first=False)
    before = ledger.unclaimed_news(0, BEFORE_A_TICK, newest_first=False)
    again = ledger.looked_at_news(IDS_A_TICK // 2)
    return list({news.ingestion_id: news for news in [*newest, *oldest, *again, *before]}.values())


def _refused(ledger: Ledger, news: News, error: RequestRefused) -> str:
    """Put aside what the status API does not know; what was heard just now once more, later, to be sure."""
    certain = news.received_at + NOT_OURS_SECONDS
    if ledger.now() >= certain:
        ledger.put_aside(news, f"is not ours: {error.event}")
        return "is not ours"
    ledger.look_later(news, certain)
    return "seems not to be ours; will be asked for once more"


def _look_later(ledger: Ledger, news: News) -> None:
    pause = min(LOOK_AGAIN_SECONDS * 2**news.looks, LONGEST_PAUSE_SECONDS)
    ledger.look_later(news, ledger.now() + pause)


def _fits(items: pa.Table, report: Report) -> bool:
    """Whether a report can be about just these items; one that lists nothing can be about anything, and so is not."""
    if not len(report.outcomes):
        return False
    by_sku = report.outcomes["store_id"].null_count > 0
    names = ["item_sku"] if by_sku else ["store_id", "item_sku"]
    sent, reported = (
        set(zip(*(table[name].to_pylist() for name in names), strict=True)) for table in (items, report.outcomes)
    )
    return reported <= sent if report.others_succeeded else reported == sent


def expire_doubts(ledger: Ledger, waits: Waits) -> None:
    """Let time end doubts that nothing else has ended.

    What a dead worker of an older upload was sending becomes a doubt first.
    """
    if head := ledger.head().upload:
        supersede_older(ledger, head, uploads_of_a_tick(ledger))
    doubted_since = ledger.now() - waits.doubt_seconds
    ended = set()
    for batch in ledger.doubtful():
        if batch.doubted_at >= doubted_since or batch.state is BatchState.SENDING:
            continue
        if batch.state is BatchState.IN_DOUBT and batch.upload == head:
            continue  # a run that resumes the upload can still send it
        message = GIVEN_UP.format(minutes=waits.doubt_minutes) if batch.state is BatchState.IN_DOUBT else batch.message
        if ledger.expire_doubt(batch, message):
            ended.add(batch.upload)
    for upload in sorted(ended):
        close_if_final(ledger, upload)


def _sending(ledger: Ledger) -> list[Batch]:
    return [
        batch
        for upload in uploads_of_a_tick(ledger)
        for batch in ledger.batches(upload)
        if batch.state is BatchState.SENDING
    ]
