"""Proves the invariants of the upload protocol from outside, as sets of items.

Reads only what anyone can see: the sandbox's request log, ingestions and catalog, the ledger's table, and the bucket.
It shares no code with what it checks but the table of the ledger's keys; it knows the objects' names as an auditor
would.
"""

import hashlib
import io
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import pyarrow.parquet as pq

from jwo_catalog_pipeline.upload.ledger import keys

Key = tuple[str, str]  # store id and SKU
NOT_OVER = ("planned", "sending", "submitted", "reported")
NOT_SENT = ("planned", "superseded")


@dataclass
class Findings:
    """What an inspection found; the lists are empty where all invariants hold."""

    lost: list[str] = field(default_factory=list)  # in the source, and not at Amazon as the source has it
    unaccounted: list[str] = field(default_factory=list)  # sent, or to be sent, and the ledger cannot say what became
    stale: list[str] = field(default_factory=list)  # overtaken: older content sent, or processed, after newer
    unrecorded: list[str] = field(default_factory=list)  # sent before bytes and attempt were recorded
    ingestions: int = 0
    duplicates: int = 0  # ingestions of bytes that had been ingested before
    unanswered: int = 0  # ingestions of which the sandbox withheld the answer, so that the bytes are sent once more

    @property
    def clean(self) -> bool:
        return not (self.lost or self.unaccounted or self.stale or self.unrecorded)


@dataclass(frozen=True)
class World:
    """All that there is to see. Bodies are by their SHA-256, batches by upload, in the order of application."""

    catalog: dict[Key, dict[str, Any]]
    calls: list[dict[str, Any]]
    ingestions: list[dict[str, Any]]
    uploads: list[str]
    batches: dict[str, list[dict[str, Any]]]
    attempts: dict[str, list[dict[str, Any]]]  # by "upload plan batch"
    bodies: dict[str, bytes]
    sandbox: Any
    bucket: str


def look(sandbox: Any) -> World:
    """Read everything.

    Args:
        sandbox: the running sandbox; `get` asks its control API, `client` gives boto3 clients to its AWS.
    """
    env = sandbox.environment
    table = _scan(sandbox.client("dynamodb"), env["JWO_LEDGER_TABLE"])
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in table:
        found[keys.kind(item)].append(item)
    records = {keys.owner(item): item for item in found[keys.UPLOAD]}
    uploads: list[str] = []
    upload = next((item["upload"] for item in found[keys.HEAD]), "")
    while upload:
        uploads.insert(0, upload)
        upload = records[upload]["base_upload"]
    batches, attempts = {}, defaultdict(list)
    for name in uploads:
        plan = records[name]["plan"]
        own = [item for item in found[keys.BATCH] if keys.owner(item) == name and not keys.is_ingestion(item)]
        batches[name] = sorted((item for item in own if item["plan"] == plan), key=keys.name)
        for item in found[keys.ATTEMPT]:
            if keys.owner(item) == name:
                plan, batch_id, _ = keys.attempted(item)
                attempts[f"{name} {plan} {batch_id}"].append(item)
    bodies = {}
    for batch in (each for some in batches.values() for each in some):
        if not batch["sha256"]:  # never begun, so no bytes of it need exist
            continue
        body = _object(sandbox, env["JWO_BUCKET"], _key(batch, "batches", f"{batch['operation']}.json"))
        bodies[hashlib.sha256(body).hexdigest()] = body
    catalog = {(item["store_id"], item["item_sku"]): item for item in sandbox.get("catalog")}
    calls = [call for call in sandbox.get("requests") if call["operation"] != "status"]
    ingestions = sandbox.get("ingestions")
    return World(catalog, calls, ingestions, uploads, batches, attempts, bodies, sandbox, env["JWO_BUCKET"])


def inspect(world: World, source: dict[Key, dict[str, Any]], kept: set[Key] | None = None) -> Findings:
    """Hold what there is against what must be, once everything has come to rest.

    Args:
        world: everything, from `look`.
        source: the newest source, each item as it must be at Amazon.
        kept: items that are no longer in the source and may still be at Amazon.
    """
    findings = Findings(ingestions=len(world.ingestions))
    _at_amazon(world, source, kept or set(), findings)
    _recorded_before_done(world, findings)
    _accounted(world, source, findings)
    _never_overtaken(world, findings)
    # Two batches may have the same bytes: an archive of one SKU has, on any day.
    expected = Counter(batch["sha256"] for found in world.batches.values() for batch in found)
    sent = Counter(each["body_sha256"] for each in world.ingestions)
    findings.duplicates = sum((sent - expected).values())
    findings.unanswered = sum(bool(call.get("fault") and call["ingestion_id"]) for call in world.calls)
    return findings


def _at_amazon(world: World, source: dict[Key, dict[str, Any]], kept: set[Key], findings: Findings) -> None:
    """The catalog is the source, no item more or less, and none in an older version."""
    for key, item in source.items():
        held = world.catalog.get(key)
        if held is None:
            findings.lost.append(f"{key} is not at Amazon")
        elif held != item:
            findings.stale.append(f"{key} is {held} at Amazon, and should be {item}")
    findings.stale += [f"{key} is still at Amazon" for key in world.catalog.keys() - source.keys() - kept]


def _recorded_before_done(world: World, findings: Findings) -> None:
    """Invariant 1: every call carried bytes that are in the bucket, and had an attempt of its own in the ledger."""
    calls = Counter(call["body_sha256"] for call in world.calls)
    recorded: Counter[str] = Counter()
    for upload, batches in world.batches.items():
        for batch in batches:
            tries = world.attempts[f"{upload} {batch['plan']} {batch['id']}"]
            recorded[batch["sha256"]] += len(tries)
            if len(tries) != batch["attempts"]:
                findings.unrecorded.append(f"batch {batch['id']} of {upload}: {len(tries)} attempts recorded")
    for sha256, count in calls.items():
        if sha256 not in world.bodies:
            findings.unrecorded.append(f"bytes {sha256[:12]} were sent, and are in no batch")
        elif count > recorded[sha256]:
            findings.unrecorded.append(f"bytes {sha256[:12]} were sent {count} times, with {recorded[sha256]} attempts")


def _accounted(world: World, source: dict[Key, dict[str, Any]], findings: Findings) -> None:
    """Invariant 2: every item that was planned to be sent has come to an end that is known, or known to be unknown."""
    newest: dict[Key, str] = {}
    for upload, batches in world.batches.items():
        seen: set[Key] = set()
        for batch in batches:
            if batch["refusal"] == "split":
                continue
            keys = _items(world, batch)
            findings.unaccounted += [f"{key} is twice in upload {upload}" for key in keys & seen]
            seen |= keys
            if batch["state"] in NOT_OVER:
                findings.unaccounted.append(f"batch {batch['id']} of {upload} is {batch['state']} at rest")
            if batch["state"] == "settled":
                told = _keys(world, _key(batch, "outcomes", "parquet"))
                findings.unaccounted += [f"{key} has no outcome in {upload}" for key in keys - told]
            if batch["state"] not in NOT_SENT:
                newest.update(dict.fromkeys(keys, f"{batch['operation']} {batch['state']}"))
    for key in source:
        if newest.get(key) != "upload settled":
            findings.unaccounted.append(f"{key} is at rest as {newest.get(key)}")


def _never_overtaken(world: World, findings: Findings) -> None:
    """Invariant 3: no two ingestions at once that would leave an item differently, none of an older upload later."""
    places_of: dict[str, list[int]] = defaultdict(list)  # an archive of one SKU has the same bytes on any day
    for place, upload in enumerate(world.uploads):
        for batch in world.batches[upload]:
            places_of[batch["sha256"]].append(place)
    open_items: dict[Key, list[tuple[int | None, str]]] = defaultdict(list)
    latest = -1
    for one in sorted(world.ingestions, key=lambda each: each["accepted_at"]):
        places = places_of[one["body_sha256"]]
        if not places:
            findings.unrecorded.append(f"ingestion {one['ingestion_id']} came of bytes that are in no batch")
            continue
        if max(places) < latest:
            older, newer = world.uploads[max(places)], world.uploads[latest]
            findings.stale.append(f"bytes of {older} were sent after some of {newer}")
        latest = max(latest, next((place for place in places if place >= latest), latest))
        for key, content in _effects(world, one["body_sha256"]):
            before = open_items[key]
            before[:] = [each for each in before if each[0] is None or each[0] > one["accepted_at"]]
            if any(other != content for _, other in before):
                findings.stale.append(f"two ingestions were at {key} at once, with different content")
            before.append((one["ended_at"], content))


def _effects(world: World, sha256: str) -> list[tuple[Key, str]]:
    """What a request would leave of each item: its text, or nothing; an archive concerns the SKU in every store."""
    request = json.loads(world.bodies[sha256])
    if "itemSkus" in request:
        return [((store, sku), "") for sku in request["itemSkus"] for store in request["allApplicableStores"]]
    return [((item["store_id"], item["item_sku"]), json.dumps(item)) for item in request["catalogItems"]]


def _items(world: World, batch: dict[str, Any]) -> set[Key]:
    keys = _keys(world, _key(batch, "items", "parquet"))
    if not batch["sha256"]:  # never begun, so it has no bytes
        return keys
    if batch["operation"] == "upload" and keys != {key for key, _ in _effects(world, batch["sha256"])}:
        raise AssertionError(f"batch {batch['id']} of {batch['upload']} lists other items than its bytes carry")
    return keys


def _keys(world: World, key: str) -> set[Key]:
    content = _object(world.sandbox, world.bucket, key)
    table = pq.read_table(io.BytesIO(content), columns=["store_id", "item_sku"], use_threads=False)
    return set(zip(table["store_id"].to_pylist(), table["item_sku"].to_pylist(), strict=True))


def _key(batch: dict[str, Any], folder: str, ending: str) -> str:
    return f"uploads/{batch['upload']}/{batch['plan']}/{folder}/{batch['id']}.{ending}"


def _object(sandbox: Any, bucket: str, key: str) -> bytes:
    return bytes(sandbox.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())


def _scan(client: Any, table: str) -> list[dict[str, Any]]:
    pages = client.get_paginator("scan").paginate(TableName=table)
    return [{name: _plain(value) for name, value in item.items()} for page in pages for item in page["Items"]]


def _plain(value: dict[str, Any]) -> Any:
    ((kind, content),) = value.items()
    if kind == "N":
        return int(content)
    if kind == "M":
        return {name: _plain(each) for name, each in content.items()}
    return [_plain(each) for each in content] if kind == "L" else content
