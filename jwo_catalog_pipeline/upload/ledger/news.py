"""The ledger's verbs for what is not a batch: news about ingestions, messages, alerts, the call budget."""

from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from jwo_catalog_pipeline.failpoints import effect
from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.ledger.writes import Writes, attributes, pointed, pointer, read
from jwo_catalog_pipeline.upload.model import (
    AlertRecord,
    Batch,
    News,
    Orphan,
    SettledNote,
    Slot,
    UnreadableMessage,
    UnverifiedMessage,
    VerifyPause,
)

# A presigned link lives for 60 minutes (documented); twice that, for clocks and late readers.
LINK_SECONDS = 2 * 3600
# Longer than the queue keeps a message; the text may hold a secret, and goes even where nobody looks any more.
UNVERIFIED_SECONDS = 15 * 86_400


class NewsLedger(Writes):
    """What came in, and what goes out to people. A verb is one write and one failpoint."""

    # -- news about ingestions ---------------------------------------------------------------------------------

    def keep_news(self, ingestion_id: str, source: str, status: str | None, url: str | None) -> None:
        """Keep the news that an ingestion has ended; its link in a write before, for only news makes anyone look."""
        if url:
            self.keep_link(ingestion_id, url)
        news = News(ingestion_id, source, status or "", self.now())
        self._put({**keys.news(ingestion_id), **attributes(news, "ingestion_id", "examined")})

    def keep_link(self, ingestion_id: str, url: str) -> None:
        """Keep the newest presigned URL of a report until it expires."""
        self._put({**keys.link(ingestion_id), "url": url, "expires_at": self.now() + LINK_SECONDS})

    def note_examined(self, news: News) -> None:
        """Note that the report of an ingestion was compared with every doubt there was."""
        self._put({**keys.news(news.ingestion_id), **attributes(news, "ingestion_id"), "examined": self.now()})

    def forget_news(self, ingestion_id: str) -> None:
        """The batch of an ingestion knows already that it has ended."""
        self._delete(keys.news(ingestion_id))

    def keep_unknown(self, news: News) -> None:
        """Keep the news of an ingestion that matches no batch apart from the news that is waited for."""
        unknown = {**keys.unknown(news.ingestion_id), **attributes(news, "ingestion_id")}
        self._transact(keys.UNKNOWN, self._put_any(unknown), self._delete_any(keys.news(news.ingestion_id)))

    def news(self) -> list[News]:
        """News whose batches are not marked as reported yet."""
        return [read(News, item, ingestion_id=keys.name(item)) for item in self._query(keys.NEWS)]

    def unknown_ingestions(self) -> list[News]:
        """Ingestions that have ended and match no batch."""
        return [read(News, item, ingestion_id=keys.name(item)) for item in self._query(keys.UNKNOWN)]

    def link(self, ingestion_id: str) -> str | None:
        """The presigned URL of a report, a secret; None where there is none or it has expired."""
        item = self._get(keys.link(ingestion_id))
        return item["url"] if item and item["expires_at"] > self.now() else None

    # -- orphans: ingestions of batches that another worker took over ------------------------------------------

    def keep_orphan(self, ingestion_id: str, batch: Batch) -> None:
        """Keep an ingestion of a batch that another worker has taken over: else nothing could match it."""
        self._put({**keys.orphan(ingestion_id), "seen_at": self.now(), **pointer(batch)})

    def note_orphan_asked(self, orphan: Orphan, asked_at: int) -> None:
        """Note when the status API was asked about an orphan."""
        self._put({**keys.orphan(orphan.ingestion_id), **attributes(orphan, "ingestion_id"), "seen_at": asked_at})

    def orphan(self, ingestion_id: str) -> Orphan | None:
        """The orphan of an ingestion id."""
        item = self._get(keys.orphan(ingestion_id))
        return _orphan(item, ingestion_id) if item else None

    def orphans(self) -> list[Orphan]:
        return [_orphan(item, keys.name(item)) for item in self._query(keys.UNMATCHED)]

    # -- messages ----------------------------------------------------------------------------------------------

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

    # -- alerts ------------------------------------------------------------------------------------------------

    def claim_alert(self, key: str, seconds: int, told_at: int = 0) -> bool:
        """Claim an alert that no other process is publishing, nor published since `told_at`; whether that worked."""
        untold = "told_at = :told" if told_at else "attribute_not_exists(told_at)"
        claim = self._update(
            keys.alert(key),
            {"telling_until": self.now() + seconds},
            f"{untold} AND (attribute_not_exists(telling_until) OR telling_until <= :now)",
            {":now": self.now(), **({":told": told_at} if told_at else {})},
            {},
        )
        return self._try("alert claimed", claim)

    def release_alert(self, key: str) -> bool:
        """Give up the claim of an alert that could not be sent, so that the next process need not wait."""
        return self._try("alert released", self._update(keys.alert(key), {"telling_until": 0}, keys.IS_THERE, {}, {}))

    def note_published(
        self, key: str, *, lasting: bool, seconds: int, seen: Sequence[str] = (), over: str = ""
    ) -> None:
        """Remember for so long that an alert was published, of which events, and what to tell when it is over."""
        now = self.now()
        told = {"told_at": now, "lasting": lasting, "seen": list(seen), "over": over, "expires_at": now + seconds}
        self._put({**keys.alert(key), **told})

    def count_alert(self, alert: AlertRecord, times: int, seen: Sequence[str]) -> bool:
        """Note how often that of which an alert was published has happened since; whether that worked."""
        condition = "told_at = :told AND (attribute_not_exists(times) OR times = :times)"
        values = {":told": alert.told_at, ":times": alert.times}
        changes = {"times": times, "seen": list(seen)}
        return self._try("alert counted", self._update(keys.alert(alert.key), changes, condition, values, {}))

    def forget_alert(self, key: str) -> None:
        """What an alert was about is over: the same is new when it comes again."""
        self._delete(keys.alert(key))

    def alerts(self) -> list[AlertRecord]:
        """Alerts that were published, or are being published."""
        return [read(AlertRecord, item, key=keys.name(item)) for item in self._query(keys.ALERT)]

    def acknowledge_settled(self, upload: str) -> None:
        """The alerts have looked at an upload that has settled."""
        self._delete(keys.settled(upload))

    def settled_notes(self) -> list[SettledNote]:
        """Uploads that have settled since the alerts last looked."""
        return [read(SettledNote, item, upload=keys.name(item)) for item in self._query(keys.SETTLED)]

    # -- the call budget, and doctor ---------------------------------------------------------------------------

    def reserve_slot(self, slot: Slot, seen: int | None) -> Slot | None:
        """Reserve a slot of the call budget, provided that the newest is still the one seen (None: there is none).

        Returns None where it is reserved, else the newest slot.
        """
        condition, values = keys.IS_NEW, {":at": slot.at, ":noted": slot.noted_at, ":interval": slot.interval}
        if seen is not None:
            condition, values[":seen"] = "slot = :seen", seen
        with effect(f"ledger: {keys.RATE}"), self._explained():
            try:
                self._client.update_item(
                    TableName=self.table_name,
                    Key=keys.rate(),
                    UpdateExpression="SET slot = :at, noted_at = :noted, spacing = :interval",
                    ConditionExpression=condition,
                    ExpressionAttributeValues=values,
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except ClientError as error:
                item: Any = error.response.get("Item")
                if not item:
                    raise
                return Slot(int(item["slot"]["N"]), int(item["noted_at"]["N"]), _spacing(item))
        return None

    def write_check(self, expires_at: int) -> None:
        """Write the item by which `jwo-catalog doctor` sees whether the table can be written."""
        self._put({**keys.doctor(), "expires_at": expires_at})


def _spacing(item: Any) -> int:
    return int(item["spacing"]["N"]) if "spacing" in item else 0  # of an older version


def _orphan(item: Mapping[str, Any], ingestion_id: str) -> Orphan:
    return Orphan(ingestion_id, *pointed(item), seen_at=item["seen_at"])
