"""Whether an SNS envelope was really signed by Amazon SNS in the topic's region.

Follows "Verifying the signatures of Amazon SNS messages" (SNS developer guide). The certificate's URL must match one
strict pattern, made from the topic's region: a loose check would let anyone name a certificate of their own.
"""

import base64
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature as WrongSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from jwo_catalog_pipeline.catalog_api.links import NotAllowed, parse_link
from jwo_catalog_pipeline.catalog_api.notification import CertificateUnavailable, InvalidSignature
from jwo_catalog_pipeline.catalog_api.safe_http import NotFetched, SafeHttp
from jwo_catalog_pipeline.errors import ConfigurationError

# Each partition's regions, and the domain that its services are in (botocore's partitions.json). Partitions that are
# closed off or of which nothing is known in connection with stores (iso, eusc) are left out.
_PARTITIONS = {
    "aws": (r"(?!cn-|us-iso)[a-z]{2}-[a-z]{2,12}-[1-9]", "amazonaws.com"),
    "aws-cn": (r"cn-[a-z]{2,12}-[1-9]", "amazonaws.com.cn"),
    "aws-us-gov": (r"us-gov-[a-z]{2,12}-[1-9]", "amazonaws.com"),
}
_REGIONS = "|".join(f"{partition}:sns:{region}" for partition, (region, _) in _PARTITIONS.items())
TOPIC_ARN = re.compile(rf"arn:(?:{_REGIONS}):[0-9]{{12}}:[A-Za-z0-9_-]{{1,256}}(?:\.fifo)?")
_CERTIFICATE_PATH = r"/SimpleNotificationService-[0-9a-f]{32}\.pem"
_HASHES: dict[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303 (SNS version 1)
_SIGNED_KEYS = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_MAY_BE_ABSENT, _MAY_HAVE_LINES = "Subject", "Message"
_CERTIFICATE_MAX_BYTES = 20_000  # the real ones take about 2 kB
_CERTIFICATE_SECONDS = 5.0  # several within a tick of 60 s
_CERTIFICATES_KEPT = 8  # SNS has one a region, and another while it changes them
_UNREACHABLE_SECONDS = 30.0  # after a failure, for so long: a tick must not wait again for each message
_KEY_BITS = 2048


class SnsVerifier:
    """Verifies envelopes; the certificates used last are kept."""

    def __init__(self, fetch: Callable[[str], bytes], clock: Callable[[], float] = monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._certificates: OrderedDict[str, x509.Certificate] = OrderedDict()
        self._unreachable_until = -float("inf")
        self._unreachable = CertificateUnavailable("")

    def __call__(self, envelope: Mapping[str, Any]) -> None:
        """Raise `InvalidSignature` unless the envelope is genuine, `CertificateUnavailable` where that is unknown."""
        algorithm = _HASHES.get(_text(envelope, "SignatureVersion"))
        if algorithm is None:
            raise InvalidSignature("unknown SignatureVersion")
        url, topic = _text(envelope, "SigningCertURL"), _text(envelope, "TopicArn")
        if not certificate_url(topic).fullmatch(url):
            raise InvalidSignature("the certificate's URL is not that of SNS in the topic's region")
        text = _signed_text(envelope)
        key = self._certificate(url).public_key()
        if not isinstance(key, rsa.RSAPublicKey) or key.key_size < _KEY_BITS:
            raise InvalidSignature(f"the certificate holds no RSA key of {_KEY_BITS} bits")
        try:
            signature = base64.b64decode(_text(envelope, "Signature"), validate=True)
            key.verify(signature, text, padding.PKCS1v15(), algorithm)
        except (ValueError, WrongSignature):  # no base64
            raise InvalidSignature("it does not match the message") from None

    def _certificate(self, url: str) -> x509.Certificate:
        if url not in self._certificates:
            self._certificates[url] = self._fetched(url)
            if len(self._certificates) > _CERTIFICATES_KEPT:
                self._certificates.popitem(last=False)
        self._certificates.move_to_end(url)
        certificate = self._certificates[url]
        if not certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc:
            raise InvalidSignature("the certificate is not valid today")
        return certificate

    def _fetched(self, url: str) -> x509.Certificate:
        if self._clock() < self._unreachable_until:
            raise self._unreachable
        try:
            return x509.load_pem_x509_certificate(self._fetch(url))
        except ValueError:
            raise InvalidSignature("the certificate cannot be read") from None
        except CertificateUnavailable as error:
            self._unreachable = error
            self._unreachable_until = self._clock() + _UNREACHABLE_SECONDS
            raise


def certificate_url(topic_arn: str) -> re.Pattern[str]:
    """The one pattern of the URLs of certificates for a topic; it matches nothing where the topic is none."""
    if not TOPIC_ARN.fullmatch(topic_arn):
        return re.compile(r"(?!)")
    _, partition, _, region, *_ = topic_arn.split(":")
    return re.compile(re.escape(f"https://sns.{region}.{_PARTITIONS[partition][1]}") + _CERTIFICATE_PATH)


def _signed_text(envelope: Mapping[str, Any]) -> bytes:
    """The text that SNS signs: names and values, a line each, in this order; an absent Subject is left out.

    Only the Message may have lines of its own: otherwise a line could be moved from one value to the next, and the
    signature would still match.
    """
    keys = _SIGNED_KEYS.get(_text(envelope, "Type"))
    if keys is None:
        raise InvalidSignature("SNS signs no message of this type for a queue")
    lines = []
    for key in keys:
        value = envelope.get(key)
        if value is None and key == _MAY_BE_ABSENT:
            continue
        if not isinstance(value, str) or ("\n" in value and key != _MAY_HAVE_LINES):
            raise InvalidSignature(f"{key} is not what SNS signs")
        lines.append(f"{key}\n{value}\n")
    try:
        return "".join(lines).encode()
    except UnicodeEncodeError:
        raise InvalidSignature("it does not match the message") from None


def _text(envelope: Mapping[str, Any], key: str) -> str:
    value = envelope.get(key)
    return value if isinstance(value, str) else ""


def fetch_certificate(http: SafeHttp | None = None) -> Callable[[str], bytes]:
    """A fetcher of certificates; the caller has checked the URL.

    It raises `InvalidSignature` where the host says that there is no such certificate, and `CertificateUnavailable`
    where nothing is known.
    """
    checked = http or SafeHttp(_CERTIFICATE_SECONDS)

    def fetch(url: str) -> bytes:
        try:
            # A VPC with an interface endpoint for SNS answers with private addresses; TLS proves the name in any case.
            answer = checked.get(parse_link(url), _CERTIFICATE_MAX_BYTES, private_allowed=lambda: True)
        except NotAllowed as error:
            raise InvalidSignature(f"the certificate is not fetched: {error}") from None
        except NotFetched as error:
            raise CertificateUnavailable(f"the certificate cannot be fetched: {error}", error.remedy) from None
        except ConfigurationError as error:  # once it is fixed, the certificate can be fetched
            raise CertificateUnavailable(f"the certificate cannot be fetched: {error.problem}", error.remedy) from None
        if answer.status == 429 or answer.status >= 500:
            raise CertificateUnavailable(f"the certificate's host answered {answer.status}")
        if answer.status != 200:
            raise InvalidSignature(f"the certificate's host answered {answer.status}")
        return answer.content

    return fetch
