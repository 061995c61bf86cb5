"""From news to outcomes: telling batches that their ingestion has ended, asking where there is no news, and storing
what the reports say of each item. Every step may be done again. Ingestions that no answer named are in `matching`.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import itemgetter

import pandas as pd

from jwo_catalog_pipeline.catalog_api.checked_http import CheckedHttp
from jwo_catalog_pipeline.catalog_api.client import CatalogApi
from jwo_catalog_pipeline.catalog_api.errors import (
    CatalogApiError,
    ForbiddenReportLink,
    ReportUnavailable,
    RequestRefused,
)
from jwo_catalog_pipeline.catalog_api.report import (
    ACCEPTED,
    REJECTED,
    UNKNOWN_SHAPE,
    UNREPORTED,
    Report,
    fetch_report,
    read_report,
)
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.upload.ledger.dynamodb import Conflict
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.lifecycle import close_if_final
from jwo_catalog_pipeline.upload.model import ARCHIVE, Batch, BatchState, leaf_batches
from jwo_catalog_pipeline.upload.published_state import batch_items, batch_outcomes, outcomes_key, report_key

SETTLED_SECONDS = 7 * 86_400  # where no alerts are configured, nothing takes the note
STATUS_CALLS_A_TICK = 20  # 2 s of the call budget: a sensor's tick must stay far below its 60 s
_ENDED_BADLY = frozenset({"CANCELLED", "FATAL"})
_WORST_FIRST = {REJECTED: 0, UNREPORTED: 1, ACCEPTED: 2}
_log = logging.getLogger(__name__)


def mark_reported(ledger: Ledger) -> None:
    """Tell batches that their ingestion has ended. News that no batch is known for is kept until one is."""
    for news in ledger.news():
        if ledger.is_duplicate(news.ingestion_id):
            ledger.forget_news(news.ingestion_id)
            continue
        batch = ledger.ingestion(news.ingestion_id) or _now_matched(ledger, news.ingestion_id)
        if batch is None:
            continue
        if batch.state is BatchState.SUBMITTED:
            ledger.mark_reported(batch, news)  # or somebody else was faster, or the next tick will be
        elif batch.state is BatchState.REPORTED or batch.state.final:
            ledger.forget_news(news.ingestion_id)


def _now_matched(ledger: Ledger, ingestion_id: str) -> Batch | None:
    """The batch that takes for its own an ingestion which a worker saw accepted after it had lost the batch."""
    orphan = ledger.orphan(ingestion_id)
    if orphan is None:
        return None
    ledger.end_doubt(ingestion_id, ledger.batch(orphan.upload, orphan.plan, orphan.number))
    return ledger.ingestion(ingestion_id)


def uploads_to_fetch(ledger: Ledger) -> dict[str, int]:
    """Open uploads with batches whose report is to be fetched, oldest first, and how many."""
    found = {}
    for upload in ledger.open_uploads():
        reported = sum(batch.state is BatchState.REPORTED for batch in ledger.batches(upload))
        if reported:
            found[upload] = reported
        else:
            close_if_final(ledger, upload)
    return found


def ask_overdue(ledger: Ledger, api: CatalogApi, overdue_seconds: float) -> dict[str, str]:
    """Ask the status API about submitted batches without news for so long, those not asked for the longest first.

    Returns:
        The answer by ingestion id, at most `STATUS_CALLS_A_TICK` of them; what has ended is kept as news.
    """
    now = ledger.now()
    waiting: list[tuple[int, str, Callable[[], object]]] = [
        (max(batch.sent_at, batch.asked_at), batch.ingestion_id, partial(ledger.note_asked, batch, now))
        for upload in ledger.open_uploads()
        for batch in ledger.batches(upload)
        if batch.state is BatchState.SUBMITTED
    ]
    waiting += [
        (orphan.seen_at, orphan.ingestion_id, partial(ledger.note_orphan_asked, orphan, now))
        for orphan in ledger.orphans()
    ]
    answers = {}
    due = sorted((each for each in waiting if each[0] <= now - overdue_seconds), key=itemgetter(0))
    for _, ingestion_id, note_asked in due[:STATUS_CALLS_A_TICK]:
        try:
            status = api.status(ingestion_id)
        except CatalogApiError as error:
            _log.warning("no status of ingestion %s: %s", ingestion_id, error)
            answers[ingestion_id] = type(error).__name__
            if not isinstance(error, RequestRefused):
                break  # the next call would most likely meet it too
            note_asked()  # it is about this id only; the others come first now
            continue
        answers[ingestion_id] = status.processing_status
        if status.final:
            ledger.keep_news(ingestion_id, "status", status.processing_status, status.report_url)
        else:
            note_asked()
    return answers


@dataclass(frozen=True)
class Settler:
    """Fetches reports and stores what they say. `endpoint` is the S3 endpoint in use, from which links may come."""

    ledger: Ledger
    bucket: Bucket
    api: CatalogApi
    http: CheckedHttp
    endpoint: str

    def settle(self, upload: str) -> tuple[pd.DataFrame, list[str]]:
        """Settle what can be settled of an upload.

        Returns:
            One row per item of the upload: `upload`, `batch`, `store_id`, `item_sku`, `outcome`, `code`, `message`,
            `ingestion_id`, `content_hash`; and a sentence for each batch whose report could not be had.
        """
        problems = []
        for batch in self.ledger.batches(upload):
            try:
                if batch.state is BatchState.REPORTED:
                    self._settle_batch(batch)
                elif batch.state is BatchState.SETTLED:
                    # Read again from what is stored, so that a better reader corrects what an older one misunderstood.
                    self._store_outcomes(batch, self.bucket.get(report_key(batch)))
            except CatalogApiError as error:
                problems.append(f"batch {batch.number}, ingestion {batch.ingestion_id}: {error}")
            except Conflict:
                _log.info("another run has settled batch %s of upload %s", batch.number, upload)
        close_if_final(self.ledger, upload)
        return upload_outcomes(self.ledger, self.bucket, upload), problems

    def _settle_batch(self, batch: Batch) -> None:
        ended_badly = batch.processing_status in _ENDED_BADLY
        content = None if ended_badly else self.fetch(batch.ingestion_id)
        if content is None:
            status = batch.processing_status if ended_badly else self.api.status(batch.ingestion_id).processing_status
            self.ledger.fail(batch, f"Amazon ended the ingestion as {status}")
            return
        self.bucket.put(report_key(batch), content, "application/json")
        self._store_outcomes(batch, content)

    def fetch(self, ingestion_id: str) -> bytes | None:
        """The report, through the link at hand or a fresh one; None where the status says that there will be none.

        Raises:
            ReportUnavailable, ForbiddenReportLink: it cannot be had now.
            CatalogApiError: the status API cannot be asked.
        """
        if link := self.ledger.link(ingestion_id):
            try:
                return self._own_report(ingestion_id, link, known_shape=True)
            except ReportUnavailable as error:
                _log.info("%s; asking for a fresh link", error)
            except ForbiddenReportLink as error:
                _log.warning("ingestion %s: %s; asking the status API", ingestion_id, error)
        status = self.api.status(ingestion_id)
        if status.processing_status in _ENDED_BADLY:
            return None
        if not status.report_url:
            raise ReportUnavailable(f"the status is {status.processing_status}, without a link to the report")
        self.ledger.keep_link(ingestion_id, status.report_url)
        return self._own_report(ingestion_id, status.report_url, known_shape=False)

    def _own_report(self, ingestion_id: str, link: str, *, known_shape: bool) -> bytes:
        """The report behind a link.

        Raises:
            ReportUnavailable: it says that it is about another ingestion; or its shape must be known, and is not, for
                what stands between may have answered (a portal, a cache) and a fresh link leads to the report itself.
        """
        content = fetch_report(self.http, link, self.endpoint)
        report = read_report(content)
        if report.ingestion_id not in (None, ingestion_id):
            raise ReportUnavailable(f"the link leads to the report of ingestion {str(report.ingestion_id)[:80]}")
        if known_shape and report.shape == UNKNOWN_SHAPE:
            raise ReportUnavailable("the link leads to something in no known shape")
        return content

    def _store_outcomes(self, batch: Batch, content: bytes) -> None:
        report = read_report(content, archive=batch.operation == ARCHIVE)
        outcomes = match_outcomes(batch_items(self.bucket, batch), report)
        self.bucket.put_table(outcomes_key(batch), outcomes)
        counts = {str(outcome): int(count) for outcome, count in outcomes["outcome"].value_counts().items()}
        self.ledger.settle(batch, report.shape, counts)


def match_outcomes(items: pd.DataFrame, report: Report) -> pd.DataFrame:
    """Give every item of a batch what the report says of it.

    Args:
        items: `store_id`, `item_sku`, `content_hash`, in the batch's order.
        report: an entry without a store speaks for the SKU in every store; one for an item not sent is left out.

    Returns:
        The items in their order with `outcome`, `code`, `message`. An item listed twice takes the worse outcome. Where
        a report lists only errors, what it does not list was accepted, unless it lists an item that was not sent.
    """
    rank = report.outcomes["outcome"].map(_WORST_FIRST)
    worst_first = report.outcomes.loc[rank.sort_values(kind="stable").index]
    anywhere = worst_first["store_id"].isna()
    exact = worst_first[~anywhere].drop_duplicates(["store_id", "item_sku"])
    by_sku = worst_first[anywhere].drop_duplicates("item_sku").drop(columns="store_id")
    said = ["outcome", "code", "message"]
    matched = items.merge(exact, how="left", on=["store_id", "item_sku"])
    for_sku = items.merge(by_sku, how="left", on="item_sku")
    worse = for_sku["outcome"].map(_WORST_FIRST) < matched["outcome"].map(_WORST_FIRST).fillna(len(_WORST_FIRST))
    matched.loc[worse, said] = for_sku.loc[worse, said]
    unlisted = matched["outcome"].isna()
    # An error about something that was not sent may be about any of these, under another name.
    found = len(exact.merge(items)) + int(by_sku["item_sku"].isin(items["item_sku"]).sum())
    strangers = report.others_succeeded and found < len(exact) + len(by_sku)
    if report.others_succeeded and not strangers:
        matched.loc[unlisted, "outcome"] = ACCEPTED
    else:
        reason = "the report names items that were not sent" if strangers else "the report does not mention the item"
        matched.loc[unlisted, ["outcome", "message"]] = [UNREPORTED, reason]
    return matched.astype("str")


def upload_outcomes(ledger: Ledger, bucket: Bucket, upload: str) -> pd.DataFrame:
    """Every item of an applied upload and where it is; see `Settler.settle`."""
    parts = [
        batch_outcomes(bucket, batch).assign(upload=upload, batch=batch.number)
        for batch in leaf_batches(ledger.batches(upload))
    ]
    columns = [
        "upload",
        "batch",
        "store_id",
        "item_sku",
        "outcome",
        "code",
        "message",
        "ingestion_id",
        "content_hash",
    ]
    dtypes = {name: "int64" if name == "batch" else "str" for name in columns}
    empty = pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in dtypes.items()})
    return pd.concat([empty, *parts], ignore_index=True)[columns].astype(dtypes)


def not_accepted(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Why items were not accepted, most frequent first: `outcome`, `code`, `items`, `example` (a message)."""
    others = outcomes[outcomes["outcome"] != ACCEPTED].fillna("")
    groups = others.groupby(["outcome", "code"], as_index=False, sort=False)
    found = groups.agg(items=("message", "size"), example=("message", "first"))
    return found.sort_values("items", ascending=False, kind="stable", ignore_index=True)
