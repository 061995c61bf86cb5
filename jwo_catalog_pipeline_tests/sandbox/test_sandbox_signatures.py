"""The sandbox's own SigV4 check, against AWS's published vector and against botocore over real HTTP."""

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import botocore.auth
import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from jwo_catalog_pipeline.sandbox import signatures
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox, item

BODY = json.dumps({"catalogItems": [item(item_name="Crème brûlée 牛乳 ₪")]}, ensure_ascii=False).encode()
MISMATCH = "does not match the signature you provided"
INVALID_TOKEN = "The security token included in the request is invalid."


def _verify_published(signature: str, target: str = "/") -> str:
    """The `get-vanilla` requests of AWS's signature version 4 test suite."""
    scope = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
    headers = [
        ("Host", "example.amazonaws.com"),
        ("X-Amz-Date", "20150830T123600Z"),
        ("Authorization", f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature={signature}"),
    ]
    return signatures.verify(
        signatures.Request("GET", target, headers, b""),
        region="us-east-1",
        service="service",
        now=datetime(2015, 8, 30, 12, 36, tzinfo=UTC),
        skew=timedelta(0),
        find_credentials=lambda _: signatures.Credentials("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
    )


def test_the_published_vector_is_accepted_and_one_digit_off_is_not():
    right = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    assert _verify_published(right) == "AKIDEXAMPLE"
    with pytest.raises(signatures.SignatureRefusedError, match=MISMATCH):
        _verify_published("6" + right[1:])


def test_the_published_vector_with_a_query_in_the_wrong_order_is_accepted():
    right = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
    assert _verify_published(right, "/?Param2=value2&Param1=value1") == "AKIDEXAMPLE"


def test_a_signed_body_with_non_ascii_text_is_accepted(fresh: RunningSandbox):
    assert fresh.send(fresh.sign("upload", BODY)).status == 201
    fresh.drain()
    assert fresh.get("catalog")[0]["item_name"] == "Crème brûlée 牛乳 ₪"


def test_temporary_credentials_from_sts_are_accepted(fresh: RunningSandbox):
    credentials = fresh.session_credentials()
    assert fresh.send(fresh.sign("upload", BODY, credentials)).status == 201
    (entry,) = fresh.get("requests")
    assert entry["access_key_id"] == credentials.access_key
    assert credentials.secret_key not in json.dumps(entry)
    assert credentials.token not in json.dumps(entry)


def test_sessions_of_before_a_reset_are_refused(fresh: RunningSandbox):
    credentials = fresh.session_credentials()
    assert fresh.send(fresh.sign("upload", BODY, credentials)).status == 201
    fresh.reset()
    assert fresh.send(fresh.sign("upload", BODY, credentials)).body == {"message": INVALID_TOKEN}


def test_a_tampered_body_is_refused_and_nothing_is_ingested(fresh: RunningSandbox):
    request = fresh.sign("upload", BODY)
    request.data = BODY.replace(b"1.99", b"0.99")
    answer = fresh.send(request)
    assert answer.status == 403
    assert MISMATCH in answer.body["message"]
    assert answer.headers["x-amzn-ErrorType"] == "InvalidSignatureException"
    assert fresh.get("ingestions") == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"region": "us-east-1"}, "Credential should be scoped to a valid region."),
        ({"service": "s3"}, "Credential should be scoped to correct service: 'execute-api'."),
    ],
)
def test_a_wrong_scope_is_refused(fresh: RunningSandbox, changes: dict[str, str], message: str):
    answer = fresh.send(fresh.sign("upload", BODY, **changes))
    assert (answer.status, answer.body) == (403, {"message": message})


@pytest.mark.parametrize(("minutes", "status"), [(-6, 403), (-4, 201), (4, 201), (6, 403)])
def test_a_date_more_than_five_minutes_off_is_refused(
    fresh: RunningSandbox, monkeypatch: pytest.MonkeyPatch, minutes: int, status: int
):
    shifted = datetime.now(UTC) + timedelta(minutes=minutes)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: shifted)
    answer = fresh.send(fresh.sign("upload", BODY))
    assert answer.status == status
    assert status == 201 or answer.body["message"].startswith("Signature ")


EXPIRED = r"Signature expired: (\d{8}T\d{6}Z) is now earlier than (\d{8}T\d{6}Z) \((\d{8}T\d{6}Z) - 5 min\.\)"
EARLY = r"Signature not yet current: (\d{8}T\d{6}Z) is still later than (\d{8}T\d{6}Z) \((\d{8}T\d{6}Z) \+ 5 min\.\)"


@pytest.mark.parametrize(("offset", "text"), [(840, EXPIRED), (-840, EARLY)])
def test_a_clock_that_is_off_is_told_in_the_gateways_words(fresh: RunningSandbox, offset: int, text: str):
    """From here, it is the service's clock that is 14 minutes off; the stamps and the Date header are all by it."""
    fresh.misbehave(clock_offset=offset)
    answer = fresh.send(fresh.sign("upload", BODY))
    assert (answer.status, answer.headers["x-amzn-ErrorType"]) == (403, "InvalidSignatureException")
    found = re.fullmatch(text, answer.body["message"])
    assert found
    signed, limit, now = (datetime.strptime(each, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) for each in found.groups())
    assert abs(now - limit) == timedelta(minutes=5)
    assert abs((now - signed).total_seconds() - offset) <= 2
    said = parsedate_to_datetime(answer.headers["Date"])
    assert abs((said - now).total_seconds()) <= 2
    assert fresh.get("ingestions") == []


def test_how_far_a_clock_may_be_off_can_be_set(fresh: RunningSandbox):
    fresh.misbehave(clock_offset=840, signature_seconds=900)
    assert fresh.send(fresh.sign("upload", BODY)).status == 201
    fresh.misbehave(signature_seconds=839)
    assert fresh.send(fresh.sign("upload", BODY)).status == 403


def test_sessions_issued_so_far_can_be_ended_whether_they_were_used_or_not(fresh: RunningSandbox):
    used, unused = fresh.session_credentials(), fresh.session_credentials()
    assert fresh.send(fresh.sign("upload", BODY, used)).status == 201
    assert fresh.post("expire_sessions").status == 200
    for credentials in (used, unused):
        answer = fresh.send(fresh.sign("upload", BODY, credentials))
        assert (answer.status, answer.body) == (
            403,
            {"message": "The security token included in the request is expired"},
        )
        assert answer.headers["x-amzn-ErrorType"] == "ExpiredTokenException"
    assert fresh.send(fresh.sign("upload", BODY, fresh.session_credentials())).status == 201


def test_sts_is_down_as_often_as_was_said(fresh: RunningSandbox):
    fresh.misbehave(sts_down=2)
    for _ in range(2):
        with pytest.raises(ClientError, match="ServiceUnavailable"):
            fresh.session_credentials()
        fresh.client("sts").get_caller_identity()
    assert fresh.session_credentials().token
    fresh.misbehave(sts_down=9)
    fresh.reset()
    assert fresh.session_credentials().token


def test_a_session_with_a_wrong_token_or_none_is_refused(fresh: RunningSandbox):
    session = fresh.session_credentials()
    for token in ("wrong", None):
        credentials = Credentials(session.access_key, session.secret_key, token)
        answer = fresh.send(fresh.sign("upload", BODY, credentials))
        assert (answer.status, answer.body) == (403, {"message": INVALID_TOKEN})


@pytest.mark.parametrize("access_key_id", ["AKIANOBODY", "ASIA../../x"])
def test_an_unknown_key_is_refused(fresh: RunningSandbox, access_key_id: str):
    credentials = Credentials(access_key_id, "secret")
    answer = fresh.send(fresh.sign("upload", BODY, credentials))
    assert answer.status == 403
    assert "message" in answer.body


def test_a_wrong_secret_is_refused(fresh: RunningSandbox):
    credentials = Credentials(fresh.environment["AWS_ACCESS_KEY_ID"], "wrong")
    assert MISMATCH in fresh.send(fresh.sign("upload", BODY, credentials)).body["message"]


def test_a_request_without_signature_is_refused(fresh: RunningSandbox):
    request = fresh.sign("upload", BODY)
    del request.headers["Authorization"]
    answer = fresh.send(request)
    assert (answer.status, answer.body) == (403, {"message": "Missing Authentication Token"})


def test_an_amz_header_that_was_added_after_signing_is_refused(fresh: RunningSandbox):
    request = fresh.sign("upload", BODY)
    request.headers["X-Amz-Target"] = "elsewhere"
    assert "not signed: x-amz-target" in fresh.send(request).body["message"]
