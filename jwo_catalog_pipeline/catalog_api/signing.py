"""Whose signature a call carries, and of when: credentials that can be renewed, and a clock that can be corrected.

A signature is accepted for five minutes only (general AWS behaviour). That is used as a fence: a call is signed before
its attempt is recorded, so a worker that was paused for longer than its lease holds one that is no longer accepted.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, DeferredRefreshableCredentials, create_assume_role_refresher
from botocore.session import Session

from jwo_catalog_pipeline.catalog_api.operations import Endpoint

SERVICE = "execute-api"
SIGNATURE_SECONDS = 300.0  # how long a signature is accepted (general AWS behaviour)
NEW_OFFSET = timedelta(seconds=30)  # a smaller change of the clock's offset does not explain a refused signature


class CredentialSource(Protocol):
    """Where credentials come from."""

    def __call__(self) -> Credentials | None:
        """The credentials of the moment, or None where there are none."""

    def renew(self) -> None:
        """Forget a session that the service calls expired."""


class AmbientCredentials:
    """Credentials as boto3 finds them; looked up on first use, refreshed by botocore."""

    def __init__(self, new_session: Callable[[], Session] = Session) -> None:
        self._new_session = new_session
        self._session = new_session()

    def __call__(self) -> Credentials | None:
        """The credentials of the moment, or None where there are none."""
        return self._session.get_credentials()

    def renew(self) -> None:
        """Look the credentials up again: their source may hold newer ones."""
        self._session = self._new_session()


class RoleCredentials:
    """Credentials of a role, assumed on first use and again before they expire."""

    def __init__(self, role_arn: str, sts_client: Callable[[], object]) -> None:
        self._role_arn, self._sts_client = role_arn, sts_client
        self._held: Credentials | None = None

    def __call__(self) -> Credentials:
        """The role's credentials; the role is assumed when they are first used."""
        held = self._held  # another thread may renew it meanwhile
        if held is None:
            parameters = {"RoleArn": self._role_arn, "RoleSessionName": "jwo-catalog-pipeline"}
            refresh = create_assume_role_refresher(self._sts_client(), parameters)
            held = self._held = DeferredRefreshableCredentials(refresh, method="assume-role")
        return held

    def renew(self) -> None:
        """Assume the role again for the next call."""
        self._held = None


@dataclass
class SigningClock:
    """The time that signatures carry: this machine's, and by how much the service's differs, once it has said so."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    offset: timedelta = timedelta(0)

    def learn(self, date_header: str | None, used: timedelta) -> bool:
        """Take the offset from an answer's `Date`.

        Args:
            date_header: as the service sent it.
            used: the offset of the call that it answers; another call may have taught a better one since.

        Returns:
            Whether it differs enough for another signature to help.
        """
        try:
            offset = parsedate_to_datetime(date_header or "").astimezone(UTC) - self.now()
        except ValueError:
            return False
        differs = abs(offset - used) > NEW_OFFSET
        if differs:
            self.offset = offset
        return differs


@dataclass(frozen=True)
class SignedCall:
    """A call ready to be sent: exactly these bytes, signed at `signed_at` (this machine's clock) plus `offset`.

    `withdrawn` is asked when its turn has come: whether it is not to be sent any more.
    """

    endpoint: Endpoint
    url: str
    body: bytes = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    access_key: str
    signed_at: datetime
    offset: timedelta
    withdrawn: Callable[[], bool] = field(default=lambda: False, repr=False)


class _SigV4Of(SigV4Auth):
    """botocore's signature, for a moment of our choosing: botocore itself takes this machine's clock as it is."""

    def __init__(self, credentials: Any, region: str, moment: datetime) -> None:
        super().__init__(credentials, SERVICE, region)
        self._moment = moment

    def _modify_request_before_signing(self, request: AWSRequest) -> None:
        request.context["timestamp"] = self._moment.strftime("%Y%m%dT%H%M%SZ")
        super()._modify_request_before_signing(request)


def sign(endpoint: Endpoint, url: str, body: bytes, frozen: Any, region: str, clock: SigningClock) -> SignedCall:
    """Sign the exact bytes.

    Args:
        endpoint: what the call is for.
        url: where it goes.
        body: the bytes.
        frozen: credentials that no refresh can change halfway (`get_frozen_credentials`).
        region: the signing region.
        clock: gives the signature's time.
    """
    request = AWSRequest("POST", url, data=body, headers={"Content-Type": "application/json"})
    now, offset = clock.now(), clock.offset
    _SigV4Of(frozen, region, now + offset).add_auth(request)
    return SignedCall(endpoint, url, body, dict(request.headers.items()), frozen.access_key, now, offset)
