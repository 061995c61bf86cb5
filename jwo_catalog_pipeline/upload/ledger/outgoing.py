"""The ledger's verbs for what goes out: alerts to people, and calls within the call budget."""

from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from jwo_catalog_pipeline.failpoints import effect
from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.ledger.news import NewsLedger
from jwo_catalog_pipeline.upload.ledger.writes import read
from jwo_catalog_pipeline.upload.notices import AlertRecord, SettledNote, Slot


class OutgoingLedger(NewsLedger):
    """Alerts, the call budget, and doctor's item. A verb is one write and one failpoint."""

    # -- alerts ------------------------------------------------------------------------------------------------

    def claim_alert(self, key: str, seconds: int, told_at: int = 0) -> bool:
        """Claim an alert that no other process is publishing, nor published since `told_at`; whether that worked."""
        untold = "told_at = :published" if told_at else "attribute_not_exists(told_at)"
        claim = self._update(
            keys.alert(key),
            {"telling_until": self.now() + seconds},
            f"{untold} AND (attribute_not_exists(telling_until) OR telling_until <= :now)",
            {":now": self.now(), **({":published": told_at} if told_at else {})},
            {},
        )
        return self._try("alert claimed", claim)

    def release_alert(self, key: str) -> bool:
        """Give up the claim of an alert that could not be sent, so that the next process need not wait."""
        return self._try("alert released", self._update(keys.alert(key), {"telling_until": 0}, keys.IS_THERE, {}, {}))

    def note_published(
        self, key: str, *, lasting: bool, seconds: int, seen: Sequence[str] = (), over: str = ""
    ) -> None:
        """Remember for so long that an alert was published, of which events, and what to publish when it is over."""
        now = self.now()
        published = {"told_at": now, "lasting": lasting, "seen": list(seen), "over": over, "expires_at": now + seconds}
        self._put({**keys.alert(key), **published})

    def count_alert(self, alert: AlertRecord, times: int, seen: Sequence[str]) -> bool:
        """Note how often that of which an alert was published has happened since; whether that worked."""
        condition = "told_at = :published AND (attribute_not_exists(times) OR times = :times)"
        values = {":published": alert.told_at, ":times": alert.times}
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
