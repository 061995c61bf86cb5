"""The export itself: one that is not written any more, or cannot be read, is a failed check and one alert."""

import os
import time
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest

from jwo_catalog_pipeline.defs.sensors import alerts_sensor
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline_tests.support.mailbox import Mailbox
from jwo_catalog_pipeline_tests.support.project import HEADER, ROWS, Project

OLD = "JWO catalog: the export is not written any more"
GONE = "JWO catalog: the export cannot be read"


@pytest.fixture
def alert_and_check(project: Project, mailbox: Mailbox) -> Any:
    """One tick of the alerts' sensor: the messages, and what it says of the check (None where it says nothing)."""
    project.env["JWO_ALERT_TOPIC_ARN"] = mailbox.topic

    def look() -> tuple[list[tuple[str, str]], bool | None]:
        events = project.tick(alerts_sensor).asset_events
        return mailbox.take(), events[0].passed if events else None

    return look


def on_disk(project: Project, name: str = "export.csv", hours_old: float = 0) -> Path:
    path = project.folder / name
    path.write_text("\n".join([HEADER, *ROWS, ""]))
    written = time.time() - hours_old * 3600
    os.utime(path, (written, written))
    project.env["JWO_SOURCE_URI"] = str(path)
    return path


def later(project: Project, minutes: float) -> None:
    """The outage began so much earlier."""
    table = boto3.resource("dynamodb").Table(project.ledger.table_name)
    project.ledger.end_outage("export")
    Ledger(table, lambda: time.time() - minutes * 60).begin_outage("export")


def check(result: dg.ExecuteInProcessResult) -> Any:
    (found,) = [each for each in result.get_asset_check_evaluations() if each.check_name == "export_is_current"]
    return found


def test_an_old_export_is_a_failed_check_of_every_run_and_stops_none(project: Project) -> None:
    """It stopped being written ten days ago, and every upload was a green success."""
    path = on_disk(project, hours_old=240)
    result = project.must_upload("u1")
    assert not check(result).passed
    assert f"{path.resolve()} was written on 20" in check(result).description
    assert "more than 50 hours ago (JWO_SOURCE_MAX_AGE_HOURS)" in check(result).description
    project.env["JWO_SOURCE_MAX_AGE_HOURS"] = "0"
    assert check(project.must_upload("u2")).passed
    on_disk(project, hours_old=49)
    project.env["JWO_SOURCE_MAX_AGE_HOURS"] = "50"
    assert check(project.run("catalog_upload_job", "u3", only=["source_catalog"])).passed


def test_an_old_export_is_published_once_for_each_version_though_nothing_runs(
    project: Project, alert_and_check: Any
) -> None:
    path = on_disk(project, hours_old=51)
    ((subject, text),), passed = alert_and_check()
    assert (subject, passed) == (OLD, False)
    assert f"{path.resolve()} was written on" in text
    assert "An export that is too old or missing" in text
    project.run("catalog_upload_job", "u1", only=["source_catalog"])
    assert alert_and_check() == ([], None)
    on_disk(project, hours_old=50.5)
    assert [subject for subject, _ in alert_and_check()[0]] == [OLD]
    on_disk(project, hours_old=1)
    assert alert_and_check() == ([], None)


def test_an_export_that_is_gone_for_half_an_hour_is_published_once_an_outage(
    project: Project, alert_and_check: Any
) -> None:
    path = on_disk(project)
    path.unlink()
    assert alert_and_check() == ([], None)
    later(project, 29)
    assert alert_and_check() == ([], None)
    later(project, 30)
    ((subject, text),), passed = alert_and_check()
    assert (subject, passed) == (GONE, False)
    assert "the export cannot be found or read: " in text
    assert f"{path} does not exist" in text
    project.env["JWO_SOURCE_URI"] = "s3://no-such-bucket/exports/"
    assert alert_and_check() == ([], None)
    on_disk(project)
    assert alert_and_check() == ([], True)
    assert alert_and_check() == ([], None)
    path.unlink()
    assert alert_and_check() == ([], None)
    later(project, 31)
    assert [subject for subject, _ in alert_and_check()[0]] == [GONE]


@pytest.mark.parametrize("kind", ["empty prefix", "archived"])
def test_an_export_that_can_be_listed_and_not_read_is_published(
    project: Project, alert_and_check: Any, kind: str
) -> None:
    bucket = project.env["JWO_BUCKET"]
    if kind == "archived":
        boto3.client("s3").put_object(Bucket=bucket, Key="cold/a.csv", Body=b"sku\n", StorageClass="GLACIER")
    project.env["JWO_SOURCE_URI"] = f"s3://{bucket}/cold/"
    assert alert_and_check() == ([], None)
    later(project, 31)
    ((subject, text),), _ = alert_and_check()
    assert subject == GONE
    assert ("Glacier" if kind == "archived" else "holds no object") in text


def test_a_short_outage_is_published_to_nobody(project: Project, alert_and_check: Any) -> None:
    path = on_disk(project)
    path.unlink()
    alert_and_check()
    later(project, 10)
    on_disk(project)
    assert alert_and_check() == ([], None)
    assert project.ledger.end_outage("export") == 0


def test_where_no_export_is_configured_there_is_no_news_of_it(project: Project, alert_and_check: Any) -> None:
    project.env.pop("JWO_SOURCE_URI")
    assert alert_and_check() == ([], None)
    assert project.ledger.end_outage("export") == 0
