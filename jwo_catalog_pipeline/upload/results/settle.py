"""From reports to outcomes: fetching what Amazon says of each item, and storing it. Every step may be done again."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from jwo_catalog_pipeline.catalog_api.client import CatalogApi
from jwo_catalog_pipeline.catalog_api.errors import (
    CatalogApiError,
    ForbiddenReportLink,
    ReportUnavailable,
)
from jwo_catalog_pipeline.catalog_api.matching import match_outcomes
from jwo_catalog_pipeline.catalog_api.report import (
    UNKNOWN_SHAPE,
    Report,
    fetch_report,
    read_report,
)
from jwo_catalog_pipeline.catalog_api.safe_http import SafeHttp
from jwo_catalog_pipeline.errors import TransientError
from jwo_catalog_pipeline.storage import PARQUET, Bucket, table_bytes
from jwo_catalog_pipeline.table_file import TableFile
from jwo_catalog_pipeline.upload.errors import Conflict
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.lifecycle import close_if_final
from jwo_catalog_pipeline.upload.model import Batch, BatchState
from jwo_catalog_pipeline.upload.outcomes import batch_item_table, outcomes_key, report_key
from jwo_catalog_pipeline.upload.queries import upload_outcomes
from jwo_catalog_pipeline.upload.so_far import forget_so_far
from jwo_catalog_pipeline.work_folder import new_path

_ENDED_BADLY = frozenset({"CANCELLED", "FATAL"})
SETTLED_AT_ONCE = 8  # each takes some 10 MB, and mostly waits for S3 and the ledger
T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settler:
    """Fetches reports and stores what they say. `endpoint` is the S3 endpoint in use, from which links may come."""

    ledger: Ledger
    bucket: Bucket
    api: CatalogApi
    http: SafeHttp
    endpoint: str

    def settle(self, upload: str, folder: Path) -> tuple[TableFile, list[str]]:
        """Settle what can be settled of an upload.

        Only reports that are new are read, so that the calls do not depend on what is settled already. Where none is
        new, somebody wants it done again: every stored report is read again, so that a better reader corrects what an
        older one misunderstood.

        Args:
            upload: the upload's key.
            folder: of `work_folder`; the table is written there.

        Returns:
            One row per item of the upload, `ItemOutcome`; and a sentence for each batch whose report could not be had.
        """
        batches = self.ledger.batches(upload)
        new = [batch for batch in batches if batch.state is BatchState.REPORTED]
        again = [] if new else [batch for batch in batches if batch.state is BatchState.SETTLED]
        if again:
            forget_so_far(self.bucket, again[0])
        done = each_at_once(lambda batch: self._settle_or_say_why(batch, folder), [*new, *again])
        close_if_final(self.ledger, upload)
        known = {batch_id: table for batch_id, table, _ in done if table}
        outcomes = upload_outcomes(self.ledger, self.bucket, upload, folder, keep=True, known=known)
        return outcomes, [problem for _, _, problem in done if problem]

    def _settle_or_say_why(self, batch: Batch, folder: Path) -> tuple[str, TableFile | None, str]:
        """Settle a batch: its id, its outcomes if they were stored now, and why it could not be settled, or ""."""
        try:
            return batch.id, self._settle_batch(batch, folder), ""
        except CatalogApiError as error:
            if not batch.closed_at or isinstance(error, TransientError):
                return batch.id, None, f"batch {batch.id}, ingestion {batch.ingestion_id}: {error}"
            self.ledger.close_batch(batch, batch.message or str(error))  # late news that adds nothing
        except Conflict:
            _log.info("another run has settled batch %s of upload %s", batch.id, batch.upload)
        return batch.id, None, ""

    def _settle_batch(self, batch: Batch, folder: Path) -> TableFile | None:
        """Settle a batch; its outcomes, None where there is no report."""
        if batch.state is BatchState.SETTLED:
            stored = self.bucket.get(report_key(batch))
            return self._store_outcomes(batch, read_report(stored, archive=batch.operation.removes), folder)
        ended_badly = batch.processing_status in _ENDED_BADLY
        found = None if ended_badly else self._fetch_known(batch)
        if found is None:
            status = batch.processing_status if ended_badly else self.api.status(batch.ingestion_id).processing_status
            self.ledger.fail(batch, f"Amazon ended the ingestion as {status}")
            return None
        content, report = found
        self.bucket.put(report_key(batch), content, "application/json")
        return self._store_outcomes(batch, report, folder)

    def _fetch_known(self, batch: Batch) -> tuple[bytes, Report] | None:
        """The report of an ingestion that is ours, through the link at hand or as `fetch` does."""
        ingestion_id, archive = batch.ingestion_id, batch.operation.removes
        if link := self.ledger.link(ingestion_id):
            try:
                return self._own_report(ingestion_id, link, archive, known_shape=True)
            except ReportUnavailable as error:
                _log.info("%s; asking for a fresh link", error)
            except ForbiddenReportLink as error:
                _log.warning("ingestion %s: %s; asking the status API", ingestion_id, error)
        return self._fetch(ingestion_id, archive)

    def fetch(self, ingestion_id: str) -> bytes | None:
        """The report, through a link that the status API gives; None where it says that there will be none.

        A link at hand is not asked: it opens without credentials, and so may be of another's report.

        Raises:
            ReportUnavailable, ForbiddenReportLink: it cannot be had now.
            RequestRefused: the status API does not know the id; it is another's.
            CatalogApiError: the status API cannot be asked.
        """
        found = self._fetch(ingestion_id, archive=False)
        return found[0] if found else None

    def _fetch(self, ingestion_id: str, archive: bool) -> tuple[bytes, Report] | None:
        status = self.api.status(ingestion_id)
        if status.processing_status in _ENDED_BADLY:
            return None
        if not status.report_url:
            raise ReportUnavailable(f"the status is {status.processing_status}, without a link to the report")
        self.ledger.keep_link(ingestion_id, status.report_url)
        return self._own_report(ingestion_id, status.report_url, archive, known_shape=False)

    def _own_report(self, ingestion_id: str, link: str, archive: bool, *, known_shape: bool) -> tuple[bytes, Report]:
        """The report behind a link, as it was written and as it is understood.

        Raises:
            ReportUnavailable: it says that it is about another ingestion; or its shape must be known, and is not, for
                what stands between may have answered (a portal, a cache) and a fresh link leads to the report itself.
        """
        content = fetch_report(self.http, link, self.endpoint)
        report = read_report(content, archive=archive)
        if report.ingestion_id not in (None, ingestion_id):
            raise ReportUnavailable(f"the link leads to the report of ingestion {str(report.ingestion_id)[:80]}")
        if known_shape and report.shape == UNKNOWN_SHAPE:
            raise ReportUnavailable("the link leads to something in no known shape")
        return content, report

    def _store_outcomes(self, batch: Batch, report: Report, folder: Path) -> TableFile:
        outcomes = match_outcomes(batch_item_table(self.bucket, batch), report)
        content = table_bytes(outcomes)
        self.bucket.put(outcomes_key(batch), content, PARQUET)
        counts = {entry["values"]: entry["counts"] for entry in outcomes["outcome"].value_counts().to_pylist()}
        self.ledger.settle(batch, report.shape, counts)
        path = new_path(folder, batch.id)
        path.write_bytes(content)
        return TableFile(path)


def each_at_once(work: Callable[[Batch], T], batches: Sequence[Batch]) -> list[T]:
    """What the work gives for each batch, a few of them at a time; after an error no further one is begun."""
    threads = ThreadPoolExecutor(SETTLED_AT_ONCE)
    try:
        return list(threads.map(work, batches))
    finally:
        threads.shutdown(cancel_futures=True)
