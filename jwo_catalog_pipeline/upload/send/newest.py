"""The newest export wins: uploads that are planned or sent at the same time, by two triggers or by a person.

Whoever finds that another upload was applied since it planned, plans again, unless that one was made of a newer export:
then nothing is left to send. So what Amazon holds in the end is the newest export, in whatever order the steps came.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from jwo_catalog_pipeline.table_file import TableFile
from jwo_catalog_pipeline.upload.errors import AnotherUploadSince, LeaseHeld, LeaseLost, Overtaken
from jwo_catalog_pipeline.upload.exports import AppliedExport, overtakes
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import Batch
from jwo_catalog_pipeline.upload.send.sender import Sender

LOOK_SECONDS = 2.0  # between two looks at an upload that is being sent
# How long an upload that is being sent is waited for: 10,000,000 items take 100 s, and ten times that where Amazon
# lets through a tenth of the calls.
LONGEST_WAIT_SECONDS = 1800
WAITS_FOR_LEASES = 3  # each for at most JWO_LEASE_SECONDS


@dataclass(frozen=True)
class NewestFirst:
    """Applies an upload beside others.

    Attributes:
        sender: sends.
        plan_again: makes the upload's plan anew from its own tables, and gives it; None where a person has looked at
            the plan, which is then sent as it is or not at all.
        sleep: waits, unless the sending is stopped meanwhile.
        log: takes a sentence about what is waited for or done.
    """

    sender: Sender
    plan_again: Callable[[], TableFile] | None
    sleep: Callable[[float], None]
    log: Callable[[str], None]

    def apply(self, upload: str, changes: TableFile, fields: list[str]) -> list[Batch]:
        """Apply an upload, or what is left of it; gives its batches.

        Args and errors as `Sender.apply`; and

        Raises:
            Overtaken: an upload of a newer export was applied, so nothing of this one was or will be sent.
        """
        ledger, deadline = self.sender.ledger, time.monotonic() + LONGEST_WAIT_SECONDS
        while True:
            if ledger.upload(upload) is None:
                self._check_newest(upload)
                if self.plan_again and self._answers_were_asked_for_again():
                    changes = self.plan_again()
            try:
                return self._once_leases_are_over(upload, changes, fields)
            except AnotherUploadSince:
                if ledger.upload(upload):
                    return ledger.batches(upload)  # the rest is superseded
                if self.plan_again is None or time.monotonic() > deadline:
                    raise
            self._check_newest(upload)
            head = ledger.head().upload
            self.log(f"upload {head} was applied since {upload} was planned, so {upload} is planned again")
            while is_being_sent(ledger, head, self.sleep) and time.monotonic() < deadline:
                pass
            changes = self.plan_again()

    def _check_newest(self, upload: str) -> None:
        if overtaken_by := newer_upload(self.sender.ledger, upload):
            raise Overtaken(
                f"upload {overtaken_by}, of a newer export, was applied before {upload} could be; nothing of {upload} "
                "is left to send"
            )

    def _answers_were_asked_for_again(self) -> bool:
        """Send again what the newest upload has sent without an answer; whether there was anything of that kind.

        Once another upload has the head, no other may do so, and newer content would wait for the doubt to end.
        """
        ledger = self.sender.ledger
        head = ledger.head().upload
        record, stop = (ledger.upload(head), ledger.stopped(head)) if head else (None, None)
        if record is None or not record.is_open or (stop and not stop.kind.heals):
            return False
        if is_being_sent(ledger, head, self.sleep):
            return False  # its own worker asks again
        try:
            return self.sender.resend_doubts(head)
        except (AnotherUploadSince, LeaseHeld, LeaseLost):
            return True

    def _once_leases_are_over(self, upload: str, changes: TableFile, fields: list[str]) -> list[Batch]:
        """Wait for a lost run's leases: usually this run repeats that one, and no other would resume the upload."""
        for _ in range(WAITS_FOR_LEASES):
            try:
                return self.sender.apply(upload, changes, fields)
            except LeaseHeld as error:
                self.log(f"{error}; this run waits for that")
                self.sleep(error.seconds + 1)
        return self.sender.apply(upload, changes, fields)


def newer_upload(ledger: Ledger, upload: str) -> str:
    """The newest applied upload, if it has made a planned one needless (`overtakes`); "" if not."""
    head, mine = ledger.head().upload, ledger.plan(upload)
    theirs = ledger.upload(head) if head else None
    if mine is None or theirs is None:
        return ""
    return head if overtakes(AppliedExport(head, theirs.applied_at, theirs.export), mine.export) else ""


def is_being_sent(ledger: Ledger, upload: str, sleep: Callable[[float], None]) -> bool:
    """Whether a worker is at the upload: one of its batches is held, or begun while this function sleeps."""
    before, batches = ledger.head(), ledger.batches(upload)
    if not any(batch.state.sendable for batch in batches):
        return False
    sleep(LOOK_SECONDS)
    held = any(batch.holds_lease(ledger.now()) for batch in batches)
    return held or ledger.head() != before
