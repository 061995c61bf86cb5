"""Messages whose signature cannot be checked yet, as while the certificate's host cannot be reached.

They are not believed. They leave the queue, which gives up after ten deliveries, and wait in the ledger until they can
be verified. The ledger has their text, for it holds presigned links and the ledger alone may (compressed, so that only
a text that is none of Amazon's is too large for it).
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jwo_catalog_pipeline.redaction import redacted
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import utc
from jwo_catalog_pipeline.upload.notices import UnverifiedMessage, VerifyPause
from jwo_catalog_pipeline.wording import plural

MOST_KEPT = 1_000  # what comes then stays in the queue
MOST_A_LOOK = 20  # the first of them costs up to 5 s where the host does not answer; the others cost a few writes each
GIVEN_UP_SECONDS = 14 * 86_400  # as long as the queue keeps a message
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 30, 600  # doubled with each look in which nothing could be verified
MOST_ITEM_BYTES = 350_000  # DynamoDB takes 400 KB; SQS delivers up to 1 MiB
SHOWN_REASON = 600  # characters


@dataclass(frozen=True)
class Unverified:
    """The worklist of messages to verify again."""

    ledger: Ledger
    bucket: Bucket

    def keep(self, message: Mapping[str, Any]) -> bool:
        """Make a message durable; whether there is room for it."""
        if len(self.ledger.unverified_messages()) >= MOST_KEPT:
            return False
        # Half a surrogate pair cannot be encoded, and no signature holds for it.
        text = zlib.compress(message["Body"].encode("utf-8", "replace"))
        message_id, key = message["MessageId"], ""
        if len(text) > MOST_ITEM_BYTES:
            key = f"inbox/unverified/{message_id}.zlib"
            self.bucket.put(key, text)
            text = b""
        self.ledger.keep_unverified(message_id, text, key)
        return True

    def due(self, waiting: Sequence[UnverifiedMessage]) -> list[UnverifiedMessage]:
        """What to verify now: a few, and first what was tried least, so that none keeps the others waiting."""
        pause = self.ledger.verify_pause()
        if pause and self.ledger.now() < pause.until:
            return []
        return sorted(waiting, key=lambda message: (message.tries, message.received_at))[:MOST_A_LOOK]

    def text(self, message: UnverifiedMessage) -> str | None:
        """A message as it was received; None where it has expired."""
        text = self.bucket.get(message.key) if message.key else self.ledger.unverified_text(message.message_id)
        return zlib.decompress(text).decode() if text else None

    def is_given_up(self, message: UnverifiedMessage) -> bool:
        """Whether a message is so old that its queue would have dropped it."""
        return self.ledger.now() - message.received_at > GIVEN_UP_SECONDS

    def end(self, message: UnverifiedMessage) -> None:
        """A message was dealt with, durably."""
        if message.key:
            self.bucket.put(message.key, b"")
        self.ledger.end_unverified(message.message_id)

    def postpone(self, message: UnverifiedMessage, reason: str) -> None:
        """A message could not be verified: it goes behind the others, and the next look is later."""
        self.ledger.note_unverified_try(message)
        pause = self.ledger.verify_pause()
        looks = pause.looks + 1 if pause else 1
        seconds = min(PAUSE_SECONDS * 2 ** min(looks - 1, 10), LONGEST_PAUSE_SECONDS)
        self.ledger.note_verify_pause(VerifyPause(redacted(reason)[:SHOWN_REASON], looks, self.ledger.now() + seconds))


def unverified_sentence(ledger: Ledger, older_than: int = 0) -> str:
    """How many messages wait to be verified, since when and why; "" where none has waited for so many seconds."""
    waiting = ledger.unverified_messages()
    oldest = min((message.received_at for message in waiting), default=0)
    if not waiting or ledger.now() - oldest < older_than:
        return ""
    pause = ledger.verify_pause()
    return (
        f"{plural(len(waiting), 'message')} to be verified later, the oldest since {utc(oldest)}"
        f"{f': {pause.reason}' if pause else ''}"
    )
