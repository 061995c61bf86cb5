"""The ledger: one DynamoDB table of uploads, batches, attempts and notifications.

| pk                | sk                      | what                                                              |
|-------------------|-------------------------|-------------------------------------------------------------------|
| HEAD              | HEAD                    | the newest applied upload, and how often anything was sent under it |
| OPEN              | <upload>                | an upload with batches that are not final: the worklist            |
| UPLOAD#<upload>   | PLAN                    | the newest plan, and the head it was made against                  |
| UPLOAD#<upload>   | UPLOAD                  | the applied upload; its existence means: all batches recorded      |
| UPLOAD#<upload>   | BATCH#<plan>#<number>   | a batch and its state                                              |
| UPLOAD#<upload>   | ATTEMPT#<plan>#<number>#<attempt> | one try at sending it                                    |
| INGESTION#<id>    | BATCH                   | the batch that became this ingestion                               |
| INGESTION#<id>    | LINK                    | presigned URL of its report; expires from the table                |
| NEWS              | <id>                    | an ingestion has ended, and its batch has not been told yet        |
| DOUBT             | <batch>                 | a batch that was sent once more than was answered                  |
| UNMATCHED         | <id>                    | an ingestion of a batch that has, or had, another: which batch     |
| UNKNOWN           | <id>                    | an ingestion has ended that no batch could be found for            |
| UNREADABLE        | <message id>            | a message nobody could read; its text is in the bucket             |
| INBOX             | NEWEST                  | when a result last came through the queue                          |
| SETTLED           | <upload>                | an upload has settled, and nobody has looked yet whether to tell of it |
| ALERT             | <what it is about>      | what people were told, or are being told right now; expires         |
| RATE              | RATE                    | when the newest call may be made, over all processes (`call_budget`) |

Every item has its `schema` (`table`). Every change of a batch is conditional on the state, attempt and owner it was
read with. This module holds the table's layout and the single writes; what they are for is in `sending`, `inbox`,
`matching` and `settling`. Every write is a failpoint, named by what it writes.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from jwo_catalog_pipeline.failpoints import effect
from jwo_catalog_pipeline.upload.errors import RecordNotFound
from jwo_catalog_pipeline.upload.ledger.dynamodb import SCHEMA, Conflict, Table, versioned
from jwo_catalog_pipeline.upload.model import Batch, Head, read_batch
from jwo_catalog_pipeline.upload.states import BatchState

# A presigned link lives for 60 minutes (documented); twice that, for clocks and late readers.
LINK_SECONDS = 2 * 3600


class Ledger(Table):
    """Reads and single conditional writes. `now` gives epoch seconds."""

    def __init__(self, table: Any, now: Callable[[], float] = time.time) -> None:
        super().__init__(table)
        self._now = now

    def now(self) -> int:
        """The ledger's clock, in whole epoch seconds."""
        return int(self._now())

    def try_change(self, batch: Batch, **changes: Any) -> bool:
        """Change a batch, provided that it is still as it was read; whether it was."""
        try:
            self.transact(f"batch {changes.get('state', 'noted')}", self.change_batch(batch, **changes))
        except Conflict:
            return False
        return True

    # -- transaction parts -------------------------------------------------------------------------------------

    def must_not_exist(self, pk: str, sk: str) -> dict[str, Any]:
        """Transaction part: write nothing, but only if there is no such item."""
        key = {"pk": pk, "sk": sk}
        return {"ConditionCheck": {**self._named, "Key": key, "ConditionExpression": "attribute_not_exists(pk)"}}

    def put_new(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Transaction part: write an item that must not exist yet."""
        return {"Put": {**self._named, "Item": versioned(item), "ConditionExpression": "attribute_not_exists(pk)"}}

    def change_batch(self, batch: Batch, **changes: Any) -> dict[str, Any]:
        """Transaction part: change a batch, provided that it is still as it was read."""
        return self._update(
            batch.key,
            {name: str(value) if isinstance(value, BatchState) else value for name, value in changes.items()},
            "#s = :was AND attempts = :attempts AND #o = :owner AND doubts = :doubts",
            {":was": str(batch.state), ":attempts": batch.attempts, ":owner": batch.owner, ":doubts": batch.doubts},
            {"#s": "state", "#o": "owner"},
        )

    def take_head(self, base: Head, upload: str) -> dict[str, Any]:
        """Transaction part: make `upload` the newest, provided that nobody sent anything since `base` was read."""
        condition = "#u = :base AND #q = :sequence" if base.upload else "attribute_not_exists(pk)"
        values = {":base": base.upload, ":sequence": base.sequence} if base.upload else {}
        names = {"#u": "upload", "#q": "sequence"} if base.upload else {}
        changes = {"upload": upload, "sequence": base.sequence + 1}
        return self._update({"pk": "HEAD", "sk": "HEAD"}, changes, condition, values, names)

    def count_send(self, upload: str) -> dict[str, Any]:
        """Transaction part: note that something is sent, provided that `upload` is still the newest."""
        return {
            "Update": {
                **self._named,
                "Key": {"pk": "HEAD", "sk": "HEAD"},
                "UpdateExpression": "SET #q = #q + :one",
                "ConditionExpression": "#u = :upload",
                "ExpressionAttributeNames": {"#q": "sequence", "#u": "upload"},
                "ExpressionAttributeValues": {":one": 1, ":upload": upload},
            }
        }

    def put_any(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Transaction part: write an item over whatever was there."""
        return {"Put": {**self._named, "Item": versioned(item)}}

    def delete_any(self, pk: str, sk: str) -> dict[str, Any]:
        """Transaction part: remove an item, if it is there."""
        return {"Delete": {**self._named, "Key": {"pk": pk, "sk": sk}}}

    def note_doubt(self, batch: Batch) -> dict[str, Any]:
        """Transaction part: remember that the batch has been sent once more than was answered."""
        place = {"upload": batch.upload, "plan": batch.plan, "number": batch.number}
        return self.put_any({**_doubt_key(batch), **place})

    def forget_doubt(self, batch: Batch) -> dict[str, Any]:
        """Transaction part: nothing about the batch is in doubt any more."""
        return self.delete_any(**_doubt_key(batch))

    def reopen(self, upload: str) -> list[dict[str, Any]]:
        """Transaction parts: an applied upload has a batch that is not final, again or still."""
        key = {"pk": f"UPLOAD#{upload}", "sk": "UPLOAD"}
        return [
            self.put_any({"pk": "OPEN", "sk": upload}),
            self._update(key, {"state": "open"}, "attribute_exists(pk)", {}, {}),
        ]

    # -- reading what is recorded ------------------------------------------------------------------------------

    def head(self) -> Head:
        """The newest applied upload."""
        found = self.get("HEAD", "HEAD")
        return Head(found["upload"], found["sequence"]) if found else Head()

    def plan(self, upload: str) -> dict[str, Any] | None:
        """The newest plan of an upload: `plan`, `base_upload`, `base_sequence`, `planned_at`, `counts`."""
        return self.get(f"UPLOAD#{upload}", "PLAN")

    def upload(self, upload: str) -> dict[str, Any] | None:
        """The applied upload: `plan`, `base_upload`, `batches`, `items`, `applied_at`, `state`."""
        return self.get(f"UPLOAD#{upload}", "UPLOAD")

    def batches(self, upload: str) -> list[Batch]:
        """The batches of an applied upload in their order; none where it was not applied."""
        record = self.upload(upload)
        if record is None:
            return []
        found = [read_batch(item) for item in self.query(f"UPLOAD#{upload}", f"BATCH#{record['plan']}#")]
        return sorted(found, key=lambda batch: batch.number)

    def batch(self, upload: str, plan: str, number: int) -> Batch:
        """One batch as it is now."""
        key = Batch(upload, plan, number, 0, 0, "").key
        item = self.get(**key)
        if item is None:
            raise RecordNotFound(f"the ledger has lost batch {number} of upload {upload}", "restore the table")
        return read_batch(item)

    def open_uploads(self) -> list[str]:
        """Uploads with batches that are not final, oldest first."""
        return [item["sk"] for item in self.query("OPEN")]

    def doubtful(self) -> list[Batch]:
        """Batches that were sent once more than was answered."""
        return [self.batch(item["upload"], item["plan"], item["number"]) for item in self.query("DOUBT")]

    def ingestion(self, ingestion_id: str) -> Batch | None:
        """The batch that became an ingestion; None while the ledger does not know it."""
        found = self.get(f"INGESTION#{ingestion_id}", "BATCH")
        return self.batch(found["upload"], found["plan"], found["number"]) if found else None

    def link(self, ingestion_id: str) -> str | None:
        """The presigned URL of a report, a secret; None where there is none or it has expired."""
        found = self.get(f"INGESTION#{ingestion_id}", "LINK")
        return found["url"] if found and found["expires_at"] > self.now() else None

    # -- news about ingestions ---------------------------------------------------------------------------------

    def put_news(self, ingestion_id: str, source: str, status: str | None, url: str | None) -> None:
        """Keep the news that an ingestion has ended; the link first, for without news nobody looks for it."""
        if url:
            self.put_link(ingestion_id, url)
        self.put(
            {
                "pk": "NEWS",
                "sk": ingestion_id,
                "source": source,
                "processing_status": status or "",
                "received_at": self.now(),
            }
        )

    def put_link(self, ingestion_id: str, url: str) -> None:
        """Keep the newest presigned URL of a report until it expires."""
        expires = self.now() + LINK_SECONDS
        self.put({"pk": f"INGESTION#{ingestion_id}", "sk": "LINK", "url": url, "expires_at": expires})

    def news(self) -> list[dict[str, Any]]:
        """News that no batch has been told yet: `sk` is the ingestion id, `processing_status` may be empty."""
        return list(self.query("NEWS"))

    # -- telling people ----------------------------------------------------------------------------------------

    def claim_alert(self, key: str, seconds: int) -> bool:
        """Hold an alert that nobody has told and nobody else is telling right now; whether it could be had."""
        claim = self._update(
            {"pk": "ALERT", "sk": key},
            {"telling_until": self.now() + seconds},
            "attribute_not_exists(told_at) AND (attribute_not_exists(telling_until) OR telling_until <= :now)",
            {":now": self.now()},
            {},
        )
        try:
            self.transact("alert claimed", claim)
        except Conflict:
            return False
        return True

    def next_slot(self, slot: int, noted_at: int, seen: int | None) -> tuple[int, int] | None:
        """Reserve a slot of the call budget, provided that the newest is still the one seen (None: there is none).

        Times are integer ms since the epoch. Returns None where it is reserved, else the newest slot and when it was
        noted.
        """
        condition, values = "attribute_not_exists(pk)", {":slot": slot, ":noted": noted_at}
        if seen is not None:
            condition, values[":seen"] = "slot = :seen", seen
        with effect("ledger: RATE"), self._explained():
            try:
                self._client.update_item(
                    TableName=self.table_name,
                    Key={"pk": "RATE", "sk": "RATE"},
                    UpdateExpression="SET slot = :slot, noted_at = :noted",
                    ConditionExpression=condition,
                    ExpressionAttributeValues=values,
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except ClientError as error:
                found: Any = error.response.get("Item")
                if not found:
                    raise
                return int(found["slot"]["N"]), int(found["noted_at"]["N"])
        return None

    # -- inside ------------------------------------------------------------------------------------------------

    @property
    def _named(self) -> dict[str, str]:
        return {"TableName": self.table_name}

    def _update(
        self,
        key: Mapping[str, str],
        changes: Mapping[str, Any],
        condition: str,
        values: Mapping[str, Any],
        names: Mapping[str, str],
    ) -> dict[str, Any]:
        """An Update part that sets attributes; `#n<i>` and `:v<i>` stand for them, as some are reserved words."""
        changes = {**changes, "schema": SCHEMA}
        sets = ", ".join(f"#n{i} = :v{i}" for i in range(len(changes)))
        return {
            "Update": {
                **self._named,
                "Key": dict(key),
                "UpdateExpression": f"SET {sets}",
                "ConditionExpression": condition,
                "ExpressionAttributeNames": {**names, **{f"#n{i}": name for i, name in enumerate(changes)}},
                "ExpressionAttributeValues": {
                    **values,
                    **{f":v{i}": value for i, value in enumerate(changes.values())},
                },
            }
        }


def _doubt_key(batch: Batch) -> dict[str, str]:
    return {"pk": "DOUBT", "sk": f"{batch.upload}#{batch.plan}#{batch.number:04}"}
