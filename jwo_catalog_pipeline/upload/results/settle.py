"""From reports to outcomes: fetching what Amazon says of each item, and storing it. Every step may be done again."""

import logging
from dataclasses import dataclass

import pandas as pd

from jwo_catalog_pipeline.catalog_api.client import CatalogApi
from jwo_catalog_pipeline.catalog_api.errors import (
    CatalogApiError,
    ForbiddenReportLink,
    ReportUnavailable,
)
from jwo_catalog_pipeline.catalog_api.report import (
    UNKNOWN_SHAPE,
    fetch_report,
    match_outcomes,
    read_report,
)
from jwo_catalog_pipeline.catalog_api.safe_http import SafeHttp
from jwo_catalog_pipeline.errors import TransientError
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.upload.errors import Conflict
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.lifecycle import close_if_final
from jwo_catalog_pipeline.upload.model import Batch, BatchState
from jwo_catalog_pipeline.upload.outcomes import batch_items, forget_so_far, outcomes_key, report_key
from jwo_catalog_pipeline.upload.queries import upload_outcomes

_ENDED_BADLY = frozenset({"CANCELLED", "FATAL"})
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settler:
    """Fetches reports and stores what they say. `endpoint` is the S3 endpoint in use, from which links may come."""

    ledger: Ledger
    bucket: Bucket
    api: CatalogApi
    http: SafeHttp
    endpoint: str

    def settle(self, upload: str) -> tuple[pd.DataFrame, list[str]]:
        """Settle what can be settled of an upload.

        Only reports that are new are read, so that the calls do not depend on what is settled already. Where none is
        new, somebody wants it done again: every stored report is read again, so that a better reader corrects what an
        older one misunderstood.

        Returns:
            One row per item of the upload, `ItemOutcome`; and a sentence for each batch whose report could not be had.
        """
        problems = []
        batches = self.ledger.batches(upload)
        new = [batch for batch in batches if batch.state is BatchState.REPORTED]
        again = [] if new else [batch for batch in batches if batch.state is BatchState.SETTLED]
        if again:
            forget_so_far(self.bucket, again[0])
        for batch in [*new, *again]:
            try:
                if batch.state is BatchState.REPORTED:
                    self._settle_batch(batch)
                else:
                    self._store_outcomes(batch, self.bucket.get(report_key(batch)))
            except CatalogApiError as error:
                if batch.closed_at and not isinstance(error, TransientError):
                    self.ledger.close_batch(batch, batch.message or str(error))  # late news that adds nothing
                    continue
                problems.append(f"batch {batch.id}, ingestion {batch.ingestion_id}: {error}")
            except Conflict:
                _log.info("another run has settled batch %s of upload %s", batch.id, upload)
        close_if_final(self.ledger, upload)
        return upload_outcomes(self.ledger, self.bucket, upload, keep=True), problems

    def _settle_batch(self, batch: Batch) -> None:
        ended_badly = batch.processing_status in _ENDED_BADLY
        content = None if ended_badly else self._fetch_known(batch.ingestion_id)
        if content is None:
            status = batch.processing_status if ended_badly else self.api.status(batch.ingestion_id).processing_status
            self.ledger.fail(batch, f"Amazon ended the ingestion as {status}")
            return
        self.bucket.put(report_key(batch), content, "application/json")
        self._store_outcomes(batch, content)

    def _fetch_known(self, ingestion_id: str) -> bytes | None:
        """The report of an ingestion that is ours, through the link at hand or as `fetch` does."""
        if link := self.ledger.link(ingestion_id):
            try:
                return self._own_report(ingestion_id, link, known_shape=True)
            except ReportUnavailable as error:
                _log.info("%s; asking for a fresh link", error)
            except ForbiddenReportLink as error:
                _log.warning("ingestion %s: %s; asking the status API", ingestion_id, error)
        return self.fetch(ingestion_id)

    def fetch(self, ingestion_id: str) -> bytes | None:
        """The report, through a link that the status API gives; None where it says that there will be none.

        A link at hand is not asked: it opens without credentials, and so may be of another's report.

        Raises:
            ReportUnavailable, ForbiddenReportLink: it cannot be had now.
            RequestRefused: the status API does not know the id; it is another's.
            CatalogApiError: the status API cannot be asked.
        """
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
        report = read_report(content, archive=batch.operation.removes)
        outcomes = match_outcomes(batch_items(self.bucket, batch), report)
        self.bucket.put_table(outcomes_key(batch), outcomes)
        counts = {str(outcome): int(count) for outcome, count in outcomes["outcome"].value_counts().items()}
        self.ledger.settle(batch, report.shape, counts)
