"""Ingestions that no answer named: finding the batch that they came of, and ending the doubt about it.

A call whose answer never came may have become an ingestion. Its notification then names an id that the ledger does not
know. It is matched by what its report says of which items, with the one batch that has more attempts than responses and
carries just these. Names of items prove no content, so a match ends the waiting and no more: what Amazon holds of the
items stays unknown, and the next plan sends them again. What cannot be matched stays a doubt until
`JWO_DOUBT_MINUTES` have passed; after that a late ingestion may still be the batch's.
"""

import logging
from collections.abc import Callable
from urllib.parse import quote

import pandas as pd

from jwo_catalog_pipeline.catalog_api.errors import CatalogApiError
from jwo_catalog_pipeline.catalog_api.report import Report, read_report
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.lifecycle import close_if_final, supersede_older
from jwo_catalog_pipeline.upload.model import Batch, BatchState, News, leaf_batches
from jwo_catalog_pipeline.upload.published_state import batch_items
from jwo_catalog_pipeline.upload.waiting import Waits
from jwo_catalog_pipeline.wording import plural

REPORTS_A_TICK = 3  # each may take many seconds, and a sensor's tick must stay far below its 60 s
GIVEN_UP = "no news for {minutes:g} minutes: no longer waited for, and what became of it is not known"
_log = logging.getLogger(__name__)


def reconcile_orphans(ledger: Ledger, bucket: Bucket, fetch: Callable[[str], bytes | None]) -> dict[str, str]:
    """Match ended ingestions that the ledger does not know with the batches that are in doubt.

    Args:
        ledger: holds the news and the doubts.
        bucket: holds the batches' items; keeps the reports of unknown ingestions, which say what they were.
        fetch: gives the report of an ingestion, None where there is none.

    Returns:
        What was found out, by ingestion id, at most `REPORTS_A_TICK` of them.
    """
    sending = _sending(ledger)
    if any(batch.holds_lease(ledger.now()) for batch in sending):
        return {}  # what is being sent right now may be what the news is about
    for batch in sending:
        ledger.leave_in_doubt(batch, f"run {batch.owner} has not been heard of since")
    if not leaf_batches(ledger.doubtful()):
        return {}
    findings: dict[str, str] = {}
    for news in ledger.news():
        ingestion_id = news.ingestion_id
        if len(findings) == REPORTS_A_TICK:
            break
        if news.examined or ledger.ingestion(ingestion_id) or ledger.orphan(ingestion_id):
            continue
        try:
            content = fetch(ingestion_id)
        except CatalogApiError as error:
            findings[ingestion_id] = f"its report cannot be had: {error}"
            continue
        # Read again: what was found out just now has ended a doubt.
        matching = _matching(bucket, content, _candidates(ledger, news)) if content else []
        if len(matching) == 1:
            findings[ingestion_id] = f"is batch {matching[0].id} of upload {matching[0].upload}"
            ledger.end_doubt(ingestion_id, matching[0], by_items=True)
            continue
        findings[ingestion_id] = f"fits {plural(len(matching), 'batch')} in doubt"
        if content:
            bucket.put(f"inbox/unknown/{quote(ingestion_id, safe='')}.json", content, "application/json")
        # Nothing was being sent: a later doubt is about a later call, and so not about this ingestion.
        ledger.note_examined(news)
    return findings


def _candidates(ledger: Ledger, news: News) -> list[Batch]:
    """The batches that an ingestion may have come of: none that was first sent after it was known to have ended."""
    batches = leaf_batches([*ledger.doubtful(), *ledger.given_up()])
    return [batch for batch in batches if _first_sent(ledger, batch) <= news.received_at]


def _first_sent(ledger: Ledger, batch: Batch) -> int:
    """When the batch was first sent, epoch seconds; 0 where a lost ledger does not say."""
    return min((attempt.started_at for attempt in ledger.attempts(batch)), default=0)


def _matching(bucket: Bucket, content: bytes, doubtful: list[Batch]) -> list[Batch]:
    report = read_report(content)
    return [batch for batch in doubtful if _fits(batch_items(bucket, batch), report)]


def _fits(items: pd.DataFrame, report: Report) -> bool:
    """Whether a report can be about just these items; one that lists nothing can be about anything, and so is not."""
    listed = report.outcomes
    if listed.empty:
        return False
    if listed["store_id"].isna().any():
        reported, sent = set(listed["item_sku"]), set(items["item_sku"])
    else:
        key = ["store_id", "item_sku"]
        reported, sent = (set(map(tuple, table[key].to_numpy())) for table in (listed, items))
    return reported <= sent if report.others_succeeded else reported == sent


def expire_doubts(ledger: Ledger, waits: Waits) -> None:
    """Let time end what nothing else has ended: doubts, and news of ingestions that match no batch.

    What a dead worker of an older upload was sending becomes a doubt first.
    """
    if head := ledger.head().upload:
        supersede_older(ledger, head)
    since, doubted_since = ledger.now() - waits.in_flight_seconds, ledger.now() - waits.doubt_seconds
    for batch in ledger.doubtful():
        if batch.doubted_at >= doubted_since or batch.state is BatchState.SENDING:
            continue
        if batch.state is BatchState.IN_DOUBT and batch.upload == head:
            continue  # a run that resumes the upload can still send it
        message = GIVEN_UP.format(minutes=waits.doubt_minutes) if batch.state is BatchState.IN_DOUBT else batch.message
        if ledger.expire_doubt(batch, message):
            close_if_final(ledger, batch.upload)
    for news in ledger.news():
        if news.received_at < since and ledger.ingestion(news.ingestion_id) is None:
            ledger.keep_unknown(news)
            _log.warning("ingestion %s is not one of ours, as far as is known", news.ingestion_id)


def _sending(ledger: Ledger) -> list[Batch]:
    return [
        batch
        for upload in ledger.open_uploads()
        for batch in ledger.batches(upload)
        if batch.state is BatchState.SENDING
    ]
