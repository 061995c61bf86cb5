"""Messages whose certificate cannot be fetched: kept, not believed, and processed once the network is back."""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from jwo_catalog_pipeline import failpoints
from jwo_catalog_pipeline.catalog_api.notification import CertificateUnavailable, InvalidSignature
from jwo_catalog_pipeline.catalog_api.sns_signature import SnsVerifier
from jwo_catalog_pipeline.defs.sensors import alerts_sensor, ingestion_results_sensor
from jwo_catalog_pipeline.upload.alerts import UNVERIFIED_ALERT_SECONDS, unverified_alerts
from jwo_catalog_pipeline.upload.results import unverified
from jwo_catalog_pipeline.upload.results.polling import mark_reported
from jwo_catalog_pipeline.upload.results.unverified import (
    GIVEN_UP_SECONDS,
    LONGEST_PAUSE_SECONDS,
    MOST_A_LOOK,
    PAUSE_SECONDS,
    unverified_sentence,
)
from jwo_catalog_pipeline_tests.chaos.envelopes import certificate, notification
from jwo_catalog_pipeline_tests.support.mailbox import Mailbox
from jwo_catalog_pipeline_tests.support.parts import Parts, items
from jwo_catalog_pipeline_tests.support.project import Project
from jwo_catalog_pipeline_tests.support.queue import queue_is_empty, send_to_queue


class Network:
    """Verifies envelopes where it is up; `fetched` counts the times that a certificate was wanted."""

    def __init__(self) -> None:
        self.up, self.fetched = False, 0

    def __call__(self, envelope: Mapping[str, Any]) -> None:
        SnsVerifier(self._fetch)(envelope)

    def _fetch(self, url: str) -> bytes:
        self.fetched += 1
        if not self.up:
            raise CertificateUnavailable("the certificate cannot be fetched: no route", "check the firewall")
        return certificate()


@pytest.fixture
def network() -> Network:
    return Network()


def genuine(parts: Parts, ingestion_id: str, **more: Any) -> str:
    topic = parts.sandbox.environment["JWO_TOPIC_ARN"]
    return json.dumps(notification({"ingestionId": ingestion_id, "processingStatus": "DONE", **more}, topic))


def ids(parts: Parts) -> set[str]:
    return {news.ingestion_id for news in parts.ledger.news()}


def later(parts: Parts, seconds: float = LONGEST_PAUSE_SECONDS + 1) -> None:
    parts.clock.seconds += seconds


def test_messages_that_cannot_be_verified_leave_the_queue_and_are_not_believed(parts: Parts, network: Network) -> None:
    for number in range(12):
        send_to_queue(parts, genuine(parts, f"i-{number}"))
    assert parts.inbox(network).receive(20) == {"unverified": 12}
    assert queue_is_empty(parts)
    assert ids(parts) == set()
    assert len(parts.ledger.unverified_messages()) == 12
    assert parts.ledger.unreadable_messages() == []


def test_after_the_network_is_back_every_message_has_its_effect_once(parts: Parts, network: Network) -> None:
    parts.sandbox.misbehave(delay=3600)
    parts.apply("u1", items("A"))
    (batch,) = parts.ledger.batches("u1")
    body = genuine(parts, batch.ingestion_id)
    for _ in range(3):  # delivered again and again, as SQS may
        send_to_queue(parts, body)
    inbox = parts.inbox(network)
    inbox.receive(20)
    assert inbox.verify_again()[0] == {}
    network.up = True
    parts.sandbox.drain()
    later(parts)
    verified, waits = inbox.verify_again()
    assert (verified, waits) == ({"result": 3}, "")
    assert ids(parts) == {batch.ingestion_id}
    assert parts.ledger.newest_result_at() == parts.ledger.now()
    mark_reported(parts.ledger)
    outcomes, _ = parts.results("u1")
    assert outcomes["outcome"].tolist() == ["accepted"]
    later(parts)
    assert parts.inbox(network).verify_again() == ({}, "")


def test_only_a_few_are_tried_in_one_look_and_the_looks_in_vain_become_rarer(parts: Parts, network: Network) -> None:
    for number in range(MOST_A_LOOK + 5):
        send_to_queue(parts, genuine(parts, f"i-{number}"))
    inbox = parts.inbox(network)
    inbox.receive(20)
    network.fetched = 0
    pauses = []
    for _ in range(7):
        tried = network.fetched
        inbox.verify_again()
        assert network.fetched == tried + 1  # the first failure ends a look
        pause = parts.ledger.verify_pause()
        assert pause
        pauses.append(pause.until - parts.ledger.now())
        inbox.verify_again()
        assert network.fetched == tried + 1  # not before the pause is over
        later(parts, pauses[-1])
    assert pauses == [PAUSE_SECONDS * 2**n for n in range(5)] + [LONGEST_PAUSE_SECONDS] * 2
    network.up = True
    assert inbox.verify_again()[0] == {"result": MOST_A_LOOK}
    assert inbox.verify_again()[0] == {"result": 5}  # the pause is over for all


def test_a_certificate_that_can_never_be_had_keeps_no_other_message_waiting(parts: Parts) -> None:
    poison = genuine(parts, "i-poison")

    def verify(envelope: Mapping[str, Any]) -> None:
        if "i-poison" in envelope["Message"] or not up:
            raise CertificateUnavailable("its host answered 500")

    up = False
    send_to_queue(parts, poison)
    inbox = parts.inbox(verify)
    inbox.receive(20)
    inbox.verify_again()
    for number in range(3):
        send_to_queue(parts, genuine(parts, f"i-{number}"))
    inbox.receive(20)
    up = True
    later(parts)
    inbox.verify_again()
    assert ids(parts) == {"i-0", "i-1", "i-2"}
    later(parts, GIVEN_UP_SECONDS)
    assert inbox.verify_again() == ({"unreadable": 1}, "")
    (kept,) = parts.ledger.unreadable_messages()
    assert kept.reason == "its signature could not be verified for 14 days: its host answered 500"


@pytest.mark.parametrize("stage", ["at once", "later"])
def test_a_forged_message_goes_to_the_unreadable_ones_as_soon_as_it_is_known(
    parts: Parts, network: Network, stage: str
) -> None:
    forged = json.loads(genuine(parts, "i-forged"))
    forged["Message"] = forged["Message"].replace("DONE", "FATAL")
    elsewhere = {**forged, "SigningCertURL": "https://evil.example/x.pem"}
    send_to_queue(parts, json.dumps(elsewhere))
    assert parts.inbox(network).receive(20) == {"unreadable": 1}  # no network is needed for that
    network.up = stage == "at once"
    send_to_queue(parts, json.dumps(forged))
    counts = parts.inbox(network).receive(20)
    if stage == "later":
        assert counts == {"unverified": 1}
        network.up = True
        counts = parts.inbox(network).verify_again()[0]
    assert counts == {"unreadable": 1}
    assert ids(parts) == set()
    assert parts.ledger.unverified_messages() == []


@pytest.mark.parametrize("padding", ["x" * 900_000, "random"])
def test_a_message_as_large_as_the_queue_takes_is_kept_and_read_later(
    parts: Parts, network: Network, padding: str
) -> None:
    text = os.urandom(440_000).hex() if padding == "random" else padding
    send_to_queue(parts, genuine(parts, "i-large", padding=text))
    assert parts.inbox(network).receive(20) == {"unverified": 1}
    network.up = True
    assert parts.inbox(network).verify_again()[0] == {"result": 1}
    assert ids(parts) == {"i-large"}
    left = [(key, len(parts.bucket.get(key))) for key, _ in parts.bucket.list("inbox/unverified/")]
    assert [size for _, size in left] == ([0] if padding == "random" else [])


def test_a_full_worklist_leaves_messages_in_the_queue(
    parts: Parts, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unverified, "MOST_KEPT", 2)
    for number in range(3):
        send_to_queue(parts, genuine(parts, f"i-{number}"))
    assert parts.inbox(network).receive(20) == {"unverified": 2}
    assert not queue_is_empty(parts)


@pytest.mark.parametrize("point", ["after ledger: UNVERIFIED", "before sqs: delete"])
def test_a_message_is_kept_before_it_is_deleted_wherever_the_receiver_dies(
    parts: Parts, network: Network, point: str
) -> None:
    send_to_queue(parts, genuine(parts, "i-1"))
    _die_at(point, lambda: parts.inbox(network).receive(20))
    assert not queue_is_empty(parts)
    assert len(parts.ledger.unverified_messages()) == 1


@pytest.mark.parametrize("point", ["after ledger: UNCLAIMED", "before ledger: UNVERIFIED ended"])
def test_a_worker_that_dies_while_it_verifies_again_loses_nothing(parts: Parts, network: Network, point: str) -> None:
    send_to_queue(parts, genuine(parts, "i-1"))
    parts.inbox(network).receive(20)
    network.up = True
    _die_at(point, parts.inbox(network).verify_again)
    assert parts.inbox(network).verify_again()[0] == {"result": 1}
    assert ids(parts) == {"i-1"}


def _die_at(point: str, work: Callable[[], object]) -> None:
    def observe(reached: str) -> None:
        if reached == point:
            failpoints.disarm()
            raise KeyboardInterrupt

    failpoints.arm(observe)
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
    finally:
        failpoints.disarm()


def test_the_text_of_a_kept_message_is_in_the_ledger_alone(parts: Parts, network: Network) -> None:
    """It holds a presigned link, and goes even where no process verifies it."""
    secret = "https://s3.amazonaws.com/b/r?X-Amz-Signature=5ec2e75ec2e7"
    send_to_queue(parts, genuine(parts, "i-1", reportDownloadLink=secret))
    parts.inbox(network).receive(20)
    assert [key for key, _ in parts.bucket.list("inbox/")] == []
    (message,) = parts.ledger.unverified_messages()
    assert parts.ledger.unverified_text(message.message_id)
    assert secret not in repr(message)
    assert secret not in unverified_sentence(parts.ledger)


def test_people_hear_of_it_when_it_lasts(parts: Parts, network: Network) -> None:
    send_to_queue(parts, genuine(parts, "i-1"))
    inbox = parts.inbox(network)
    inbox.receive(20)
    inbox.verify_again()
    assert unverified_alerts(parts.ledger) == []
    later(parts, UNVERIFIED_ALERT_SECONDS)
    (alert,) = unverified_alerts(parts.ledger)
    assert "1 message to be verified later, the oldest since 20" in alert.problem
    assert "no route; check the firewall" in alert.problem
    assert "doctor" in alert.remedy
    network.up = True
    inbox.verify_again()
    assert unverified_alerts(parts.ledger) == []


def test_the_tick_says_that_messages_wait_and_why(
    project: Project, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.env |= {"JWO_VERIFY_SIGNATURES": "on", "JWO_ALERT_TOPIC_ARN": mailbox.topic}
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    topic = project.env["JWO_TOPIC_ARN"]
    body = json.dumps(notification({"ingestionId": "i-1"}, topic))
    mailbox.sqs.send_message(QueueUrl=project.env["JWO_QUEUE_URL"], MessageBody=body)
    said = project.tick(ingestion_results_sensor).skip_message
    assert said.startswith("no report to fetch; 1 message to be verified later, the oldest since 20")
    assert "the certificate cannot be fetched: the proxy http://127.0.0.1:9 refuses connections" in said
    assert "check HTTPS_PROXY" in said
    project.tick(alerts_sensor)
    assert [subject for subject, _ in mailbox.take() if "verified" in subject] == []


def test_a_wrong_signature_is_said_at_once() -> None:
    with pytest.raises(InvalidSignature):
        Network()({"SignatureVersion": "9"})
