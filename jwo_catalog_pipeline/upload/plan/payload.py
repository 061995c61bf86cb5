"""What a plan sends: which of its rows each batch holds, and the bytes that these become.

The bytes follow from the plan alone, so they need not be made before their turn comes, and every process that makes
them makes the same ones.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from jwo_catalog_pipeline.catalog_api.operations import OPERATIONS, Operation
from jwo_catalog_pipeline.catalog_api.requests import serialiser
from jwo_catalog_pipeline.table_file import as_arrow, hash_table
from jwo_catalog_pipeline.upload.batch_ids import whole_id
from jwo_catalog_pipeline.upload.errors import NoPlan
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import Batch, Head, PlanRecord
from jwo_catalog_pipeline.upload.plan.changes import to_archive, to_send

DIGEST_CHARACTERS = 12  # of a SHA-256: enough to tell the plans of one upload apart


@dataclass(frozen=True)
class Payload:
    """The rows of a plan that are sent.

    Attributes:
        sent: what is uploaded: `fields`, `content_hash`, `document_bytes`; by store and SKU.
        archived: `store_id`, `item_sku`, by SKU and store, for a request names SKUs.
        fields: the item's fields.
        archive_stores: the retailer's complete list of stores where archiving is on.
    """

    sent: pa.Table
    archived: pa.Table
    fields: Sequence[str]
    archive_stores: Sequence[str]

    def digest(self, base: Head) -> str:
        """Names the plan by what it sends, in which form, and what it rests on."""
        hashed = hashlib.sha256(f"{base.upload} {base.fence}\n{serialiser(self.fields)}\n".encode())
        hash_table(hashed, self.sent.select([*self.fields, "content_hash"]))
        hash_table(hashed, self.archived)
        hashed.update("\0".join(self.archive_stores).encode())
        return hashed.hexdigest()[:DIGEST_CHARACTERS]

    def batches(self, upload: str, plan: str) -> list[Batch]:
        """The batches of the plan, uploads first, none of them begun."""
        batches: list[Batch] = []
        for operation in OPERATIONS.values():
            for first, past_last, size in operation.bounds(self._rows_of(operation), self.archive_stores):
                number = whole_id(len(batches) + 1)
                batches.append(Batch(upload, plan, number, past_last - first, size, "", operation, first_row=first))
        return batches

    def items(self, batch: Batch) -> pd.DataFrame | pa.Table:
        """The items of a batch in the order of its body: `store_id`, `item_sku`, `content_hash`, `standard_price`.

        Those of an archive are what Amazon is known to hold of its SKUs, in every store.
        """
        rows = self._rows(batch)
        if batch.operation.removes:
            return rows.to_pandas().assign(content_hash=None, standard_price=None).astype("str")
        return rows.select(["store_id", "item_sku", "content_hash", "standard_price"])

    def body(self, batch: Batch) -> bytes:
        """The bytes of a batch."""
        return batch.operation.body(self._rows(batch), self.fields, self.archive_stores)

    def _rows(self, batch: Batch) -> pa.Table:
        return self._rows_of(batch.operation).slice(batch.first_row, batch.items)

    def _rows_of(self, operation: Operation) -> pa.Table:
        return self.archived if operation.removes else self.sent


def contents_of(changes: pd.DataFrame, fields: Sequence[str], archive_stores: Sequence[str]) -> Payload:
    """What a plan sends.

    Args:
        changes: `PlanRow`, and the `fields` in the rows that are uploaded.
        fields: the item's fields.
        archive_stores: the retailer's complete list of stores; empty where archiving is off.
    """
    # Columns are picked before rows, which are then fewer to move.
    sent = to_send(changes[["change", *fields, "content_hash", "document_bytes"]]).drop(columns="change")
    archived = to_archive(changes[["change", "store_id", "item_sku"]]).drop(columns="change")
    return Payload(as_arrow(sent), as_arrow(archived), fields, archive_stores)


def planned_contents(
    ledger: Ledger, upload: str, changes: pd.DataFrame, fields: Sequence[str]
) -> tuple[Payload, PlanRecord]:
    """What the recorded plan of an upload sends, and the plan's record.

    Raises:
        NoPlan: there is none, the table is another, or its items would be written differently by now.
    """
    recorded = ledger.plan(upload)
    if recorded is None:
        raise NoPlan(f"upload {upload} has no plan", "materialize catalog_changes for it first")
    contents = contents_of(changes, fields, recorded.archive_stores)
    if contents.digest(recorded.base) != recorded.plan:
        remedy = "start a new upload, which replaces this one" if ledger.upload(upload) else "materialize it again"
        raise NoPlan(
            f"catalog_changes of upload {upload} is not the recorded plan, or was made by another version of this "
            "software",
            remedy,
        )
    return contents, recorded
