"""Messages from the queue: what is believed, what is understood, and that nothing secret is kept."""

import json

import pytest

from jwo_catalog_pipeline.catalog_api.notification import (
    InvalidSignature,
    ResultNotice,
    SubscriptionConfirmation,
    Unreadable,
    read_message,
)

TOPIC = "arn:aws:sns:us-east-1:123456789012:jwo"
URL = "https://s3.amazonaws.com/b/r.json?X-Amz-Signature=abc"


def envelope(message: object, **changes: object) -> str:
    inner = message if isinstance(message, str) else json.dumps(message)
    return json.dumps({"Type": "Notification", "TopicArn": TOPIC, "MessageId": "m", "Message": inner, **changes})


@pytest.mark.parametrize(
    "message",
    [
        {"ingestionId": "i", "reportDownloadLink": URL},
        {"detail": {"ingestionId": "i", "result": [{"reportDownloadLink": URL}]}},
        {"ingestion_id": "i", "reportUrl": URL, "extra": {"url": "https://elsewhere"}},
    ],
)
def test_a_result_is_found_under_documented_and_likely_names(message: dict) -> None:
    assert read_message(envelope(message), TOPIC, None) == ResultNotice("i", URL, None)
    assert read_message(json.dumps(message), TOPIC, None) == ResultNotice("i", URL, None)


def test_a_result_without_a_link_still_names_its_ingestion_and_status() -> None:
    message = {"ingestionId": "i", "processingStatus": "FATAL"}
    assert read_message(envelope(message), TOPIC, None) == ResultNotice("i", None, "FATAL")


def test_a_link_stays_out_of_the_text_of_a_notice() -> None:
    assert "Signature" not in repr(read_message(envelope({"ingestionId": "i", "url": URL}), TOPIC, None))


def test_a_subscription_is_to_be_confirmed_only_for_the_configured_topic() -> None:
    asked = envelope("", Type="SubscriptionConfirmation", Token="t", SubscribeURL="https://x")
    assert read_message(asked, TOPIC, None) == SubscriptionConfirmation(TOPIC, "t")
    assert isinstance(read_message(asked, TOPIC + "2", None), Unreadable)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "not JSON"),
        ("hello", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "not a JSON object"),
        ("{}", "no ingestion id"),
        (envelope({"x": 1}), "no ingestion id"),
        (envelope({"ingestionId": 7}), "no ingestion id"),
        (envelope("plain text"), "the notification's Message is not JSON"),
        (envelope({"ingestionId": "i"}, TopicArn="arn:other"), "from another topic"),
        (envelope("", Type="UnsubscribeConfirmation"), "of type 'UnsubscribeConfirmation'"),
        (envelope("", Type="SubscriptionConfirmation"), "no token"),
    ],
)
def test_what_cannot_be_read_says_why(body: str, reason: str) -> None:
    message = read_message(body, TOPIC, None)
    assert isinstance(message, Unreadable)
    assert reason in message.reason


def test_with_verification_only_a_genuine_envelope_is_believed() -> None:
    def refuse(_: object) -> None:
        raise InvalidSignature("forged")

    message = {"ingestionId": "i"}
    assert read_message(envelope(message), TOPIC, lambda _: None) == ResultNotice("i", None)
    assert read_message(envelope(message), TOPIC, refuse) == Unreadable("signature not valid: forged")
    raw = read_message(json.dumps(message), TOPIC, lambda _: None)
    assert isinstance(raw, Unreadable)
    assert "JWO_VERIFY_SIGNATURES=off" in raw.reason


@pytest.mark.parametrize("ingestion_id", ["x" * 257, "a\u0000b", "\ud83d"])
def test_an_id_that_cannot_be_one_is_unreadable(ingestion_id: str) -> None:
    assert isinstance(read_message(json.dumps({"ingestionId": ingestion_id}), "", None), Unreadable)
