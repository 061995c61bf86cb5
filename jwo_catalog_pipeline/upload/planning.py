"""Making a plan: compare the catalog with the published state, and record what that rests on. Sends nothing."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from jwo_catalog_pipeline.catalog.changes import SENT_KINDS, counts_by_kind, plan_changes, to_send
from jwo_catalog_pipeline.catalog_api.requests import item_documents
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.upload.errors import AlreadyApplied
from jwo_catalog_pipeline.upload.ledger import Ledger
from jwo_catalog_pipeline.upload.published import published_state, state_key
from jwo_catalog_pipeline.upload.records import Head

DIGEST_CHARACTERS = 12  # of a SHA-256: enough to tell the plans of one upload apart


@dataclass(frozen=True)
class Plan:
    """A recorded plan; `changes` has the plan's columns, and the item's fields in the rows that are to be sent."""

    upload: str
    digest: str
    base: Head
    changes: pd.DataFrame


def make_plan(
    ledger: Ledger,
    bucket: Bucket,
    upload: str,
    items: pd.DataFrame,
    quarantined: pd.DataFrame,
    fields: Sequence[str],
    in_flight_hours: float,
) -> Plan:
    """Plan an upload and record the plan, with the state that it was made against.

    Args:
        ledger: where the head and the batches are read, and the plan is recorded.
        bucket: keeps the snapshot of the published state.
        upload: the upload's key.
        items: the valid items, with `fields` as text columns.
        quarantined: rows that count as present, with `store_id` and `item_sku`.
        fields: the item's fields.
        in_flight_hours: after how long an item without an outcome is no longer waited for.

    Raises:
        AlreadyApplied: the upload has been recorded; what it sends cannot change any more.
    """
    if ledger.upload(upload):
        raise AlreadyApplied(
            f"upload {upload} has been applied; its plan cannot be made again. Materialize ingestion_record to resume "
            "it, or add a new partition to catalog_uploads for a new upload"
        )
    # The head before the state: whatever is sent in between makes the plan refuse to be applied.
    base = ledger.head()
    published = published_state(ledger, bucket)
    waiting_since = ledger.now() - round(in_flight_hours * 3600)
    plan = plan_changes(item_documents(items, fields), published, quarantined, waiting_since)
    digest = plan_digest(plan, base)
    bucket.put_table(state_key(upload, digest), published)
    ledger.put(
        {
            "pk": f"UPLOAD#{upload}",
            "sk": "PLAN",
            "plan": digest,
            "base_upload": base.upload,
            "base_sequence": base.sequence,
            "planned_at": ledger.now(),
            "counts": counts_by_kind(plan),
        }
    )
    return Plan(upload, digest, base, _with_fields(plan, items, fields))


def plan_digest(plan: pd.DataFrame, base: Head) -> str:
    """Names a plan by what it sends and what it rests on."""
    hashed = hashlib.sha256(f"{base.upload} {base.sequence}\n".encode())
    hashed.update("".join(to_send(plan)["content_hash"]).encode())
    return hashed.hexdigest()[:DIGEST_CHARACTERS]


def _with_fields(plan: pd.DataFrame, items: pd.DataFrame, fields: Sequence[str]) -> pd.DataFrame:
    """Add the items' fields to the rows that are sent; the others carry none, for they are only counted."""
    rows = plan.index[plan["change"].isin(SENT_KINDS)]
    others = [field for field in fields if field not in plan.columns]
    sent = plan.loc[rows, ["store_id", "item_sku"]].merge(items, how="left", on=["store_id", "item_sku"])
    return plan.join(sent[others].set_index(rows)).astype(dict.fromkeys(others, "str"))
