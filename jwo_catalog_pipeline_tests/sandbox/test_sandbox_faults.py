"""Each misbehaviour of the sandbox, seen from the client's side."""

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3

from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox, item

UPLOAD = {"catalogItems": [item()]}


@pytest.mark.parametrize(
    ("fault", "status", "body", "ingested"),
    [
        ("throttle", 429, {"message": "Too Many Requests"}, 0),
        ("forbid", 403, {"message": "User is not authorized to access this resource"}, 0),
        ("error_retry", 500, {"errorMsg": "Internal server error, retry recommended"}, 0),
        ("error_no_retry", 500, {"errorMsg": "Internal server error, no retry is possible"}, 0),
        ("error_after_ingesting", 500, {"errorMsg": "Internal server error, retry recommended"}, 1),
        ("no_ingestion_id", 201, {}, 1),
    ],
)
def test_a_call_fails_as_often_as_was_said_and_then_works(
    fresh: RunningSandbox, fault: str, status: int, body: Any, ingested: int
):
    fresh.misbehave(**{fault: 2})
    for _ in range(2):
        answer = fresh.call("upload", UPLOAD)
        assert (answer.status, answer.body) == (status, body)
    assert fresh.call("upload", UPLOAD).status == 201
    assert len(fresh.get("ingestions")) == 2 * ingested + 1
    assert [entry["fault"] for entry in fresh.get("requests")] == [fault, fault, None]


@pytest.mark.parametrize(("when", "ingested"), [("before", 0), ("after", 1)])
def test_a_connection_closes_without_an_answer(fresh: RunningSandbox, when: str, ingested: int):
    fresh.misbehave(**{f"close_{when}_ingesting": 1})
    with pytest.raises(urllib3.exceptions.ProtocolError):
        fresh.call("upload", UPLOAD)
    assert len(fresh.get("ingestions")) == ingested
    assert fresh.get("requests")[0]["http_status"] is None


@pytest.mark.parametrize(("when", "ingested"), [("before", 0), ("after", 1)])
def test_a_connection_hangs_until_the_client_gives_up(fresh: RunningSandbox, when: str, ingested: int):
    fresh.misbehave(**{f"hang_{when}_ingesting": 1})
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        fresh.call("upload", UPLOAD, timeout=0.2)
    assert len(fresh.get("ingestions")) == ingested
    assert fresh.call("upload", UPLOAD).status == 201


def test_a_fault_may_be_limited_to_one_operation(fresh: RunningSandbox):
    fresh.misbehave(error_retry=1, operation="archive")
    ingestion = fresh.upload(item())
    assert fresh.status(ingestion)["processingStatus"]
    archive = {"itemSkus": ["SKU-1"], "allApplicableStores": ["JWO-STORE-01", "JWO-STORE-02", "JWO-STORE-03"]}
    assert [fresh.call("archive", archive).status for _ in range(2)] == [500, 201]


def test_faults_come_in_the_order_in_which_they_were_set(fresh: RunningSandbox):
    fresh.misbehave(throttle=1, error_retry=1)
    assert [fresh.call("upload", UPLOAD).status for _ in range(3)] == [429, 500, 201]


def test_a_share_is_spread_evenly_until_it_is_set_to_nothing(fresh: RunningSandbox):
    fresh.misbehave(throttle=0.5)
    assert [fresh.call("upload", UPLOAD).status for _ in range(4)] == [201, 429, 201, 429]
    fresh.misbehave(throttle=0)
    assert [fresh.call("upload", UPLOAD).status for _ in range(2)] == [201, 201]


def test_the_success_code_can_be_200(fresh: RunningSandbox):
    fresh.misbehave(success_code=200)
    answer = fresh.call("upload", UPLOAD)
    assert (answer.status, list(answer.body)) == (200, ["ingestionId"])


@pytest.mark.parametrize(("fault", "status"), [("cancel", "CANCELLED"), ("fatal", "FATAL")])
def test_an_ingestion_ends_without_a_report(fresh: RunningSandbox, fault: str, status: str):
    fresh.misbehave(**{fault: 1})
    first, second = fresh.upload(item("A")), fresh.upload(item("B"))
    fresh.drain()
    assert fresh.status(first) == {"processingStatus": status}
    assert fresh.status(second)["processingStatus"] == "DONE"
    assert [held["item_sku"] for held in fresh.get("catalog")] == ["B"]
    message = json.loads(json.loads(fresh.messages()[0])["Message"])
    assert message == {"ingestionId": first, "processingStatus": status}


def test_the_status_is_one_that_nobody_knows(fresh: RunningSandbox):
    fresh.misbehave(unknown_status=1)
    ingestion = fresh.upload(item())
    fresh.drain()
    assert fresh.status(ingestion) == {"processingStatus": "POSTPROCESSING"}
    assert fresh.status(ingestion)["processingStatus"] == "DONE"


def test_given_skus_are_rejected(fresh: RunningSandbox):
    fresh.misbehave(reject_skus=["B"])
    report = fresh.report(fresh.upload(item("A"), item("B")))
    assert [result["status"] for result in report["itemResults"]] == ["SUCCESS", "FAILED"]
    assert report["itemResults"][1]["errors"][0]["code"] == "REJECTED"


def test_a_request_with_a_given_sku_is_refused_as_a_whole_and_names_none(fresh: RunningSandbox):
    fresh.misbehave(refuse_skus=["B"])
    archive = {"itemSkus": ["A", "B"], "allApplicableStores": ["JWO-STORE-01", "JWO-STORE-02", "JWO-STORE-03"]}
    for answer in (fresh.call("upload", {"catalogItems": [item("A"), item("B")]}), fresh.call("archive", archive)):
        assert (answer.status, answer.body) == (400, {"errorMsg": "Invalid request body"})
    assert fresh.get("ingestions") == []
    assert fresh.call("upload", {"catalogItems": [item("A")]}).status == 201
    assert fresh.call("archive", {**archive, "itemSkus": ["A"]}).status == 201


def test_a_share_of_items_is_rejected_and_always_the_same_ones(fresh: RunningSandbox):
    fresh.misbehave(reject_share=0.25)
    items = [item(f"SKU-{i}") for i in range(200)]
    first, second = (fresh.report(fresh.upload(*items)) for _ in range(2))
    assert first["itemResults"] == second["itemResults"]
    assert 30 <= first["summary"]["failed"] <= 70


def test_a_notification_is_dropped_but_the_status_knows(fresh: RunningSandbox):
    fresh.misbehave(drop_notifications=1)
    first, second = fresh.upload(item("A")), fresh.upload(item("B"))
    fresh.drain()
    assert fresh.notified_ids() == [second]
    assert fresh.status(first)["processingStatus"] == "DONE"


def test_a_notification_is_duplicated(fresh: RunningSandbox):
    fresh.misbehave(duplicate_notifications=1)
    ingestion = fresh.upload(item())
    fresh.drain()
    assert fresh.notified_ids() == [ingestion, ingestion]


def test_notifications_are_held_and_come_in_reverse(fresh: RunningSandbox):
    fresh.misbehave(reorder_notifications=True, delay=3600)
    ids = [fresh.upload(item(sku)) for sku in "ABC"]
    assert fresh.messages() == []
    assert fresh.post("drain").body == {"processed": 3, "published": 3}
    assert fresh.notified_ids() == ids[::-1]


def test_a_notification_is_unreadable(fresh: RunningSandbox):
    fresh.misbehave(unreadable_notifications=1)
    fresh.upload(item())
    fresh.drain()
    (body,) = fresh.messages()
    with pytest.raises(json.JSONDecodeError):
        json.loads(json.loads(body)["Message"])


def test_an_expired_link_is_refused_as_s3_does_and_a_fresh_one_works(fresh: RunningSandbox):
    fresh.misbehave(expire_links=1)
    ingestion = fresh.upload(item())
    fresh.drain()
    message = json.loads(json.loads(fresh.messages()[0])["Message"])
    refused = fresh.http.request("GET", message["reportDownloadLink"])
    assert refused.status == 403
    assert refused.headers["Content-Type"] == "application/xml"
    assert b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message>" in refused.data
    assert fresh.http.request("GET", fresh.status(ingestion)["reportDownloadLink"]).status == 200


def test_a_link_from_the_status_call_expires_too_when_told_so(fresh: RunningSandbox):
    fresh.misbehave(expire_links=1, operation="status")
    ingestion = fresh.upload(item())
    fresh.drain()
    statuses = [fresh.http.request("GET", fresh.status(ingestion)["reportDownloadLink"]).status for _ in range(2)]
    assert statuses == [403, 200]


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ({"throtle": 1}, "unknown key 'throtle'; did you mean 'throttle'?"),
        ({"throttle": -1}, "throttle is -1; it takes a count, or a share between 0 and 1"),
        ({"throttle": True}, "throttle is True; it takes a count, or a share between 0 and 1"),
        ({"throttle": 1, "operation": "delete"}, "operation is 'delete'; it is one of upload, archive, status"),
        ({"no_ingestion_id": 1, "operation": "status"}, "no_ingestion_id cannot happen to status"),
        ({"success_code": 204}, "success_code is 204, which it cannot be"),
        ({"report_shape": "4"}, "report_shape is '4', which it cannot be"),
        ({"delay": -1}, "delay is -1, which it cannot be"),
        ({"reject_skus": "A"}, "reject_skus is 'A', which it cannot be"),
        ({"refuse_skus": ["A", 1]}, "refuse_skus is ['A', 1], which it cannot be"),
        ({"order": "random:"}, "order is 'random:', which it cannot be"),
        ({"clock_offset": "-1"}, "clock_offset is '-1', which it cannot be"),
        ({"sts_down": 0.5}, "sts_down is 0.5; it takes a count"),
        ({"sts_down": 1, "operation": "upload"}, "sts_down cannot happen to upload"),
    ],
)
def test_a_wrong_wish_is_refused_as_a_whole(fresh: RunningSandbox, wanted: dict[str, Any], error: str):
    answer = fresh.post("misbehave", {"forbid": 1, **wanted})
    assert (answer.status, answer.body) == (400, {"error": error})
    assert fresh.call("upload", UPLOAD).status == 201


def test_a_request_whose_sender_died_halfway_is_no_request(fresh: RunningSandbox):
    """A pipeline that was killed between headers and body was counted as having sent bytes that are in no batch."""
    address = urlsplit(fresh.environment["JWO_API_URL"])
    head = b"POST /v1/catalog/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
    for sent in (head, head + b"{}"):
        with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b""
    assert fresh.get("requests") == []
