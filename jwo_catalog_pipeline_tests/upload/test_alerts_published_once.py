"""The same cause is published once, with how often; each alert says of which installation it is, and where to look."""

import re
from dataclasses import replace
from typing import Any

import boto3
import pytest

from jwo_catalog_pipeline import failpoints
from jwo_catalog_pipeline.aws import _caller, aws_client
from jwo_catalog_pipeline.defs.resources import resources_from
from jwo_catalog_pipeline.defs.sensors import alerts_sensor
from jwo_catalog_pipeline.upload.alert_messages import Alert, Place
from jwo_catalog_pipeline.upload.alert_publishing import CLAIM_SECONDS, MOST_MESSAGES, REPEAT_SECONDS, AlertPublisher
from jwo_catalog_pipeline.upload.alerts import upload_page
from jwo_catalog_pipeline.upload.errors import AlertsUnavailable
from jwo_catalog_pipeline_tests.support import ROOT
from jwo_catalog_pipeline_tests.support.mailbox import Mailbox
from jwo_catalog_pipeline_tests.support.parts import Parts
from jwo_catalog_pipeline_tests.support.project import Project

BROKEN = "version: 1\nfields: {item_sku: nowhere}\n"


class Died(Exception):
    pass


def publisher(parts: Parts, mailbox: Mailbox, **changes: Any) -> AlertPublisher:
    made = AlertPublisher(parts.ledger, mailbox.sns, boto3.client("cloudwatch"), mailbox.topic)
    return replace(made, **changes)


def failure_of(run: str) -> Alert:
    return Alert(
        "run/cause", "JWO catalog: the nightly upload failed", f"the API answered 503 in {run}", occurrence=run
    )


def test_a_cause_that_goes_on_is_published_once_a_day_with_how_often_it_happened(
    parts: Parts, mailbox: Mailbox
) -> None:
    """A text with a request id was published every hour."""
    for hour in range(25):
        alerts = [failure_of(f"run-{hour - 1}"), failure_of(f"run-{hour}")]  # each look overlaps the one before
        publisher(parts, mailbox).publish(alerts[hour == 0 :])
        parts.clock.seconds += 3600
    (_, first), (_, second) = mailbox.take()
    assert "happened" not in first
    assert "run-24" in second
    assert "It happened 24 more times since the last alert, on 2027-01-15T08:00:00Z." in second
    publisher(parts, mailbox).publish([failure_of("run-24")])
    parts.clock.seconds += REPEAT_SECONDS
    publisher(parts, mailbox).publish([failure_of("run-24")])
    assert mailbox.take() == []
    publisher(parts, mailbox).publish([failure_of("run-25")])
    ((_, third),) = mailbox.take()
    assert "It happened 1 more time since the last alert" in third


def test_what_happened_several_times_before_it_is_published_is_one_message_that_counts(
    parts: Parts, mailbox: Mailbox
) -> None:
    assert publisher(parts, mailbox).publish([failure_of(f"run-{n}") for n in range(3)]) == ["run/cause"]
    ((_, text),) = mailbox.take()
    assert "503 in run-2\n\nIt happened 3 times; this is about the last one." in text


def test_several_processes_count_an_event_once(parts: Parts, mailbox: Mailbox) -> None:
    publisher(parts, mailbox).publish([failure_of("run-0")])
    for _ in range(3):
        publisher(parts, mailbox).publish([failure_of("run-1")])
    (record,) = parts.ledger.alerts()
    assert record.times == 1
    assert not parts.ledger.count_alert(replace(record, times=0), 5, [])


def test_real_failures_of_one_cause_are_counted_by_run(project: Project, messages_sent: Any) -> None:
    project.mapping(BROKEN)
    project.upload("u1")
    assert len(messages_sent()) == 1
    for upload in ("u1", "u2"):
        project.upload(upload)
    assert messages_sent() == []
    (record,) = project.ledger.alerts()
    assert record.times == 2


@pytest.mark.parametrize("many", [1, MOST_MESSAGES + 1])
@pytest.mark.parametrize("point", ["before sns: alert", "after sns: alert", "after ledger: alert claimed"])
def test_a_crash_loses_no_alert(parts: Parts, mailbox: Mailbox, many: int, point: str) -> None:
    """All were claimed before the first was sent, and the sensor looked past what another had claimed."""
    news = [Alert(f"k{n}", f"news {n}", "news") for n in range(many)]

    def die(reached: str) -> None:
        if reached == point:
            raise Died

    failpoints.arm(die)
    try:
        with pytest.raises(Died):
            publisher(parts, mailbox).publish(news)
    finally:
        failpoints.disarm()
    publisher(parts, mailbox).publish(news)
    claimed = publisher(parts, mailbox).untold(news)
    assert claimed  # so the next tick looks at them again
    parts.clock.seconds += CLAIM_SECONDS
    publisher(parts, mailbox).publish([alert for alert in news if alert.key in claimed])
    assert publisher(parts, mailbox).untold(news) == set()
    texts = "".join(subject + text for subject, text in mailbox.take())
    assert [n for n in range(many) if f"news {n}" not in texts] == []


def test_alerts_are_claimed_one_at_a_time(parts: Parts, mailbox: Mailbox) -> None:
    reached: list[str] = []
    failpoints.arm(reached.append)
    try:
        publisher(parts, mailbox).publish([Alert(f"k{n}", "news", "news") for n in range(2)])
    finally:
        failpoints.disarm()
    done = [point for point in reached if point.startswith("after ")]
    assert done == ["after ledger: alert claimed", "after sns: alert", "after ledger: ALERT"] * 2


def test_the_sensor_looks_again_at_a_failed_run_whose_teller_died(project: Project, mailbox: Mailbox) -> None:
    project.env["JWO_ALERT_TOPIC_ARN"] = mailbox.topic
    project.mapping(BROKEN)
    project.upload("u1")

    def die(reached: str) -> None:
        if reached == "before sns: alert":
            raise Died

    failpoints.arm(die)
    try:
        with pytest.raises(Died):
            project.tick(alerts_sensor)
    finally:
        failpoints.disarm()
    assert project.tick(alerts_sensor).cursor is None
    project.ledger.release_alert(project.ledger.alerts()[0].key)  # as if the claim were over
    assert float(project.tick(alerts_sensor).cursor) > 0
    assert len(mailbox.take()) == 1


def test_a_settled_upload_whose_teller_died_is_still_told(project: Project, mailbox: Mailbox) -> None:
    project.sandbox.misbehave(reject_skus=["A"])
    project.must_upload("u1")
    project.settle("u1")
    project.env["JWO_ALERT_TOPIC_ARN"] = mailbox.topic
    project.ledger.claim_alert("settled/u1", CLAIM_SECONDS)  # by a process that died then
    project.tick(alerts_sensor)
    assert [note.upload for note in project.ledger.settled_notes()] == ["u1"]
    project.ledger.release_alert("settled/u1")
    project.tick(alerts_sensor)
    assert [subject for subject, _ in mailbox.take()] == ["JWO catalog: 1 item not accepted"]
    assert project.ledger.settled_notes() == []


def test_a_topic_that_refuses_keeps_no_claim(parts: Parts, mailbox: Mailbox) -> None:
    with pytest.raises(AlertsUnavailable):
        publisher(parts, mailbox, topic_arn=mailbox.topic + "-gone").publish([failure_of("run-0")])
    assert publisher(parts, mailbox).publish([failure_of("run-0")]) == ["run/cause"]


def test_a_metric_that_cannot_be_sent_keeps_no_alert_back(
    project: Project, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.env["JWO_ALERT_TOPIC_ARN"] = mailbox.topic
    project.mapping(BROKEN)
    project.upload("u1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", "http://127.0.0.1:9")
    aws_client.cache_clear()
    try:
        result = project.tick(alerts_sensor)
    finally:
        aws_client.cache_clear()
    assert float(result.cursor) > 0
    assert len(mailbox.take()) == 1


def test_an_alert_names_ledger_account_and_region(project: Project, messages_sent: Any) -> None:
    project.mapping(BROKEN)
    project.upload("u1")
    ((_, text),) = messages_sent()
    account = boto3.client("sts").get_caller_identity()["Account"]
    region = boto3.client("sts").meta.region_name
    assert (
        f"Environment: ledger table {project.env['JWO_LEDGER_TABLE']}, AWS account {account}, region {region}" in text
    )


def test_where_aws_does_not_say_who_calls_the_topics_account_is_named(
    project: Project, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    project.env["JWO_ALERT_TOPIC_ARN"] = "arn:aws:sns:eu-west-9:000011112222:alerts"
    _caller.cache_clear()
    try:
        place = resources_from(project.env)["alerts"].place()
    finally:
        _caller.cache_clear()
    assert place == Place(project.env["JWO_LEDGER_TABLE"], "000011112222", "eu-west-9", "")


def test_an_alert_links_to_the_run_and_to_the_page_that_helps(project: Project, messages_sent: Any) -> None:
    project.env["JWO_UI_URL"] = "https://dagster.example.com/jwo/"
    project.mapping(BROKEN)
    run = project.upload("u1").dagster_run.run_id
    ((_, text),) = messages_sent()
    assert f"\nhttps://dagster.example.com/jwo/runs/{run}" in text
    assert 'docs/runbook.md, "An upload failed or was stopped"' in text


def test_without_an_address_of_the_ui_there_is_no_link(project: Project, messages_sent: Any) -> None:
    project.mapping(BROKEN)
    project.upload("u1")
    ((_, text),) = messages_sent()
    assert "://" not in text.partition("Environment")[2]


def test_a_link_names_an_upload_safely() -> None:
    assert upload_page("catalog_changes", "a b&c") == "/assets/catalog_changes?partition=a+b%26c"
    described = Place("table", ui_url="https://ui").described(["/runs/1", "/runs/1"])
    assert described == "Environment: ledger table table\nhttps://ui/runs/1"


def test_a_long_text_is_cut_and_keeps_environment_and_links(parts: Parts, mailbox: Mailbox) -> None:
    publisher(parts, mailbox).publish([Alert("k", "long", "x" * 300_000)])
    ((_, text),) = mailbox.take()
    assert (len(text), f"Environment: ledger table {parts.ledger.table_name}" in text) == (8_000, True)


def test_every_section_that_an_alert_names_is_in_the_runbook() -> None:
    headings = set(re.findall(r"^## (.*)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE))
    named = set()
    for file in [*(ROOT / "jwo_catalog_pipeline").rglob("*.py"), ROOT / "deploy/cloudformation.yaml"]:
        text = re.sub(r"[\"']\s*\n\s*f?[\"']", "", file.read_text())  # literals that go on in the next line
        named |= set(re.findall(r'docs/runbook\.md, \\?"([^"\\]+)\\?"', text))
    assert len(named) >= 6
    assert named <= headings
