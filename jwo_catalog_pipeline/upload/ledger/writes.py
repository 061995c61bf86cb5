"""The parts that the ledger's verbs compose their transactions of. Private to `upload/ledger/`."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from jwo_catalog_pipeline.catalog_api.operations import OPERATIONS
from jwo_catalog_pipeline.upload.batch_ids import former_id
from jwo_catalog_pipeline.upload.errors import Conflict
from jwo_catalog_pipeline.upload.exports import AppliedExport, Export
from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.ledger.dynamodb import SCHEMA, Table, versioned
from jwo_catalog_pipeline.upload.ledger.keys import Key
from jwo_catalog_pipeline.upload.model import Batch, BatchState, Head, UploadRecord

# What schema 1 called states that have another name by now. Such an item keeps that text until its state changes.
FORMER_STATES = {"accepted": BatchState.SUBMITTED}
_FORMER_NAMES = {state: name for name, state in FORMER_STATES.items()}

# SQS keeps a message for 14 days, and the dead-letter queue for 14 more.
LATE_NEWS_SECONDS = 30 * 86_400
EXPORT_SECONDS = 400 * 86_400  # how long the content of an export is known again after it was applied last
FENCE = "sequence"  # what the head's item calls its fence; a reserved word of DynamoDB

T = TypeVar("T")
Part = dict[str, Any]


class Writes(Table):
    """Conditional writes. `now` gives epoch seconds."""

    def __init__(self, table: Any, now: Callable[[], float] = time.time) -> None:
        super().__init__(table)
        self._now = now

    def now(self) -> int:
        """The ledger's clock, in whole epoch seconds."""
        return int(self._now())

    def _try(self, name: str, *parts: Part) -> bool:
        """Do all of the writes or none; whether their conditions held."""
        try:
            self._transact(name, *parts)
        except Conflict:
            return False
        return True

    def _try_change(self, batch: Batch, **changes: Any) -> bool:
        """Change a batch, provided that it is still as it was read; whether it was."""
        return self._try(f"batch {changes.get('state', 'noted')}", self._change_batch(batch, **changes))

    def _must_not_exist(self, key: Key) -> Part:
        """Write nothing, but only if there is no such item."""
        return self._must_hold(key, keys.IS_NEW)

    def _must_hold(self, key: Key, condition: str) -> Part:
        """Write nothing, but only if the condition holds of an item."""
        return {"ConditionCheck": {**self._named, "Key": key, "ConditionExpression": condition}}

    def _must_be_planned(self, upload: str, plan: str) -> Part:
        """Write nothing, but only if this is the upload's newest plan."""
        condition = {
            "ConditionExpression": "#p = :plan",
            "ExpressionAttributeNames": {"#p": "plan"},
            "ExpressionAttributeValues": {":plan": plan},
        }
        return {"ConditionCheck": {**self._named, "Key": keys.plan(upload), **condition}}

    def _put_new(self, item: Mapping[str, Any]) -> Part:
        """Write an item that must not exist yet."""
        return {"Put": {**self._named, "Item": versioned(item), "ConditionExpression": keys.IS_NEW}}

    def _put_any(self, item: Mapping[str, Any]) -> Part:
        """Write an item over whatever was there."""
        return {"Put": {**self._named, "Item": versioned(item)}}

    def _delete_any(self, key: Key) -> Part:
        """Remove an item, if it is there."""
        return {"Delete": {**self._named, "Key": key}}

    def _change_batch(self, batch: Batch, **changes: Any) -> Part:
        """Change a batch, provided that it is still as it was read."""
        return self._update(
            batch_key(batch),
            {name: str(value) if isinstance(value, BatchState) else value for name, value in changes.items()},
            "#s IN (:was, :formerly) AND attempts = :attempts AND #o = :owner AND doubts = :doubts",
            {
                ":was": str(batch.state),
                ":formerly": _FORMER_NAMES.get(batch.state, str(batch.state)),
                ":attempts": batch.attempts,
                ":owner": batch.owner,
                ":doubts": batch.doubts,
            },
            {"#s": "state", "#o": "owner"},
        )

    def _advance_head(self, base: Head, upload: str) -> Part:
        """Make `upload` the newest, provided that nothing was sent since `base` was read."""
        condition = "#u = :base AND #f = :fence" if base.upload else keys.IS_NEW
        values = {":base": base.upload, ":fence": base.fence} if base.upload else {}
        names = {"#u": "upload", "#f": FENCE} if base.upload else {}
        changes = {"upload": upload, FENCE: base.fence + 1}
        return self._update(keys.head(), changes, condition, values, names)

    def _advance_fence(self, upload: str) -> Part:
        """Note that something is sent, provided that `upload` is still the newest."""
        return {
            "Update": {
                **self._named,
                "Key": keys.head(),
                "UpdateExpression": "SET #f = #f + :one",
                "ConditionExpression": "#u = :upload",
                "ExpressionAttributeNames": {"#f": FENCE, "#u": "upload"},
                "ExpressionAttributeValues": {":one": 1, ":upload": upload},
            }
        }

    def _note_doubt(self, batch: Batch) -> Part:
        """Remember that the batch has more attempts than responses."""
        return self._put_any({**keys.doubt(batch), **pointer(batch)})

    def _forget_doubt(self, batch: Batch) -> Part:
        """Nothing about the batch is in doubt any more."""
        return self._delete_any(keys.doubt(batch))

    def _give_up_doubt(self, batch: Batch) -> Part:
        """Nothing is waited for any more, but late news may be about the batch."""
        now = self.now()
        late = {"given_up_at": now, "expires_at": now + LATE_NEWS_SECONDS}
        return self._put_any({**keys.doubt(batch), **pointer(batch), **late})

    def _reopen(self, upload: str) -> list[Part]:
        """An applied upload has a batch that is not final, again or still."""
        return [
            self._put_any(keys.open_upload(upload)),
            self._update(keys.upload(upload), {"state": "open"}, keys.IS_THERE, {}, {}),
        ]

    def _note_export(self, upload: str, record: UploadRecord) -> list[Part]:
        """Remember the content that is applied; one item for each content, so that one read finds it."""
        if not record.export.sha256:
            return []
        applied = AppliedExport(upload, record.applied_at, record.export)
        expires_at = record.applied_at + EXPORT_SECONDS
        key = keys.export(record.export.sha256)
        return [self._put_any({**key, **attributes(applied), "expires_at": expires_at})]

    @property
    def _named(self) -> dict[str, str]:
        return {"TableName": self.table_name}

    def _update(
        self,
        key: Key,
        changes: Mapping[str, Any],
        condition: str,
        values: Mapping[str, Any],
        names: Mapping[str, str],
    ) -> Part:
        """Set attributes; `#n<i>` and `:v<i>` stand for them, as some are reserved words."""
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


def batch_key(batch: Batch) -> Key:
    """The batch's primary key."""
    return keys.batch(batch.upload, batch.plan, batch.id)


def batch_item(batch: Batch) -> dict[str, Any]:
    """The table item of a batch."""
    return {**batch_key(batch), **vars(batch), "state": str(batch.state), "operation": batch.operation.name}


def read_batch(item: Mapping[str, Any]) -> Batch:
    """The batch of a table item."""
    state = item["state"]
    return read(
        Batch,
        {
            **item,
            "id": item.get("id") or former_id(item["number"]),
            "state": FORMER_STATES.get(state) or BatchState(state),
            "operation": OPERATIONS[item["operation"]],
        },
    )


def pointer(batch: Batch) -> dict[str, Any]:
    """What an item holds that names a batch."""
    return {"upload": batch.upload, "plan": batch.plan, "batch": batch.id}


def pointed(item: Mapping[str, Any]) -> tuple[str, str, str]:
    """Upload, plan and id of the batch that an item names."""
    return item["upload"], item["plan"], item.get("batch") or former_id(item["number"])


def read(record: type[T], item: Mapping[str, Any], **named: str | int) -> T:
    """A frozen value of the attributes that an item has, and of what its key names."""
    known = {field.name: item[field.name] for field in fields(record) if field.name in item}  # type: ignore[arg-type]
    return record(**{**known, **named})


def read_with_export(record: type[T], item: Mapping[str, Any]) -> T:
    """A record that says which export it is of; items of older versions do not."""
    return read(record, {**item, "export": read(Export, item.get("export", {}))})


def attributes(record: Any, *named: str) -> dict[str, Any]:
    """What an item holds of a frozen value: all but what its key names."""
    return {name: value for name, value in asdict(record).items() if name not in named}
