"""What an upload leaves behind: nothing of the catalog's size where nothing changed, and each snapshot once."""

import boto3
import pandas as pd
import pytest

from jwo_catalog_pipeline.storage import table_bytes
from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.recovery import rebuild_state, restore_snapshot, salvage
from jwo_catalog_pipeline.upload.snapshots import (
    MOST_LAYERS,
    before_key,
    former_snapshot_key,
    read_before,
)
from jwo_catalog_pipeline_tests.support.parts import Parts, items
from jwo_catalog_pipeline_tests.upload.test_salvaging import restore


def stored(parts: Parts) -> dict[str, int]:
    """Bytes of everything: objects by key, and ledger items by primary key."""
    table = boto3.resource("dynamodb").Table(parts.ledger.table_name)
    found = {entry.key: entry.size for entry in parts.bucket.listed("")}
    for item in table.scan(ConsistentRead=True)["Items"]:
        found[str(keys.key_of(item))] = len(str(item))
    return found


def snapshots(parts: Parts) -> list[str]:
    return [key for key, _ in parts.bucket.list("") if key.startswith("snapshots/") or "before.parquet" in key]


def same_replayed(parts: Parts) -> None:
    now = parts.state()
    assert table_bytes(parts.rebuilt()) == table_bytes(now)


@pytest.fixture(scope="module")
def many() -> pd.DataFrame:
    return items(*(f"S{n:05}" for n in range(12_000)))


def test_an_upload_that_changes_nothing_leaves_next_to_nothing_whatever_came_before(
    parts: Parts, many: pd.DataFrame
) -> None:
    """It left 124 bytes an item, for ever: 1.1 TB a year for a million items sent hourly."""
    parts.apply("u1", many)
    parts.settle("u1")
    for upload in ("u2", "u3"):
        before = stored(parts)
        parts.apply(upload, many)
        after = stored(parts)
        assert sum(size for key, size in after.items() if key not in before) < 10_000
    assert len(snapshots(parts)) == 1  # of the empty catalog before u1
    assert len(parts.state()) == 12_000
    same_replayed(parts)


def test_a_plan_has_no_row_of_what_is_unchanged_and_counts_it(parts: Parts) -> None:
    parts.apply("u1", items("A", "B", "C"))
    parts.settle("u1")
    plan = parts.make_plan("u2", pd.concat([items("A", "B"), items("D")], ignore_index=True))
    changes = plan.changes.frame()
    assert dict(zip(changes["item_sku"], changes["change"], strict=True)) == {"C": "absent", "D": "insert"}
    recorded = parts.ledger.plan("u2")
    assert recorded is not None
    assert recorded.counts == plan.counts
    assert {kind: count for kind, count in plan.counts.items() if count} == {"insert": 1, "unchanged": 2, "absent": 1}
    assert plan.by_store[["insert", "unchanged", "absent"]].to_numpy().tolist() == [[1, 2, 1]]


def test_plans_of_the_same_state_refer_to_one_snapshot(parts: Parts) -> None:
    """A guard that stops an upload each hour stored the whole state each hour."""
    parts.apply("u1", items("A", "B"))
    parts.settle("u1")
    for n in range(2, 6):
        parts.make_plan(f"u{n}", items("A", "B", standard_price=f"{n}.00"))
    assert len(snapshots(parts)) == 2
    assert len({read_before(parts.bucket, f"u{n}", parts.ledger.plan(f"u{n}").plan).snapshot for n in range(2, 6)}) == 1


@pytest.mark.thorough
def test_small_changes_of_a_large_catalog_store_a_snapshot_now_and_then(parts: Parts) -> None:
    catalog = items(*(f"S{n:03}" for n in range(100)))
    parts.apply("u00", catalog)
    parts.settle("u00")
    for n in range(1, 16):
        catalog.loc[n, "standard_price"] = f"{n}.49"
        parts.apply(f"u{n:02}", catalog, layered_items=50)
    for n in range(1, 16):
        parts.settle(f"u{n:02}")
    same_replayed(parts)
    # Of nothing, of the 100 first items, and after a tenth of them has changed.
    assert len(snapshots(parts)) == 3
    held = {item["item_sku"]: str(item["standard_price"]) for item in parts.sandbox.get("catalog")}
    assert [held[f"S{n:03}"] for n in (1, 15, 16)] == ["1.49", "15.49", "1.99"]


@pytest.mark.thorough
def test_so_many_uploads_at_most_lie_over_a_snapshot(parts: Parts) -> None:
    catalog = items(*(f"S{n:03}" for n in range(400)))
    parts.apply("u00", catalog)
    parts.settle("u00")
    layers = []
    for n in range(1, MOST_LAYERS + 4):
        catalog.loc[n, "standard_price"] = f"{n}.49"
        parts.apply(f"u{n:02}", catalog, layered_items=50)
        layers.append(len(read_before(parts.bucket, f"u{n:02}", parts.ledger.upload(f"u{n:02}").plan).layers))
    assert layers == [*range(MOST_LAYERS), 0, 1, 2]
    assert len(parts.published()) == 400


def test_what_is_in_flight_under_several_uploads_settles_as_if_each_had_its_snapshot(parts: Parts) -> None:
    catalog = items(*(f"S{n:03}" for n in range(100)))
    parts.apply("u0", catalog)
    parts.settle("u0")
    parts.apply("u1", catalog, layered_items=1)
    parts.sandbox.misbehave(delay=3600, reject_skus=["S001"])
    for n in (1, 2):
        catalog.loc[n, "standard_price"] = "2.49"
        parts.apply(f"u{n + 1}", catalog, layered_items=1)
    assert parts.published()["JWO-STORE-01", "S001"] == "in_flight"
    parts.settle("u2")
    parts.settle("u3")
    assert parts.published()["JWO-STORE-01", "S001"] == "rejected"
    assert parts.published()["JWO-STORE-01", "S002"] == "accepted"
    same_replayed(parts)


def test_a_snapshot_of_schema_3_is_read_and_referred_to(parts: Parts) -> None:
    """Before this version each plan had its own, as published_before.parquet, and rows of what was unchanged."""
    parts.apply("u1", items("A", "B"))
    parts.settle("u1")
    parts.apply("u2", items("A", "B", standard_price="2.00"))
    parts.settle("u2")
    for upload in ("u1", "u2"):
        plan = parts.ledger.upload(upload).plan
        noted = read_before(parts.bucket, upload, plan)
        parts.bucket.put(former_snapshot_key(upload, plan), parts.bucket.get(noted.snapshot), "x/y")
        parts.bucket.delete([before_key(upload, plan)])
    parts.bucket.delete([key for key in snapshots(parts) if key.startswith("snapshots/")])
    assert set(parts.published().values()) == {"accepted"}
    parts.apply("u3", items("A", "B", standard_price="2.00"))
    assert len(snapshots(parts)) == 2
    assert set(parts.plan("u4", items("A", "B", standard_price="2.00"))["change"]) == {"unchanged"}
    same_replayed(parts)


def test_a_lost_ledger_finds_what_the_state_before_was_made_of_in_the_bucket(parts: Parts) -> None:
    parts.ledger._now = pd.Timestamp.now().timestamp
    parts.apply("u1", items("A", "B"))
    parts.settle("u1")
    parts.apply("u2", items("A", "B"))
    parts.apply("u3", items("A", "B", "C"))
    parts.settle("u3")
    before = parts.published()
    restore(parts, [])
    salvage(parts.ledger, parts.bucket, write=True)
    assert parts.published() == before
    assert len(parts.rebuilt()) == len(before)


def test_a_lost_snapshot_is_made_again_from_the_reports(parts: Parts) -> None:
    parts.apply("u1", items("A", "B"))
    parts.settle("u1")
    parts.apply("u2", items("A", "B", "C"))
    parts.settle("u2")
    before = parts.published()
    parts.bucket.delete(snapshots(parts))
    restore_snapshot(parts.ledger, parts.bucket, rebuild_state(parts.ledger, parts.bucket, parts.folder))
    assert parts.published() == before
