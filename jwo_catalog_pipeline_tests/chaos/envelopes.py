"""SNS envelopes as Amazon would send them, signed with a key and a certificate made here.

The signed text is written out as the SNS developer guide lists it, apart from the code that verifies it.
"""

import base64
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

REGIONS = {
    "aws": (
        *("us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "ca-west-1", "mx-central-1", "sa-east-1"),
        *("eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2"),
        *("eu-west-3", "il-central-1", "me-central-1", "me-south-1", "af-south-1", "ap-east-1", "ap-east-2"),
        *("ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2", "ap-southeast-1"),
        *("ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5", "ap-southeast-7"),
    ),
    "aws-cn": ("cn-north-1", "cn-northwest-1"),
    "aws-us-gov": ("us-gov-east-1", "us-gov-west-1"),
}
CERTIFICATE = "/SimpleNotificationService-" + "0a" * 16 + ".pem"


@cache
def key() -> rsa.RSAPrivateKey:
    """The key that stands for Amazon's."""
    return rsa.generate_private_key(65537, 2048)


@cache
def another_key() -> rsa.RSAPrivateKey:
    """A forger's."""
    return rsa.generate_private_key(65537, 2048)


def certificate(
    start: timedelta = -timedelta(days=1),
    days: int = 2,
    names: tuple[str, ...] = ("sns.amazonaws.com",),
    of: rsa.RSAPrivateKey | None = None,
) -> bytes:
    """A certificate of `key`, in PEM, signed by itself."""
    private = of or key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now + start).not_valid_after(now + start + timedelta(days=days))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), False)
    return builder.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def private_pem() -> bytes:
    """The key of `certificate`, in PEM."""
    return key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def topic_arn(region: str, partition: str = "aws", account: str = "123456789012", name: str = "jwo") -> str:
    return f"arn:{partition}:sns:{region}:{account}:{name}"


def certificate_url_of(topic: str) -> str:
    """Where SNS keeps the certificate for a topic."""
    _, partition, _, region, *_ = topic.split(":")
    return f"https://sns.{region}.amazonaws.com{'.cn' if partition == 'aws-cn' else ''}{CERTIFICATE}"


def signed(envelope: dict[str, Any], private: rsa.RSAPrivateKey | None = None) -> dict[str, Any]:
    """The envelope with its `Signature`."""
    if envelope["Type"] == "Notification":
        names = [
            "Message",
            "MessageId",
            *(["Subject"] if "Subject" in envelope else []),
            "Timestamp",
            "TopicArn",
            "Type",
        ]
    else:
        names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{envelope[name]}\n" for name in names).encode()
    algorithm = hashes.SHA1() if envelope["SignatureVersion"] == "1" else hashes.SHA256()
    signature = (private or key()).sign(text, padding.PKCS1v15(), algorithm)
    return {**envelope, "Signature": base64.b64encode(signature).decode()}


def notification(message: object, topic: str, version: str = "2", **changes: Any) -> dict[str, Any]:
    """A signed notification; a message that is no text is written as JSON."""
    envelope = {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": topic,
        "Message": message if isinstance(message, str) else json.dumps(message),
        "Timestamp": "2026-11-23T19:07:00.000Z",
        "SignatureVersion": version,
        "SigningCertURL": certificate_url_of(topic),
        "UnsubscribeURL": "https://sns.amazonaws.com/?Action=Unsubscribe",
        **changes,
    }
    return signed(envelope)


def confirmation(topic: str, version: str = "2", **changes: Any) -> dict[str, Any]:
    """A signed request to confirm a subscription."""
    token = {"Token": "t" * 256, "SubscribeURL": "https://127.0.0.1:9/never-fetched?Action=ConfirmSubscription"}
    message = "You have chosen to subscribe to the topic.\nTo confirm, visit the SubscribeURL."
    return notification(message, topic, version, **{"Type": "SubscriptionConfirmation", **token, **changes})
