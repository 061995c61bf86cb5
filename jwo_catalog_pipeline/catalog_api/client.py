"""The signed Catalog API client: a call is signed, then sent, in two steps, and each try is one HTTP request.

Nothing that changes Amazon's catalog is retried here: every try at sending a batch is recorded in the ledger first, so
the loop belongs to `upload/send/sender.py`. Redirects are never followed: one would carry the token to another host.
"""

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import urllib3
from botocore.exceptions import BotoCoreError, ClientError

from jwo_catalog_pipeline.aws_words import aws_problem
from jwo_catalog_pipeline.catalog_api.errors import (
    CatalogApiError,
    NetworkBlocks,
    NoCredentials,
    NotReached,
    OutcomeUnknown,
    SessionExpired,
    SignatureAged,
    SignatureStale,
    Throttled,
    Withdrawn,
    WrongEndpoint,
)
from jwo_catalog_pipeline.catalog_api.operations import STATUS, UPLOAD, Endpoint
from jwo_catalog_pipeline.catalog_api.rate import CallBudget
from jwo_catalog_pipeline.catalog_api.requests import status_body
from jwo_catalog_pipeline.catalog_api.responses import (
    MAY_BE_INGESTED,
    Accepted,
    IngestionStatus,
    Response,
    raise_for_status,
    read_accepted,
    read_status,
)
from jwo_catalog_pipeline.catalog_api.signing import (
    SIGNATURE_SECONDS,
    CredentialSource,
    SignedCall,
    SigningClock,
    sign,
)
from jwo_catalog_pipeline.errors import ConfigurationError
from jwo_catalog_pipeline.failpoints import effect
from jwo_catalog_pipeline.network import NetworkPool, NotConnected, proxy_for, tls_context
from jwo_catalog_pipeline.network_errors import Kind, explained
from jwo_catalog_pipeline.redaction import hide_credentials

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0  # the gateway itself gives up after 29 s; twice that, so that its answer is seen
_NOTHING_SENT = "nothing was sent"
_CHECKS = "check JWO_API_URL and the network"
_BLOCKED = (Kind.CERTIFICATE, Kind.PROXY_REFUSES)


@dataclass(frozen=True)
class CatalogApi:
    """A retailer's Catalog API: signs with `credentials`, for `region`, within the `budget`.

    Args:
        url: scheme and host as Amazon handed it out; the operation's path is appended.
        region: signing region, configured and never guessed from the host.
        credentials: gives the credentials of the moment, and renews them.
        budget: permission to call, shared by all operations.
        http: the connection pool.
        clock: the time that signatures carry.
    """

    url: str
    region: str
    credentials: CredentialSource
    budget: CallBudget
    http: urllib3.PoolManager
    clock: SigningClock = field(default_factory=SigningClock)

    def __post_init__(self) -> None:
        """Raise `WrongEndpoint` where the url is not one."""
        try:
            parts = urlsplit(self.url)
            usable = parts.scheme in ("https", "http") and parts.hostname and (parts.port or True)
        except ValueError:
            usable = False
        if not usable or re.search(r"[\s@]", self.url):
            raise WrongEndpoint(
                f"JWO_API_URL is {self.url!r}", "it must be scheme and host, such as https://api.example"
            )

    def sign(self, endpoint: Endpoint, body: bytes) -> SignedCall:
        """Sign exactly these bytes with the credentials of this moment; sends nothing to the Catalog API.

        Raises:
            NoCredentials: there are none, or the role cannot be assumed.
        """
        try:
            credentials = self.credentials()
            frozen = credentials.get_frozen_credentials() if credentials else None
        except (BotoCoreError, ClientError) as error:
            problem, remedy = aws_problem(error, "sts:AssumeRole on it", "STS")
            raise NoCredentials(
                f"the role for the Catalog API cannot be used ({problem})",
                "check JWO_API_ROLE_ARN, its trust policy, and the pipeline's own credentials"
                + (f"; {remedy}" if remedy else ""),
                meaning=_NOTHING_SENT,
            ) from None
        if frozen is None:
            raise NoCredentials(
                "no AWS credentials found",
                "set AWS_PROFILE or AWS_ACCESS_KEY_ID, or run under a role",
                meaning=_NOTHING_SENT,
            )
        hide_credentials(frozen)
        return sign(endpoint, self.url.rstrip("/") + endpoint.path, body, frozen, self.region, self.clock)

    def deliver(self, call: SignedCall, seconds: float = SIGNATURE_SECONDS) -> Accepted:
        """Send a signed upload or archive, unless so many seconds have passed since it was signed.

        Raises:
            CatalogApiError: its `outcome` says whether the batch may have been ingested.
        """
        return read_accepted(self._send(call, seconds))

    def status(self, ingestion_id: str) -> IngestionStatus:
        """Ask how far an ingestion is, and for a fresh link to its report.

        Raises:
            CatalogApiError: an unknown or foreign id is `RequestRefused`.
        """
        body = status_body(ingestion_id)
        try:
            return read_status(self._send(self.sign(STATUS, body)))
        except (SignatureStale, SessionExpired) as error:
            if not error.retryable:
                raise
        return read_status(self._send(self.sign(STATUS, body)))

    def check_ready(self) -> None:
        """Raise `NoCredentials` where a call could not even be signed; sends nothing to the Catalog API."""
        self.sign(UPLOAD, b"")

    def _send(self, call: SignedCall, seconds: float = SIGNATURE_SECONDS) -> Response:
        self.budget.take()
        if call.withdrawn():
            raise Withdrawn("the call was withdrawn before it was made", meaning=_NOTHING_SENT)
        if not 0 <= (self.clock.now() - call.signed_at).total_seconds() < seconds:
            raise SignatureAged(
                f"the call was held up for more than {seconds:.0f} s after it was signed", meaning=_NOTHING_SENT
            )
        with effect(f"api: {call.endpoint.name}"):
            response = self._exchange(call)
        try:
            self._learn_from(response, call)
        except Throttled:
            self.budget.slow_down()
            raise
        return response

    def _exchange(self, call: SignedCall) -> Response:
        host = urlsplit(self.url).netloc
        try:
            response = self.http.request(
                "POST", call.url, body=call.body, headers=call.headers, redirect=False, retries=False
            )
        except ConfigurationError as error:
            raise NetworkBlocks(error.problem, error.remedy, meaning=_NOTHING_SENT) from None
        except NOT_CONNECTED as error:
            raise self._not_connected(error, host) from None
        except ValueError as error:
            if isinstance(error, urllib3.exceptions.HTTPError):
                raise WrongEndpoint(
                    f"the Catalog API's host {host!r} is not a host name", "check JWO_API_URL"
                ) from None
            # http.client's own words would quote the session token.
            raise NoCredentials(
                "the credentials hold a character that no header can carry",
                "set the AWS credentials again",
                meaning=_NOTHING_SENT,
            ) from None
        except urllib3.exceptions.HTTPError as error:
            raise OutcomeUnknown(
                f"no answer from the Catalog API at {host} ({type(error).__name__})", meaning=MAY_BE_INGESTED
            ) from None
        return Response(response.status, {k.lower(): v for k, v in response.headers.items()}, response.data)

    def _not_connected(self, error: urllib3.exceptions.HTTPError, host: str) -> CatalogApiError:
        trouble = explained(error, host, proxy_for(self.url), _CHECKS)
        if trouble and trouble.kind in _BLOCKED:
            return NetworkBlocks(trouble.problem, trouble.remedy, meaning=_NOTHING_SENT)
        if trouble and trouble.kind is Kind.NOT_TLS:
            return WrongEndpoint(trouble.problem, trouble.remedy, meaning=_NOTHING_SENT)
        why = trouble.problem if trouble else type(error).__name__
        remedy = trouble.remedy if trouble else _CHECKS
        return NotReached(f"cannot connect to the Catalog API at {host} ({why})", remedy, meaning=_NOTHING_SENT)

    def _learn_from(self, response: Response, call: SignedCall) -> None:
        """Raise a refused signature or session, retryable where the next signature will be a better one."""
        try:
            raise_for_status(response)
        except SignatureStale as error:
            error.retryable = self.clock.learn(response.headers.get("date"), call.offset)
            raise
        except SessionExpired as error:
            self.credentials.renew()
            error.retryable = self.sign(call.endpoint, b"").access_key != call.access_key
            raise


# Of `http_pool`, and of a plain pool, of which the last two do not distinguish a handshake from what follows.
NOT_CONNECTED = (NotConnected, urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)


def http_pool(timeout: urllib3.Timeout | None = None) -> urllib3.PoolManager:
    """Connections with both time-outs set, through the proxy of the environment; kept alive between calls.

    Raises:
        ConfigurationError: the CA certificates that the environment names cannot be read.
    """
    tls_context()  # before anything is recorded
    return NetworkPool(timeout or urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS))
