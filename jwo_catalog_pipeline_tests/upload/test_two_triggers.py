"""Two and three triggers at once: whatever the order of their steps, Amazon holds the newest export in the end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import pandas as pd
import pytest

from jwo_catalog_pipeline.upload.errors import AnotherUploadSince, Overtaken, UploadStopped
from jwo_catalog_pipeline.upload.exports import UNKNOWN_EXPORT, Export
from jwo_catalog_pipeline.upload.model import BatchState
from jwo_catalog_pipeline.upload.send.newest import NewestFirst
from jwo_catalog_pipeline.upload.stops import Stop, StopKind
from jwo_catalog_pipeline.upload.waiting import Waits, waiting_items
from jwo_catalog_pipeline_tests.support.hearing import hear
from jwo_catalog_pipeline_tests.support.parts import FIELDS, Parts, items

READ, PLAN, APPLY = "read", "plan", "apply"
STEPS = (READ, PLAN, APPLY)


def interleavings(runs: int) -> list[tuple[int, ...]]:
    """All orders of the steps of so many runs; runs that only differ in their names count once."""
    orders = set(permutations([run for run in range(runs) for _ in STEPS])) if runs < 3 else set(_three())
    return sorted(order for order in orders if [*dict.fromkeys(order)] == list(range(runs)))


def _three() -> Iterator[tuple[int, ...]]:
    def place(left: tuple[int, int, int], sofar: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if not any(left):
            yield sofar
        for run in range(3):
            if left[run]:
                yield from place(tuple(n - (i == run) for i, n in enumerate(left)), (*sofar, run))

    yield from place((3, 3, 3), ())


@dataclass
class Trigger:
    """A run that reads an export which somebody has just written, plans, and applies."""

    parts: Parts
    upload: str
    exports: list[pd.DataFrame]
    export: Export = UNKNOWN_EXPORT
    items: pd.DataFrame | None = None
    changes: pd.DataFrame | None = None
    plans: int = 0

    def step(self, step: str) -> None:
        if step == READ:
            self.exports.append(items("A", "B", standard_price=f"{len(self.exports) + 1}.00"))
            version = len(self.exports)
            self.items = self.exports[-1]
            self.export = export(self.parts, version)
        elif step == PLAN:
            self.changes = self.plan()
        else:
            newest = NewestFirst(self.parts.sender(), self.plan, lambda seconds: None, lambda text: None)
            try:
                newest.apply(self.upload, self.changes, FIELDS)
            except Overtaken as overtaken:
                assert "of a newer export" in str(overtaken)

    def plan(self) -> pd.DataFrame:
        self.plans += 1
        return self.parts.plan(self.upload, self.items, export=self.export, planned_by=self.upload)


def export(parts: Parts, version: int) -> Export:
    """A version of the export that is read now."""
    now, head = parts.ledger.now(), parts.ledger.head().upload
    return Export(f"sha of v{version}", "export.csv", version, f"v{version}", 1000 * now, head)


def in_this_order(parts: Parts, order: Sequence[int]) -> list[Trigger]:
    exports: list[pd.DataFrame] = []
    runs = [Trigger(parts, f"u{n}", exports) for n in range(max(order) + 1)]
    steps = [iter(STEPS) for _ in runs]
    for run in order:
        parts.clock.seconds += 1
        runs[run].step(next(steps[run]))
    return runs


def check(parts: Parts, runs: list[Trigger]) -> None:
    newest, head = runs[0].exports[-1], parts.ledger.head().upload
    assert parts.ledger.plan(head).export.version == f"v{len(runs)}", "an older export was applied last"
    settle(parts)
    if waiting_items(parts.ledger, Waits()).items:  # for an older price, which was in flight
        parts.apply("last", newest)
        settle(parts)
    prices = {str(each["standard_price"]) for each in parts.sandbox.get("catalog")}
    assert prices == set(newest["standard_price"])
    assert set(parts.plan("then", newest)["change"]) == {"unchanged"}


def settle(parts: Parts) -> None:
    parts.sandbox.drain()
    while parts.ledger.open_uploads():
        hear(parts)


def named(orders: list[tuple[int, ...]], every: int = 1) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("order", orders[::every], ids=lambda order: "".join(map(str, order)))


@named(interleavings(2), every=4)
def test_some_orders_of_two_triggers(parts: Parts, order: tuple[int, ...]) -> None:
    check(parts, in_this_order(parts, order))


@pytest.mark.thorough
@named(interleavings(2))
def test_with_two_triggers_the_newest_export_is_what_amazon_holds(parts: Parts, order: tuple[int, ...]) -> None:
    check(parts, in_this_order(parts, order))


@pytest.mark.thorough
@named(interleavings(3), every=14)
def test_with_three_triggers_the_newest_export_is_what_amazon_holds(parts: Parts, order: tuple[int, ...]) -> None:
    check(parts, in_this_order(parts, order))


def test_who_finds_that_another_was_applied_plans_again_by_itself(parts: Parts) -> None:
    first, second = in_this_order(parts, (0, 0, 1, 1, 0, 1))
    assert (first.plans, second.plans) == (1, 2)
    assert parts.ledger.head().upload == second.upload


@pytest.mark.parametrize("order", [(0, 0, 1, 1, 1, 0), (0, 1, 1, 1, 0, 0)], ids=["planned before", "planned after"])
def test_an_older_export_is_not_applied_after_a_newer_one(parts: Parts, order: tuple[int, ...]) -> None:
    """Once the older overwrote the newer."""
    in_this_order(parts, order)
    assert (parts.ledger.head().upload, parts.ledger.upload("u0"), parts.sent()) == ("u1", None, 1)


def test_a_plan_that_a_person_has_looked_at_is_sent_as_it_is_or_not_at_all(parts: Parts) -> None:
    exports = [items("A"), items("A", standard_price="5.00")]
    old = parts.plan("u1", exports[1], export=export(parts, 2))
    parts.apply("u2", exports[0], export=export(parts, 1))
    with pytest.raises(AnotherUploadSince, match="again"):
        NewestFirst(parts.sender(), None, lambda seconds: None, lambda text: None).apply("u1", old, FIELDS)


def test_old_plans_of_a_backfill_are_not_applied_after_newer_ones(parts: Parts) -> None:
    plans = {}
    for day in (1, 2, 3):
        parts.clock.seconds += 86_400
        plans[f"u{day}"] = parts.plan(f"u{day}", items("A", standard_price=f"{day}.00"), export=export(parts, day))
    for upload in ("u3", "u2", "u1"):
        newest = NewestFirst(parts.sender(), None, lambda seconds: None, lambda text: None)
        if upload == "u3":
            newest.apply(upload, plans[upload], FIELDS)
        else:
            with pytest.raises(Overtaken, match="upload u3, of a newer export"):
                newest.apply(upload, plans[upload], FIELDS)
    assert parts.sent() == 1


def test_what_had_no_answer_is_sent_again_before_a_newer_upload_takes_over(parts: Parts) -> None:
    """Else its items, whose content may be the same, would wait for the doubt to end."""
    plan = parts.plan("u1", items("A", "B"))
    parts.sandbox.misbehave(close_before_ingesting=5, operation="upload")
    with pytest.raises(UploadStopped):
        parts.sender().apply("u1", plan, FIELDS)
    run = Trigger(parts, "u2", [items("A", "B")], export(parts, 2), items("A", "B"))
    run.step(PLAN)
    assert set(run.changes["change"]) == {"in_flight"}
    run.step(APPLY)
    assert [batch.state for batch in parts.ledger.batches("u1")] == [BatchState.SUBMITTED]
    settle(parts)
    assert set(parts.plan("u3", items("A", "B"))["change"]) == {"unchanged"}


def test_what_a_person_has_stopped_is_not_sent_again_by_a_newer_upload(parts: Parts) -> None:
    plan = parts.plan("u1", items("A", "B"))
    parts.sandbox.misbehave(close_before_ingesting=5, operation="upload")
    with pytest.raises(UploadStopped):
        parts.sender().apply("u1", plan, FIELDS)
    now, sent = parts.ledger.now(), parts.sent()
    parts.ledger.note_stopped(Stop("u1", StopKind.CANCELLED, "a person terminated the run", "", "r", now, now))
    run = Trigger(parts, "u2", [items("A", "B")], export(parts, 2), items("A", "B"))
    run.step(PLAN)
    run.step(APPLY)
    assert parts.sent() == sent
    assert parts.ledger.stops() == []  # nothing of u1 is left to send
