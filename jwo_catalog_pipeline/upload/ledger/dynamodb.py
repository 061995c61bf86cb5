"""The ledger's table as DynamoDB has it: reads, writes and transactions, each with its failpoint, and errors explained.

What the items mean is in `keys`. Private to `upload/ledger/`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from boto3.dynamodb.conditions import Key
from botocore.exceptions import BotoCoreError, ClientError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from jwo_catalog_pipeline.aws_errors import error_code
from jwo_catalog_pipeline.aws_words import aws_problem
from jwo_catalog_pipeline.failpoints import effect
from jwo_catalog_pipeline.upload.errors import Conflict, Contended, LedgerUnavailable
from jwo_catalog_pipeline.upload.ledger.keys import PK, SK, kind

# Of what the items mean. An item without an attribute, or of an older number, is read; one of a newer number is left
# alone, for this version does not know what it means.
SCHEMA = 4


# Full jitter, up to 0.05, 0.1, 0.2 ... s: such collisions are over in milliseconds.
_PAUSE = wait_random_exponential(0.05, max=1)


class Table:
    """Plain access to the table. Thread-safe: goes through the resource's client, as boto3's resources are not.

    Attributes:
        table_name: which table this is.
    """

    def __init__(self, table: Any) -> None:
        self.table_name = str(table.name)
        self._client = table.meta.client  # takes and gives Python's values, as the resource does

    def _get(self, key: Mapping[str, str]) -> dict[str, Any] | None:
        """One item, read consistently; numbers come as int."""
        with self._explained():
            item = self._client.get_item(TableName=self.table_name, Key=key, ConsistentRead=True).get("Item")
        return self._readable(item) if item else None

    def _query(
        self,
        pk: str,
        prefix: str = "",
        *,
        between: tuple[str, str] | None = None,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Items of a partition, read consistently.

        Args:
            pk: the partition.
            prefix: only sort keys that start so.
            between: only sort keys from the first to the second.
            newest_first: in the reverse order of the sort keys.
            limit: at most so many, which is one call; else all, a call for each MB.
        """
        condition = Key(PK).eq(pk) & Key(SK).begins_with(prefix) if prefix else Key(PK).eq(pk)
        if between:
            condition = Key(PK).eq(pk) & Key(SK).between(*between)
        start: dict[str, Any] = {"Limit": limit} if limit else {}
        while True:
            with self._explained():
                page = self._client.query(
                    TableName=self.table_name,
                    KeyConditionExpression=condition,
                    ConsistentRead=True,
                    ScanIndexForward=not newest_first,
                    **start,
                )
            yield from map(self._readable, page["Items"])
            if limit or "LastEvaluatedKey" not in page:
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def _put(self, item: Mapping[str, Any]) -> None:
        """Write an item whole, over whatever was there."""
        with effect(f"ledger: {kind(item)}"), self._explained():
            self._client.put_item(TableName=self.table_name, Item=versioned(item))

    def _delete(self, key: Mapping[str, str]) -> None:
        """Remove an item; that it is gone already is fine."""
        with effect(f"ledger: {kind(key)} deleted"), self._explained():
            self._client.delete_item(TableName=self.table_name, Key=key)

    def _transact(self, name: str, *actions: Mapping[str, Any]) -> None:
        """Do all of the writes or none.

        Args:
            name: of the failpoint.
            actions: parts, made by `writes`.

        Raises:
            Conflict: a condition did not hold.
        """
        # Other transactions on the same items at the same moment: DynamoDB did nothing, and asks to try again.
        retrying = Retrying(
            retry=retry_if_exception_type(Contended), stop=stop_after_attempt(6), wait=_PAUSE, reraise=True
        )
        for attempt in retrying:
            with attempt, effect(f"ledger: {name}"), self._explained():
                self._client.transact_write_items(TransactItems=list(actions))

    def _readable(self, item: Mapping[str, Any]) -> dict[str, Any]:
        attributes: dict[str, Any] = _plain(dict(item))
        if attributes.get("schema", 0) > SCHEMA:
            raise LedgerUnavailable(
                f"the ledger table {self.table_name} was written by a newer version of this software (schema "
                f"{attributes['schema']}, this one knows {SCHEMA})",
                "install that version again (docs/runbook.md)",
            )
        return attributes

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code = error_code(error)
            reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])} - {"None"}
            if reasons and "ConditionalCheckFailed" not in reasons:
                raise Contended(f"the ledger table {self.table_name} is busy: {', '.join(sorted(reasons))}") from None
            if code in ("ConditionalCheckFailedException", "TransactionCanceledException"):
                raise Conflict(str(error)) from None
            what, remedy = aws_problem(error, f"dynamodb:{error.operation_name}", "DynamoDB")
            if code == "ResourceNotFoundException":
                what, remedy = _NO_TABLE
            raise LedgerUnavailable(f"cannot use the ledger table {self.table_name}: {what}", remedy) from None
        except BotoCoreError as error:
            what, remedy = aws_problem(error, "", "DynamoDB")
            raise LedgerUnavailable(f"cannot reach the ledger table {self.table_name}: {what}", remedy) from None


_NO_TABLE = (
    "it does not exist",
    "deploy deploy/cloudformation.yaml and set JWO_LEDGER_TABLE to its LedgerTableName",
)


def versioned(item: Mapping[str, Any]) -> dict[str, Any]:
    """The item as it is written."""
    return {**item, "schema": SCHEMA}


def _plain(value: Any) -> Any:
    """DynamoDB's Decimals as int (the ledger holds no fractions), throughout."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return int(value) if hasattr(value, "as_integer_ratio") and not isinstance(value, bool) else value
