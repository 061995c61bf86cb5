"""Plans, their figures and what Amazon holds are what plain loops and pandas make of the same tables."""

import hashlib
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jwo_catalog_pipeline.catalog_api.requests import item_documents, serialiser, upload_body
from jwo_catalog_pipeline.engine import connect
from jwo_catalog_pipeline.table_file import as_arrow, hash_table, table_of
from jwo_catalog_pipeline.upload.folding import Layer, fold
from jwo_catalog_pipeline.upload.model import Head
from jwo_catalog_pipeline.upload.plan.changes import ARCHIVE, SENT_KINDS, PlanRules, plan_changes
from jwo_catalog_pipeline.upload.plan.figures import count_plan
from jwo_catalog_pipeline.upload.plan.payload import contents_of
from jwo_catalog_pipeline.upload.tables import Published, columns
from jwo_catalog_pipeline_tests.support.parts import FIELDS, items
from jwo_catalog_pipeline_tests.support.project import KEY
from jwo_catalog_pipeline_tests.support.witness import SlowPlan, figures_slowly, fold_slowly

STORES, SKUS = ("S1", "S2", "שׁ"), ("A", "a", "é", "O'B")
keys = st.tuples(st.sampled_from(STORES), st.sampled_from(SKUS))
prices = st.sampled_from(("1.00", "2.99", "3.00", "3.01", "10.00"))
names = st.sampled_from(("Pen", 'Brackets ] } " and \\', "חלב", "Café <'&>\n"))
codes = st.sampled_from(("4006381333931", "123456789", "96385074", "4011"))
LONG_AGO, RECENT = 50, 150  # before and after `PlanRules` waits for
RULES = {"waiting_since": 100, "doubted_since": 100, "archive_again_before": 100}
switches = st.fixed_dictionaries({"archive": st.booleans(), "retry_rejected": st.booleans()})
rules = switches.map(lambda switched: PlanRules(**RULES, **switched))
FEW = settings(max_examples=25, deadline=None, derandomize=True)
MANY = settings(max_examples=1000, deadline=None)


@st.composite
def catalogs(draw: st.DrawFn) -> pd.DataFrame:
    """Items in any order; each has the fields that it must have, and perhaps others."""
    some = draw(st.lists(keys, unique=True, max_size=10))
    optional = st.none() | names
    made = [
        {
            "store_id": store,
            "item_sku": sku,
            "standard_price": draw(prices),
            "item_name": draw(names),
            "external_product_id": draw(codes),
            "brand_name": draw(optional),
            "product_category": draw(optional),
            "additional_external_product_information": draw(st.none() | st.just('[["96385074","EAN8"]]')),
        }
        for store, sku in some
    ]
    return pd.DataFrame(made, columns=FIELDS, dtype="str")


@st.composite
def published(draw: st.DrawFn, catalog: pd.DataFrame) -> pd.DataFrame:
    """What Amazon holds: the same content, another, or an unknown one, in every state."""
    documents = item_documents(catalog, FIELDS)
    hashes = dict(
        zip(zip(documents["store_id"], documents["item_sku"], strict=True), documents["content_hash"], strict=True)
    )
    times = st.sampled_from((0, LONG_AGO, RECENT))
    rows = []
    for store, sku in draw(st.lists(keys, unique=True, max_size=10)):
        state = draw(st.sampled_from(("accepted", "accepted", "in_flight", "rejected", "archived")))
        known = st.sampled_from((hashes.get((store, sku), "other"), hashes.get((store, sku), "other"), "other", None))
        row = {
            "store_id": store,
            "item_sku": sku,
            "content_hash": draw(known),
            "standard_price": draw(st.none() | prices),
            "operation": draw(st.sampled_from(("upload", "upload", "archive"))),
            "state": state,
            "reason": draw(st.sampled_from(("PRICE: wrong", "NAME: long"))) if state == "rejected" else "",
            "upload": draw(st.sampled_from(("u1", "u2"))),
            "batch": "0001",
            "sent_at": draw(times),
            "doubted_at": draw(st.sampled_from((LONG_AGO, RECENT)) if state == "archived" else times),
        }
        rows.append(row)
    return frame(rows)


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    numbers = dict.fromkeys(("sent_at", "doubted_at"), "int64")
    return pd.DataFrame(rows, columns=list(columns(Published))).astype("str").astype(numbers)


@st.composite
def quarantines(draw: st.DrawFn, catalog: pd.DataFrame) -> pd.DataFrame:
    valid = set(catalog[KEY].itertuples(index=False, name=None))
    set_aside = [key for key in draw(st.lists(keys, unique=True, max_size=2)) if key not in valid]
    rows = [items(sku, store=store) for store, sku in set_aside]
    if draw(st.integers(0, 3)) == 0:
        rows.append(items("A").assign(item_sku=None, store_id=draw(st.none() | st.just("S2"))))
    return pd.concat([items(), *rows], ignore_index=True).astype("str")


situations = catalogs().flatmap(lambda catalog: st.tuples(st.just(catalog), published(catalog), quarantines(catalog)))


Situation = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


@FEW
@given(situations, rules)
def test_a_few_plans_and_their_figures_are_those_of_the_slow_way(situation: Situation, rules: PlanRules) -> None:
    compare_plans(situation, rules)


@pytest.mark.thorough
@MANY
@given(situations, rules)
def test_any_plan_and_its_figures_are_those_of_the_slow_way(situation: Situation, rules: PlanRules) -> None:
    compare_plans(situation, rules)


def compare_plans(situation: Situation, rules: PlanRules) -> None:
    expected = SlowPlan(*situation, FIELDS, rules).table()
    changed = expected[expected["change"] != "unchanged"].reset_index(drop=True)
    with TemporaryDirectory() as name, connect(Path(name)) as db:
        given = [table_of(table, Path(name, f"{n}.parquet")) for n, table in enumerate(situation)]
        plan = plan_changes(db, *given, FIELDS, rules, Path(name))
        pd.testing.assert_frame_equal(plan.frame(), changed)
        found, slow = asdict(count_plan(db, 3.0)), asdict(figures_slowly(expected, situation[2], 3.0))
        pd.testing.assert_frame_equal(found.pop("by_store"), slow.pop("by_store"), check_dtype=False)
        assert found == slow
        payload, stores = contents_of(plan, FIELDS, STORES), STORES
        assert payload.digest(Head("u0", 7)) == former_digest(changed, stores)
        sent = changed[changed["change"].isin(SENT_KINDS)]
        uploads = [batch for batch in payload.batches("u1", "plan") if not batch.operation.removes]
        assert [payload.body(batch) for batch in uploads] == (
            [upload_body(as_arrow(sent), FIELDS)] if len(sent) else []
        )
        listed = [payload.items(batch).to_pandas() for batch in uploads]
        assert sum(map(len, listed)) == len(sent)


def former_digest(changes: pd.DataFrame, stores: tuple[str, ...]) -> str:
    """What the version before this one recorded, which had the whole plan in memory."""
    sent = changes[changes["change"].isin(SENT_KINDS)].reset_index(drop=True)
    archived = changes[changes["change"] == ARCHIVE].sort_values(["item_sku", "store_id"], ignore_index=True)
    hashed = hashlib.sha256(f"u0 7\n{serialiser(FIELDS)}\n".encode())
    hash_table(hashed, as_arrow(sent[[*FIELDS, "content_hash"]]))
    hash_table(hashed, as_arrow(archived[KEY]))
    hashed.update("\0".join(stores).encode())
    return hashed.hexdigest()[:12]


@FEW
@given(st.data())
def test_any_layers_are_folded_as_the_slow_way_does(data: st.DataObject) -> None:
    layers = [data.draw(published(items())) for _ in range(data.draw(st.integers(0, 4)))]
    layers = [layer.assign(doubted_at=layer["doubted_at"].where(layer["sent_at"] > LONG_AGO, 0)) for layer in layers]
    with TemporaryDirectory() as name:
        files = [table_of(layer, Path(name, f"{n}.parquet")) for n, layer in enumerate(layers)]
        without = np.arange(min(1, len(layers[0]) if layers else 0))
        first = [Layer(files[0], without)] if files else []
        found = fold([*first, *map(Layer, files[1:])], Path(name)).frame()
        again = fold([*first, *map(Layer, files[1:])], Path(name)).digest()
        assert again == fold([*first, *map(Layer, files[1:])], Path(name)).digest()
    expected = fold_slowly([layers[0].drop(index=without), *layers[1:]] if layers else [])
    pd.testing.assert_frame_equal(found.sort_values(KEY, ignore_index=True), expected)


@pytest.mark.parametrize("rows", [0, 1, 10_000, 25_001])
def test_each_batch_is_read_by_itself_out_of_a_plan_of_any_kinds_in_parts_of_any_size(
    rows: int, tmp_path: Path
) -> None:
    """Of every 7 rows one is not sent; a plan of schema 3 stood in the bucket as one part."""
    table = items(*(f"S{n:05}" for n in range(rows)))
    table.insert(0, "change", ["absent" if n % 7 == 3 else "insert" for n in range(rows)])
    hashed = table.merge(item_documents(table, FIELDS), on=KEY) if rows else table.assign(content_hash="", document="")
    hashed["document_bytes"] = hashed.pop("document").str.len().astype("int64")
    sent = hashed[hashed["change"] == "insert"].reset_index(drop=True)
    payload = contents_of(table_of(hashed, tmp_path / "plan.parquet"), FIELDS, ())
    batches = payload.batches("u1", "plan")
    assert [batch.items for batch in batches] == [
        min(10_000, len(sent) - first) for first in range(0, len(sent), 10_000)
    ]
    for batch in batches:
        mine = sent.iloc[batch.first_row : batch.first_row + batch.items]
        assert payload.body(batch) == upload_body(as_arrow(mine), FIELDS)
        assert len(payload.body(batch)) == batch.bytes
        pd.testing.assert_frame_equal(
            payload.items(batch).to_pandas(), mine[[*KEY, "content_hash", "standard_price"]].reset_index(drop=True)
        )
