"""The ledger's verbs for removing what is old: an upload leaves the ledger in one step, and a note names what is left.

The note stays until everything else of the upload is gone, so a prune that was killed is finished by the next one.
"""

from collections.abc import Iterable
from typing import Any

from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.ledger.closing import ClosingLedger
from jwo_catalog_pipeline.upload.ledger.writes import Part
from jwo_catalog_pipeline.upload.model import UploadRecord

DELETED_TOGETHER = 100  # in one transaction, DynamoDB's limit


class PruningLedger(ClosingLedger):
    """Removes uploads, plans and messages. A verb is one transaction and one failpoint."""

    def prune_upload(self, upload: str, record: UploadRecord, newer: str) -> bool:
        """Take a settled upload out of the chain of applied ones, and note it; False if either has changed since.

        Args:
            upload: the upload.
            record: as it was read.
            newer: the upload that was applied after it, which then follows the one before it.
        """
        relinked = self._update(
            keys.upload(newer), {"base_upload": record.base_upload}, "base_upload = :pruned", {":pruned": upload}, {}
        )
        condition = {
            "ConditionExpression": "#s = :settled AND base_upload = :base",
            "ExpressionAttributeNames": {"#s": "state"},
            "ExpressionAttributeValues": {":settled": "settled", ":base": record.base_upload},
        }
        gone: Part = {"Delete": {**self._named, "Key": keys.upload(upload), **condition}}
        return self._try("upload pruned", relinked, gone, self._put_any(keys.pruned(upload)))

    def prune_plan(self, upload: str) -> bool:
        """Remove the plan of an upload that was never applied, if there is one, and note it; False if it is applied."""
        gone = self._delete_any(keys.plan(upload))
        noted = self._put_any(keys.pruned(upload))
        return self._try("plan pruned", self._must_not_exist(keys.upload(upload)), gone, noted)

    def pruned(self) -> list[str]:
        """Uploads that have left the ledger, and of which something may be left."""
        return [keys.name(item) for item in self._query(keys.PRUNED)]

    def remove_leftovers(self, upload: str) -> None:
        """Remove the batches, attempts and ingestions of an upload that has left the ledger."""
        items = list(self._query(*keys.all_of(upload)))
        ids = {item["ingestion_id"] for item in items if item.get("ingestion_id")}
        ingestions = [key(one) for one in sorted(ids) for key in (keys.ingestion, keys.former_duplicate, keys.link)]
        self._delete_together("leftovers deleted", [keys.settled(upload), *ingestions, *map(keys.key_of, items)])

    def finish_pruning(self, upload: str) -> None:
        """Nothing is left of an upload."""
        self._delete(keys.pruned(upload))

    def old_messages(self, before: int) -> list[keys.Key]:
        """Notes of messages that could not be read, and of unknown ingestions, that came before then."""
        kept = [*self._query(keys.UNREADABLE), *self._query(keys.UNKNOWN)]
        return [keys.key_of(item) for item in kept if item["received_at"] < before]

    def forget_messages(self, messages: Iterable[keys.Key]) -> None:
        """Remove these notes."""
        self._delete_together("messages deleted", list(messages))

    def _delete_together(self, name: str, gone: list[Any]) -> None:
        for first in range(0, len(gone), DELETED_TOGETHER):
            self._transact(name, *map(self._delete_any, gone[first : first + DELETED_TOGETHER]))
