"""People hear of an outage once when it lasts, and once when it is over; of a short one they hear nothing."""

from dataclasses import replace
from typing import Any

import pytest

from jwo_catalog_pipeline.upload.send import retrying
from jwo_catalog_pipeline.upload.stop_alerts import OUTAGE_SECONDS
from jwo_catalog_pipeline.upload.stops import Stop, StopKind
from jwo_catalog_pipeline_tests.support.project import Project


@pytest.fixture(autouse=True)
def one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "ATTEMPTS_A_RUN", 1)


def fail(project: Project) -> None:
    project.sandbox.misbehave(error_retry=99, operation="upload")
    assert not project.upload("u1").success


def lasts(project: Project) -> None:
    """The outage began long ago."""
    (stop,) = project.ledger.stops()
    project.ledger.forget_stopped("u1")
    project.ledger.note_stopped(replace(stop, since=stop.since - OUTAGE_SECONDS))


def test_of_a_short_outage_nobody_is_published(project: Project, messages_sent: Any) -> None:
    """Eleven seconds of 503 were one mail."""
    fail(project)
    assert messages_sent() == []
    project.sandbox.misbehave(error_retry=0, operation="upload")
    assert project.run("catalog_upload_job", "u1", only=["ingestion_record"]).success
    assert messages_sent() == []


def test_an_outage_that_lasts_is_published_once_and_once_when_it_is_over(project: Project, messages_sent: Any) -> None:
    fail(project)
    lasts(project)
    ((subject, text),) = messages_sent()
    assert subject == "JWO catalog: upload u1 cannot go on"
    assert "batch 0001 of upload u1 was not accepted" in text
    fail_again = project.run("catalog_upload_job", "u1", only=["ingestion_record"])
    assert not fail_again.success
    assert messages_sent() == []
    project.sandbox.misbehave(error_retry=0, operation="upload")
    assert project.run("catalog_upload_job", "u1", only=["ingestion_record"]).success
    ((subject, text),) = messages_sent()
    assert subject == "JWO catalog: outage is over"
    assert "nothing waits for it any more" in text
    assert messages_sent() == []


def test_a_pause_is_published_and_its_end(project: Project, messages_sent: Any) -> None:
    project.ledger.pause("Ann", "the prices are wrong")
    ((subject, text),) = messages_sent()
    assert subject == "JWO catalog: all sending is held"
    assert "by Ann: the prices are wrong" in text
    assert not project.upload("u1").success
    assert messages_sent() == []  # what the pause stops is no news
    project.ledger.end_pause()
    ((subject, text),) = messages_sent()
    assert subject == "JWO catalog: pause is over"
    assert "goes on" in text


def test_a_stop_after_the_last_batch_was_sent_is_none(project: Project, messages_sent: Any) -> None:
    """Alerts said half an hour later that the upload cannot go on, and ten hours later that it can."""
    fail(project)
    lasts(project)
    (batch,) = project.ledger.batches("u1")
    assert messages_sent() != []
    project.sandbox.misbehave(error_retry=0, operation="upload")
    project.ledger.end_doubt("4711", batch, by_items=True)  # news of a late ingestion: nothing is left to send
    ((subject, _),) = messages_sent()
    assert subject == "JWO catalog: outage is over"
    assert messages_sent() == []


def test_an_older_upload_that_waits_is_no_news_once_a_guard_has_stopped_a_newer_one(
    project: Project, messages_sent: Any
) -> None:
    fail(project)
    lasts(project)
    now = project.ledger.now()
    project.ledger.note_stopped(Stop("u2", StopKind.GUARD, "too many changes", "", "run", now + 1, now + 1))
    assert messages_sent() == []
