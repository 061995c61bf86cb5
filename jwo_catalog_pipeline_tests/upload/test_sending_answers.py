"""What an answer of Amazon means for a batch, and that none came."""

import pytest

from jwo_catalog_pipeline.catalog_api.errors import NoCredentials
from jwo_catalog_pipeline.catalog_api.signing import SignedCall
from jwo_catalog_pipeline.upload.errors import (
    LeaseLost,
    UploadStopped,
)
from jwo_catalog_pipeline.upload.model import BatchState
from jwo_catalog_pipeline.upload.results.polling import ask_overdue, mark_reported
from jwo_catalog_pipeline_tests.support.parts import FIELDS, Parts, api_client, impatient_pool, items


def test_an_ingestion_of_a_worker_that_lost_its_lease_is_kept(parts: Parts) -> None:
    plan = parts.plan("u1", items("A"))
    accepted = []

    class Slow:
        check_ready = parts.api.check_ready
        sign = parts.api.sign

        def deliver(self, call: SignedCall, seconds: float) -> object:
            found = parts.api.deliver(call, seconds)
            if not accepted:
                accepted.append(found.ingestion_id)
                parts.clock.seconds += 301
                parts.sender().apply("u1", plan, FIELDS)
            return found

    with pytest.raises(LeaseLost, match="Amazon accepted this run's bytes as ingestion"):
        parts.sender(api=Slow()).apply("u1", plan, FIELDS)
    assert parts.ledger.orphan(accepted[0]).upload == "u1"


def test_a_wrong_address_refuses_nothing_and_can_be_resumed(parts: Parts) -> None:
    plan = parts.plan("u1", items("A"))
    with pytest.raises(
        UploadStopped, match="this does not look like the Catalog API; check JWO_API_URL; then materialize"
    ):
        elsewhere = api_client(parts.sandbox, url=parts.sandbox.environment["AWS_ENDPOINT_URL"])
        parts.sender(api=elsewhere).apply("u1", plan, FIELDS)
    assert parts.ledger.batches("u1")[0].state is BatchState.PLANNED
    assert parts.sender().apply("u1", plan, FIELDS)[0].state is BatchState.SUBMITTED


@pytest.mark.parametrize("fault", ["throttle", "error_retry", "error_no_retry", "close_before_ingesting"])
def test_what_may_be_retried_is_sent_again_with_growing_pauses(parts: Parts, fault: str) -> None:
    parts.sandbox.misbehave(**{fault: 3}, operation="upload")
    (batch,) = parts.apply("u1", items("A"))
    assert (batch.state, batch.attempts) == (BatchState.SUBMITTED, 4)
    assert len(parts.slept) == 3
    assert all(0 <= pause <= 2**n for n, pause in enumerate(parts.slept))
    assert parts.settle("u1")["outcome"].tolist() == ["accepted"]


@pytest.mark.parametrize("fault", ["error_after_ingesting", "close_after_ingesting", "no_ingestion_id"])
def test_an_unknown_outcome_is_sent_again_with_the_same_bytes(parts: Parts, fault: str) -> None:
    """Invariant 4: the service ingested the batch, and we could not know."""
    parts.sandbox.misbehave(**{fault: 1}, operation="upload")
    (batch,) = parts.apply("u1", items("A"))
    assert (batch.state, batch.attempts) == (BatchState.SUBMITTED, 2)
    bodies = {call["body_sha256"] for call in parts.sandbox.get("requests") if call["operation"] == "upload"}
    assert bodies == {batch.sha256}
    assert parts.settle("u1")["outcome"].tolist() == ["accepted"]


def test_a_batch_whose_answers_never_come_is_in_doubt_and_its_items_wait(parts: Parts) -> None:
    parts.sandbox.misbehave(hang_after_ingesting=9, operation="upload")
    plan = parts.plan("u1", items("A"))
    with pytest.raises(UploadStopped, match="materialize ingestion_record for this upload again"):
        parts.sender(api=api_client(parts.sandbox, http=impatient_pool())).apply("u1", plan, FIELDS)
    (batch,) = parts.ledger.batches("u1")
    assert (batch.state, batch.doubts, batch.attempts) == (BatchState.IN_DOUBT, 5, 5)
    assert list(parts.plan("u2", items("A"))["change"]) == ["in_flight"]
    parts.sandbox.misbehave(hang_after_ingesting=0, operation="upload")
    (batch,) = parts.sender().apply("u1", plan, FIELDS)
    assert batch.state is BatchState.SUBMITTED


def test_a_403_names_its_two_causes_and_the_upload_can_be_resumed(parts: Parts) -> None:
    parts.sandbox.misbehave(forbid=1, operation="upload")
    plan = parts.plan("u1", items("A"))
    with pytest.raises(UploadStopped, match=r"execute-api:Invoke.*onboarded"):
        parts.sender().apply("u1", plan, FIELDS)
    assert parts.ledger.batches("u1")[0].state is BatchState.PLANNED
    assert parts.published() == {}
    (batch,) = parts.sender().apply("u1", plan, FIELDS)
    assert batch.state is BatchState.SUBMITTED


def test_a_refused_batch_is_a_definite_no_and_its_items_go_with_the_next_upload(parts: Parts) -> None:
    (batch,) = parts.apply("u1", items("A", store="NO-SUCH-STORE"))
    assert batch.state is BatchState.REFUSED
    assert "One or more StoreID's present in the request is incorrect" in batch.message
    assert parts.ledger.upload("u1").state == "settled"
    assert list(parts.plan("u2", items("A", store="NO-SUCH-STORE"))["change"]) == ["update"]


def test_without_credentials_nothing_is_recorded(parts: Parts) -> None:
    plan = parts.plan("u1", items("A"))
    with pytest.raises(NoCredentials, match="no AWS credentials found: nothing was sent"):
        parts.sender(api=api_client(parts.sandbox, credentials=lambda: None)).apply("u1", plan, FIELDS)
    assert parts.ledger.upload("u1") is None


def test_an_unreachable_api_leaves_the_batch_planned(parts: Parts) -> None:
    plan = parts.plan("u1", items("A"))
    with pytest.raises(UploadStopped, match=r"cannot connect to the Catalog API at 127\.0\.0\.1:9 "):
        parts.sender(api=api_client(parts.sandbox, url="http://127.0.0.1:9")).apply("u1", plan, FIELDS)
    assert parts.ledger.batches("u1")[0].state is BatchState.PLANNED


def test_an_upload_settles_by_asking_where_no_message_comes(parts: Parts) -> None:
    """Invariant 5: push and poll cover each other."""
    parts.sandbox.misbehave(drop_notifications=1)
    parts.apply("u1", items("A"))
    parts.sandbox.drain()
    assert parts.sandbox.messages() == []
    assert ask_overdue(parts.ledger, parts.api, overdue_seconds=60) == {}
    parts.clock.seconds += 61
    assert list(ask_overdue(parts.ledger, parts.api, overdue_seconds=60).values()) == ["DONE"]
    mark_reported(parts.ledger)
    outcomes, problems = parts.results("u1")
    assert (outcomes["outcome"].tolist(), problems) == (["accepted"], [])
