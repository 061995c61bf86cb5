"""The signed Catalog API client: one method per operation, one HTTP request per call.

Nothing is retried here: every try at sending a batch is recorded in the ledger first, so the loop belongs to
`upload/sending.py`. Redirects are never followed, for a redirect would carry the session token to another host.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import (
    Credentials,
    DeferredRefreshableCredentials,
    create_assume_role_refresher,
)
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from jwo_catalog_pipeline.catalog_api.answers import (
    Accepted,
    Answer,
    IngestionStatus,
    read_accepted,
    read_status,
)
from jwo_catalog_pipeline.catalog_api.errors import NoCredentials, NotReached, OutcomeUnknown, WrongEndpoint
from jwo_catalog_pipeline.catalog_api.rate import CallBudget
from jwo_catalog_pipeline.catalog_api.requests import status_body

SERVICE = "execute-api"
UPLOAD_PATH = "/v1/catalog/upload"
ARCHIVE_PATH = "/v1/catalog/archive"
STATUS_PATH = "/v1/catalog/getCatalogUploadStatus"

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0  # the gateway itself gives up after 29 s; twice that, so that its answer is seen
KEPT_CONNECTIONS = 10  # as many as there may be calls in a second


@dataclass(frozen=True)
class CatalogApi:
    """A retailer's Catalog API: signs with `credentials`, for `region`, within the `budget`.

    Args:
        url: scheme and host as Amazon handed it out; the operation's path is appended.
        region: signing region, configured and never guessed from the host.
        credentials: gives the credentials of the moment, or None where there are none.
        budget: permission to call, shared by all operations.
        http: the connection pool.
    """

    url: str
    region: str
    credentials: Callable[[], Credentials | None]
    budget: CallBudget
    http: urllib3.PoolManager

    def __post_init__(self) -> None:
        """Raise `WrongEndpoint` where the url is none."""
        try:
            parts = urlsplit(self.url)
            usable = parts.scheme in ("https", "http") and parts.hostname and (parts.port or True)
        except ValueError:
            usable = False
        if not usable or re.search(r"[\s@]", self.url):
            raise WrongEndpoint(f"JWO_API_URL is {self.url!r}; it must be scheme and host, such as https://api.example")

    def upload(self, body: bytes) -> Accepted:
        """Send one batch of items, exactly these bytes.

        Raises:
            CatalogApiError: the class says whether the batch may have been ingested.
        """
        return read_accepted(self._call(UPLOAD_PATH, body))

    def archive(self, body: bytes) -> Accepted:
        """Have one batch of SKUs archived in every store, exactly these bytes.

        Raises:
            CatalogApiError: the class says whether the batch may have been ingested.
        """
        return read_accepted(self._call(ARCHIVE_PATH, body))

    def status(self, ingestion_id: str) -> IngestionStatus:
        """Ask how far an ingestion is, and for a fresh link to its report.

        Raises:
            CatalogApiError: an unknown or foreign id is `RequestRefused`.
        """
        return read_status(self._call(STATUS_PATH, status_body(ingestion_id)))

    def check_ready(self) -> None:
        """Raise `NoCredentials` where a call could not even be signed; sends nothing to the Catalog API."""
        self._signed_headers(UPLOAD_PATH, b"")

    def _call(self, path: str, body: bytes) -> Answer:
        self.budget.take()
        headers = self._signed_headers(path, body)
        host = urlsplit(self.url).netloc
        try:
            response = self.http.request(
                "POST", self._endpoint(path), body=body, headers=headers, redirect=False, retries=False
            )
        except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as error:
            raise NotReached(
                f"cannot connect to the Catalog API at {host} ({type(error).__name__}): nothing was sent; "
                "check JWO_API_URL and the network"
            ) from None
        except urllib3.exceptions.LocationValueError:
            raise WrongEndpoint(f"the Catalog API's host {host!r} is no host name: check JWO_API_URL") from None
        except urllib3.exceptions.HTTPError as error:
            if isinstance(error, urllib3.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise WrongEndpoint(
                    f"{host} has no certificate to be trusted: nothing was sent; check JWO_API_URL"
                ) from None
            raise OutcomeUnknown(
                f"no answer from the Catalog API at {host} ({type(error).__name__}): "
                "the batch may have been ingested; the same bytes may be sent again"
            ) from None
        return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, response.data)

    def _signed_headers(self, path: str, body: bytes) -> dict[str, str]:
        """Sign the exact bytes with the credentials of this moment (frozen, for they may be refreshed meanwhile)."""
        request = AWSRequest("POST", self._endpoint(path), data=body, headers={"Content-Type": "application/json"})
        try:
            credentials = self.credentials()
            frozen = credentials.get_frozen_credentials() if credentials else None
        except (BotoCoreError, ClientError) as error:
            raise NoCredentials(
                f"the role for the Catalog API cannot be used ({_code(error)}): nothing was sent; "
                "check JWO_API_ROLE_ARN, its trust policy, and the pipeline's own credentials"
            ) from None
        if frozen is None:
            raise NoCredentials(
                "no AWS credentials found: nothing was sent; set AWS_PROFILE or AWS_ACCESS_KEY_ID, or run under a role"
            )
        SigV4Auth(frozen, SERVICE, self.region).add_auth(request)
        return dict(request.headers.items())

    def _endpoint(self, path: str) -> str:
        return self.url.rstrip("/") + path


def _code(error: Exception) -> str:
    """A cause without its text, which may quote a token."""
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__


def http_pool() -> urllib3.PoolManager:
    """Connections with both time-outs set; kept alive between calls."""
    return urllib3.PoolManager(
        maxsize=KEPT_CONNECTIONS, timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    )


def ambient_credentials(session: Session) -> Callable[[], Credentials | None]:
    """Credentials as boto3 finds them; looked up on first use, refreshed by botocore."""
    return session.get_credentials


def assumed_role(role_arn: str, sts_client: Callable[[], object]) -> Callable[[], Credentials]:
    """Credentials of a role, assumed on first use and again before they expire."""
    held: list[Credentials] = []

    def credentials() -> Credentials:
        if not held:
            refresh = create_assume_role_refresher(
                sts_client(), {"RoleArn": role_arn, "RoleSessionName": "jwo-catalog-pipeline"}
            )
            held.append(DeferredRefreshableCredentials(refresh, method="assume-role"))
        return held[0]

    return credentials
