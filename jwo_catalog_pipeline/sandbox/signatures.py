"""AWS Signature Version 4 on the server's side, from AWS's published algorithm and nothing but the standard library.

It must not use botocore: it is there to find out whether botocore was used rightly.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote

ALGORITHM = "AWS4-HMAC-SHA256"
STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Credentials:
    """What a caller signs with; a session token and its end only if STS issued it."""

    secret_access_key: str
    session_token: str | None = None
    expiration: datetime | None = None


@dataclass(frozen=True)
class Request:
    """A request exactly as it arrived. `target` is path and query as on the wire, still encoded."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes


class SignatureRefusedError(Exception):
    """The request does not prove who sent it; the text is what AWS's gateway would answer."""

    def __init__(self, error_type: str, message: str):
        super().__init__(message)
        self.error_type = error_type


@dataclass(frozen=True)
class _Authorization:
    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: list[str]
    signature: str


def verify(
    request: Request,
    *,
    region: str,
    service: str,
    now: datetime,
    skew: timedelta,
    find_credentials: Callable[[str], Credentials | None],
) -> str:
    """Check a signature.

    Args:
        request: the request as it arrived.
        region: the only signing region that is right.
        service: the only service name that is right.
        now: time to judge dates by.
        skew: how far the request's date may be from it.
        find_credentials: gives the secret for an access key id, or None.

    Returns:
        The access key id that signed.

    Raises:
        SignatureRefusedError: anything about the signature is not right.
    """
    headers = _canonical_headers(request.headers)
    authorization = _parse(headers.get("authorization"))
    timestamp = _check_scope(authorization, headers, region, service)
    _check_date(timestamp, now, skew)
    _check_signed(authorization, headers)
    credentials = find_credentials(authorization.access_key_id)
    _check_token(credentials, headers.get("x-amz-security-token"), now)
    assert credentials is not None  # noqa: S101 for mypy: _check_token has seen to it
    scope = f"{authorization.date}/{region}/{service}/aws4_request"
    canonical = _canonical_request(request, headers, authorization.signed_headers)
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in (authorization.date, region, service, "aws4_request"):
        key = _hmac(key, part)
    expected = _hmac(key, f"{ALGORITHM}\n{timestamp}\n{scope}\n{digest}").hex()
    if not hmac.compare_digest(expected, authorization.signature):
        raise SignatureRefusedError(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS "
            "Secret Access Key and signing method. Consult the service documentation for details.",
        )
    return authorization.access_key_id


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _canonical_headers(headers: list[tuple[str, str]]) -> dict[str, str]:
    """Names in lower case, values trimmed and with single spaces, repeated ones joined by commas."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(re.sub(" +", " ", value.strip()))
    return {name: ",".join(values) for name, values in found.items()}


def _parse(header: str | None) -> _Authorization:
    if not header:
        raise SignatureRefusedError("MissingAuthenticationTokenException", "Missing Authentication Token")
    algorithm, _, rest = header.partition(" ")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    scope = parts.get("Credential", "").split("/")
    if algorithm != ALGORITHM or len(scope) != 5 or not parts.get("SignedHeaders") or not parts.get("Signature"):
        raise SignatureRefusedError(
            "IncompleteSignatureException",
            "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters.",
        )
    access_key_id, date, region, service, _ = scope
    names = parts["SignedHeaders"].split(";")
    return _Authorization(access_key_id, date, region, service, names, parts["Signature"])


def _check_scope(authorization: _Authorization, headers: dict[str, str], region: str, service: str) -> str:
    """Check region, service and day; gives the request's timestamp."""
    if authorization.region != region:
        raise SignatureRefusedError("InvalidSignatureException", "Credential should be scoped to a valid region.")
    if authorization.service != service:
        message = f"Credential should be scoped to correct service: '{service}'."
        raise SignatureRefusedError("InvalidSignatureException", message)
    timestamp = headers.get("x-amz-date", "")
    try:
        datetime.strptime(timestamp, STAMP)
    except ValueError:
        message = "Authorization header requires existence of a valid 'X-Amz-Date' header."
        raise SignatureRefusedError("IncompleteSignatureException", message) from None
    if authorization.date != timestamp[:8]:
        message = "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP."
        raise SignatureRefusedError("InvalidSignatureException", message)
    return timestamp


def _check_date(timestamp: str, now: datetime, skew: timedelta) -> None:
    """Refuse a date that is too far from the service's clock, in API Gateway's words."""
    signed_at = datetime.strptime(timestamp, STAMP).replace(tzinfo=UTC)
    if abs(now - signed_at) <= skew:
        return
    early = signed_at < now
    verdict = "expired" if early else "not yet current"
    compared = "is now earlier than" if early else "is still later than"
    limit = now - skew if early else now + skew
    allowed = f"{now:{STAMP}} {'-' if early else '+'} {skew.total_seconds() / 60:g} min."
    text = f"Signature {verdict}: {timestamp} {compared} {limit:{STAMP}} ({allowed})"
    raise SignatureRefusedError("InvalidSignatureException", text)


def _check_signed(authorization: _Authorization, headers: dict[str, str]) -> None:
    """The host and every x-amz header must be signed."""
    must = {"host"} | {name for name in headers if name.startswith("x-amz-")}
    unsigned = sorted(must - set(authorization.signed_headers))
    if unsigned:
        message = f"There were headers present in the request which were not signed: {', '.join(unsigned)}"
        raise SignatureRefusedError("AccessDeniedException", message)


def _check_token(credentials: Credentials | None, token: str | None, now: datetime) -> None:
    if credentials is None or credentials.session_token != token:
        message = "The security token included in the request is invalid."
        raise SignatureRefusedError("UnrecognizedClientException", message)
    if credentials.expiration is not None and credentials.expiration <= now:
        message = "The security token included in the request is expired"
        raise SignatureRefusedError("ExpiredTokenException", message)


def _canonical_request(request: Request, headers: dict[str, str], signed: list[str]) -> str:
    path, _, query = request.target.partition("?")
    payload_hash = hashlib.sha256(request.body).hexdigest()
    lines = [
        request.method,
        quote(path or "/", safe="/-_.~"),  # encoded once on the wire, and once more for every service but S3
        _canonical_query(query),
        *(f"{name}:{headers.get(name, '')}" for name in sorted(signed)),
        "",
        ";".join(sorted(signed)),
        payload_hash,
    ]
    return "\n".join(lines)


def _canonical_query(query: str) -> str:
    pairs = (part.partition("=")[::2] for part in query.split("&") if part)
    encoded = sorted((quote(unquote(k), safe="-_.~"), quote(unquote(v), safe="-_.~")) for k, v in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)
