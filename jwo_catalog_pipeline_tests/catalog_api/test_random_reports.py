"""Random reports: the quick reader and the matching give what the slow ones give, which say it in few words."""

import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwo_catalog_pipeline.catalog_api.matching import match_outcomes
from jwo_catalog_pipeline.catalog_api.plain_report import plain_entries
from jwo_catalog_pipeline.catalog_api.report import Report, read_in_full, read_report
from jwo_catalog_pipeline.table_file import as_arrow, as_frame

SKUS = st.sampled_from(["A", "B", "2020-01-01", "5", "שלום", "a\\b", ""])
STORES = st.sampled_from(["S", "T", ""])
ODD = st.sampled_from(
    [None, 5, 1.10, 10**30, True, "", "x", "half \ud83d", [], {}, [None, 3], {"sku": "A"}, "Infinity"]
)
NAMES = ["item_sku", "itemSku", "sku", "store_id", "storeId", "status", "errors", "code", "message", "errorMsg", "more"]
CAUSES = st.fixed_dictionaries({}, optional={"code": st.sampled_from(["E1", "already archived"]), "message": SKUS})
PLAIN = st.fixed_dictionaries(
    {"item_sku": SKUS, "status": st.sampled_from(["SUCCESS", "FAILED", "success", "ERROR", "PENDING"])},
    optional={"store_id": STORES, "errors": st.lists(st.one_of(CAUSES, st.none()), max_size=2), "more": ODD},
)
ENTRIES = st.one_of(PLAIN, PLAIN, PLAIN, st.dictionaries(st.sampled_from(NAMES), st.one_of(SKUS, ODD)), ODD)
TOPS = st.fixed_dictionaries(
    {},
    optional={
        "ingestionId": st.one_of(SKUS, ODD),
        "ingestion_id": SKUS,
        "itemResults": st.one_of(st.lists(PLAIN, max_size=6), st.lists(ENTRIES, max_size=4), ODD),
        "errors": st.lists(ENTRIES, max_size=4),
        "processingStatus": st.sampled_from(["DONE", "CANCELLED"]),
        "summary": ODD,
    },
)
LISTS = st.lists(PLAIN, max_size=6)


@st.composite
def reports(draw: st.DrawFn) -> bytes:
    """A document of some shape, perhaps with another behind it, changed bytes, or a name that is there twice."""
    text = json.dumps(draw(st.one_of(TOPS, TOPS, LISTS)), ensure_ascii=draw(st.booleans()), indent=draw(INDENTS))
    content = text.encode("utf-8", "surrogatepass")
    match draw(st.integers(0, 5)):
        case 0:
            content += draw(st.sampled_from([b"\n", b"\n{}", b"\0", b" x", b'{"itemResults": []}', b"\xff"]))
        case 1:
            content = content.replace(*draw(st.sampled_from(TWISTS)), 1)
        case 2 if content:
            place = draw(st.integers(0, len(content) - 1))
            content = content[:place] + draw(st.binary(max_size=2)) + content[place + 1 :]
    return content


INDENTS = st.sampled_from([None, None, 1])
TWISTS = [
    (b'"item_sku"', b'"item_sku": "twice", "item_sku"'),
    (b"{", b'{"itemResults": [], '),
    (b"{", b'{"more": NaN, '),
    (b"{", b'{"more": Inf, '),
    (b"{", b'{"more": ' + b"[" * 2_000 + b"]" * 2_000 + b", "),
    (b'"more"', b'"status"'),
    (b"SUCCESS", b"SUCC\\u0045SS"),
    (b"A", b"\\udc00"),
    (b"A", b"\x01"),
]


def same(one: Report, other: Report) -> bool:
    return one.outcomes.equals(other.outcomes) and vars(one) | {"outcomes": 0} == vars(other) | {"outcomes": 0}


@given(reports(), st.booleans())
def test_a_report_is_read_the_same_way_however_plain_it_is(content: bytes, archive: bool) -> None:
    assert same(read_report(content, archive=archive), read_in_full(content, archive))


@pytest.mark.parametrize("status", ["SUCCESS", "FAILED"])
def test_a_report_as_most_are_is_read_the_quick_way(status: str) -> None:
    entry = {
        "item_sku": "A",
        "store_id": "S",
        "status": status,
        "errors": [{"code": "E"}] if status == "FAILED" else [],
    }
    content = json.dumps({"ingestionId": "i", "summary": {"total": 900}, "itemResults": [entry] * 900}).encode()
    found = plain_entries(content, ("ingestionId",))
    assert found is not None
    assert len(found[1]) == 900
    assert same(read_report(content), read_in_full(content, archive=False))


def matched_slowly(items: pd.DataFrame, report: Report) -> pd.DataFrame:
    """Each item by itself: what is said of it, the worst first."""
    listed = as_frame(report.outcomes)
    listed["rank"] = listed["outcome"].map({"rejected": 0, "unreported": 1, "accepted": 2})
    listed = listed.sort_values("rank", kind="stable")
    sent = {(row.store_id, row.item_sku) for row in items.itertuples()}
    named = [(row.store_id, row.item_sku) for row in listed.itertuples()]
    strangers = report.others_succeeded and any(
        (name not in sent) if isinstance(name[0], str) else name[1] not in {sku for _, sku in sent} for name in named
    )
    rows = []
    for item in items.itertuples():
        of_sku = listed[listed["item_sku"] == item.item_sku]
        exact, anywhere = of_sku[of_sku["store_id"] == item.store_id], of_sku[of_sku["store_id"].isna()]
        found = pd.concat([exact.head(1), anywhere.head(1)]).sort_values("rank", kind="stable")
        reason = "the report names items that were not sent" if strangers else "the report does not mention the item"
        others = ("accepted", None, None) if report.others_succeeded and not strangers else ("unreported", None, reason)
        rows.append(tuple(found.iloc[0][["outcome", "code", "message"]]) if len(found) else others)
    return items.assign(**dict(zip(["outcome", "code", "message"], zip(*rows, strict=True), strict=True))).astype("str")


def entry_text(entry: dict[str, Any]) -> dict[str, Any]:
    return entry | {"errors": [cause for cause in entry.get("errors", []) if cause]}


@given(
    st.lists(st.tuples(st.sampled_from("ST"), st.sampled_from("ABCD")), min_size=1, unique=True),
    st.lists(PLAIN.map(entry_text), max_size=6),
    st.sampled_from(["results", "items", "errors", "in order"]),
)
def test_every_item_gets_what_is_said_of_it(keys: list[tuple[str, str]], entries: list[Any], shape: str) -> None:
    items = pd.DataFrame(keys, columns=["store_id", "item_sku"]).assign(content_hash="h").astype("str")
    if shape == "in order":
        entries = [{"store_id": store, "item_sku": sku, "status": "SUCCESS"} for store, sku in keys]
    documents: dict[str, Any] = {"items": entries, "errors": {"errors": entries, "processingStatus": "DONE"}}
    report = read_report(json.dumps(documents.get(shape, {"itemResults": entries})).encode())
    pd.testing.assert_frame_equal(
        as_frame(match_outcomes(as_arrow(items), report)), matched_slowly(items, report), check_dtype=False
    )
