"""Reports: every plausible shape, nothing guessed beyond it, and links followed nowhere but to S3."""

import gzip
import json
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from jwo_catalog_pipeline.catalog_api.addresses import is_global, is_private
from jwo_catalog_pipeline.catalog_api.errors import ForbiddenReportLink, ReportUnavailable
from jwo_catalog_pipeline.catalog_api.matching import match_outcomes
from jwo_catalog_pipeline.catalog_api.report import (
    Report,
    check_report_link,
    fetch_report,
    read_report,
    report_http,
)
from jwo_catalog_pipeline.table_file import as_arrow, as_frame
from jwo_catalog_pipeline_tests.chaos import urls
from jwo_catalog_pipeline_tests.support.parts import api_client, body_of, deliver, items
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

LOCAL = "http://127.0.0.1:5000"
FAILED = {"item_sku": "B", "store_id": "S", "status": "FAILED", "errors": [{"code": "E1", "message": "bad"}]}
SHAPES = {
    "results": {"ingestionId": "i", "itemResults": [{"item_sku": "A", "store_id": "S", "status": "SUCCESS"}, FAILED]},
    "errors": {
        "ingestionId": "i",
        "processingStatus": "DONE",
        "errors": [{"item_sku": "B", "store_id": "S", "errorCode": "E1", "errorMessage": "bad"}],
    },
    "items": [{"item_sku": "A", "store_id": "S", "status": "SUCCESS"}, FAILED],
}


def sent(*skus: str, stores: Sequence[str] = ("S",)) -> pd.DataFrame:
    parts = [items(*skus, store=store)[["store_id", "item_sku"]].assign(content_hash="h") for store in stores]
    return pd.concat(parts, ignore_index=True)


def match(items: pd.DataFrame, report: Report) -> pd.DataFrame:
    return as_frame(match_outcomes(as_arrow(items), report)).fillna("")


def outcomes(value: object, *skus: str) -> list[tuple[str, ...]]:
    matched = match(sent(*skus), read_report(json.dumps(value).encode()))
    return list(matched[["item_sku", "outcome", "code", "message"]].itertuples(index=False, name=None))


@pytest.mark.parametrize("shape", SHAPES)
def test_each_plausible_shape_gives_the_same_outcomes(shape: str) -> None:
    assert read_report(json.dumps(SHAPES[shape]).encode()).shape == shape
    assert outcomes(SHAPES[shape], "A", "B") == [("A", "accepted", "", ""), ("B", "rejected", "E1", "bad")]


def test_an_item_that_a_complete_list_does_not_mention_is_not_taken_for_accepted() -> None:
    assert outcomes(SHAPES["items"], "A", "C")[1] == ("C", "unreported", "", "the report does not mention the item")
    assert outcomes(SHAPES["errors"], "A", "B", "C")[2] == ("C", "accepted", "", "")


def test_an_error_about_an_item_that_was_not_sent_may_be_about_any() -> None:
    assert outcomes(SHAPES["errors"], "A") == [("A", "unreported", "", "the report names items that were not sent")]


def test_of_an_outcome_with_a_store_and_one_without_the_worse_counts() -> None:
    good = {"item_sku": "B", "store_id": "S", "status": "SUCCESS"}
    anywhere = {name: value for name, value in FAILED.items() if name != "store_id"}
    assert outcomes([good, anywhere], "B")[0][1] == "rejected"


def test_half_a_surrogate_pair_in_a_report_can_be_stored() -> None:
    content = b'[{"item_sku": "A", "store_id": "S", "status": "FAILED", "message": "cut \\ud83d"}]'
    report = read_report(content)
    assert report.outcomes["message"].to_pylist() == ["cut ?"]
    assert read_report(b'{"ingestionId": "i-1", "itemResults": []}').ingestion_id == "i-1"


def test_an_item_reported_twice_takes_the_worse_outcome() -> None:
    good = {"item_sku": "B", "store_id": "S", "status": "SUCCESS"}
    for listed in ([good, FAILED], [FAILED, good]):
        assert outcomes(listed, "B") == [("B", "rejected", "E1", "bad")]


def test_an_entry_without_a_store_speaks_for_the_sku_in_every_store() -> None:
    report = read_report(b'[{"item_sku": "A", "status": "FAILED", "errors": [{"code": "E"}]}]')
    assert match(sent("A", stores=["S", "T"]), report)["outcome"].tolist() == ["rejected", "rejected"]


def test_an_entry_for_an_item_that_was_not_sent_changes_nothing() -> None:
    assert outcomes(SHAPES["results"], "A") == [("A", "accepted", "", "")]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<Error><Code>AccessDenied</Code></Error>",
        b"null",
        b'{"summary": {"total": 1}}',
        b'{"errors": [], "processingStatus": "CANCELLED"}',
        b'[{"item_sku": "A", "status": "SUCCESS"}, 5]',
        b'[{"sku_of_another_name": "A"}]',
        b"[" * 200_000,
    ],
)
def test_an_unknown_shape_says_nothing_about_any_item(content: bytes) -> None:
    report = read_report(content)
    assert report.shape == "unknown"
    assert match(sent("A"), report)["outcome"].tolist() == ["unreported"]


@pytest.mark.parametrize("errors", [5, "text", {"a": 1}, [None, 3]])
def test_odd_error_lists_do_not_break_the_reader(errors: object) -> None:
    assert outcomes([{"item_sku": "A", "status": "FAILED", "errors": errors}], "A")[0][1] == "rejected"


@pytest.mark.parametrize("host", urls.GENUINE_REPORT_HOSTS)
def test_s3_and_the_endpoint_in_use_are_where_reports_come_from(host: str) -> None:
    for port in ("", ":443"):
        check_report_link(f"https://{host}{port}/b/r.json?X-Amz-Signature=a%2Fb&c", LOCAL)
    check_report_link(f"{LOCAL}/bucket/r.json", LOCAL)
    check_report_link("http://minio/b/r.json", "http://minio:80")
    check_report_link("http://[::1]:9000/b/r.json", "http://[::1]:9000")


@pytest.mark.parametrize("url", [*urls.HOSTILE_REPORT_URLS, "http://127.0.0.1:5001/r", "http://localhost:5000/r"])
def test_any_other_link_is_refused_without_repeating_it(url: str) -> None:
    for endpoint in (LOCAL, "https://s3.us-east-1.amazonaws.com", "", "no endpoint", "https://[", "http://x:99999"):
        with pytest.raises(ForbiddenReportLink) as raised:
            check_report_link(url, endpoint)
        assert "Signature" not in str(raised.value)


@pytest.mark.parametrize("address", urls.BAD_ADDRESSES)
def test_an_address_that_is_not_a_public_hosts_is_not_global(address: str) -> None:
    assert not is_global(address)
    assert is_private(address) is (address in urls.PRIVATE_ADDRESSES)


@pytest.mark.parametrize("address", urls.GOOD_ADDRESSES)
def test_an_address_of_s3_is_global(address: str) -> None:
    assert is_global(address)
    assert not is_private(address)


def nested(levels: int) -> Any:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("name", ["item_sku", "store_id", "status", "errorCode", "errorMessage", "ingestionId"])
def test_a_deep_value_where_a_text_is_expected_is_no_text(name: str) -> None:
    entry = {"item_sku": "A", "store_id": "S", "status": "FAILED", name: nested(800)}
    report = read_report(json.dumps({"itemResults": [entry], name: nested(100)}).encode())
    assert report.shape == ("unknown" if name == "item_sku" else "results")


def test_more_values_than_a_report_can_have_are_not_parsed() -> None:
    few, many = (b'[{"item_sku": "A", "x": [%s1]}]' % (b"1," * count) for count in (999_990, 1_000_000))
    assert read_report(few).shape == "items"
    assert read_report(many).shape == "unknown"
    assert read_report(b"[" + b'{"sku":1},' * 100_000 + b'{"sku":1}]').shape == "unknown"


def test_a_link_that_has_expired_is_not_taken_for_a_report(fresh: RunningSandbox) -> None:
    api = api_client(fresh)
    accepted = deliver(api, body_of())
    fresh.drain()
    fresh.misbehave(expire_links=1, operation="status")
    endpoint = fresh.environment["AWS_ENDPOINT_URL"]
    with pytest.raises(ReportUnavailable, match="answered 403: it has probably expired"):
        fetch_report(report_http(), api.status(accepted.ingestion_id).report_url or "", endpoint)
    content = fetch_report(report_http(), api.status(accepted.ingestion_id).report_url or "", endpoint)
    assert read_report(content).outcomes["outcome"].to_pylist() == ["accepted"]


ENTRIES = [
    {"item_sku": "A", "store_id": "S1", "status": "SUCCESS"},
    {"item_sku": "B", "store_id": "S1", "status": "FAILED", "errors": [{"code": "INVALID_BARCODE", "message": "no"}]},
]
PLAIN = json.dumps({"ingestionId": "i", "itemResults": ENTRIES}).encode()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(gzip.compress(PLAIN), id="gzip"),
        pytest.param(gzip.compress(PLAIN[:20]) + gzip.compress(PLAIN[20:]), id="gzip in two members"),
        pytest.param(b"\xef\xbb\xbf" + PLAIN, id="with a byte order mark"),
        pytest.param("\n".join(map(json.dumps, ENTRIES)).encode(), id="JSON Lines"),
        pytest.param(gzip.compress("\r\n".join(map(json.dumps, ENTRIES)).encode()), id="JSON Lines in gzip"),
    ],
)
def test_a_report_is_read_however_it_is_packed(content: bytes) -> None:
    report = read_report(content)
    assert report.outcomes["item_sku"].to_pylist() == ["A", "B"]
    assert report.outcomes["outcome"].to_pylist() == ["accepted", "rejected"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(gzip.compress(PLAIN)[:-4], id="cut short"),
        pytest.param(gzip.compress(PLAIN) + b"more", id="with something behind it"),
        pytest.param(gzip.compress(b"") * 1_000 + gzip.compress(PLAIN), id="in a thousand members"),
        pytest.param(b"\x1f\x8b no gzip", id="no gzip"),
        pytest.param(PLAIN + b"\n" + PLAIN[:-1], id="lines of which one is no JSON"),
    ],
)
def test_what_cannot_be_unpacked_is_of_unknown_shape_and_guessed_about_nowhere(content: bytes) -> None:
    report = read_report(content)
    assert (report.shape, len(report.outcomes)) == ("unknown", 0)
