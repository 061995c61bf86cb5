"""What is old and no longer needed is removed; what the published state or open work needs stays, whenever one dies."""

import boto3
import pytest

from jwo_catalog_pipeline import failpoints
from jwo_catalog_pipeline.defs.pruning import stored_tables
from jwo_catalog_pipeline.storage import table_bytes
from jwo_catalog_pipeline.upload.history import item_history
from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.prune import Prunable, Tables, find_prunable, remove
from jwo_catalog_pipeline.upload.queries import overview
from jwo_catalog_pipeline.upload.recovery import applied_uploads, salvage
from jwo_catalog_pipeline_tests.support.parts import FIELDS, Parts, items
from jwo_catalog_pipeline_tests.upload.test_storage_growth import same_replayed, stored

pytestmark = pytest.mark.thorough  # each lives through many uploads first; `cli/test_prune` prunes in `make test`

DAY = 86_400
NO_PARTITIONS = stored_tables(None)


def partitioned(*names: str) -> tuple[Tables, list[str]]:
    known = list(names)
    return Tables(NO_PARTITIONS.prefix, NO_PARTITIONS.upload_of, known, known.remove), known


def find(parts: Parts, tables: Tables = NO_PARTITIONS, days: float = 400) -> Prunable:
    return find_prunable(parts.ledger, parts.bucket, tables, days)


def prune(parts: Parts, tables: Tables = NO_PARTITIONS, days: float = 400) -> Prunable:
    prunable = find(parts, tables, days)
    remove(parts.ledger, parts.bucket, tables, prunable)
    return prunable


def sent(parts: Parts, upload: str, *skus: str, price: str = "1.99") -> None:
    parts.apply(upload, items(*skus, standard_price=price))
    parts.settle(upload)
    parts.bucket.put(f"assets/catalog_changes/{upload}.parquet", b"a table", "x/y")
    parts.clock.seconds += DAY


def of(parts: Parts, upload: str) -> list[str]:
    """Everything that names an upload, in the bucket and in the ledger."""
    return [key for key in stored(parts) if upload in key]


@pytest.fixture
def old(parts: Parts) -> Parts:
    """Six uploads that were settled more than 400 days ago, of which the last four changed something."""
    for n in range(3):
        sent(parts, f"old-{n}", "A", "B", price=f"{n // 2 + 1}.00")
    parts.make_plan("never-1", items("A"))
    for n in range(3, 6):
        sent(parts, f"old-{n}", "A", "B", price=f"{n}.00")
    parts.clock.seconds += 401 * DAY
    return parts


def same_truth(parts: Parts, before: bytes) -> None:
    assert table_bytes(parts.state()) == before
    same_replayed(parts)
    overview(parts.ledger, 24, 100)
    item_history(parts.ledger, parts.bucket, "A", None)
    assert salvage(parts.ledger, parts.bucket, write=False) == []


def test_old_uploads_leave_nothing_and_the_state_stays_the_same(old: Parts) -> None:
    before = table_bytes(old.state())
    prunable = prune(old)
    assert [upload for upload, _, _ in prunable.applied] == [f"old-{n}" for n in range(5)]
    assert prunable.never_applied == ["never-1"]
    for upload in [*(f"old-{n}" for n in range(5)), "never-1"]:
        assert of(old, upload) == []
    assert applied_uploads(old.ledger) == ["old-5"]
    same_truth(old, before)
    assert len([key for key in stored(old) if key.startswith("snapshots/")]) == 1
    owners = {key for key in stored(old) if keys.INGESTION in key and repr(keys.BATCH) in key}
    assert owners == {str(keys.ingestion(batch.ingestion_id)) for batch in old.ledger.batches("old-5")}
    assert find(old).found == []
    # Life goes on.
    sent(old, "new", "A", "B", price="9.00")
    assert set(old.published().values()) == {"accepted"}
    same_replayed(old)


def test_what_is_shown_is_what_is_removed_by_number_and_bytes(old: Parts) -> None:
    before = stored(old)
    found = {str(row["kind"]): row for row in find(old).found}
    assert stored(old) == before
    prune(old)
    gone = {key: size for key, size in before.items() if key not in stored(old)}
    objects = {key: size for key, size in gone.items() if not key.startswith("{")}
    assert sum(int(row["bytes"]) for row in found.values()) == sum(objects.values())
    assert sum(int(row["number"]) for row in found.values() if row["bytes"]) == len(objects)
    assert (found["uploads"]["number"], found["plans never applied"]["number"]) == (5, 1)
    assert found["tables"]["bytes"] == 5 * len(b"a table")


def test_what_is_younger_than_the_limit_stays(old: Parts) -> None:
    assert find(old, days=500).found == []
    assert find(old, days=406.5).applied == []  # old-1 refers to old-0
    assert [upload for upload, _, _ in find(old, days=404.5).applied] == ["old-0", "old-1", "old-2"]


def test_the_newest_upload_stays_however_old_it_is(old: Parts) -> None:
    old.clock.seconds += 5000 * DAY
    prune(old)
    assert applied_uploads(old.ledger) == ["old-5"]
    assert old.published() != {}


def test_an_open_upload_and_what_is_in_doubt_stay(parts: Parts) -> None:
    sent(parts, "old-0", "A")
    parts.sandbox.misbehave(delay=3600, drop_notifications=1)
    parts.apply("old-1", items("A", "B"))
    sent(parts, "old-2", "A", "B", "C")
    parts.clock.seconds += 401 * DAY
    assert "old-1" in parts.ledger.open_uploads()
    before = table_bytes(parts.state())
    prune(parts)
    assert applied_uploads(parts.ledger) == ["old-2", "old-1"]
    same_truth(parts, before)


def test_the_upload_in_which_an_item_was_rejected_stays(parts: Parts) -> None:
    """`status`, the fix list and `item` name it."""
    sent(parts, "old-0", "A")
    parts.sandbox.misbehave(reject_skus=["B"])
    sent(parts, "old-1", "A", "B")
    for n in (2, 3):
        sent(parts, f"old-{n}", "A", "B", "C", price=f"{n}.00" if n == 3 else "1.99")
    parts.sandbox.misbehave(reject_skus=[])
    sent(parts, "old-4", "A", "C", price="4.00")
    parts.clock.seconds += 401 * DAY
    before = table_bytes(parts.state())
    prune(parts)
    assert parts.published()["JWO-STORE-01", "B"] == "rejected"
    assert {each["upload"] for each in item_history(parts.ledger, parts.bucket, "B", None)["sent"]} == {"old-3"}
    assert applied_uploads(parts.ledger) == ["old-4", "old-3"]
    same_truth(parts, before)


def test_uploads_that_lie_over_a_snapshot_stay_with_it(parts: Parts) -> None:
    sent(parts, "old-0", "A", "B")
    sent(parts, "old-1", "A", "B", price="2.00")
    parts.clock.seconds += 401 * DAY
    parts.apply("new-1", items("A", "B", standard_price="2.00"))
    parts.apply("new-2", items("A", "B", standard_price="2.00"))
    before = table_bytes(parts.state())
    prune(parts)
    assert applied_uploads(parts.ledger) == ["new-2", "new-1", "old-1"]
    same_truth(parts, before)


def test_a_plan_that_may_still_be_applied_stays_and_an_overtaken_one_goes(old: Parts) -> None:
    """A guard stopped it, and a person may still allow it."""
    old.clock.seconds -= 401 * DAY
    old.make_plan("waits", items("A", "B", standard_price="7.00"))
    old.clock.seconds += 401 * DAY
    assert prune(old).never_applied == ["never-1"]
    plan = old.bucket.get  # its notes are there
    assert plan(f"uploads/waits/{old.ledger.plan('waits').plan}/published_before.json")
    sent(old, "new", "A", "B", price="8.00")
    assert prune(old).never_applied == ["waits"]


def test_a_plan_that_was_pruned_is_not_applied(old: Parts) -> None:
    changes = old.plan("late", items("A", "B", standard_price="7.00"))
    assert old.ledger.prune_plan("late")
    with pytest.raises(Exception, match="has no plan"):
        old.sender().apply("late", changes, FIELDS)
    assert old.sent() == 5


def test_an_upload_that_the_ledger_has_lost_is_left_for_salvage(old: Parts) -> None:
    table = boto3.resource("dynamodb").Table(old.ledger.table_name)
    for item in table.scan(ConsistentRead=True)["Items"]:
        table.delete_item(Key=keys.key_of(item))
    before = stored(old)
    assert find(old).found == []
    prune(old)
    assert {key for key in before if "/" in key} == set(stored(old))
    salvage(old.ledger, old.bucket, write=True)
    assert old.published() != {}


def test_old_messages_go_with_their_notes(old: Parts) -> None:
    old.ledger.keep_unreadable("m1", "no JSON", "s3://there")
    old.bucket.put("inbox/unreadable/m1.txt", b"?", "text/plain")
    old.clock.seconds += 401 * DAY
    old.ledger.keep_unreadable("m2", "no JSON", "s3://there")
    prune(old)
    assert [message.message_id for message in old.ledger.unreadable_messages()] == ["m2"]
    assert [key for key, _ in old.bucket.list("inbox/")] == []


def test_partitions_go_with_their_uploads_and_so_do_old_ones_that_were_never_planned(old: Parts) -> None:
    tables, known = partitioned("old-0", "old-5", "never-1", "2020-01-01T000000Z", "typed by a person")
    prune(old, tables)
    assert known == ["old-5", "typed by a person"]


class Dies(BaseException):
    """In place of a kill."""


def effects_of(old: Parts, tables: Tables, die_at: int) -> int:
    """Prune and die at the nth point; gives how many points were reached."""
    reached = 0

    def observe(_: str) -> None:
        nonlocal reached
        reached += 1
        if reached == die_at:
            raise Dies

    failpoints.arm(observe)
    try:
        prune(old, tables)
    finally:
        failpoints.disarm()
    return reached


@pytest.mark.thorough
def test_killed_between_any_two_deletes_the_next_prune_finishes(parts: Parts) -> None:
    """At each point the state is the same, nothing that is left names what is gone, and in the end nothing is left."""
    die_at, died = 1, True
    while died:
        n = die_at
        sent(parts, f"first-{n}", "A", "B", price=f"{n}.01")
        parts.make_plan(f"never-{n}", items("A", standard_price=f"{n}.05"))
        parts.apply(f"second-{n}", items("A", "B", standard_price=f"{n}.01"))
        parts.clock.seconds += 401 * DAY
        sent(parts, f"third-{n}", "A", "B", price=f"{n}.03")
        before = table_bytes(parts.state())
        tables, known = partitioned(f"first-{n}", f"second-{n}", f"third-{n}", f"never-{n}")
        try:
            effects_of(parts, tables, die_at)
            died = False
        except Dies:
            same_truth(parts, before)
            prune(parts, tables)
        same_truth(parts, before)
        assert (of(parts, f"first-{n}"), of(parts, f"second-{n}"), of(parts, f"never-{n}")) == ([], [], [])
        assert (known, parts.ledger.pruned()) == ([f"third-{n}"], [])
        die_at += 1
    assert die_at > 20


def test_an_upload_that_is_planned_while_old_ones_are_removed_finds_its_snapshot(old: Parts) -> None:
    """At each point of a prune another process plans and applies an upload."""
    tables, _ = partitioned()
    running = [True]

    def observe(point: str) -> None:
        if running and point.startswith("before"):
            running.clear()
            sent_at(old, point)
            running.append(True)

    failpoints.arm(observe)
    try:
        prune(old, tables)
    finally:
        failpoints.disarm()
    assert set(old.published().values()) == {"in_flight"}
    same_replayed(old)


def sent_at(parts: Parts, point: str) -> None:
    price = f"{abs(hash(point)) % 900 + 10}.00"
    name = f"during-{parts.ledger.head().fence}"
    parts.apply(name, items("A", "B", standard_price=price))


def test_an_upload_that_is_opened_again_meanwhile_is_left_alone(old: Parts) -> None:
    prunable = find(old)
    boto3.resource("dynamodb").Table(old.ledger.table_name).update_item(
        Key=keys.upload("old-2"),
        UpdateExpression="SET #s = :open",
        ExpressionAttributeNames={"#s": "state"},
        ExpressionAttributeValues={":open": "open"},
    )
    before = table_bytes(old.state())
    remove(old.ledger, old.bucket, NO_PARTITIONS, prunable)
    assert applied_uploads(old.ledger) == ["old-5", "old-4", "old-3", "old-2"]
    assert table_bytes(old.state()) == before
