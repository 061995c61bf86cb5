"""Sessions that end early, an STS that is down, clocks that are wrong, and workers that were asleep for too long."""

from datetime import UTC, datetime, timedelta

import boto3
import pytest

from jwo_catalog_pipeline.catalog_api.client import CatalogApi
from jwo_catalog_pipeline.catalog_api.errors import AccessDenied, NoCredentials, SignatureAged, SignatureStale
from jwo_catalog_pipeline.catalog_api.operations import UPLOAD
from jwo_catalog_pipeline.catalog_api.signing import RoleCredentials, SigningClock
from jwo_catalog_pipeline.upload.errors import UploadStopped
from jwo_catalog_pipeline.upload.model import BatchState
from jwo_catalog_pipeline_tests.support.parts import FIELDS, Parts, api_client, body_of, deliver, items
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox


def clock_off_by(minutes: float) -> SigningClock:
    return SigningClock(now=lambda: datetime.now(UTC) + timedelta(minutes=minutes))


def statuses(sandbox: RunningSandbox) -> list[int]:
    return [call["http_status"] for call in sandbox.get("requests")]


@pytest.mark.parametrize("minutes", [14, -14])
def test_a_clock_that_is_off_is_corrected_from_the_answer_and_remembered(parts: Parts, minutes: int) -> None:
    clock = clock_off_by(minutes)
    api = api_client(parts.sandbox, clock=clock)
    (batch,) = parts.sender(api=api).apply("u1", parts.plan("u1", items("A")), FIELDS)
    assert (batch.state, batch.attempts, batch.doubts) == (BatchState.SUBMITTED, 2, 0)
    parts.settle("u1")
    (again,) = parts.sender(api=api).apply("u2", parts.plan("u2", items("A", standard_price="2.49")), FIELDS)
    assert (again.state, again.attempts) == (BatchState.SUBMITTED, 1)
    assert abs(clock.offset + timedelta(minutes=minutes)) < timedelta(seconds=10)


def test_a_status_call_is_signed_again_once(fresh: RunningSandbox) -> None:
    accepted = deliver(api_client(fresh), body_of())
    assert api_client(fresh, clock=clock_off_by(14)).status(accepted.ingestion_id).processing_status
    assert statuses(fresh) == [201, 403, 200]


def test_a_signature_that_stays_refused_is_not_tried_for_ever(fresh: RunningSandbox) -> None:
    """The service's Date says one thing and its judgement another: nothing to learn from."""
    fresh.misbehave(signature_seconds=0)
    clock = clock_off_by(14)
    with pytest.raises(SignatureStale, match="set this machine's clock by NTP"):
        for _ in range(2):
            try:
                deliver(api_client(fresh, clock=clock), body_of())
            except SignatureStale as error:
                if not error.retryable:
                    raise
    assert statuses(fresh) == [403, 403]


def test_a_session_that_ends_during_an_upload_is_renewed_and_the_upload_goes_on(parts: Parts) -> None:
    skus = [f"S{n:05}" for n in range(10_001)]
    plan = parts.plan("u1", items(*skus))

    def expire(batch: object, of: int) -> None:
        assert parts.sandbox.post("expire_sessions").status == 200

    batches = parts.sender(on_batch=expire, at_once=1).apply("u1", plan, FIELDS)
    assert [(batch.state, batch.attempts) for batch in batches] == [
        (BatchState.SUBMITTED, 1),
        (BatchState.SUBMITTED, 2),
    ]
    assert statuses(parts.sandbox) == [201, 403, 201]
    assert len({call["access_key_id"] for call in parts.sandbox.get("requests") if call["http_status"] == 201}) == 2


def test_an_sts_that_is_down_stops_the_upload_before_the_attempt_and_it_can_be_resumed(parts: Parts) -> None:
    patient = boto3.client("sts", config=boto3.session.Config(retries={"total_max_attempts": 1}))
    role = RoleCredentials(parts.sandbox.environment["JWO_API_ROLE_ARN"], lambda: patient)
    api = api_client(parts.sandbox, credentials=role)
    plan = parts.plan("u1", items("A"))
    parts.sandbox.misbehave(sts_down=1)
    with pytest.raises(NoCredentials, match="ServiceUnavailable"):
        parts.sender(api=api).apply("u1", plan, FIELDS)
    assert parts.ledger.upload("u1") is None

    parts.sender(api=api).api.check_ready()
    assert parts.sandbox.post("expire_sessions").status == 200
    parts.sandbox.misbehave(sts_down=1)
    with pytest.raises((UploadStopped, NoCredentials)):
        parts.sender(api=api).apply("u1", plan, FIELDS)
    (batch,) = parts.ledger.batches("u1")
    assert (batch.doubts, batch.state.sendable) == (0, True)
    parts.clock.seconds += 301
    (batch,) = parts.sender(api=api).apply("u1", plan, FIELDS)
    assert batch.state is BatchState.SUBMITTED


def test_ambient_credentials_that_have_expired_are_an_error_that_says_so(fresh: RunningSandbox) -> None:
    """Static session keys: looking them up again gives the same ones, so there is nothing to try again with."""
    session = fresh.session_credentials()

    class Static:
        def __call__(self) -> object:
            return session

        def renew(self) -> None:
            """Whoever set them must set them again."""

    api = api_client(fresh, credentials=Static())
    deliver(api, body_of())
    fresh.post("expire_sessions")
    with pytest.raises(AccessDenied, match="session of the role has expired") as raised:
        deliver(api, body_of())
    assert not raised.value.retryable


def held_up(api: CatalogApi, seconds: float) -> CatalogApi:
    """The client on a machine that goes to sleep between signing and sending."""
    times = iter([0.0])
    now = datetime.now(UTC)
    clock = SigningClock(now=lambda: now + timedelta(seconds=next(times, seconds)))
    return CatalogApi(api.url, api.region, api.credentials, api.budget, api.http, clock)


def test_a_call_that_was_held_up_for_longer_than_its_lease_is_not_sent(fresh: RunningSandbox) -> None:
    api = held_up(api_client(fresh), 301)
    with pytest.raises(SignatureAged, match="nothing was sent"):
        api.deliver(api.sign(UPLOAD, body_of()), 300)
    assert fresh.get("requests") == []
