"""What an ingestion does to the sandbox's catalog, what its report says, and how the notification arrives."""

import json
import time
from typing import Any

import pytest

from jwo_catalog_pipeline.sandbox import barcodes
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox, item

ADDITIONAL = "additional_external_product_information"


def _codes(report: dict[str, Any]) -> list[str | None]:
    return [result["errors"][0]["code"] if result["errors"] else None for result in report["itemResults"]]


def _held(sandbox: RunningSandbox) -> list[tuple[str, str]]:
    return [(held["store_id"], held["item_sku"]) for held in sandbox.get("catalog")]


@pytest.mark.parametrize(
    ("code", "barcode_type"),
    [
        ("036000291452", "UPC"),
        ("04252614", "UPC"),  # UPC-E of 042100005264
        ("01234531", "UPC"),  # UPC-E of 012300000451
        ("4006381333931", "EAN"),
        ("96385074", "EAN8"),
        ("0306406152", "ISBN"),
        ("080442957X", "ISBN"),
        ("10614141000415", "GTIN"),
        ("4011", "PLU"),
        ("94011", None),
        ("04252614", None),
        ("96385074", None),
    ],
)
def test_a_right_barcode_is_valid_and_no_other_check_digit_is(code: str, barcode_type: str | None):
    assert barcodes.is_valid(code, barcode_type)
    if barcode_type not in (None, "PLU"):
        others = [code[:-1] + last for last in "0123456789" if last != code[-1]]
        assert [other for other in others if barcodes.is_valid(other, barcode_type)] == []


@pytest.mark.parametrize(
    ("code", "barcode_type"),
    [
        ("4006381333931", "UPC"),
        ("400638133393", "EAN"),
        ("36000291452", None),
        ("12", "PLU"),
        ("1234567", None),
        ("21234563", "UPC"),
        ("٤٠٠٦٣٨١٣٣٣٩٣١", None),
        ("40063813339 1", None),
        ("9780306406157", "ISBN"),
    ],
)
def test_a_barcode_of_the_wrong_length_or_alphabet_is_not_valid(code: str, barcode_type: str | None):
    assert not barcodes.is_valid(code, barcode_type)


def test_upc_e_expands_by_its_last_digit():
    expanded = [barcodes.expand_upc_e(f"012345{last}0") for last in "0123456789"]
    assert expanded == [
        "012000003450",
        "012100003450",
        "012200003450",
        "012300000450",
        "012340000050",
        *(f"0123450000{last}0" for last in range(5, 10)),
    ]


def test_an_upload_waits_in_the_queue_until_it_is_processed(fresh: RunningSandbox):
    fresh.misbehave(delay=3600)
    ingestion = fresh.upload(item())
    assert fresh.status(ingestion) == {"processingStatus": "INQUEUE"}
    assert fresh.get("catalog") == []
    assert fresh.post("drain").body == {"processed": 1, "published": 0}
    assert fresh.status(ingestion)["processingStatus"] == "DONE"
    assert fresh.get("catalog") == [item()]


def test_accepting_and_ending_are_events_of_one_sequence(fresh: RunningSandbox):
    """A and B are in flight at once, C is not with either; a repetition of A's bytes can be told from a change."""
    fresh.misbehave(delay=3600)
    first, second = fresh.upload(item("A")), fresh.upload(item("B"))
    assert [one["ended_at"] for one in fresh.get("ingestions")] == [None, None]
    fresh.drain()
    fresh.status(first)
    third = fresh.upload(item("A"))
    a, b, c = fresh.get("ingestions")
    assert a["accepted_at"] < b["accepted_at"] < a["ended_at"] < b["ended_at"] < c["accepted_at"]
    assert c["ended_at"] is None
    assert a["body_sha256"] == c["body_sha256"] != b["body_sha256"]
    calls = {call["ingestion_id"]: call for call in fresh.get("requests") if call["operation"] == "upload"}
    for one in (a, b, c):
        call = calls[one["ingestion_id"]]
        assert (call["sequence"], call["body_sha256"]) == (one["accepted_at"], one["body_sha256"])
    (asked,) = (call for call in fresh.get("requests") if call["operation"] == "status")
    assert b["ended_at"] < asked["sequence"] < c["accepted_at"]
    assert [one["ingestion_id"] for one in (a, b, c)] == [first, second, third]


@pytest.mark.parametrize(("order", "places"), [("fifo", [0, 1, 2, 3, 4]), ("lifo", [4, 3, 2, 1, 0])])
def test_what_is_due_is_processed_in_the_order_that_was_set(fresh: RunningSandbox, order: str, places: list[int]):
    fresh.misbehave(delay=3600, order=order)
    assert _order_of_ending(fresh) == places
    assert fresh.get("catalog")[0]["item_name"] == f"Version {places[-1]}"


def test_a_random_order_is_the_same_for_the_same_seed(fresh: RunningSandbox):
    found = []
    for seed in (1, 1, 2, 3, 4):
        fresh.reset()
        fresh.misbehave(delay=3600, order=f"random:{seed}")
        found.append(_order_of_ending(fresh))
    assert found[0] == found[1]
    assert len({tuple(places) for places in found}) > 2
    assert all(sorted(places) == [0, 1, 2, 3, 4] for places in found)


def _order_of_ending(sandbox: RunningSandbox) -> list[int]:
    """Upload five versions of one item and process them; their places in the order in which they ended."""
    for version in range(5):
        sandbox.upload(item(item_name=f"Version {version}"))
    sandbox.drain()
    ended = {one["ended_at"]: place for place, one in enumerate(sandbox.get("ingestions"))}
    return [ended[at] for at in sorted(ended)]


def test_without_a_delay_it_is_processed_without_being_drained(fresh: RunningSandbox):
    fresh.upload(item())
    deadline = time.monotonic() + 10
    while not (messages := fresh.messages()) and time.monotonic() < deadline:
        pass
    assert len(messages) == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"external_product_id": "4006381333932"}, "INVALID_BARCODE"),
        ({"external_product_id_type": "UPC"}, "INVALID_BARCODE"),
        ({"external_product_id_type": "QR"}, "INVALID_BARCODE_TYPE"),
        ({ADDITIONAL: [{"external_product_id": "123"}, {"external_product_id": "4006381333932"}]}, "INVALID_BARCODE"),
        ({ADDITIONAL: [{"external_product_id": "123", "external_product_id_type": "PLU"}]}, None),
        ({"standard_price": "1,99"}, "INVALID_PRICE"),
        ({"standard_price": "-1"}, "INVALID_PRICE"),
        ({"standard_price": "2"}, None),
        ({"product_tax_code": "A_GEN_TAX"}, None),
        ({"product_tax_code": "B_GEN_TAX"}, "INVALID_TAX_CODE"),
        ({"new_attribute": "of tomorrow"}, None),
    ],
)
def test_each_item_is_judged_alone(fresh: RunningSandbox, changes: dict[str, Any], code: str | None):
    good = item("GOOD")
    assert _codes(fresh.report(fresh.upload(item("OTHER", **changes), good))) == [code, None]
    assert good in fresh.get("catalog")
    assert (item("OTHER", **changes) in fresh.get("catalog")) == (code is None)


def test_an_upload_replaces_the_whole_record(fresh: RunningSandbox):
    fresh.upload(item(brand_name="Stabilo"))
    fresh.upload(item(item_name="Marker", standard_price=...))
    fresh.drain()
    assert fresh.get("catalog") == [item(item_name="Marker", standard_price=...)]


def test_a_failed_update_leaves_the_earlier_record(fresh: RunningSandbox):
    fresh.upload(item())
    fresh.report(fresh.upload(item(standard_price="free")))
    assert fresh.get("catalog") == [item()]


def test_the_later_of_two_items_with_one_key_fails_and_is_logged(fresh: RunningSandbox):
    report = fresh.report(fresh.upload(item(), item(item_name="Other"), item(store="JWO-STORE-02")))
    assert _codes(report) == [None, "DUPLICATE_ITEM", None]
    assert fresh.get("requests")[0]["duplicates"] == 1
    assert [held["item_name"] for held in fresh.get("catalog")] == ["Highlighter", "Highlighter"]


def test_archiving_removes_a_sku_from_every_store(fresh: RunningSandbox):
    fresh.upload(item("A"), item("A", "JWO-STORE-02"), item("B"))
    report = fresh.report(fresh.archive("A"))
    assert report["itemResults"] == [{"item_sku": "A", "status": "SUCCESS", "errors": []}]
    assert _held(fresh) == [("JWO-STORE-01", "B")]


def test_what_cannot_be_archived_is_told_in_the_report_only(fresh: RunningSandbox):
    fresh.misbehave(still_on_planogram=["PLANNED"])
    fresh.upload(item("A"), item("PLANNED"))
    fresh.archive("A")
    report = fresh.report(fresh.archive("A", "PLANNED", "NEVER"))
    assert _codes(report) == ["ALREADY_ARCHIVED", "ON_PLANOGRAM", "UNKNOWN_SKU"]
    assert _held(fresh) == [("JWO-STORE-01", "PLANNED")]


def test_uploading_an_archived_sku_makes_it_active_again(fresh: RunningSandbox):
    fresh.upload(item("A"))
    fresh.archive("A")
    fresh.upload(item("A"))
    report = fresh.report(fresh.archive("A"))
    assert _codes(report) == [None]


def test_report_shape_1_has_a_summary_and_every_item(fresh: RunningSandbox):
    ingestion = fresh.upload(item("A"), item("B", standard_price="x"))
    report = fresh.report(ingestion)
    assert report["ingestionId"] == ingestion
    assert report["summary"] == {"total": 2, "succeeded": 1, "failed": 1}
    assert report["itemResults"] == [
        {"item_sku": "A", "store_id": "JWO-STORE-01", "status": "SUCCESS", "errors": []},
        {
            "item_sku": "B",
            "store_id": "JWO-STORE-01",
            "status": "FAILED",
            "errors": [{"code": "INVALID_PRICE", "message": "standard_price 'x' is not a decimal"}],
        },
    ]


def test_report_shape_2_has_errors_only(fresh: RunningSandbox):
    fresh.misbehave(report_shape="2")
    ingestion = fresh.upload(item("A"), item("B", standard_price="x"))
    assert fresh.report(ingestion) == {
        "ingestionId": ingestion,
        "processingStatus": "DONE",
        "errors": [
            {
                "item_sku": "B",
                "store_id": "JWO-STORE-01",
                "errorCode": "INVALID_PRICE",
                "errorMessage": "standard_price 'x' is not a decimal",
            }
        ],
    }


def test_report_shape_3_is_a_bare_list(fresh: RunningSandbox):
    fresh.misbehave(report_shape=3)
    report = fresh.report(fresh.upload(item("A"), item("B", standard_price="x")))
    assert [(result["item_sku"], result["status"]) for result in report] == [("A", "SUCCESS"), ("B", "FAILED")]


def test_mixed_shapes_take_turns(fresh: RunningSandbox):
    fresh.misbehave(report_shape="mixed")
    found = [fresh.report(fresh.upload(item())) for _ in range(4)]
    assert ["itemResults" in r or ("errors" in r and 2) or 3 for r in found] == [True, 2, 3, True]


def test_an_unknown_shape_names_no_item(fresh: RunningSandbox):
    fresh.misbehave(report_shape="unknown")
    assert "SKU-1" not in json.dumps(fresh.report(fresh.upload(item())))


def test_the_notification_arrives_through_sns_in_an_envelope(fresh: RunningSandbox):
    ingestion = fresh.upload(item())
    fresh.drain()
    (body,) = fresh.messages()
    envelope = json.loads(body)
    assert envelope["Type"] == "Notification"
    assert envelope["TopicArn"] == fresh.environment["JWO_TOPIC_ARN"]
    message = json.loads(envelope["Message"])
    assert (message["ingestionId"], message["processingStatus"]) == (ingestion, "DONE")
    report = fresh.http.request("GET", message["reportDownloadLink"])
    assert report.json()["ingestionId"] == ingestion
    assert "X-Amz-Expires=3600&" in message["reportDownloadLink"]


def test_a_reset_forgets_everything_and_names_new_resources(fresh: RunningSandbox):
    before = fresh.environment
    ingestion = fresh.upload(item())
    fresh.drain()
    fresh.misbehave(throttle=1, delay=9)
    fresh.post("stores", {"stores": ["X"]})
    fresh.reset()
    assert fresh.environment["JWO_BUCKET"] != before["JWO_BUCKET"]
    assert (fresh.get("catalog"), fresh.get("requests"), fresh.get("ingestions")) == ([], [], [])
    assert fresh.messages() == []
    assert fresh.call("status", {"ingestionId": ingestion}).status == 400
    fresh.upload(item())
    assert fresh.environment["JWO_STORE_IDS"] == before["JWO_STORE_IDS"]
