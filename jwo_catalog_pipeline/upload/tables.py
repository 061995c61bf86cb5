"""The contracts of the stored tables: columns in their order, their types and meaning, and what may be missing."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pandera.pandas as pa
import pyarrow

from jwo_catalog_pipeline.upload.batch_ids import former_id
from jwo_catalog_pipeline.upload.model import Batch, utc


def _column(description: str, *, missing: bool = False) -> Any:
    return pa.Field(description=description, nullable=missing)


class _Table(pa.DataFrameModel):
    class Config:
        """These columns, all of them, in this order, brought to their types."""

        strict = True
        ordered = True
        coerce = True


class Published(_Table):
    """What Amazon is known to hold: one row per item, by store and SKU."""

    store_id: str = _column("The store.")
    item_sku: str = _column("The retailer's number of the item.")
    content_hash: str = _column(
        "SHA-256 of the content that was sent last; missing where what Amazon holds is not known.", missing=True
    )
    standard_price: str = _column("The price that was sent last.", missing=True)
    operation: str = _column("The last operation: upload or archive.")
    state: str = _column("accepted, in_flight or rejected; archived only while that is in doubt.")
    reason: str = _column('Amazon\'s reason for a rejection, "" for none.')
    upload: str = _column("The upload in which the item was sent last.")
    batch: str = _column("The batch of that upload.")
    sent_at: int = _column("When that batch was last sent, epoch seconds; 0 where a person has closed it.")
    doubted_at: int = _column("When a call that carried the item had no response, epoch seconds; 0 for never.")


class PlanRow(_Table):
    """What an upload does with one item; the stored plan has the item's fields besides, in the rows that are sent.

    The stored plan has no row of an unchanged item; up to schema 3 it had.
    """

    change: str = _column("insert, update, unchanged, in_flight, held, archive or absent; the first two are uploaded.")
    store_id: str = _column("The store.")
    item_sku: str = _column("The retailer's number of the item.")
    content_hash: str = _column("SHA-256 of the item as it is sent; equal content, equal hash.", missing=True)
    document_bytes: int = _column("The size of the item as it is sent.")
    published_hash: str = _column(
        "The content hash that was sent last; missing where what Amazon holds is not known.", missing=True
    )
    published_price: str = _column("The price that was sent last.", missing=True)
    published_upload: str = _column("The upload in which the item was sent last.", missing=True)
    published_batch: str = _column("The batch of that upload.", missing=True)
    waits_for: str = _column("The upload whose outcome the item waits for.", missing=True)
    reason: str = _column("Why the item is not sent now, or why it is sent again.", missing=True)


class BatchRecord(_Table):
    """A batch of an upload, for people."""

    batch: str = _column("The batch: one call to Amazon. 0001.1 and 0001.2 are the halves of a refused 0001.")
    operation: str = _column("upload or archive.")
    state: str = _column("Where the batch is: planned, sending, submitted, in_doubt, refused, reported, settled, ...")
    items: int = _column("How many items the batch holds.")
    bytes: int = _column("The size of the batch's body.")
    attempts: int = _column("How often the batch was sent, or might have been.")
    sent_at: str = _column("When it was last sent, UTC.", missing=True)
    ingestion_id: str = _column("Amazon's id of the ingestion.", missing=True)
    http_status: int = _column("Amazon's last response, 0 for none.")
    request_id: str = _column("Amazon's id of the last call, for their support.", missing=True)
    message: str = _column("Amazon's message, or why there is none.", missing=True)
    refusal: str = _column(
        "Of a refused batch: split (its items are in two parts), one_item, one_store, or not_cut.", missing=True
    )
    part_of: str = _column("The refused batch that this is a part of.", missing=True)
    sha256: str = _column("SHA-256 of the batch's bytes.")


class ItemOutcome(_Table):
    """What became of an item that an upload sent."""

    upload: str = _column("The upload: the UTC time at which it began, and its partition.")
    batch: str = _column("The batch: one call to Amazon. 0001.1 and 0001.2 are the halves of a refused 0001.")
    store_id: str = _column("The store.")
    item_sku: str = _column("The retailer's number of the item.")
    outcome: str = _column(
        "accepted, rejected or unreported, from Amazon's report; before that planned, in_flight or in_doubt; "
        "or refused, superseded, failed or closed."
    )
    code: str = _column("Amazon's code for a rejection.", missing=True)
    message: str = _column("Amazon's message, or why there is none.", missing=True)
    ingestion_id: str = _column("Amazon's id of the ingestion.", missing=True)
    content_hash: str = _column("SHA-256 of the item as it is sent; equal content, equal hash.", missing=True)


def columns(table: type[_Table]) -> dict[str, str]:
    """The columns of a table in their order, and what each means."""
    return {name: column.description for name, column in table.to_schema().columns.items()}


def conform(table: type[_Table], frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of a table, in its order and of its types.

    Raises:
        pandera.errors.SchemaError, SchemaErrors: one is missing, or has no value where it must have one.
    """
    named = [name for name in columns(table) if name in frame]
    conformed: pd.DataFrame = table.validate(frame[named].copy(deep=False), inplace=True)
    return conformed


def arrow_schema(table: type[_Table]) -> pyarrow.Schema:
    """The columns of a table as they are in its file; what must have a value is marked so."""
    nothing = pyarrow.Schema.from_pandas(empty(table), preserve_index=False).remove_metadata()
    missing = {name: column.nullable for name, column in table.to_schema().columns.items()}
    return pyarrow.schema([column.with_nullable(missing[column.name]) for column in nothing])


def with_batch_ids(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """The table with ids of batches in a column, which up to schema 2 held numbers, 0 for none."""
    if not pd.api.types.is_integer_dtype(table[column]):
        return table
    ids = {number: former_id(number) for number in table[column].unique() if number}
    return table.assign(**{column: table[column].astype("object").map(ids).astype("str")})


def empty(table: type[_Table]) -> pd.DataFrame:
    """No rows of a table."""
    nothing: pd.DataFrame = table.empty()
    return nothing


def batch_record(batches: Sequence[Batch]) -> pd.DataFrame:
    """The ledger's batches as `BatchRecord`."""
    rows = [
        {
            **vars(batch),
            "batch": batch.id,
            "operation": batch.operation.name,
            "state": str(batch.state),
            "sent_at": utc(batch.sent_at),
            "part_of": batch.part_of or None,
            **{name: getattr(batch, name) or None for name in ("ingestion_id", "request_id", "message", "refusal")},
        }
        for batch in batches
    ]
    return conform(BatchRecord, pd.DataFrame(rows, columns=list(columns(BatchRecord))))
