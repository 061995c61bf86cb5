"""Where everything is, from the ledger and the bucket alone: the newest uploads, what is open, and outcomes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from jwo_catalog_pipeline.catalog_api.operations import UPLOAD
from jwo_catalog_pipeline.catalog_api.requests import item_documents
from jwo_catalog_pipeline.engine import ask
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.table_file import (
    PIECE_ROWS,
    TableFile,
    as_arrow,
    as_frame,
    of_equal_length,
    rows_with,
    write_table,
)
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import Batch, BatchState, PublishedState, leaf_batches, utc
from jwo_catalog_pipeline.upload.outcomes import OUTCOMES, outcomes_of, repeated
from jwo_catalog_pipeline.upload.published_state import published_state
from jwo_catalog_pipeline.upload.recovery import applied_uploads
from jwo_catalog_pipeline.upload.so_far import keep_so_far, read_so_far
from jwo_catalog_pipeline.upload.stops import Pause, Stop
from jwo_catalog_pipeline.upload.tables import ItemOutcome, conform, empty
from jwo_catalog_pipeline.upload.waiting import Waits, waiting_items
from jwo_catalog_pipeline.work_folder import new_path, work_folder

_KEY = ["store_id", "item_sku"]


def overview(ledger: Ledger, waits: Waits, limit: int) -> dict[str, Any]:
    """What was sent and what is open.

    Args:
        ledger: knows the uploads.
        waits: how long outcomes are waited for.
        limit: how many uploads, the newest first.

    Returns:
        `uploads` (`upload`, `applied_at`, `state`, `items`, `batches` by state, `outcomes`, and how many rows of its
        export were `quarantined`, `excluded` or `merged`), `open_batches` of all uploads (`upload`, `batch`,
        `operation`, `state`, `items`, `since`, `ingestion_id`, `message`), `in_doubt`: batches with more attempts than
        responses (`upload`, `batch`, `state`, `items`, `calls`, `since`, `until`: when they are no longer waited for),
        `waiting` (`items`, `for`: batches), `stopped`: uploads that do not go on (`upload`, `kind`, `since`, `reason`,
        `helps`, `by_itself`: whether it goes on by itself), `paused`: who holds all sending (`by`, `since`, `reason`;
        None: it is not held), `closed`, of these uploads those that a person has closed (`upload`, `closed_at`,
        `closed_by`, `reason`), and `unreadable_messages` and `unknown_ingestions`, numbers of notifications that
        cannot be read, or match no batch.
    """
    waiting = waiting_items(ledger, waits)
    open_batches = [
        open_batch(batch) for upload in ledger.open_uploads() for batch in ledger.batches(upload) if not batch.is_closed
    ]
    newest = applied_uploads(ledger, limit)
    return {
        "uploads": [_upload(ledger, upload) for upload in newest],
        "closed": [closing for upload in newest if (closing := closing_of(ledger, upload))],
        "open_batches": open_batches,
        "in_doubt": [_doubt(batch, waits) for batch in ledger.doubtful()],
        "waiting": {
            "items": waiting.items,
            "for": [f"batch {batch.id} of upload {batch.upload}" for batch in waiting.blocked_by],
        },
        "stopped": [_stop(stop) for stop in ledger.stops()],
        "paused": _pause(ledger.paused()),
        "unreadable_messages": len(ledger.unreadable_messages()),
        "unknown_ingestions": len(ledger.unknown_ingestions()),
    }


def _upload(ledger: Ledger, upload: str) -> dict[str, Any]:
    record, plan = ledger.upload(upload), ledger.plan(upload)
    batches = leaf_batches(ledger.batches(upload))
    outcomes: Counter[str] = Counter()
    for batch in batches:
        outcomes.update(batch.outcomes if batch.state is BatchState.SETTLED else {str(batch.state): batch.items})
    return {
        "upload": upload,
        "applied_at": utc(record.applied_at) if record else None,
        "state": record.state if record else None,
        "items": record.items if record else None,
        "batches": dict(Counter(str(batch.state) for batch in batches)),
        "outcomes": dict(outcomes),
        **{name: getattr(plan, name) if plan else None for name in ("quarantined", "excluded", "merged")},
    }


def _stop(stop: Stop) -> dict[str, Any]:
    return {
        "upload": stop.upload,
        "kind": str(stop.kind),
        "since": utc(stop.since),
        "reason": stop.problem,
        "helps": stop.remedy or None,
        "by_itself": stop.kind.heals,
    }


def _pause(pause: Pause | None) -> dict[str, Any] | None:
    return {"by": pause.by, "since": utc(pause.since), "reason": pause.reason} if pause else None


def closing_of(ledger: Ledger, upload: str) -> dict[str, Any] | None:
    """Who has closed an upload, when and why; None if it is not closed."""
    record = ledger.upload(upload)
    if record is None or not record.closed_at:
        return None
    return {
        "upload": upload,
        "closed_at": utc(record.closed_at),
        "closed_by": record.closed_by,
        "reason": record.close_reason,
    }


def open_batch(batch: Batch) -> dict[str, Any]:
    """A batch whose end is waited for, for people."""
    return {
        "upload": batch.upload,
        "batch": batch.id,
        "operation": batch.operation.name,
        "state": str(batch.state),
        "items": batch.items,
        "since": utc(batch.sent_at),
        "ingestion_id": batch.ingestion_id or None,
        "message": batch.message or None,
    }


def _doubt(batch: Batch, waits: Waits) -> dict[str, Any]:
    since = batch.doubted_at or batch.sent_at
    return {
        "upload": batch.upload,
        "batch": batch.id,
        "state": str(batch.state),
        "items": batch.items,
        "calls": batch.doubts,
        "since": utc(since),
        "until": utc(since + waits.doubt_seconds),
    }


def rejected_items(ledger: Ledger, bucket: Bucket, items: TableFile, fields: Sequence[str]) -> pd.DataFrame:
    """What Amazon said of items as they are now.

    Args:
        ledger: knows the uploads.
        bucket: holds the published state.
        items: the valid items: `source_row` and the `fields`.
        fields: the item's fields.

    Returns:
        `source_row`, `store_id`, `item_sku`, `reason`, `upload`: rejected items whose content is still what was
        rejected; one that was corrected since is not listed.
    """
    query = "SELECT * EXCLUDE (file_row_number) FROM published WHERE state = $state AND operation = $operation"
    of: dict[str, object] = {"state": str(PublishedState.REJECTED), "operation": UPLOAD.name}
    with work_folder() as folder:
        rejected = ask(query, of, published=published_state(ledger, bucket, folder))
    of_sku = rows_with(items, "item_sku", rejected["item_sku"].to_list())
    current = of_sku.merge(rejected[_KEY])
    unchanged = item_documents(current, fields).merge(rejected, on=[*_KEY, "content_hash"])
    return current[["source_row", *_KEY]].merge(unchanged[[*_KEY, "reason", "upload"]])


def upload_outcomes(
    ledger: Ledger,
    bucket: Bucket,
    upload: str,
    folder: Path,
    *,
    keep: bool = False,
    known: Mapping[str, TableFile] | None = None,
) -> TableFile:
    """Every item of an applied upload and where it is: `ItemOutcome`, in the order of the batches.

    Args:
        ledger: knows the batches.
        bucket: holds their items and outcomes.
        upload: the upload's key.
        folder: of `work_folder`; the table is written there.
        keep: for the next time, see `so_far`.
        known: settled batches by id, of which the stored outcomes are here too.
    """
    batches = leaf_batches(ledger.batches(upload))
    so_far = read_so_far(bucket, batches, folder)
    outcomes = outcomes_of(bucket, batches, folder, so_far=so_far, known=known)
    if keep and so_far.is_worth_keeping_anew(batches):
        outcomes = keep_so_far(bucket, batches, outcomes, OUTCOMES, folder)
    rows = (_of_upload(table, batch) for batch, table in zip(batches, outcomes, strict=True))
    conformed = (conform(ItemOutcome, as_frame(piece)) for piece in of_equal_length(rows, PIECE_ROWS))
    schema = as_arrow(empty(ItemOutcome)).schema
    return write_table(new_path(folder, "outcomes"), conformed, schema)


def _of_upload(outcomes: pa.Table, batch: Batch) -> pa.Table:
    for name in ("upload", "batch"):
        value = batch.upload if name == "upload" else batch.id
        outcomes = outcomes.append_column(name, repeated(value, len(outcomes)))
    return outcomes


def outcome_counts(outcomes: TableFile) -> dict[str, int]:
    """How many items have each outcome, most frequent first."""
    query = "SELECT outcome, count(*) FROM outcomes GROUP BY ALL ORDER BY ALL"
    counts = dict(ask(query, outcomes=outcomes).itertuples(index=False, name=None))
    return dict(sorted(counts.items(), key=itemgetter(1), reverse=True))


def not_accepted(outcomes: TableFile) -> pd.DataFrame:
    """Why items were not accepted, most frequent first: `outcome`, `code`, `items`, `example` (a message)."""
    return ask(
        """
        SELECT outcome, coalesce(code, '') AS code, count(*) AS items,
               arg_min(coalesce(message, ''), file_row_number) AS example
        FROM outcomes WHERE outcome <> 'accepted'
        GROUP BY ALL ORDER BY items DESC, min(file_row_number)""",
        outcomes=outcomes,
    )
