"""The published state from its sources: every batch that was ever applied, and the reports as Amazon wrote them.

The running state starts from a snapshot, so that planning need not read the whole past. This reads it, and so shows
that the snapshot is right, and makes it again where it was lost.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from jwo_catalog_pipeline.catalog_api.report import read_report
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.upload.errors import NothingApplied, RecordNotFound
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import ARCHIVE, Batch, BatchState
from jwo_catalog_pipeline.upload.published_state import (
    batch_items,
    batches_state,
    fold,
    outcomes_state,
    report_key,
    state_key,
)
from jwo_catalog_pipeline.upload.results.settle import match_outcomes

PENDING_ROWS = 1_000_000  # folded together once there are so many, which bounds memory


@dataclass(frozen=True)
class RebuiltState:
    """The state before the newest applied upload, and now; both with `PUBLISHED_COLUMNS`."""

    before_head: pd.DataFrame
    now: pd.DataFrame


def applied_uploads(ledger: Ledger, limit: int | None = None) -> list[str]:
    """The applied uploads, newest first: each names the one that it was made after."""
    found: list[str] = []
    upload = ledger.head().upload
    while upload and (limit is None or len(found) < limit):
        record = ledger.upload(upload)
        if record is None:
            raise RecordNotFound(f"the ledger has lost upload {upload}", "restore the table")
        found.append(upload)
        upload = record.base_upload
    return found


def rebuild_state(
    ledger: Ledger, bucket: Bucket, on_upload: Callable[[int, int], None] = lambda done, of: None
) -> RebuiltState:
    """Fold every upload's batches, oldest first.

    Args:
        ledger: holds the uploads and their batches.
        bucket: holds the batches' items and the reports.
        on_upload: called with how many uploads of how many are done.
    """
    uploads = applied_uploads(ledger)[::-1]
    before, layers = fold([]), list[pd.DataFrame]()
    for done, upload in enumerate(uploads, start=1):
        if upload == uploads[-1] or sum(map(len, layers)) > PENDING_ROWS:
            before, layers = fold([before, *layers]), []
        layers += [_from_report(bucket, batch) for batch in ledger.batches(upload)]
        on_upload(done, len(uploads))
    return RebuiltState(before, fold([before, *layers]))


def restore_snapshot(ledger: Ledger, bucket: Bucket, rebuilt: RebuiltState) -> str:
    """Put the rebuilt state in the place of the snapshot that the running state starts from; gives its key."""
    head = ledger.head().upload
    record = ledger.upload(head) if head else None
    if record is None:
        raise NothingApplied("nothing has been applied yet, so there is no snapshot to restore")
    key = state_key(head, record.plan)
    bucket.put_table(key, rebuilt.before_head)
    return key


def _from_report(bucket: Bucket, batch: Batch) -> pd.DataFrame:
    if batch.state is not BatchState.SETTLED:
        return batches_state(bucket, [batch])
    report = read_report(bucket.get(report_key(batch)), archive=batch.operation == ARCHIVE)
    return outcomes_state([batch], [match_outcomes(batch_items(bucket, batch), report)])
