"""Recording an upload: its batches and their bytes first, then the upload and the head in one transaction.

Everything before that transaction is named by the plan's digest, so a worker that dies, or two that do it at once,
leave nothing behind that another plan could be mixed up with. Nothing is sent here.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from jwo_catalog_pipeline.catalog.changes import to_archive, to_send
from jwo_catalog_pipeline.catalog_api.requests import archive_bodies, item_documents, upload_bodies
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.upload.doubts import leave_in_doubt
from jwo_catalog_pipeline.upload.errors import AnotherUploadSince, NoPlan, PlanStopped
from jwo_catalog_pipeline.upload.ledger import Ledger
from jwo_catalog_pipeline.upload.planning import plan_digest
from jwo_catalog_pipeline.upload.published import body_key, items_key
from jwo_catalog_pipeline.upload.records import ARCHIVE, UPLOAD, Batch, Head, batch_item
from jwo_catalog_pipeline.upload.settling import close_if_final
from jwo_catalog_pipeline.upload.states import BatchState
from jwo_catalog_pipeline.upload.table import Conflict


def record_upload(ledger: Ledger, bucket: Bucket, upload: str, changes: pd.DataFrame, fields: Sequence[str]) -> None:
    """Record an upload and take the head; it makes no difference whether another worker does the same at once.

    Args:
        ledger: must hold the plan's record.
        bucket: takes the batches' bytes and lists of items.
        upload: the upload's key.
        changes: the plan as `make_plan` returned it.
        fields: the item's fields.

    Raises:
        NoPlan: the table is not the recorded plan.
        PlanStopped: a guard found something that nobody has allowed for this upload.
        AnotherUploadSince: another upload took the head, or sent more, since the plan was made.
    """
    recorded = ledger.plan(upload)
    if recorded is None:
        raise NoPlan(f"upload {upload} has no plan; materialize catalog_changes for it first")
    base, digest = Head(recorded["base_upload"], recorded["base_sequence"]), recorded["plan"]
    if plan_digest(changes, base, recorded["archive_stores"]) != digest:
        raise NoPlan(f"the stored plan of upload {upload} is not the recorded one; materialize catalog_changes again")
    if recorded["stopped_by"]:
        raise PlanStopped(f"the plan of upload {upload} is stopped: {'; '.join(recorded['stopped_by'])}")
    if (head := ledger.head()) != base:
        raise _another_since(upload, base, head)
    prepare = _Preparation(bucket, upload, digest)
    batches = [*prepare.uploads(to_send(changes), fields)]
    batches += prepare.archives(to_archive(changes), recorded["archive_stores"], after=len(batches))
    for batch in batches:
        _record_batch(ledger, batch)
    record = {
        "pk": f"UPLOAD#{upload}",
        "sk": "UPLOAD",
        "plan": digest,
        "base_upload": base.upload,
        "batches": len(batches),
        "items": sum(batch.items for batch in batches),
        "applied_at": ledger.now(),
        "state": "open",
    }
    try:
        ledger.transact(
            "upload and head",
            ledger.put_new(record),
            ledger.take_head(base, upload),
            ledger.put_any({"pk": "OPEN", "sk": upload}),
        )
    except Conflict:
        if ledger.upload(upload) is None:
            raise _another_since(upload, base, ledger.head()) from None


def _record_batch(ledger: Ledger, batch: Batch) -> None:
    try:
        ledger.transact("batch recorded", ledger.put_new(batch_item(batch)))
    except Conflict:
        return  # another worker recorded the same batch of the same plan, and may have sent it by now


@dataclass(frozen=True)
class _Preparation:
    """Writes each batch's bytes and items to the bucket."""

    bucket: Bucket
    upload: str
    digest: str

    def uploads(self, sent: pd.DataFrame, fields: Sequence[str]) -> Iterator[Batch]:
        documents = item_documents(sent, fields)
        if list(documents["content_hash"]) != list(sent["content_hash"]):
            raise NoPlan(
                f"the items of upload {self.upload} do not match their plan; materialize catalog_changes again"
            )
        items = documents[["store_id", "item_sku", "content_hash"]].assign(standard_price=sent["standard_price"])
        for number, (first, past_last, body) in enumerate(upload_bodies(documents["document"]), start=1):
            yield self._store(number, UPLOAD, body, items.iloc[first:past_last])

    def archives(self, gone: pd.DataFrame, store_ids: Sequence[str], after: int) -> Iterator[Batch]:
        """A request names SKUs; the batch's items are those that Amazon is known to hold of them, in every store."""
        items = gone[["store_id", "item_sku"]].assign(content_hash=None, standard_price=None).astype("str")
        skus = items["item_sku"].drop_duplicates()
        # The rows are ordered by SKU: position of each SKU's first row, and the end.
        starts = [*skus.index, len(items)]
        for number, (first, past_last, body) in enumerate(archive_bodies(list(skus), store_ids), start=after + 1):
            yield self._store(number, ARCHIVE, body, items.iloc[starts[first] : starts[past_last]])

    def _store(self, number: int, operation: str, body: bytes, items: pd.DataFrame) -> Batch:
        sha256 = hashlib.sha256(body).hexdigest()
        batch = Batch(self.upload, self.digest, number, len(items), len(body), sha256, operation)
        self.bucket.put(body_key(batch), body, "application/json")
        self.bucket.put_table(items_key(batch), items)
        return batch


def supersede_older(ledger: Ledger, upload: str) -> None:
    """Take out of play what older uploads have not sent; they cannot send it any more once `upload` has the head."""
    if ledger.head().upload != upload:
        return
    for older in ledger.open_uploads():
        if older == upload:
            continue
        for batch in ledger.batches(older):
            if batch.state is BatchState.PLANNED:
                ledger.try_change(batch, state=BatchState.SUPERSEDED, message=f"upload {upload} took over")
            elif batch.state is BatchState.SENDING and batch.lease_until < ledger.now():
                # Its worker died while sending, and nobody may send it again: it may have been ingested.
                leave_in_doubt(ledger, batch, f"upload {upload} took over")
        close_if_final(ledger, older)


def _another_since(upload: str, base: Head, head: Head) -> AnotherUploadSince:
    what = f"upload {head.upload} was applied" if head.upload != base.upload else f"upload {head.upload} has sent more"
    return AnotherUploadSince(
        f"{what} since upload {upload} was planned, so nothing was sent; materialize catalog_changes for {upload} "
        "again to compare with what Amazon holds now"
    )
