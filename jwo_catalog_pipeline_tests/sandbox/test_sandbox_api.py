"""Each documented limit and error of the Catalog API, as the sandbox keeps it, over real HTTP."""

import json
from typing import Any

import pytest

from jwo_catalog_pipeline.sandbox.faults import Faults, Settings
from jwo_catalog_pipeline.sandbox.service import JwoService
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox, item

ADDITIONAL = "additional_external_product_information"
STORES = ["JWO-STORE-01", "JWO-STORE-02", "JWO-STORE-03"]


def _items(*items: Any) -> dict[str, Any]:
    return {"catalogItems": list(items)}


def _many(count: int) -> list[dict[str, Any]]:
    return [item(f"SKU-{i}") for i in range(count)]


def test_an_accepted_upload_answers_201_with_an_ingestion_id(fresh: RunningSandbox):
    answer = fresh.call("upload", _items(item(), item(store="JWO-STORE-02")))
    assert answer.status == 201
    assert list(answer.body) == ["ingestionId"]
    (entry,) = fresh.get("requests")
    assert entry["ingestion_id"] == answer.body["ingestionId"]
    assert (entry["operation"], entry["http_status"], entry["items"]) == ("upload", 201, 2)


def test_an_unknown_store_refuses_the_whole_request(fresh: RunningSandbox):
    answer = fresh.call("upload", _items(item(store="ELSEWHERE")))
    text = "One or more StoreID's present in the request is incorrect"
    assert (answer.status, answer.body) == (400, {"errorMsg": text})


def test_known_and_unknown_stores_mixed_refuse_the_whole_request(fresh: RunningSandbox):
    answer = fresh.call("upload", _items(item(), item(store="ELSEWHERE")))
    text = "List of store ID's present in the request are either incorrect/not associated with same retailer"
    assert (answer.status, answer.body) == (400, {"errorMsg": text})
    fresh.drain()
    assert fresh.get("catalog") == []


def test_the_known_stores_can_be_set(fresh: RunningSandbox):
    assert fresh.post("stores", {"stores": ["ELSEWHERE"]}).body == {"stores": ["ELSEWHERE"]}
    assert fresh.call("upload", _items(item(store="ELSEWHERE"))).status == 201
    assert fresh.post("stores", {"stores": "ELSEWHERE"}).status == 400


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        [item()],
        {},
        _items(),
        _items("text"),
        _items(item(item_sku=...)),
        _items(item(external_product_id=...)),
        _items(item(item_name=...)),
        _items(item(store_id=...)),
        _items(item(item_sku=7)),
        _items(item(standard_price=1.99)),
        _items(item(standard_price=None)),
        _items(item(brand_name="")),
        _items(item(), item(brand_name=None)),
        _items(item(**{ADDITIONAL: ["4006381333931"]})),
        _items(item(**{ADDITIONAL: [{"external_product_id": None}]})),
        _items(item(**{ADDITIONAL: [{"barcode": "4006381333931"}]})),
    ],
)
def test_a_wrong_shape_is_an_invalid_request_body(fresh: RunningSandbox, body: Any):
    answer = fresh.call("upload", body)
    assert (answer.status, answer.body) == (400, {"errorMsg": "Invalid request body"})


def test_ten_thousand_items_pass_and_one_more_does_not(fresh: RunningSandbox):
    assert fresh.call("upload", {"catalogItems": _many(10_000)}).status == 201
    answer = fresh.call("upload", {"catalogItems": _many(10_001)})
    assert answer.status == 400
    assert "10000" in answer.body["errorMsg"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("item_sku", "x" * 256),
        ("external_product_id", "1" * 256),
        ("item_name", "x" * 256),
        ("brand_name", "x" * 256),
        (ADDITIONAL, [{"external_product_id": "4006381333931"}] * 51),
    ],
)
def test_a_field_over_its_length_is_refused(fresh: RunningSandbox, name: str, value: Any):
    answer = fresh.call("upload", _items(item(**{name: value})))
    assert answer.status == 400
    assert "length" in answer.body["errorMsg"]


def test_the_longest_fields_pass(fresh: RunningSandbox):
    longest = item(item_name="é" * 255, **{ADDITIONAL: [{"external_product_id": "4006381333931"}] * 50})
    assert fresh.call("upload", _items(longest)).status == 201


def test_over_ten_megabytes_is_the_gateways_413(fresh: RunningSandbox):
    answer = fresh.call("upload", b" " * (10 * 1024 * 1024 + 1))
    assert (answer.status, answer.body) == (413, {"message": "Request Too Long"})


def test_ten_megabytes_sharp_is_read(fresh: RunningSandbox):
    body = json.dumps(_items(item())).encode()
    assert fresh.call("upload", body + b" " * (10 * 1024 * 1024 - len(body))).status == 201


def test_calls_over_the_rate_are_refused_with_429(fresh: RunningSandbox):
    fresh.misbehave(requests_per_second=2)
    statuses = [fresh.call("status", {"ingestionId": "x"}).status for _ in range(3)]
    assert statuses == [400, 400, 429]
    assert fresh.call("status", {"ingestionId": "x"}).body == {"message": "Too Many Requests"}


class _Nowhere:
    def put_report(self, key: str, content: bytes) -> None: ...
    def report_link(self, key: str, *, expired: bool = False) -> str:
        return ""

    def publish(self, message: str) -> None: ...


def test_ten_calls_are_let_through_in_any_second_not_only_in_each():
    now = [0.0]
    service = JwoService(_Nowhere(), Faults(Settings()), STORES, clock=lambda: now[0])

    def statuses(at: float, calls: int) -> list[int]:
        now[0] = at
        return [service.call("status", b"{}").status for _ in range(calls)]

    assert statuses(0.9, 10) == [400] * 10
    assert statuses(1.1, 1) == [429]
    assert statuses(1.89, 1) == [429]
    assert statuses(1.91, 11) == [400] * 10 + [429]
    service.stop()


def test_an_unknown_ingestion_id_is_a_400(fresh: RunningSandbox):
    assert fresh.call("status", {"ingestionId": "nobody's"}).status == 400
    answer = fresh.call("status", {"ingestion": "x"})
    assert answer.body == {"errorMsg": "Invalid request body"}


@pytest.mark.parametrize("stores", [STORES[:2], [*STORES, "ELSEWHERE"], ["ELSEWHERE"]])
def test_archiving_needs_exactly_the_complete_list_of_stores(fresh: RunningSandbox, stores: list[str]):
    answer = fresh.call("archive", {"itemSkus": ["SKU-1"], "allApplicableStores": stores})
    assert answer.status == 400
    assert "errorMsg" in answer.body
    assert fresh.get("ingestions") == []


@pytest.mark.parametrize(
    "body",
    [
        {"itemSkus": ["SKU-1"]},
        {"itemSkus": [], "allApplicableStores": STORES},
        {"itemSkus": [1], "allApplicableStores": STORES},
        {"itemSkus": "SKU-1", "allApplicableStores": STORES},
    ],
)
def test_a_wrong_archive_request_is_an_invalid_request_body(fresh: RunningSandbox, body: Any):
    assert fresh.call("archive", body).body == {"errorMsg": "Invalid request body"}


def test_archiving_more_than_ten_thousand_skus_is_refused(fresh: RunningSandbox):
    skus = [str(i) for i in range(10_001)]
    answer = fresh.call("archive", {"itemSkus": skus, "allApplicableStores": STORES})
    assert answer.status == 400
    assert "10000" in answer.body["errorMsg"]


def test_a_path_that_is_not_offered_is_the_gateways_403(fresh: RunningSandbox):
    answer = fresh.http.request("POST", fresh.environment["JWO_API_URL"] + "/v1/catalog/cart/upload", body=b"{}")
    assert (answer.status, answer.json()) == (403, {"message": "Missing Authentication Token"})


def test_a_connection_is_kept_alive(fresh: RunningSandbox):
    before = fresh.http.connection_from_url(fresh.environment["JWO_API_URL"]).num_connections
    for _ in range(5):
        fresh.call("status", {"ingestionId": "x"})
    after = fresh.http.connection_from_url(fresh.environment["JWO_API_URL"]).num_connections
    assert after - before <= 1


def test_an_unknown_control_call_says_what_there_is(fresh: RunningSandbox):
    answer = fresh.post("misbehavior")
    assert answer.status == 404
    assert "POST /sandbox/misbehave" in answer.body["error"]
