"""What the published state before each upload is made of: a snapshot, stored once, and the uploads since.

A snapshot's key is the digest of its content. An upload that sends nothing never stores one: it refers to the snapshot
of the upload before it, and to what that one sent. So does one that changes little of a large catalog. Up to schema 3
each plan had a snapshot of its own beside its batches, which is still read, and referred to.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa

from jwo_catalog_pipeline.storage import Bucket, NoSuchObject
from jwo_catalog_pipeline.table_file import TableFile, as_frame, write_table
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import Head
from jwo_catalog_pipeline.upload.tables import Published, arrow_schema, with_batch_ids
from jwo_catalog_pipeline.work_folder import new_path

SNAPSHOTS = "snapshots/"
# A layer costs a few calls at each plan; a snapshot of a million items costs 124 MB once. A small catalog's snapshot is
# smaller than the lists of batches, so it is stored whenever something is sent.
LAYERED_ITEMS = 10_000
MOST_LAYERS = 24
MOST_LAYERED_SHARE = 0.1


@dataclass(frozen=True)
class Before:
    """The published state before an upload was planned.

    Attributes:
        snapshot: the key of a table of `Published`.
        layers: applied uploads whose batches are laid over it, oldest first.
        layered: how many items these sent.
        after: the newest applied upload before it that had batches, "" for none; None where schema 3 did not note it.
    """

    snapshot: str
    layers: tuple[str, ...] = ()
    layered: int = 0
    after: str | None = None


def folder(upload: str, plan: str) -> str:
    """Where the bucket keeps what belongs to one plan of one upload."""
    return f"uploads/{upload}/{plan}"


def before_key(upload: str, plan: str) -> str:
    """Where it is noted what the published state before an upload is made of."""
    return f"{folder(upload, plan)}/published_before.json"


def former_snapshot_key(upload: str, plan: str) -> str:
    """Where a plan kept a snapshot of its own, up to schema 3."""
    return f"{folder(upload, plan)}/published_before.parquet"


def read_before(bucket: Bucket, upload: str, plan: str) -> Before:
    """What the published state before a plan is made of."""
    try:
        return parse_before(bucket.get(before_key(upload, plan)))
    except NoSuchObject:
        return Before(former_snapshot_key(upload, plan))


def parse_before(content: bytes) -> Before:
    """What `write_before` has written."""
    noted = json.loads(content)
    return Before(noted["snapshot"], tuple(noted["layers"]), noted["layered"], noted["after"])


def write_before(bucket: Bucket, upload: str, plan: str, before: Before) -> None:
    """Note what the published state before a plan is made of."""
    bucket.put(before_key(upload, plan), json.dumps(asdict(before)).encode(), "application/json")


def fetch_snapshot(bucket: Bucket, key: str, folder: Path) -> TableFile:
    """A snapshot in a file of the folder, as `Published` is now.

    Raises:
        NoSuchObject: the bucket has lost it.
    """
    stored = bucket.fetch(key, new_path(folder, "snapshot"))
    if not pa.types.is_integer(stored.schema.field("batch").type):
        return stored
    frames = (with_batch_ids(as_frame(piece), "batch") for piece in stored.pieces())  # of schema 2
    return write_table(new_path(folder, "snapshot"), frames, arrow_schema(Published))


def keep_snapshot(bucket: Bucket, published: TableFile) -> str:
    """Store a snapshot, unless it is there already; gives its key."""
    key = f"{SNAPSHOTS}{published.digest()}.parquet"
    bucket.put_file_once(key, published.path)
    return key


def keep_before(
    ledger: Ledger, bucket: Bucket, base: Head, published: TableFile, requests: int, layered_items: int
) -> Before:
    """What the published state before a new plan is made of; stores a snapshot where one is needed.

    Args:
        ledger: knows the newest applied upload.
        bucket: holds the snapshots.
        base: the head that the plan is made against.
        published: the published state, `Published`.
        requests: how many batches the plan has.
        layered_items: the catalog's size from which small changes store no snapshot.
    """
    record = ledger.upload(base.upload) if base.upload else None
    if record is None:
        return Before(keep_snapshot(bucket, published), after="")
    last = read_before(bucket, base.upload, record.plan)
    after = base.upload if record.batches else last.after
    layers = (*last.layers, base.upload) if record.batches else last.layers
    layered = last.layered + record.items
    is_large, few = published.rows >= layered_items, layered <= MOST_LAYERED_SHARE * published.rows
    if requests and layers and not (is_large and few and len(layers) < MOST_LAYERS):
        return Before(keep_snapshot(bucket, published), after=after)
    return Before(last.snapshot, layers, layered, after)
