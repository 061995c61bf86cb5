"""What the ledger holds, as frozen values: the head and the batches."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from jwo_catalog_pipeline.upload.states import BatchState

UPLOAD, ARCHIVE = "upload", "archive"  # what a batch asks Amazon to do


@dataclass(frozen=True)
class Head:
    """The newest applied upload ("" before the first) and the number of sends under any head so far."""

    upload: str = ""
    sequence: int = 0


@dataclass(frozen=True)
class Batch:
    """A batch as the ledger has it. Times are epoch seconds."""

    upload: str
    plan: str
    number: int
    items: int
    bytes: int
    sha256: str
    operation: str = UPLOAD
    state: BatchState = BatchState.PLANNED
    attempts: int = 0
    in_doubt: bool = False  # an attempt ended without a definite answer
    owner: str = ""
    lease_until: int = 0
    sent_at: int = 0
    ingestion_id: str = ""
    processing_status: str = ""
    asked_at: int = 0
    http_status: int = 0
    request_id: str = ""
    message: str = ""
    report_shape: str = ""
    outcomes: Mapping[str, int] = field(default_factory=dict)

    @property
    def key(self) -> dict[str, str]:
        """The batch's primary key."""
        return {"pk": f"UPLOAD#{self.upload}", "sk": f"BATCH#{self.plan}#{self.number:04}"}

    @property
    def prefix(self) -> str:
        """Where the bucket keeps what belongs to the batch's plan."""
        return plan_prefix(self.upload, self.plan)


_BATCH_FIELDS = {each.name: each.type for each in fields(Batch)}


def plan_prefix(upload: str, plan: str) -> str:
    """Where the bucket keeps what belongs to one plan of one upload."""
    return f"uploads/{upload}/{plan}"


def utc(epoch_seconds: float) -> str | None:
    """A time of the ledger for people: `2026-11-23T19:07:00Z`; None for 0, which means never."""
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if epoch_seconds else None


def batch_item(batch: Batch) -> dict[str, Any]:
    """The table item of a batch."""
    return {**batch.key, **{name: getattr(batch, name) for name in _BATCH_FIELDS}, "state": str(batch.state)}


def read_batch(item: Mapping[str, Any]) -> Batch:
    """The batch of a table item."""
    known = {name: item[name] for name in _BATCH_FIELDS if name in item}
    return Batch(**{**known, "state": BatchState(item["state"])})


def upload_key(moment: datetime) -> str:
    """The key of an upload that starts at a moment: `2026-11-23T190700Z`, in UTC whatever the moment's time zone is."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H%M%SZ")


def batch_table(batches: list[Batch]) -> pd.DataFrame:
    """The ledger's batches as a table for people: one row per batch."""
    columns = {
        "batch": [batch.number for batch in batches],
        "operation": [batch.operation for batch in batches],
        "state": [str(batch.state) for batch in batches],
        "items": [batch.items for batch in batches],
        "bytes": [batch.bytes for batch in batches],
        "attempts": [batch.attempts for batch in batches],
        "sent_at": [utc(batch.sent_at) for batch in batches],
        "ingestion_id": [batch.ingestion_id or None for batch in batches],
        "http_status": [batch.http_status for batch in batches],
        "request_id": [batch.request_id or None for batch in batches],
        "message": [batch.message or None for batch in batches],
        "sha256": [batch.sha256 for batch in batches],
    }
    numbers = ("batch", "items", "bytes", "attempts", "http_status")
    return pd.DataFrame(
        {name: pd.Series(values, dtype="int64" if name in numbers else "str") for name, values in columns.items()}
    )
