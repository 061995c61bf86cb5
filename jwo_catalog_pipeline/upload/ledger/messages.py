"""The ledger's verbs for messages of the queue: those that cannot be read, and those that cannot be verified yet."""

from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.ledger.writes import Writes, attributes, read
from jwo_catalog_pipeline.upload.notices import UnreadableMessage, UnverifiedMessage, VerifyPause

# Longer than the queue keeps a message; the text may hold a secret, and goes even where no process looks for it.
UNVERIFIED_SECONDS = 15 * 86_400


class MessagesLedger(Writes):
    """What came in. A verb is one write and one failpoint."""

    def note_inbox(self) -> None:
        """Note that a result came through the queue, for people who ask whether notifications arrive at all."""
        self._put({**keys.inbox(), "received_at": self.now()})

    def newest_result_at(self) -> int:
        """When a result last came through the queue; 0 for never."""
        item = self._get(keys.inbox())
        return int(item["received_at"]) if item else 0

    def keep_unreadable(self, message_id: str, reason: str, kept_at: str) -> None:
        """Keep the note of a message that cannot be read; its text is in the bucket."""
        message = UnreadableMessage(message_id, reason, kept_at, self.now())
        self._put({**keys.unreadable(message_id), **attributes(message, "message_id")})

    def unreadable_messages(self) -> list[UnreadableMessage]:
        """Messages that cannot be read."""
        return [read(UnreadableMessage, item, message_id=keys.name(item)) for item in self._query(keys.UNREADABLE)]

    # -- messages to verify again ------------------------------------------------------------------------------

    def keep_unverified(self, message_id: str, text: bytes, key: str) -> None:
        """Keep a message whose signature cannot be checked now, with its text or the text's key in the bucket."""
        message = UnverifiedMessage(message_id, self.now(), key=key)
        item = {**keys.unverified(message_id), **attributes(message, "message_id")}
        kept = {**keys.unverified_text(message_id), "text": text, "expires_at": self.now() + UNVERIFIED_SECONDS}
        self._transact(keys.UNVERIFIED, self._put_any(item), self._put_any(kept))

    def unverified_messages(self) -> list[UnverifiedMessage]:
        """Messages that wait until their signature can be checked."""
        return [read(UnverifiedMessage, item, message_id=keys.name(item)) for item in self._query(keys.UNVERIFIED)]

    def unverified_text(self, message_id: str) -> bytes | None:
        """The compressed text of such a message; None where there is none any more."""
        item = self._get(keys.unverified_text(message_id))
        return bytes(item["text"].value) if item else None

    def note_unverified_try(self, message: UnverifiedMessage) -> None:
        """Note that a message could not be verified once more."""
        tried = {**attributes(message, "message_id"), "tries": message.tries + 1}
        self._put({**keys.unverified(message.message_id), **tried})

    def end_unverified(self, message_id: str) -> None:
        """A message was verified, or found out to be none of Amazon's, and that is kept."""
        gone = (keys.unverified(message_id), keys.unverified_text(message_id))
        self._transact(f"{keys.UNVERIFIED} ended", *map(self._delete_any, gone))

    def verify_pause(self) -> VerifyPause | None:
        """Until when messages are not verified again; None where the newest could be."""
        item = self._get(keys.verify_pause())
        return read(VerifyPause, item) if item else None

    def note_verify_pause(self, pause: VerifyPause) -> None:
        """No message could be verified."""
        self._put({**keys.verify_pause(), **attributes(pause)})

    def end_verify_pause(self) -> None:
        """Messages can be verified again."""
        self._delete(keys.verify_pause())
