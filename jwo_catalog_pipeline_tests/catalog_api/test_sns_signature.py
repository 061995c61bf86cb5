"""SNS signatures, made here with a key and certificate of our own and verified as Amazon's would be."""

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from jwo_catalog_pipeline.catalog_api.notification import CertificateUnavailable, InvalidSignature
from jwo_catalog_pipeline.catalog_api.sns_signature import TOPIC_ARN, SnsVerifier
from jwo_catalog_pipeline_tests.chaos.envelopes import (
    another_key,
    certificate,
    certificate_url_of,
    notification,
    signed,
    topic_arn,
)
from jwo_catalog_pipeline_tests.chaos.hostile import genuine_envelopes, tampered_envelopes
from jwo_catalog_pipeline_tests.chaos.urls import HOSTILE_CERTIFICATE_URLS, TOPIC

URL = certificate_url_of(TOPIC)


def refused(envelope: dict[str, Any], fetch: Callable[[str], bytes]) -> str:
    with pytest.raises(InvalidSignature) as raised:
        SnsVerifier(fetch)(envelope)
    return str(raised.value)


def test_genuine_messages_of_every_region_version_and_type_are_believed() -> None:
    fetched = []

    def fetch(url: str) -> bytes:
        fetched.append(url)
        return certificate()

    verify, envelopes = SnsVerifier(fetch), genuine_envelopes()
    for envelope in envelopes:
        verify(envelope)
    assert set(fetched) == {each["SigningCertURL"] for each in envelopes}


def test_a_certificate_is_fetched_once_and_only_the_last_few_are_kept() -> None:
    fetched = []

    def fetch(url: str) -> bytes:
        fetched.append(url)
        return certificate()

    verify = SnsVerifier(fetch)
    others = [URL.replace("0a" * 16, f"{i:032x}") for i in range(9)]
    for url in (URL, URL, *others[:7], URL, *others[7:], URL):
        verify(notification("{}", TOPIC, SigningCertURL=url))
    assert fetched == [URL, *others]
    verify(notification("{}", TOPIC, SigningCertURL=others[0]))
    assert fetched == [URL, *others, others[0]]


def test_no_changed_message_is_believed() -> None:
    believed = []
    verify = SnsVerifier(lambda _: certificate())
    for what, envelope in tampered_envelopes():
        try:
            verify(envelope)
            believed.append(what)
        except InvalidSignature:
            continue
    assert believed == []


def test_a_certificate_is_fetched_from_sns_in_the_topics_region_only() -> None:
    def fetch(url: str) -> bytes:
        raise AssertionError(f"fetched {url[:200]!r}")

    for url in HOSTILE_CERTIFICATE_URLS:
        assert "certificate's URL" in refused({**notification("{}", TOPIC), "SigningCertURL": url}, fetch)


@pytest.mark.parametrize(
    "arn",
    [
        topic_arn("cn-north-1"),
        topic_arn("us-gov-west-1"),
        topic_arn("us-iso-east-1"),
        topic_arn("us-east-1", "aws-cn"),
        topic_arn("us-east-1", "aws-us-gov"),
        topic_arn("us-east-1", "aws-evil"),
        topic_arn("us-east-\u0661"),
        topic_arn("us-east-1", account="12345678901\u0662"),
        topic_arn("us-east-1", account="1234567890123"),
        topic_arn("us-east-1", name=""),
        topic_arn("us-east-1", name="a.b"),
        topic_arn("us-east-1", name="jwo\n"),
        topic_arn("us-east-1", name="jwo:sub"),
        topic_arn("us-east-1") + "\n",
        topic_arn("us-east-1").upper(),
    ],
)
def test_a_topic_whose_partition_and_region_do_not_belong_together_is_none(arn: str) -> None:
    assert not TOPIC_ARN.fullmatch(arn)
    region = arn.split(":")[3]
    for domain in ("amazonaws.com", "amazonaws.com.cn"):
        url = URL.replace("us-east-1", region).replace("amazonaws.com", domain)
        envelope = notification("{}", arn, SigningCertURL=url)
        assert "certificate's URL" in refused(envelope, lambda _: certificate())


def test_a_certificate_that_is_out_of_date_unreadable_or_weak_proves_nothing() -> None:
    envelope = notification("{}", TOPIC)
    assert "not valid today" in refused(envelope, lambda _: certificate(start=-timedelta(days=9)))
    assert "not valid today" in refused(envelope, lambda _: certificate(start=timedelta(days=1)))
    assert "cannot be read" in refused(envelope, lambda _: b"<html>")
    weak = rsa.generate_private_key(65537, 1024)
    assert "RSA key" in refused(signed(envelope, weak), lambda _: certificate(of=weak))


def test_a_message_signed_with_another_key_is_not_believed() -> None:
    assert "does not match" in refused(signed(notification("{}", TOPIC), another_key()), lambda _: certificate())


def test_unknown_versions_types_and_garbled_signatures_are_refused() -> None:
    envelope = notification("{}", TOPIC)
    assert "SignatureVersion" in refused({**envelope, "SignatureVersion": "3"}, lambda _: certificate())
    assert "of this type" in refused({**envelope, "Type": "Other"}, lambda _: certificate())
    assert "does not match" in refused({**envelope, "Signature": "%%%"}, lambda _: certificate())
    assert "does not match" in refused({**envelope, "Signature": "\u00e9"}, lambda _: certificate())
    assert "does not match" in refused({**envelope, "Message": "\ud83d"}, lambda _: certificate())
    assert base64.b64decode(envelope["Signature"])


def test_a_deep_value_in_the_place_of_a_text_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(900):
        deep = [deep]
    for name in ("Type", "SignatureVersion", "SigningCertURL", "TopicArn", "Signature", "Message"):
        refused({**notification("{}", TOPIC), name: deep}, lambda _: certificate())


def test_after_a_failure_a_certificate_is_not_fetched_again_at_once() -> None:
    """Every message of a tick would wait for it again; what is known already is still verified."""
    now, fetched = [0.0], []

    def fetch(url: str) -> bytes:
        fetched.append(url)
        if len(fetched) == 2:
            raise CertificateUnavailable("no route")
        return certificate()

    verify, other = SnsVerifier(fetch, lambda: now[0]), URL.replace("0a" * 16, "0b" * 16)
    verify(notification("{}", TOPIC))
    for _ in range(2):
        with pytest.raises(CertificateUnavailable):
            verify(notification("{}", TOPIC, SigningCertURL=other))
    verify(notification("{}", TOPIC))
    assert fetched == [URL, other]
    now[0] += 31
    verify(notification("{}", TOPIC, SigningCertURL=other))
