"""What is known so far of an upload's items, as one object, while reports trickle in.

Without it each run would read the outcomes of every batch once more. It is written anew only now and then, for that
costs as much as the whole upload; in between, what has changed since is read batch by batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from jwo_catalog_pipeline.storage import Bucket, NoSuchObject
from jwo_catalog_pipeline.table_file import TableFile, TableWriter
from jwo_catalog_pipeline.upload.model import IN_FLIGHT, Batch, BatchState
from jwo_catalog_pipeline.upload.snapshots import folder as folder_of
from jwo_catalog_pipeline.work_folder import new_path

FEW_BATCHES = 8  # so many are read by themselves before all is written anew
_BATCHES = "batches"  # in the table's attributes: by batch, where its rows are, and what they were made of


@dataclass(frozen=True)
class SoFar:
    """What is kept of some batches of an upload: `batch_outcomes`, one batch's rows after another's."""

    table: TableFile | None = None

    @cached_property
    def _places(self) -> dict[str, list[Any]]:
        return dict(self.table.attrs.get(_BATCHES, {})) if self.table else {}

    def knows(self, batch: Batch) -> bool:
        """Whether what is kept of a batch is what `batch_outcomes` would give."""
        return batch.id in self._places and self._places[batch.id][2] == _made_of(batch)

    def rows(self, batch: Batch) -> pa.Table:
        """What is kept of a batch that it knows."""
        if self.table is None:
            raise KeyError(batch.id)
        first, rows, _ = self._places[batch.id]
        return self.table.slice(first, rows)

    def is_worth_keeping_anew(self, batches: Sequence[Batch]) -> bool:
        """Whether to keep what is known by now: where more is to come, or something is kept already."""
        changed = sum(not self.knows(batch) for batch in batches)
        closed = all(batch.is_closed for batch in batches)
        if len(batches) < 2 or not changed:
            return False
        return not closed if self.table is None else closed or changed >= FEW_BATCHES


def read_so_far(bucket: Bucket, batches: Sequence[Batch], folder: Path) -> SoFar:
    """What is kept of an upload's batches.

    Args:
        bucket: keeps it.
        batches: of one upload.
        folder: of `work_folder`.
    """
    if len(batches) < 2:
        return SoFar()
    try:
        return SoFar(bucket.fetch(so_far_key(batches[0]), new_path(folder, "so_far")))
    except NoSuchObject:
        return SoFar()


def keep_so_far(
    bucket: Bucket, batches: Sequence[Batch], outcomes: Iterable[pa.Table], schema: pa.Schema, folder: Path
) -> Iterator[pa.Table]:
    """Pass on the outcomes of an upload's batches, each as `batch_outcomes`, and keep them once the last is passed."""
    path = new_path(folder, "so_far")
    places: dict[str, list[Any]] = {}
    with TableWriter(path, schema) as writer:
        for batch, table in zip(batches, outcomes, strict=True):
            places[batch.id] = [writer.rows, len(table), _made_of(batch)]
            writer.write(table)
            yield table
        writer.attrs[_BATCHES] = places
    bucket.put_file(so_far_key(batches[0]), path)


def forget_so_far(bucket: Bucket, batch: Batch) -> None:
    """What is kept of a batch's upload is to be read again: the outcomes are about to be made anew."""
    if bucket.written(so_far_key(batch)):
        bucket.put_table(so_far_key(batch), pa.table({}))


def open_outcome(state: BatchState) -> str:
    """Where the items of an unsettled batch are. Not its state: a submitted batch's items are in flight."""
    return "in_flight" if state in IN_FLIGHT and state is not BatchState.IN_DOUBT else str(state)


def _made_of(batch: Batch) -> list[Any]:
    """What decides the outcomes of a batch's items; equal where they are equal. JSON."""
    settled = batch.state is BatchState.SETTLED
    why = sorted(batch.outcomes.items()) if settled else batch.message
    return [open_outcome(batch.state), batch.ingestion_id, [list(entry) for entry in why] if settled else why]


def so_far_key(batch: Batch) -> str:
    """Where what is known so far of the items of a batch's upload is kept, while reports trickle in."""
    return f"{folder_of(batch.upload, batch.plan)}/outcomes_so_far.parquet"
