"""Recording an upload: its batches and their items first, then the upload and the head in one transaction.

Everything before that transaction is named by the plan's digest, so a worker that dies, or two that do it at once,
leave nothing behind that another plan could be mixed up with. Nothing is sent here.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.upload.errors import AnotherUploadSince, Conflict, NoPlan, PlanStopped
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import Batch, Head, PlanRecord, UploadRecord
from jwo_catalog_pipeline.upload.outcomes import items_key
from jwo_catalog_pipeline.upload.plan.payload import Payload

TOGETHER = 10  # batches in one transaction; DynamoDB takes 100 writes
AT_ONCE = 10  # transactions, and lists of items: S3 and DynamoDB answer many at once


def record_upload(ledger: Ledger, bucket: Bucket, upload: str, contents: Payload, recorded: PlanRecord) -> None:
    """Record an upload and take the head; it makes no difference whether another worker does the same at once.

    Args:
        ledger: takes the batches and the upload.
        bucket: takes the batches' lists of items.
        upload: the upload's key.
        contents: what the plan sends.
        recorded: the plan's record.

    Raises:
        PlanStopped: a guard found something that is not allowed for this upload.
        AnotherUploadSince: another upload took the head, or sent more, since the plan was made.
        NoPlan: the plan was made again at the same moment, or pruned.
    """
    base = recorded.base
    if recorded.stopped_by:
        raise PlanStopped(f"the plan of upload {upload} is stopped: {'; '.join(recorded.stopped_by)}")
    if (head := ledger.head()) != base:
        raise _another_since(upload, base, head)
    batches = contents.batches(upload, recorded.plan)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lambda batch: bucket.put_table(items_key(batch), contents.items(batch)), batches))
        together = [batches[first : first + TOGETHER] for first in range(0, len(batches), TOGETHER)]
        list(threads.map(lambda some: _record_batches(ledger, some), together))
    items = sum(batch.items for batch in batches)
    record = UploadRecord(recorded.plan, base.upload, len(batches), items, ledger.now(), export=recorded.export)
    try:
        ledger.commit_upload(upload, record, base)
    except Conflict:
        if ledger.upload(upload) is None:
            if (head := ledger.head()) == base:
                raise NoPlan(
                    f"the plan of upload {upload} was made again, or pruned", "start the upload again"
                ) from None
            raise _another_since(upload, base, head) from None


def _record_batches(ledger: Ledger, batches: Sequence[Batch]) -> None:
    try:
        ledger.add_batches(batches)
    except Conflict:
        # Another worker recorded some or all of them, of the same plan, and may have sent them by now.
        if len(batches) > 1:
            for batch in batches:
                _record_batches(ledger, [batch])


def _another_since(upload: str, base: Head, head: Head) -> AnotherUploadSince:
    what = f"upload {head.upload} was applied" if head.upload != base.upload else f"upload {head.upload} has sent more"
    return AnotherUploadSince(
        f"{what} since upload {upload} was planned, so nothing was sent",
        f"materialize catalog_changes for {upload} again to compare with what Amazon holds now",
    )
