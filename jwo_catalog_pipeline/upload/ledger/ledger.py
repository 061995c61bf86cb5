"""The ledger: one DynamoDB table of uploads, batches, attempts and notifications. What its keys mean is in `keys`.

Its verbs, read side by side, are the state machine of an upload. A verb is one transaction and one failpoint. Every
change of a batch is conditional on the state, attempt, owner and doubts it was read with; a verb that returns a bool
says whether that held, the others raise `Conflict` where it did not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

from jwo_catalog_pipeline.catalog_api.errors import Outcome
from jwo_catalog_pipeline.upload.errors import RecordNotFound
from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.ledger.closing import NOT_CLOSED
from jwo_catalog_pipeline.upload.ledger.salvaging import ONLY_LATER, SalvagingLedger
from jwo_catalog_pipeline.upload.ledger.writes import (
    FENCE,
    Part,
    attributes,
    batch_item,
    pointed,
    pointer,
    read,
    read_batch,
    read_with_export,
)
from jwo_catalog_pipeline.upload.model import (
    ONE_ITEM,
    AttemptFailure,
    AttemptRecord,
    Batch,
    BatchState,
    Head,
    Ingestion,
    PlanRecord,
    UploadRecord,
    after_attempt,
)
from jwo_catalog_pipeline.upload.notices import News

SETTLED_SECONDS = 7 * 86_400  # where no alerts are configured, nothing takes the notes


class Ledger(SalvagingLedger):
    """Uploads, batches and attempts. Thread-safe."""

    # -- an upload ---------------------------------------------------------------------------------------------

    def record_plan(self, upload: str, plan: PlanRecord) -> None:
        """Record the newest plan of an upload that is not applied."""
        recorded = self._put_any({**keys.plan(upload), **attributes(plan)})
        self._transact(keys.PLAN, recorded, self._must_not_exist(keys.upload(upload)))

    def add_batches(self, batches: Sequence[Batch]) -> None:
        """Record batches that are not recorded yet."""
        self._transact("batches recorded", *(self._put_new(batch_item(batch)) for batch in batches))

    def commit_upload(self, upload: str, record: UploadRecord, base: Head) -> None:
        """Record an upload and take the head for it.

        Provided that nothing was sent since `base` was read, and that its plan is still the newest, and not pruned.
        """
        self._transact(
            "upload and head",
            self._must_be_planned(upload, record.plan),
            self._put_new({**keys.upload(upload), **attributes(record, *ONLY_LATER)}),
            self._advance_head(base, upload),
            self._put_any(keys.open_upload(upload)),
            *self._note_export(upload, record),
        )

    def close(self, upload: str) -> None:
        """Take an upload off the worklist, and leave a note for the alerts."""
        now = self.now()
        note = {**keys.settled(upload), "settled_at": now, "expires_at": now + SETTLED_SECONDS}
        # Not written whole: a prune may link it to another upload at the same moment.
        settled = self._update(keys.upload(upload), {"state": "settled", "settled_at": now}, keys.IS_THERE, {}, {})
        off_the_list = self._delete_any(keys.open_upload(upload))
        self._transact("upload settled", settled, off_the_list, self._put_any(note))

    # -- an attempt --------------------------------------------------------------------------------------------

    def begin_attempt(self, batch: Batch, owner: str, lease_seconds: int) -> Batch:
        """Record an attempt and hold the batch for it, provided that its upload is still the head, and not closed."""
        now = self.now()
        # A batch found in `sending` was left by a worker that died: it may have been ingested.
        abandoned = batch.state is BatchState.SENDING
        changes: dict[str, Any] = {
            "state": BatchState.SENDING,
            "attempts": batch.attempts + 1,
            "sha256": batch.sha256,
            **({"doubts": batch.doubts + 1, "doubted_at": batch.sent_at} if abandoned else {}),
            "owner": owner,
            "lease_until": now + lease_seconds,
            "sent_at": now,
        }
        self._transact(
            "attempt",
            self._change_batch(batch, **changes),
            self._advance_fence(batch.upload),
            self._not_paused(),
            self._must_hold(keys.upload(batch.upload), NOT_CLOSED),
            self._put_new({**keys.attempt(batch, batch.attempts + 1), "started_at": now, "owner": owner}),
            *([self._note_doubt(batch)] if abandoned else []),
        )
        return replace(batch, **changes)

    def accept(self, batch: Batch, ingestion_id: str, http_status: int, request_id: str) -> Batch:
        """Amazon has taken the batch's bytes as an ingestion."""
        answer: dict[str, Any] = {"http_status": http_status, "request_id": request_id}
        changes: dict[str, Any] = {"state": BatchState.SUBMITTED, "ingestion_id": ingestion_id, "message": "", **answer}
        self._transact(
            f"batch {changes['state']}",
            self._change_batch(batch, **changes),
            self._put_any({**keys.ingestion(ingestion_id), **pointer(batch), "duplicate": False}),
            self._end_attempt(batch, outcome=str(Outcome.YES), ingestion_id=ingestion_id, **answer),
        )
        return replace(batch, **changes)

    def refuse(self, batch: Batch, failure: AttemptFailure, refusal: str, parts: Sequence[Batch]) -> Batch:
        """Amazon definitely refuses the batch's bytes; the parts that it was cut into take its place."""
        state = after_attempt(failure.outcome, about_batch=True, doubts=batch.doubts)
        others = [self._put_new(batch_item(part)) for part in parts]
        others += [self._note_doubt(part) for part in parts if part.doubts]
        # A refused item is held from then on; whatever else was not taken counts as not sent.
        sent_at = batch.sent_at if refusal == ONE_ITEM else batch.doubted_at
        return self._fail(batch, failure, {"state": state, "sent_at": sent_at, "refusal": refusal}, others)

    def fail_attempt(self, batch: Batch, failure: AttemptFailure) -> Batch:
        """An attempt failed: the batch is planned again, or in doubt where it may have been ingested."""
        in_doubt = failure.outcome is Outcome.IN_DOUBT
        doubts = batch.doubts + in_doubt
        doubted_at = batch.sent_at if in_doubt else batch.doubted_at
        state = after_attempt(failure.outcome, about_batch=False, doubts=doubts)
        changes = {"state": state, "doubts": doubts, "doubted_at": doubted_at, "sent_at": doubted_at, "refusal": ""}
        return self._fail(batch, failure, changes, [self._note_doubt(batch)] if in_doubt else [])

    def _fail(self, batch: Batch, failure: AttemptFailure, changes: dict[str, Any], others: list[Part]) -> Batch:
        answer = attributes(failure, "outcome")
        changes = {**changes, **answer}
        ended = self._end_attempt(batch, outcome=str(failure.outcome), **answer)
        self._transact(f"batch {changes['state']}", self._change_batch(batch, **changes), *others, ended)
        return replace(batch, **changes)

    def _end_attempt(self, batch: Batch, **facts: object) -> Part:
        started = {"started_at": batch.sent_at, "owner": batch.owner, "ended_at": self.now()}
        return self._put_any({**keys.attempt(batch, batch.attempts), **started, **facts})

    # -- a doubt -----------------------------------------------------------------------------------------------

    def leave_in_doubt(self, batch: Batch, message: str) -> bool:
        """A worker died while sending the batch: it may have been ingested."""
        doubt = {"doubts": batch.doubts + 1, "doubted_at": batch.sent_at}
        change = self._change_batch(batch, state=BatchState.IN_DOUBT, message=message, **doubt)
        return self._try(f"batch {BatchState.IN_DOUBT}", change, self._note_doubt(batch))

    def end_doubt(self, ingestion_id: str, batch: Batch, *, by_items: bool, news: News | None = None) -> bool:
        """Take an ingestion for one of a batch's; whether that was done now.

        A batch that has no other takes it for its own, so that its news settles it; else it ends one doubt. No
        ingestion does so twice, even if several processes try. `by_items`: only the names of items say that it is one.
        `news`: that the ingestion has ended, where no batch was known for it.
        """
        if batch.holds_lease(self.now()):
            return False
        left = max(0, batch.doubts - 1)
        if batch.state in (BatchState.IN_DOUBT, BatchState.SENDING, BatchState.CLOSED) and not batch.ingestion_id:
            left = batch.doubts if batch.state is BatchState.SENDING else left  # a dead worker's try is this one
            accepted = {
                "state": BatchState.SUBMITTED,
                "ingestion_id": ingestion_id,
                "message": "",
                "matched_by_items": by_items,
            }
            name, duplicate = f"batch {BatchState.SUBMITTED}", False
            parts = [self._change_batch(batch, **accepted, doubts=left), *self._reopen(batch.upload)]
            parts += self._claim(news) if news else []
        else:
            name, duplicate = "doubt ended", True
            heard = self._forget(news) if news else self._delete_any(keys.news(ingestion_id))
            parts = [self._change_batch(batch, doubts=left), heard]
        return self._try(
            name,
            *parts,
            self._put_new({**keys.ingestion(ingestion_id), **pointer(batch), "duplicate": duplicate}),
            self._must_not_exist(keys.former_duplicate(ingestion_id)),
            self._delete_any(keys.orphan(ingestion_id)),
            *([] if left else [self._forget_doubt(batch)]),
        )

    def expire_doubt(self, batch: Batch, message: str) -> bool:
        """Time has ended the doubts about a batch: what became of it is not known, and late news may be about it."""
        change = self._change_batch(batch, doubts=0, message=message)
        return self._try("doubt given up", change, self._give_up_doubt(batch))

    # -- the other ends of a batch -----------------------------------------------------------------------------

    def supersede(self, batch: Batch, newer: str) -> bool:
        """A newer upload took over before the batch was sent."""
        return self._try_change(batch, state=BatchState.SUPERSEDED, message=f"upload {newer} took over")

    def note_asked(self, batch: Batch, asked_at: int) -> bool:
        """Note when the status API was asked about the batch's ingestion."""
        return self._try_change(batch, asked_at=asked_at)

    def mark_reported(self, batch: Batch, news: News) -> bool:
        """The batch's ingestion has ended; the news of it has done its work."""
        change = self._change_batch(batch, state=BatchState.REPORTED, processing_status=news.processing_status)
        orphan = self._delete_any(keys.orphan(news.ingestion_id))
        again = self._reopen(batch.upload) if batch.state is BatchState.CLOSED else []
        return self._try(f"batch {BatchState.REPORTED}", change, self._forget(news), orphan, *again)

    def settle(self, batch: Batch, report_shape: str, outcomes: Mapping[str, int]) -> None:
        """The report is stored, and every item's outcome known as far as it tells."""
        settled = {"state": BatchState.SETTLED, "report_shape": report_shape, "outcomes": outcomes}
        self._transact(f"batch {BatchState.SETTLED}", self._change_batch(batch, **settled))

    def fail(self, batch: Batch, message: str) -> None:
        """Amazon ended the ingestion without a report."""
        failed = self._change_batch(batch, state=BatchState.FAILED, message=message)
        self._transact(f"batch {BatchState.FAILED}", failed)

    # -- reading -----------------------------------------------------------------------------------------------

    def head(self) -> Head:
        """The newest applied upload."""
        item = self._get(keys.head())
        return Head(item["upload"], item[FENCE]) if item else Head()

    def plan(self, upload: str) -> PlanRecord | None:
        """The newest plan of an upload."""
        item = self._get(keys.plan(upload))
        return read_with_export(PlanRecord, {"base_fence": item.get("base_sequence"), **item}) if item else None

    def upload(self, upload: str) -> UploadRecord | None:
        """The applied upload."""
        item = self._get(keys.upload(upload))
        return read_with_export(UploadRecord, item) if item else None

    def batches(self, upload: str) -> list[Batch]:
        """The batches of an applied upload in their order; none where it was not applied."""
        record = self.upload(upload)
        if record is None:
            return []
        batches = [read_batch(item) for item in self._query(*keys.batches(upload, record.plan))]
        return sorted(batches, key=attrgetter("place"))

    def batch(self, upload: str, plan: str, batch: str) -> Batch:
        """One batch as it is now."""
        item = self._get(keys.batch(upload, plan, batch))
        if item is None:
            raise RecordNotFound(f"the ledger has lost batch {batch} of upload {upload}", "restore the table")
        return read_batch(item)

    def attempts(self, batch: Batch) -> list[AttemptRecord]:
        """The tries at sending a batch, in their order."""
        items = self._query(*keys.attempts(batch))
        return [read(AttemptRecord, item, number=keys.attempted(item)[2]) for item in items]

    def first_sent(self, batch: Batch) -> int:
        """When a batch was first sent, epoch seconds; 0 where a lost ledger does not say."""
        item = self._get(keys.attempt(batch, 1))
        return int(item["started_at"]) if item else 0

    def open_uploads(self) -> list[str]:
        """Uploads with batches that are not final, oldest first."""
        return [keys.name(item) for item in self._query(keys.OPEN)]

    def doubtful(self) -> list[Batch]:
        """Batches that have more attempts than responses."""
        return [self.batch(*pointed(item)) for item in self._query(keys.DOUBT) if "given_up_at" not in item]

    def given_up(self, limit: int | None = None) -> list[Batch]:
        """Batches whose doubts time has ended, for as long as a message about them may still come.

        With a limit, only those among so many batches of the newest uploads.
        """
        doubts = self._query(keys.DOUBT, newest_first=True, limit=limit)
        items = [item for item in doubts if item.get("expires_at", 0) > self.now()]
        return [self.batch(*pointed(item)) for item in items]

    def ingestion(self, ingestion_id: str) -> Ingestion | None:
        """The batch that an ingestion came of; None while the ledger does not know it."""
        if item := self._get(keys.ingestion(ingestion_id)):
            return Ingestion(*pointed(item), bool(item.get("duplicate")))
        former = self._get(keys.former_duplicate(ingestion_id))
        return Ingestion(*pointed(former), duplicate=True) if former else None
