"""What has ended: marks batches that there is news of, and asks the status API where there is none."""

import logging
import math
from collections import deque
from collections.abc import Callable
from functools import partial
from operator import itemgetter
from time import monotonic

from jwo_catalog_pipeline.catalog_api.client import CatalogApi
from jwo_catalog_pipeline.catalog_api.errors import CatalogApiError, RequestRefused
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.lifecycle import close_if_final, uploads_of_a_tick
from jwo_catalog_pipeline.upload.model import BatchState, Ingestion
from jwo_catalog_pipeline.upload.notices import News

STATUS_CALLS_A_TICK = 20  # 2 s of the call budget: a sensor's tick must stay far below its 60 s
NEWS_A_TICK = 50  # some 250 calls of the ledger
# A worker records an ingestion at once, or when its lease (300 s) is over another takes the batch over. What the ledger
# does not know after twice that is asked for as overdue.
EARLY_SECONDS, EARLY_NEWS_A_TICK = 600, 5
ORPHANS_A_TICK = 1_000  # one call; there are as many as workers were overtaken within a call
_log = logging.getLogger(__name__)


def mark_reported(ledger: Ledger, seconds: float = math.inf) -> bool:
    """Mark batches whose ingestion has ended as reported, at most `NEWS_A_TICK` of them, and none after so long.

    News that no batch is known for waits apart, where any number of it costs nothing. Only what came just now is
    looked at again: Amazon may be faster than the worker that records the ingestion.

    Returns:
        Whether some were marked, and there may be more to mark at once.
    """
    deadline, marked = monotonic() + seconds, 0
    waiting = deque(ledger.news_of_batches(NEWS_A_TICK))
    may_be_more = len(waiting) == NEWS_A_TICK
    while waiting and monotonic() < deadline:
        news = waiting.popleft()
        match _mark(ledger, news):
            case None if ledger.is_put_aside(news.ingestion_id):
                ledger.forget_news(news)
            case None:
                ledger.look_later(news, ledger.now())
            case done:
                marked += done
    for news in ledger.unclaimed_news(ledger.now() - EARLY_SECONDS, EARLY_NEWS_A_TICK, newest_first=True):
        _mark(ledger, news)
    return bool(marked) and (bool(waiting) or may_be_more)


def _mark(ledger: Ledger, news: News) -> bool | None:
    """Mark the batch of an ended ingestion as reported; whether that was done now, None where no batch is known."""
    ingestion = ledger.ingestion(news.ingestion_id) or _now_matched(ledger, news.ingestion_id)
    if ingestion is None:
        return None
    if ingestion.duplicate:
        ledger.forget_news(news)
        return False
    batch = ledger.batch(ingestion.upload, ingestion.plan, ingestion.batch)
    if batch.state in (BatchState.SUBMITTED, BatchState.CLOSED):
        return ledger.mark_reported(batch, news)  # or another worker was faster, or the next tick will be
    if batch.state is BatchState.REPORTED or batch.state.final:
        ledger.forget_news(news)
    return False


def _now_matched(ledger: Ledger, ingestion_id: str) -> Ingestion | None:
    """Match an ingestion that a worker saw accepted after it had lost the batch."""
    orphan = ledger.orphan(ingestion_id)
    if orphan is None:
        return None
    batch = ledger.batch(orphan.upload, orphan.plan, orphan.batch)
    ledger.end_doubt(ingestion_id, batch, by_items=False)
    return ledger.ingestion(ingestion_id)


def uploads_to_fetch(ledger: Ledger) -> dict[str, int]:
    """Open uploads with batches whose report is to be fetched, oldest first, and how many."""
    counts = {}
    for upload in uploads_of_a_tick(ledger):
        batches = ledger.batches(upload)
        if reported := sum(batch.state is BatchState.REPORTED for batch in batches):
            counts[upload] = reported
        elif all(batch.is_closed for batch in batches):
            close_if_final(ledger, upload)
    return counts


def ask_overdue(
    ledger: Ledger,
    api: CatalogApi,
    overdue_seconds: float,
    on_failure: Callable[[CatalogApiError], None] = lambda error: None,
) -> dict[str, str]:
    """Ask the status API about submitted batches without news for so long, those not asked for the longest first.

    Args:
        ledger: knows the batches.
        api: is asked.
        overdue_seconds: how long to wait for news.
        on_failure: is given the error where the API cannot be asked at all.

    Returns:
        The answer by ingestion id, at most `STATUS_CALLS_A_TICK` of them; what has ended is kept as news.
    """
    now = ledger.now()
    waiting: list[tuple[int, str, Callable[[], object]]] = [
        (max(batch.sent_at, batch.asked_at), batch.ingestion_id, partial(ledger.note_asked, batch, now))
        for upload in uploads_of_a_tick(ledger)
        for batch in ledger.batches(upload)
        if batch.state is BatchState.SUBMITTED
    ]
    waiting += [
        (orphan.seen_at, orphan.ingestion_id, partial(ledger.note_orphan_asked, orphan, now))
        for orphan in ledger.orphans(ORPHANS_A_TICK)
    ]
    answers = {}
    due = sorted((entry for entry in waiting if entry[0] <= now - overdue_seconds), key=itemgetter(0))
    for _, ingestion_id, note_asked in due[:STATUS_CALLS_A_TICK]:
        try:
            status = api.status(ingestion_id)
        except CatalogApiError as error:
            _log.warning("no status of ingestion %s: %s", ingestion_id, error)
            answers[ingestion_id] = type(error).__name__
            if not isinstance(error, RequestRefused):
                on_failure(error)
                break  # the next call would most likely meet it too
            note_asked()  # it is about this id only; the others come first now
            continue
        answers[ingestion_id] = status.processing_status
        if status.final:
            ledger.keep_news(ingestion_id, "status", status.processing_status, status.report_url)
        else:
            note_asked()
    return answers
