"""Whether an SNS envelope was really signed by Amazon SNS in the topic's region.

Follows "Verifying the signatures of Amazon SNS messages" (SNS developer guide). The certificate's URL must match one
strict pattern, and its region the topic's: a loose check would let anyone name a certificate of their own.
"""

import base64
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import urllib3
from cryptography import x509
from cryptography.exceptions import InvalidSignature as WrongSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from jwo_catalog_pipeline.catalog_api.notification import CertificateUnavailable, InvalidSignature

_CERTIFICATE_URL = re.compile(
    r"https://sns\.(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com(?:\.cn)?/SimpleNotificationService-[0-9a-f]{32}\.pem"
)
TOPIC_ARN = re.compile(r"arn:aws[a-z-]*:sns:(?P<region>[a-z0-9-]+):\d{12}:[\w.-]+")
_HASHES: dict[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303 (SNS version 1)
_SIGNED_KEYS = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (
        "Message",
        "MessageId",
        "SubscribeURL",
        "Timestamp",
        "Token",
        "TopicArn",
        "Type",
    ),
}
_CERTIFICATE_MAX_BYTES = 20_000  # the real ones take about 2 kB


class SnsVerifier:
    """Verifies envelopes; certificates are fetched once and kept."""

    def __init__(self, fetch: Callable[[str], bytes]) -> None:
        self._fetch = fetch
        self._certificates: dict[str, x509.Certificate] = {}

    def __call__(self, envelope: Mapping[str, Any]) -> None:
        """Raise `InvalidSignature` unless the envelope is genuine, `CertificateUnavailable` where that is unknown."""
        algorithm = _HASHES.get(str(envelope.get("SignatureVersion")))
        if algorithm is None:
            raise InvalidSignature("unknown SignatureVersion")
        url = str(envelope.get("SigningCertURL"))
        found = _CERTIFICATE_URL.fullmatch(url)
        topic = TOPIC_ARN.fullmatch(str(envelope.get("TopicArn")))
        if not found or not topic or found["region"] != topic["region"]:
            raise InvalidSignature("the certificate's URL is not that of SNS in the topic's region")
        key = self._certificate(url).public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise InvalidSignature("the certificate holds no RSA key")
        try:
            signature = base64.b64decode(str(envelope.get("Signature")), validate=True)
            key.verify(signature, _signed_text(envelope), padding.PKCS1v15(), algorithm)
        except (ValueError, WrongSignature):  # no base64, or text that UTF-8 cannot write
            raise InvalidSignature("it does not match the message") from None

    def _certificate(self, url: str) -> x509.Certificate:
        if url not in self._certificates:
            try:
                self._certificates[url] = x509.load_pem_x509_certificate(self._fetch(url))
            except ValueError:
                raise InvalidSignature("the certificate cannot be read") from None
        certificate = self._certificates[url]
        if not certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc:
            raise InvalidSignature("the certificate is not valid today")
        return certificate


def _signed_text(envelope: Mapping[str, Any]) -> bytes:
    """The text that SNS signs: names and values, a line each, in this order; an absent Subject is left out."""
    keys = _SIGNED_KEYS.get(str(envelope.get("Type")))
    if keys is None:
        raise InvalidSignature("SNS signs no message of this type for a queue")
    return "".join(f"{key}\n{envelope[key]}\n" for key in keys if envelope.get(key) is not None).encode()


def fetch_certificate(http: urllib3.PoolManager) -> Callable[[str], bytes]:
    """A fetcher over https without redirects; the caller has checked the URL."""

    def fetch(url: str) -> bytes:
        try:
            response = http.request("GET", url, redirect=False, retries=False, preload_content=False)
            content = response.read(_CERTIFICATE_MAX_BYTES)
            response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise CertificateUnavailable(f"the certificate cannot be fetched ({type(error).__name__})") from None
        if response.status != 200:
            raise CertificateUnavailable(f"the certificate's host answered {response.status}")
        return content

    return fetch
