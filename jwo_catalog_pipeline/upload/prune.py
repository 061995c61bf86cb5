"""Removing what is old and no longer needed: uploads, snapshots, review pages, messages.

Kept are the newest applied upload, whatever is open or in doubt, a plan that may still be applied, uploads that the
published state names for items that are in flight or rejected, and the snapshots and uploads that the state before any
kept upload is made of. An upload leaves the ledger in one transaction, which leaves a note; its objects, its other
items and its partition go after that, and the note last. So a prune that was killed is finished by the next one, and
nothing that remains names what is gone.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice, pairwise

from jwo_catalog_pipeline.engine import ask
from jwo_catalog_pipeline.storage import DELETED_TOGETHER, FRESH_SECONDS, Bucket, Listed, NoSuchObject
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import UploadRecord, upload_key
from jwo_catalog_pipeline.upload.published_state import published_state
from jwo_catalog_pipeline.upload.recovery import applied_uploads
from jwo_catalog_pipeline.upload.snapshots import SNAPSHOTS, Before, before_key, parse_before
from jwo_catalog_pipeline.work_folder import work_folder

READ_AT_ONCE = 10
# A plan that is being made refers to a snapshot that it wrote, or found younger than `FRESH_SECONDS`.
GRACE_SECONDS = 2 * FRESH_SECONDS
# Written anew wherever they are used again.
REVIEWS, MESSAGES = "reviews/", "inbox/"
_OF_UPLOAD = re.compile(r"uploads/(.+)/(?:[0-9a-f]{12}|tables)/([a-z_]+)[./].*")
_BEFORE = re.compile(r"uploads/(.+)/([0-9a-f]{12})/published_before\.json")


@dataclass(frozen=True)
class Tables:
    """What is stored of uploads elsewhere.

    Attributes:
        prefix: where the tables of the assets are.
        upload_of: the upload that a table is about; None for one of no upload.
        partitions: uploads that Dagster knows.
        forget_partition: has Dagster forget one.
    """

    prefix: str
    upload_of: Callable[[str], str | None]
    partitions: Sequence[str]
    forget_partition: Callable[[str], None]


@dataclass(frozen=True)
class Prunable:
    """What is old and no longer needed.

    Attributes:
        applied: uploads with their records, oldest first, and the upload that was applied after each.
        never_applied: uploads that only have a plan, or were never planned.
        noted: uploads that an earlier prune has taken out of the ledger, and did not finish.
        before: what is older than this, epoch seconds, is old.
        found: kind, number and bytes of what would be removed.
    """

    applied: list[tuple[str, UploadRecord, str]]
    never_applied: list[str]
    noted: list[str]
    before: int
    found: list[dict[str, str | int]] = field(default_factory=list)

    @property
    def uploads(self) -> set[str]:
        return {upload for upload, _, _ in self.applied} | set(self.never_applied) | set(self.noted)


Progress = Callable[[int, int], None]


def find_prunable(ledger: Ledger, bucket: Bucket, tables: Tables, keep_days: float) -> Prunable:
    """Find what is older than so many days and no longer needed; removes nothing."""
    before = ledger.now() - round(keep_days * 86_400)
    if not ledger.head().upload:  # or the table was lost, and the bucket is all there is
        return Prunable([], [], [], before)
    # The order matters: a plan that becomes the newest upload from now on has noted by then what it needs.
    chain = {upload: record for upload in applied_uploads(ledger) if (record := ledger.upload(upload))}
    noted = ledger.pruned()
    old = {upload for upload, record in chain.items() if _is_old(record, before)}
    kept = _with_layers(bucket, chain, (chain.keys() - old) | _named(ledger, bucket))
    newest_first = [*chain, ""]
    applied = [(u, chain[u], newer) for newer, u in pairwise(newest_first) if u in old - kept]
    strays = _never_applied(ledger, bucket, {*chain, *noted}, tables.partitions, before)
    prunable = Prunable(applied[::-1], strays, noted, before)
    gone = prunable.uploads
    numbers: Counter[str] = Counter({"uploads": len(applied), "plans never applied": len(strays)})
    numbers["uploads begun to be removed"] = len(noted)
    numbers["notes of messages"] = len(ledger.old_messages(before))
    numbers["partitions"] = len(gone & set(tables.partitions))
    sizes: Counter[str] = Counter()
    for kind, entry in _removable(ledger, bucket, tables, gone, before):
        numbers[kind] += 1
        sizes[kind] += entry.size
    found: list[dict[str, str | int]] = [
        {"kind": kind, "number": number, "bytes": sizes[kind]} for kind, number in numbers.items() if number
    ]
    return Prunable(applied[::-1], strays, noted, before, found)


def remove(
    ledger: Ledger, bucket: Bucket, tables: Tables, prunable: Prunable, on_step: Progress = lambda done, of: None
) -> None:
    """Remove what was found; killed at any moment, the next prune finishes it.

    Args:
        ledger: loses the items.
        bucket: loses the objects.
        tables: loses tables and partitions.
        prunable: what `find_prunable` gave; what has changed since is left alone.
        on_step: called with how many steps of how many are done; there are three for each upload.
    """
    if not prunable.found:
        return
    steps, done = 3 * len(prunable.uploads), 0
    gone = set(prunable.noted)
    for upload, record, newer in _relinked(prunable.applied):
        if ledger.prune_upload(upload, record, newer):
            gone.add(upload)
        on_step(done := done + 1, steps)
    for upload in prunable.never_applied:
        if ledger.prune_plan(upload):
            gone.add(upload)
        on_step(done := done + 1, steps)
    ledger.forget_messages(ledger.old_messages(prunable.before))
    removable = (entry.key for _, entry in _removable(ledger, bucket, tables, gone, prunable.before))
    while keys := list(islice(removable, DELETED_TOGETHER)):
        bucket.delete(keys)
    on_step(done := 2 * steps // 3, steps)
    partitions = set(tables.partitions)
    for upload in sorted(gone):
        ledger.remove_leftovers(upload)
        if upload in partitions:
            tables.forget_partition(upload)
        ledger.finish_pruning(upload)
        on_step(done := min(done + 1, steps), steps)


def _relinked(applied: list[tuple[str, UploadRecord, str]]) -> Iterator[tuple[str, UploadRecord, str]]:
    """The uploads with the records that they have once those before them are gone."""
    following: dict[str, str] = {}
    for upload, record, newer in applied:
        base = following.pop(upload, record.base_upload)
        following[newer] = base
        yield upload, UploadRecord(**{**vars(record), "base_upload": base}), newer


def _is_old(record: UploadRecord, before: int) -> bool:
    return not record.is_open and max(record.applied_at, record.settled_at) < before


def _named(ledger: Ledger, bucket: Bucket) -> set[str]:
    """Uploads that the published state, open work or a doubt names."""
    head = ledger.head().upload
    plan = ledger.plan(head)
    with work_folder() as folder:
        waiting = ask(
            "SELECT DISTINCT upload FROM published WHERE state <> 'accepted' OR doubted_at > 0",
            published=published_state(ledger, bucket, folder),
        )
    doubts = [doubt.upload for doubt in [*ledger.doubtful(), *ledger.given_up()]]
    return {
        head,
        *ledger.open_uploads(),
        *(plan.waits_for if plan else ()),
        *doubts,
        *(orphan.upload for orphan in ledger.orphans()),
        *map(str, waiting["upload"]),
    }


def _with_layers(bucket: Bucket, chain: dict[str, UploadRecord], kept: set[str]) -> set[str]:
    """The uploads, and those that the state before them is made of."""
    found, new = set(kept), set(kept)
    while new:
        keys = [before_key(upload, chain[upload].plan) for upload in sorted(new) if upload in chain]
        new = {layer for before in _read_all(bucket, keys) for layer in before.layers} - found
        found |= new
    return found


def _read_all(bucket: Bucket, keys: Sequence[str]) -> list[Before]:
    def read(key: str) -> Before | None:
        with suppress(NoSuchObject):  # of schema 3, or gone since
            return parse_before(bucket.get(key))
        return None

    with ThreadPoolExecutor(READ_AT_ONCE) as threads:
        return [before for before in threads.map(read, keys) if before]


def _never_applied(
    ledger: Ledger, bucket: Bucket, known: set[str], partitions: Sequence[str], before: int
) -> list[str]:
    """Uploads that were not applied, and cannot be any more or were given up long ago."""
    written: dict[str, int] = {}
    sent: set[str] = set()
    for entry in bucket.listed("uploads/"):
        if (match := _OF_UPLOAD.fullmatch(entry.key)) and match[1] not in known:
            written[match[1]] = max(written.get(match[1], 0), entry.written_at)
            if match[2] == "batches":
                sent.add(match[1])  # the ledger has lost it: `jwo-catalog state salvage` needs it
    head = ledger.head().upload
    oldest = upload_key(datetime.fromtimestamp(before, UTC))
    found = []
    for upload in sorted({*written, *partitions} - known - sent):
        if ledger.upload(upload):
            continue
        plan = ledger.plan(upload)
        if plan:
            is_old = plan.planned_at < before and plan.base_upload != head
        elif upload in written:
            is_old = written[upload] < before
        else:
            is_old = len(upload) == len(oldest) and upload.endswith("Z") and upload < oldest
        if is_old:
            found.append(upload)
    return found


def _removable(
    ledger: Ledger, bucket: Bucket, tables: Tables, gone: set[str], before: int
) -> Iterator[tuple[str, Listed]]:
    """The objects of these uploads, and what is old and not needed besides, each with its kind."""
    befores = [
        entry.key
        for entry in bucket.listed("uploads/")
        if (match := _BEFORE.fullmatch(entry.key)) and match[1] not in gone
    ]
    needed = {one.snapshot for one in _read_all(bucket, befores)}
    for entry in bucket.listed("uploads/"):
        match = _OF_UPLOAD.fullmatch(entry.key)
        if match and match[1] in gone and entry.key not in needed:
            yield match[2], entry
    for entry in bucket.listed(tables.prefix):
        if tables.upload_of(entry.key) in gone:
            yield "tables", entry
    recent = ledger.now() - GRACE_SECONDS
    for entry in bucket.listed(SNAPSHOTS):
        if entry.key not in needed and entry.written_at < recent:
            yield "snapshots", entry
    for kind, prefix in (("reviews", REVIEWS), ("messages", MESSAGES)):
        for entry in bucket.listed(prefix):
            if entry.written_at < min(before, recent):
                yield kind, entry
