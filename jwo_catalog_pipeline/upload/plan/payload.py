"""What a plan sends: which of its rows each batch holds, and the bytes that these become.

The bytes follow from the plan alone, so they need not be made before their turn comes, and every process that makes
them makes the same ones.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jwo_catalog_pipeline.catalog_api.operations import OPERATIONS, Operation
from jwo_catalog_pipeline.catalog_api.requests import MAX_ITEMS, serialiser
from jwo_catalog_pipeline.table_file import PIECE_ROWS, TableFile, TableWriter, hash_pieces, hash_table, write_table
from jwo_catalog_pipeline.upload.batch_ids import whole_id
from jwo_catalog_pipeline.upload.errors import NoPlan
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import Batch, Head, PlanRecord
from jwo_catalog_pipeline.upload.plan.changes import ARCHIVE, SENT_KINDS
from jwo_catalog_pipeline.work_folder import new_path

DIGEST_CHARACTERS = 12  # of a SHA-256: enough to tell the plans of one upload apart
_KEY = ["store_id", "item_sku"]
_LISTED = [*_KEY, "content_hash", "standard_price"]


@dataclass(frozen=True)
class Payload:
    """The rows of a plan that are sent.

    Several threads may ask for batches at once; each reads its own rows of the file.

    Attributes:
        changes: the plan's table, by store and SKU.
        past: for each group of its rows, how many of them are uploaded up to its end.
        sizes: `document_bytes` of what is uploaded.
        archived: `store_id`, `item_sku`, by SKU and store, for a request names SKUs.
        fields: the item's fields.
        archive_stores: the retailer's complete list of stores where archiving is on.
    """

    changes: TableFile
    past: np.ndarray
    sizes: np.ndarray
    archived: pa.Table
    fields: Sequence[str]
    archive_stores: Sequence[str]

    def digest(self, base: Head) -> str:
        """Names the plan by what it sends, in which form, and what it rests on."""
        hashed = hashlib.sha256(f"{base.upload} {base.fence}\n{serialiser(self.fields)}\n".encode())
        schema = pa.schema([(name, pa.large_string()) for name in [*self.fields, "content_hash"]])
        pieces = (_sent_of(piece, schema.names) for piece in self.changes.pieces(["change", *schema.names]))
        hash_pieces(hashed, (piece.cast(schema) for piece in pieces), schema)
        hash_table(hashed, self.archived)
        hashed.update("\0".join(self.archive_stores).encode())
        return hashed.hexdigest()[:DIGEST_CHARACTERS]

    def batches(self, upload: str, plan: str) -> list[Batch]:
        """The batches of the plan, uploads first, none of them begun."""
        batches: list[Batch] = []
        for operation in OPERATIONS.values():
            for first, past_last, size in self._bounds(operation):
                number = whole_id(len(batches) + 1)
                batches.append(Batch(upload, plan, number, past_last - first, size, "", operation, first_row=first))
        return batches

    def items(self, batch: Batch) -> pa.Table:
        """The items of a batch in the order of its body: `store_id`, `item_sku`, `content_hash`, `standard_price`.

        Those of an archive are what Amazon is known to hold of its SKUs, in every store.
        """
        rows = self._rows(batch, _LISTED)
        if batch.operation.removes:
            nothing = pa.nulls(len(rows), pa.large_string())
            rows = rows.append_column("content_hash", nothing).append_column("standard_price", nothing)
        return rows.select(_LISTED).cast(pa.schema([(name, pa.large_string()) for name in _LISTED]))

    def body(self, batch: Batch) -> bytes:
        """The bytes of a batch."""
        return batch.operation.body(self._rows(batch, self.fields), self.fields, self.archive_stores)

    def _bounds(self, operation: Operation) -> list[tuple[int, int, int]]:
        rows = self.archived if operation.removes else pa.table({"document_bytes": self.sizes})
        return operation.bounds(rows, self.archive_stores)

    def _rows(self, batch: Batch, columns: Sequence[str]) -> pa.Table:
        if batch.operation.removes:
            return self.archived.slice(batch.first_row, batch.items)
        first, past_last = batch.first_row, batch.first_row + batch.items
        group, last_group = np.searchsorted(self.past, [first, past_last - 1], side="right")
        groups = self.changes.groups
        start, rows = sum(groups[:group]), sum(groups[group : last_group + 1])
        sent = _sent_of(self.changes.slice(start, rows, ["change", *columns]), columns)
        before = int(self.past[group - 1]) if group else 0
        return sent.slice(first - before, batch.items)


def contents_of(changes: TableFile, fields: Sequence[str], archive_stores: Sequence[str]) -> Payload:
    """What a plan sends.

    Args:
        changes: `PlanRow`, and the `fields` in the rows that are uploaded; by store and SKU.
        fields: the item's fields.
        archive_stores: the retailer's complete list of stores; empty where archiving is off.
    """
    changes = _in_small_groups(changes)
    sizes, past, archives = [np.zeros(0, "int64")], list[int](), 0
    for piece in _groups(changes, ["change", "document_bytes"]):
        sizes.append(_sent_of(piece, ["document_bytes"])["document_bytes"].to_numpy())
        past.append(len(sizes[-1]))
        archives += pc.sum(pc.equal(piece["change"], ARCHIVE)).as_py() or 0
    return Payload(
        changes,
        np.cumsum(past, dtype="int64"),
        np.concatenate(sizes),
        _archived(changes) if archives else _KEYS.empty_table(),
        fields,
        archive_stores,
    )


_KEYS = pa.schema([(name, pa.large_string()) for name in _KEY])


def sent_rows(changes: TableFile, fields: Sequence[str], folder: Path) -> TableFile:
    """The fields of the rows that are uploaded, in a file of the folder."""
    schema = pa.schema([(name, pa.large_string()) for name in fields])
    rows = (_sent_of(piece, fields) for piece in changes.pieces(["change", *fields]))
    return write_table(new_path(folder, "sent"), rows, schema)


def _archived(changes: TableFile) -> pa.Table:
    pieces = changes.pieces(["change", *_KEY])
    found = pa.concat_tables(
        piece.filter(pc.equal(piece["change"], ARCHIVE)).select(_KEY).cast(_KEYS) for piece in pieces
    )
    return found.sort_by([("item_sku", "ascending"), ("store_id", "ascending")])


def _sent_of(piece: pa.Table, columns: Sequence[str]) -> pa.Table:
    """The rows that are uploaded, without their `change`."""
    sent = pc.is_in(piece["change"], pa.array(SENT_KINDS, piece["change"].type))
    rows = piece.select(list(columns))
    return rows if pc.all(sent).as_py() else rows.filter(sent)


def _groups(table: TableFile, columns: Sequence[str]) -> Iterator[pa.Table]:
    start = 0
    for rows in table.groups:
        yield table.slice(start, rows, columns)
        start += rows


def _in_small_groups(table: TableFile) -> TableFile:
    """The table; written again beside it where a former version stored more rows together than a batch should read."""
    if max(table.groups, default=0) <= PIECE_ROWS:
        return table
    with TableWriter(table.path.with_suffix(".in_groups.parquet"), table.schema, group_rows=MAX_ITEMS) as writer:
        for piece in table.pieces():
            writer.write(piece)
    return writer.table


def planned_contents(
    ledger: Ledger, upload: str, changes: TableFile, fields: Sequence[str]
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
