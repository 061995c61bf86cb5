"""SNS signatures, made here with a key and certificate of our own and verified as Amazon's would be."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from jwo_catalog_pipeline.catalog_api.notification import CertificateUnavailable, InvalidSignature
from jwo_catalog_pipeline.catalog_api.sns_signature import SnsVerifier, fetch_certificate

TOPIC = "arn:aws:sns:us-east-1:123456789012:jwo"
URL = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-" + "0a" * 16 + ".pem"


@cache
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def certificate(start: timedelta = -timedelta(days=1)) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key().public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now + start).not_valid_after(now + start + timedelta(days=2))
    return builder.sign(key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def signed(version: str = "2", subject: str | None = None) -> dict[str, str]:
    """A notification, signed as the SNS developer guide describes: the text is written out here by hand."""
    envelope = {
        "Type": "Notification",
        "MessageId": "m-1",
        "TopicArn": TOPIC,
        "Message": '{"ingestionId": "ü"}',
        "Timestamp": "2026-11-23T19:07:00.000Z",
        "SignatureVersion": version,
        "SigningCertURL": URL,
    }
    text = f"Message\n{envelope['Message']}\nMessageId\nm-1\n"
    if subject:
        envelope["Subject"] = subject
        text += f"Subject\n{subject}\n"
    text += f"Timestamp\n2026-11-23T19:07:00.000Z\nTopicArn\n{TOPIC}\nType\nNotification\n"
    algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
    envelope["Signature"] = base64.b64encode(key().sign(text.encode(), padding.PKCS1v15(), algorithm)).decode()
    return envelope


def refused(envelope: dict[str, str], fetch: Callable[[str], bytes]) -> str:
    with pytest.raises(InvalidSignature) as raised:
        SnsVerifier(fetch)(envelope)
    return str(raised.value)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "Catalog"])
def test_a_genuine_message_is_believed_and_its_certificate_fetched_once(version: str, subject: str | None) -> None:
    fetched = []

    def fetch(url: str) -> bytes:
        fetched.append(url)
        return certificate()

    verify = SnsVerifier(fetch)
    verify(signed(version, subject))
    verify(signed(version, subject))
    assert fetched == [URL]


@pytest.mark.parametrize("field", ["Message", "MessageId", "Timestamp"])
def test_a_changed_message_is_not_believed(field: str) -> None:
    assert "does not match" in refused({**signed(), field: "changed"}, lambda _: certificate())


@pytest.mark.parametrize(
    "url",
    [
        URL.replace("https", "http"),
        URL.replace("us-east-1", "eu-west-1"),
        URL.replace("amazonaws.com", "amazonaws.com.evil.example"),
        URL.replace("https://", "https://evil.example/"),
        URL.replace("https://", "https://user@"),
        URL + "?x=1",
        URL + "#x",
        URL + "\n",
        URL.replace("/Simple", "/a/../Simple"),
        URL.replace("sns.", "sns.us-east-1.s3."),
        URL.replace("sns.us-east-1", "sns\u3002us-east-1"),
        "",
        "None",
    ],
)
def test_a_certificate_is_fetched_from_sns_in_the_topics_region_only(url: str) -> None:
    def fetch(_: str) -> bytes:
        raise AssertionError("fetched")

    assert "certificate's URL" in refused({**signed(), "SigningCertURL": url}, fetch)


def test_a_certificate_that_is_out_of_date_or_unreadable_proves_nothing() -> None:
    assert "not valid today" in refused(signed(), lambda _: certificate(start=-timedelta(days=9)))
    assert "not valid today" in refused(signed(), lambda _: certificate(start=timedelta(days=1)))
    assert "cannot be read" in refused(signed(), lambda _: b"<html>")


def test_unknown_versions_types_and_garbled_signatures_are_refused() -> None:
    assert "SignatureVersion" in refused({**signed(), "SignatureVersion": "3"}, lambda _: certificate())
    assert "of this type" in refused({**signed(), "Type": "Other"}, lambda _: certificate())
    assert "does not match" in refused({**signed(), "Signature": "%%%"}, lambda _: certificate())


def test_a_certificate_that_cannot_be_had_is_no_wrong_signature() -> None:
    fetch = fetch_certificate(urllib3.PoolManager(timeout=1))
    with pytest.raises(CertificateUnavailable):
        fetch("http://127.0.0.1:9/x.pem")


@pytest.mark.parametrize(("name", "value"), [("Signature", "é"), ("Message", "\ud83d")])
def test_text_that_cannot_have_been_signed_is_refused(name: str, value: str) -> None:
    assert refused({**signed(), name: value}, lambda _: certificate()) == "it does not match the message"
