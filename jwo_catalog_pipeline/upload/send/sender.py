"""Applying a plan: record the upload, then send batch after batch; and resuming where that stopped.

Before any byte leaves, the bytes are in the bucket and the attempt is in the ledger. Whatever happens in between, the
ledger says which of these holds, so the next call of `apply` goes on from there:

1. batches and their items recorded under the plan's digest: nothing sent, may be recorded again (`commit`);
2. upload recorded and head taken, in one transaction: the plan is now the upload's only one (`commit`);
3. a batch's bytes in the bucket: nothing of it sent, and making them again gives the same ones (`plan.payload`);
4. call signed, then attempt recorded, head still ours, in one transaction: the batch may have been sent;
5. answer recorded, and where it was a refusal, the parts that the batch was cut into with it (`bisect`).
"""

import hashlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tenacity import Retrying, retry_if_exception

from jwo_catalog_pipeline.catalog_api.client import CatalogApi
from jwo_catalog_pipeline.catalog_api.errors import CatalogApiError, RequestRefused
from jwo_catalog_pipeline.catalog_api.responses import Accepted
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.table_file import TableFile
from jwo_catalog_pipeline.upload.errors import (
    AnotherUploadSince,
    BatchTaken,
    Conflict,
    LeaseHeld,
    LeaseLost,
    SendingHalted,
    UploadClosed,
    UploadStopped,
)
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.lifecycle import close_if_final, left_to_send, supersede_older
from jwo_catalog_pipeline.upload.model import AttemptFailure, Batch, BatchState, UploadRecord, utc
from jwo_catalog_pipeline.upload.outcomes import batch_body, body_key
from jwo_catalog_pipeline.upload.plan.payload import Payload, planned_contents
from jwo_catalog_pipeline.upload.send.at_once import send_at_once
from jwo_catalog_pipeline.upload.send.bisect import cut_refused
from jwo_catalog_pipeline.upload.send.commit import record_upload
from jwo_catalog_pipeline.upload.send.retrying import Tries, pause_seconds

SHOWN_ERROR_CHARACTERS = 500
_RESUME = "materialize ingestion_record for this upload again to resume it: what was accepted stays accepted"
AT_ONCE = 10  # batches: as many as there may be calls in a second, so that a call may take a second
PREPARED_AT_ONCE = 2  # of these; more would only keep the first from being ready


@dataclass(frozen=True)
class Sender:
    """What sending needs: the three stores of truth, who is sending, so many batches at once, and who may stop it.

    A sender that was stopped sends nothing more.
    """

    ledger: Ledger
    bucket: Bucket
    api: CatalogApi
    owner: str
    lease_seconds: int = 300
    at_once: int = AT_ONCE
    on_batch: Callable[[Batch, int], None] = field(default=lambda batch, of: None)
    halted: Callable[[], str] = field(default=lambda: "")
    sleep: Callable[[float], object] | None = None  # a pause between two tries; by default one that a stop ends
    _stopping: threading.Event = field(default_factory=threading.Event, init=False, repr=False)
    _cutting: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _preparing: threading.Semaphore = field(
        default_factory=lambda: threading.Semaphore(PREPARED_AT_ONCE), init=False, repr=False
    )

    def apply(self, upload: str, changes: TableFile, fields: list[str]) -> list[Batch]:
        """Send exactly the plan, or what is left of it; returns the upload's batches as the ledger now has them.

        Args:
            upload: the upload's key.
            changes: the plan as `make_plan` returned it.
            fields: the item's fields.

        Raises:
            AnotherUploadSince: another upload took the head, or sent more, since the plan was made.
            NoPlan: the table is not the recorded plan.
            PlanStopped: a guard stopped it; nothing was recorded or sent.
            LeaseHeld, LeaseLost: another worker is sending it.
            UploadClosed: a person has closed it.
            UploadStopped: a batch could not be sent; call again to resume.
            SendingHalted: somebody stopped it; what was under way has ended, or keeps its lease.
            SendingPaused: all sending is held; nothing more was sent.
            CatalogApiError: no credentials; nothing was recorded or sent.
        """
        self.api.check_ready()
        self.ledger.check_not_paused()
        contents, record = None, self.ledger.upload(upload)
        if record and record.closed_at:
            raise _closed(upload, record)
        if record is None:
            contents, recorded = planned_contents(self.ledger, upload, changes, fields)
            record_upload(self.ledger, self.bucket, upload, contents, recorded)
        supersede_older(self.ledger, upload)
        batches = self.ledger.batches(upload)
        waiting = deque(batch for batch in batches if batch.state.sendable)
        if contents is None and not all(batch.sha256 for batch in waiting):
            contents, _ = planned_contents(self.ledger, upload, changes, fields)
        self._send_all(waiting, len(batches), contents)
        batches = self.ledger.batches(upload)
        close_if_final(self.ledger, upload, batches)
        return batches

    def resend_doubts(self, upload: str) -> bool:
        """Send the bytes of the newest upload's batches in doubt once more; whether there were any.

        Raises:
            AnotherUploadSince, LeaseHeld, LeaseLost, UploadStopped, SendingHalted, SendingPaused: as `apply`.
        """
        now, batches = self.ledger.now(), self.ledger.batches(upload)
        doubtful = deque(
            batch
            for batch in batches
            if batch.state in (BatchState.IN_DOUBT, BatchState.SENDING)
            and not (batch.is_closed or batch.holds_lease(now))
        )
        found = bool(doubtful)
        self._send_all(doubtful, len(batches), None)
        return found

    def _send_all(self, waiting: deque[Batch], of: int, contents: Payload | None) -> None:
        taken: list[Batch] = []

        def send(batch: Batch) -> tuple[Batch, list[Batch]]:
            try:
                return self._send(batch, contents)
            except BatchTaken:
                taken.append(batch)
                return batch, []

        send_at_once(
            waiting,
            send,
            lambda batch: self.on_batch(batch, of),
            self.at_once,
            self._stopping,
            self.halted,
        )
        # Of two runs at once, the one that ends last finds that nothing is left.
        if taken and (left := left_to_send(self.ledger, taken[0].upload)):
            raise BatchTaken(f"another run is sending batch {left[0].id} of upload {left[0].upload}")

    def _send(self, batch: Batch, contents: Payload | None) -> tuple[Batch, list[Batch]]:
        """Try one batch until it is accepted or refused.

        Returns:
            The batch as it is then, and the parts that are to be sent instead of a refused one.

        Raises:
            UploadStopped: it is neither, after as many tries as there may be, or at once where none can help.
        """
        with self._preparing:
            batch, body = self._with_bytes(batch, contents)
        retrying = Retrying(
            sleep=self._pause,
            retry=retry_if_exception(lambda error: isinstance(error, CatalogApiError) and error.retryable),
            stop=Tries().are_over,
            wait=pause_seconds,
            reraise=True,
        )
        try:
            for attempt in retrying:
                with attempt:
                    return self._attempt(batch, body)
                # As the failed attempt left it; the bytes stay these.
                batch = replace(self.ledger.batch(batch.upload, batch.plan, batch.id), sha256=batch.sha256)
        except CatalogApiError as error:
            raise UploadStopped(
                f"batch {batch.id} of upload {batch.upload} was not accepted: {error.problem}",
                f"{error.remedy}; then {_RESUME}" if error.remedy else _RESUME,
            ) from error
        raise AssertionError("tenacity raises the last attempt's error")

    def _pause(self, seconds: float) -> None:
        (self.sleep or self._stopping.wait)(seconds)

    def _with_bytes(self, batch: Batch, contents: Payload | None) -> tuple[Batch, bytes]:
        """The bytes, which are in the bucket when this returns: those of an earlier attempt, or else made now."""
        if batch.sha256 or contents is None:
            key, body = batch_body(self.bucket, batch)
            if hashlib.sha256(body).hexdigest() != batch.sha256:
                raise UploadStopped(
                    f"{self.bucket.uri(key)} was changed after it was recorded",
                    "restore the recorded version",
                )
            return batch, body
        body = contents.body(batch)
        self.bucket.put(body_key(batch), body, "application/json")
        return replace(batch, sha256=hashlib.sha256(body).hexdigest()), body

    def _attempt(self, batch: Batch, body: bytes) -> tuple[Batch, list[Batch]]:
        # Signed before the lease begins: a process paused beyond it holds a signature that is no longer accepted.
        if self._stopping.is_set():
            raise SendingHalted(f"batch {batch.id} of upload {batch.upload} is not tried any more: sending was stopped")
        call = replace(self.api.sign(batch.operation, body), withdrawn=self._stopping.is_set)
        held = self._begin(batch)
        try:
            accepted = self.api.deliver(call, self.lease_seconds)
        except RequestRefused as error:
            return self._record_refusal(held, body, error)
        except CatalogApiError as error:
            self._record_failure(held, error)
            raise
        return self._record_acceptance(held, accepted), []

    def _begin(self, batch: Batch) -> Batch:
        """Record the attempt and hold the batch, provided that it is sendable and the head is still its upload's."""
        now = self.ledger.now()
        if batch.state is BatchState.SENDING and batch.owner != self.owner and batch.lease_until > now:
            raise LeaseHeld(
                f"batch {batch.id} of upload {batch.upload} is being sent by run {batch.owner}",
                f"if that run is dead, resume after {utc(batch.lease_until)}",
                seconds=batch.lease_until - now,
            )
        if not batch.state.sendable:
            raise BatchTaken(f"batch {batch.id} of upload {batch.upload} is {batch.state} by now, so nothing was sent")
        try:
            return self.ledger.begin_attempt(batch, self.owner, self.lease_seconds)
        except Conflict:
            raise self._overtaken(batch) from None

    def _overtaken(self, batch: Batch) -> LeaseLost | AnotherUploadSince | UploadClosed:
        """Says who was faster; what was not sent of an upload that lost the head is taken out of play."""
        self.ledger.check_not_paused()
        record = self.ledger.upload(batch.upload)
        if record and record.closed_at:
            return _closed(batch.upload, record)
        head = self.ledger.head()
        if head.upload == batch.upload:
            return BatchTaken(f"another run took over batch {batch.id} of upload {batch.upload}")
        if batch.state is BatchState.PLANNED:
            self.ledger.supersede(batch, head.upload)
            close_if_final(self.ledger, batch.upload)
        return AnotherUploadSince(
            f"upload {head.upload} took over from {batch.upload}, so nothing more of {batch.upload} is sent"
        )

    def _record_acceptance(self, batch: Batch, accepted: Accepted) -> Batch:
        try:
            return self.ledger.accept(batch, accepted.ingestion_id, accepted.http_status, accepted.request_id or "")
        except Conflict:
            # Kept though the batch is another worker's by now: an ingestion that the ledger lacks could never match.
            self.ledger.keep_orphan(accepted.ingestion_id, batch)
            raise LeaseLost(
                f"{_taken_over(batch)}, and Amazon accepted this run's bytes as ingestion {accepted.ingestion_id}"
            ) from None

    def _record_refusal(self, batch: Batch, body: bytes, error: RequestRefused) -> tuple[Batch, list[Batch]]:
        """Record a definite no, and in the same transaction the parts that are to be sent instead."""
        with self._cutting:  # one after another, so that the parts of an upload can be counted
            cut = cut_refused(self.ledger, self.bucket, batch, body, error)
            try:
                return self.ledger.refuse(batch, _failure(error), cut.refusal, cut.parts), cut.parts
            except Conflict:
                raise LeaseLost(_taken_over(batch)) from None

    def _record_failure(self, batch: Batch, error: CatalogApiError) -> None:
        """Record what an error means: back to planned, or in doubt."""
        try:
            self.ledger.fail_attempt(batch, _failure(error))
        except Conflict:
            raise LeaseLost(_taken_over(batch)) from None


def _failure(error: CatalogApiError) -> AttemptFailure:
    message = str(error)[:SHOWN_ERROR_CHARACTERS]
    return AttemptFailure(error.outcome, error.http_status or 0, error.request_id or "", message)


def _closed(upload: str, record: UploadRecord) -> UploadClosed:
    return UploadClosed(
        f"upload {upload} was closed on {utc(record.closed_at)} by {record.closed_by} ({record.close_reason}), so "
        "nothing more of it is sent",
        "start a new upload: it sends what Amazon is not known to hold",
    )


def _taken_over(batch: Batch) -> str:
    return f"another run took over batch {batch.id} of upload {batch.upload} while this one was sending it"
