"""Only what changed is sent: on real days, for any number of changes, and exactly as the plan says."""

import random

import pandas as pd
import pytest

from jwo_catalog_pipeline_tests.support import ROOT, expectation
from jwo_catalog_pipeline_tests.support.parts import Parts, items
from jwo_catalog_pipeline_tests.support.project import Project, failure

DAYS = ROOT.parent / "shared/data/supermarket"

Key = tuple[str, str]


@pytest.mark.thorough
@pytest.mark.skipif(not DAYS.exists(), reason="the real catalogs lie beside the project, where they are at hand")
def test_on_real_days_what_is_sent_is_what_another_program_says(project: Project) -> None:
    days = [
        expectation.expected(DAYS / f"prices_2026-08-{day}.csv.gz", expectation.supermarket)[1] for day in (13, 14, 16)
    ]
    project.env.pop("JWO_STORE_IDS")
    project.sandbox.post("stores", {"stores": sorted({store for day in days for store, _ in day})})
    project.mapping((ROOT / "examples/supermarket.yaml").read_text(encoding="utf-8"))
    last_sent: dict[Key, expectation.Item] = {}

    def upload(name: str, day: dict[Key, expectation.Item], source: int, **run_config: object) -> None:
        file = DAYS / f"prices_2026-08-{source}.csv.gz"
        project.raw_export(file.name, file.read_bytes())
        project.must_upload(name, **run_config)
        changed = {key: item for key, item in day.items() if last_sent.get(key) != item}
        assert sum(batch.items for batch in project.ledger.batches(name)) == len(changed)
        if changed:
            project.settle(name)
        last_sent.update(changed)

    upload("day13", days[0], 13)
    upload("day13-again", days[0], 13)
    upload("day14", days[1], 14)
    upload("day14-again", days[1], 14)
    calls = len(project.requests())

    gone = {store for store, _ in days[1]} - {store for store, _ in days[2]}
    file = DAYS / "prices_2026-08-16.csv.gz"
    project.raw_export(file.name, file.read_bytes())
    sentence = failure(project.upload("day16"))
    assert len(gone) == 1
    assert gone.pop() in sentence
    assert "--allow store_missing" in sentence
    assert len(project.requests()) == calls

    upload("day16", days[2], 16, ops={"catalog_changes": {"config": {"allow": ["store_missing"]}}})
    upload("day16-again", days[2], 16)
    held = {(item["store_id"], item["item_sku"]): item for item in project.sandbox.get("catalog")}
    assert held == {key: item for key, item in last_sent.items() if expectation.service_accepts(item)}


@pytest.fixture(scope="module")
def many() -> pd.DataFrame:
    return items(*(f"S{n:05}" for n in range(12_000)))


@pytest.mark.parametrize("k", [0, 1, 17, 10_001])
def test_k_changed_items_send_exactly_k(parts: Parts, many: pd.DataFrame, k: int) -> None:
    parts.apply("u1", many)
    parts.settle("u1")
    calls = parts.sent()
    changed = many.assign(standard_price=many["standard_price"].where(many.index >= k, "2.49"))
    batches = parts.apply("u2", changed)
    assert [batch.items for batch in batches] == [10_000] * (k // 10_000) + [k % 10_000] * (k > 0)
    assert parts.sent() == calls + len(batches)
    parts.sandbox.drain()
    held = {item["item_sku"] for item in parts.sandbox.get("catalog") if str(item["standard_price"]) == "2.49"}
    assert held == {f"S{n:05}" for n in range(k)}


def test_after_300_random_edits_the_upload_does_what_the_plan_says(parts: Parts) -> None:
    """Category by category, by what Amazon holds before and after."""
    dice = random.Random(20_261_123)
    stores = parts.sandbox.environment["JWO_STORE_IDS"].split(",")
    keys = [(store, f"S{n:03}") for n in range(250) for store in stores[:2]]
    source = {key: "1.00" for key in keys if dice.random() < 0.9}
    rejected, slow = dice.sample(keys, 40), dice.sample(keys, 40)
    parts.sandbox.misbehave(reject_skus=sorted({sku for _, sku in rejected}))
    parts.apply("u1", _rows(source), archive_stores=stores)
    parts.settle("u1")
    parts.sandbox.misbehave(reject_skus=[], delay=3600)
    source.update(dict.fromkeys(slow, "1.50"))
    parts.apply("u2", _rows(source), archive_stores=stores)
    parts.sandbox.drain()  # done at Amazon, and not heard of yet: these wait

    broken: set[Key] = set()
    for n in range(300):
        key, edit = dice.choice(keys), dice.choice(("change", "change", "remove", "remove SKU", "break", "undo"))
        same_sku = [each for each in keys if each[1] == key[1]]
        if edit in ("change", "undo"):
            source[key] = f"{n + 2}.00" if edit == "change" else "1.00"
            broken.discard(key)
        else:
            for each in same_sku if edit == "remove SKU" else [key]:
                source.pop(each, None)
                broken.discard(each)
            if edit == "break":
                broken.add(key)

    before = _held(parts)
    plan = parts.plan("u3", _rows(source), _rows(dict.fromkeys(broken, "x")), archive_stores=stores)
    said = {
        str(kind): set(map(tuple, rows.to_numpy())) for kind, rows in plan.groupby("change")[["store_id", "item_sku"]]
    }
    assert (
        min(len(said[kind]) for kind in ("insert", "update", "unchanged", "held", "in_flight", "absent", "archive")) > 0
    )
    parts.sender().apply("u3", plan, list(_rows(source).columns))
    parts.sandbox.drain()
    after = _held(parts)
    for key in said["insert"] | said["update"]:
        assert after[key] == source[key]
    assert said["insert"].isdisjoint(before)
    for key in said["unchanged"]:
        assert after[key] == before[key] == source[key]
    for kind in ("held", "in_flight", "absent"):
        for key in said[kind]:
            assert after.get(key) == before.get(key)
    assert said["archive"].isdisjoint(after)
    assert {key for key in broken if key in before} <= set(after)
    touched = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    assert touched <= said["insert"] | said["update"] | said["archive"]


def _rows(prices: dict[Key, str]) -> pd.DataFrame:
    parts = [items(sku, store=store, standard_price=price) for (store, sku), price in sorted(prices.items())]
    return pd.concat([items(), *parts], ignore_index=True)


def _held(parts: Parts) -> dict[Key, str]:
    return {(each["store_id"], each["item_sku"]): str(each["standard_price"]) for each in parts.sandbox.get("catalog")}
