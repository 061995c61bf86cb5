"""The guard `older_export`: an export that comes back is stopped by its content, one that comes late by its file."""

import os
from pathlib import Path
from typing import Any

import boto3
import pytest

from jwo_catalog_pipeline.defs.sensors import source_catalog_sensor
from jwo_catalog_pipeline.upload.exports import AppliedExport, Export, ExportHistory
from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.model import PlanRecord, UploadRecord
from jwo_catalog_pipeline.upload.plan.guards import OLDER_EXPORT
from jwo_catalog_pipeline_tests.support.parts import Parts, items
from jwo_catalog_pipeline_tests.support.project import HEADER, MAPPING, ROWS, Project, failure

ALLOW = {"catalog_changes": {"config": {"allow": [OLDER_EXPORT]}}}
PLAN_ONLY = ["source_catalog", "jwo_catalog", "quarantined_items", "catalog_changes"]
MONDAY, TUESDAY, WEDNESDAY, THURSDAY = (1_790_000_000 + day * 86_400 for day in range(4))


class Folder:
    """A folder of exports on disk, the source of a project; exports differ in one price."""

    def __init__(self, project: Project) -> None:
        self.path = project.folder / "exports"
        self.path.mkdir()
        project.env["JWO_SOURCE_URI"] = f"{self.path}/"

    def write(self, name: str, price: str, modified: int) -> None:
        rows = [HEADER, ROWS[0].replace("1.99", price), *ROWS[1:], ""]
        (self.path / name).write_text("\n".join(rows))
        os.utime(self.path / name, (modified, modified))

    def remove(self, name: str) -> None:
        (self.path / name).unlink()


@pytest.fixture
def folder(project: Project) -> Folder:
    return Folder(project)


def prices(project: Project) -> dict[str, str]:
    """What Amazon holds."""
    return {item["item_sku"]: item["standard_price"] for item in project.sandbox.get("catalog")}


def done(project: Project, upload: str, **config: Any) -> None:
    project.must_upload(upload, **config)
    project.settle(upload)


def test_an_export_that_was_applied_before_is_stopped_though_its_copy_is_new(project: Project) -> None:
    """`aws s3 sync` restored a folder: every copy is new, and yesterday's was sent, green, without a word."""
    project.raw_export("mon.csv", "\n".join([HEADER, *ROWS]).encode())
    done(project, "u1")
    project.raw_export("tue.csv", "\n".join([HEADER, ROWS[0].replace("1.99", "2.49"), *ROWS[1:]]).encode())
    done(project, "u2")
    bucket = project.env["JWO_BUCKET"]
    copy = {"Bucket": bucket, "Key": "source/mon.csv"}
    boto3.client("s3").copy_object(Bucket=bucket, Key="source/restored.csv", CopySource=copy)
    project.env["JWO_SOURCE_URI"] = f"s3://{bucket}/source/restored.csv"
    said = failure(project.upload("u3"))
    assert f"the content of s3://{bucket}/source/restored.csv (written 20" in said
    assert "was applied before, by upload u1 on 20" in said
    assert f" as s3://{bucket}/source/mon.csv, and has been overtaken by s3://{bucket}/source/tue.csv" in said
    assert "which upload u2 of 20" in said
    assert "jwo-catalog upload --allow older_export" in said
    assert prices(project)["A"] == "2.49"
    assert len(project.requests()) == 2


def test_with_todays_export_removed_yesterdays_is_not_sent(project: Project, folder: Folder) -> None:
    folder.write("mon.csv", "1.99", MONDAY)
    done(project, "u1")
    folder.write("tue.csv", "2.49", TUESDAY)
    done(project, "u2")
    folder.remove("tue.csv")
    assert "was applied before, by upload u1" in failure(project.upload("u3"))


def test_an_export_that_was_never_applied_is_stopped_by_the_time_of_its_file(project: Project, folder: Folder) -> None:
    folder.write("mon.csv", "1.99", MONDAY)
    folder.write("tue.csv", "2.49", TUESDAY)
    done(project, "u1")
    folder.remove("tue.csv")
    said = failure(project.upload("u2"))
    assert f"the file {folder.path}/mon.csv (written 2026-09-21T14:13:20Z) is older than {folder.path}/tue.csv" in said
    assert "(written 2026-09-22T14:13:20Z), which upload u1 of 20" in said


def test_the_same_export_again_is_no_older_one(project: Project, folder: Folder) -> None:
    folder.write("tue.csv", "2.49", TUESDAY)
    done(project, "u1")
    project.must_upload("u2")
    folder.write("tue.csv", "2.49", MONDAY)  # the same content with an older time
    project.must_upload("u3")
    project.mapping(MAPPING.replace("clean(name)", "upper(name)"))
    done(project, "u4")
    assert {item["item_name"] for item in project.sandbox.get("catalog")} == {"HIGHLIGHTER", "CHEWING GUM", "TISSUES"}


def test_a_rollback_that_a_person_allowed_is_the_newest_from_then_on(project: Project, folder: Folder) -> None:
    folder.write("mon.csv", "1.99", MONDAY)
    done(project, "u1")
    folder.write("tue.csv", "9.99", TUESDAY)
    done(project, "u2")
    folder.remove("tue.csv")
    assert not project.upload("u3").success
    done(project, "u4", ops=ALLOW)
    assert prices(project)["A"] == "1.99"
    project.must_upload("u5")  # the same file is not stopped again
    folder.write("tue.csv", "9.99", WEDNESDAY)
    assert "was applied before, by upload u2" in failure(project.upload("u6"))
    folder.write("thu.csv", "2.49", THURSDAY)
    done(project, "u7")
    assert prices(project)["A"] == "2.49"


def test_what_was_planned_and_not_applied_overtakes_nothing(project: Project, folder: Folder) -> None:
    folder.write("mon.csv", "1.99", MONDAY)
    done(project, "u1")
    folder.write("tue.csv", "2.49", TUESDAY)
    assert project.run("catalog_upload_job", "u2", only=PLAN_ONLY).success
    folder.remove("tue.csv")
    project.must_upload("u3")
    folder.write("tue.csv", "2.49", TUESDAY)
    done(project, "u4")


def test_a_file_of_the_same_second_is_not_older(project: Project, folder: Folder) -> None:
    folder.write("a.csv", "1.99", MONDAY)
    done(project, "u1")
    folder.write("b.csv", "2.49", MONDAY)
    done(project, "u2")
    assert prices(project)["A"] == "2.49"


def test_an_upload_of_an_older_version_of_this_software_stops_nothing(project: Project, folder: Folder) -> None:
    """Its record does not say of which export it was."""
    folder.write("tue.csv", "2.49", TUESDAY)
    done(project, "u1")
    forget_export(project, "u1")
    folder.write("tue.csv", "1.99", MONDAY)
    done(project, "u2")


def test_a_content_overtaken_by_an_unknown_export_is_stopped(project: Project, folder: Folder) -> None:
    folder.write("mon.csv", "1.99", MONDAY)
    done(project, "u1")
    folder.write("tue.csv", "2.49", TUESDAY)
    done(project, "u2")
    forget_export(project, "u2")
    folder.remove("tue.csv")
    assert "has been overtaken by another export, which upload u2 of" in failure(project.upload("u3"))


def forget_export(project: Project, upload: str) -> None:
    table = boto3.resource("dynamodb").Table(project.ledger.table_name)
    table.update_item(Key=keys.upload(upload), UpdateExpression="REMOVE #e", ExpressionAttributeNames={"#e": "export"})
    assert project.ledger.upload(upload).export == Export()


def test_the_sensor_starts_one_upload_of_a_restored_export_and_no_more(project: Project, folder: Folder) -> None:
    folder.write("mon.csv", "1.99", MONDAY)
    done(project, "u1")
    folder.write("tue.csv", "2.49", TUESDAY)
    done(project, "u2")
    folder.write("mon.csv", "1.99", WEDNESDAY)
    (request,) = project.tick(source_catalog_sensor).run_requests
    assert "was applied before" in failure(project.upload(request.partition_key))
    assert "has not changed" in project.tick(source_catalog_sensor).skip_message


def test_the_ledger_keeps_one_item_for_each_content_that_expires(parts: Parts) -> None:
    first, second = Export("aa", "s3://b/mon.csv", MONDAY), Export("bb", "s3://b/tue.csv", TUESDAY)
    for upload, export in (("u1", first), ("u2", second), ("u3", first)):
        parts.ledger.record_plan(upload, PlanRecord("plan"))
        record = UploadRecord("plan", parts.ledger.head().upload, 0, 0, parts.ledger.now(), export=export)
        parts.ledger.commit_upload(upload, record, parts.ledger.head())
    assert parts.ledger.applied_export("aa") == AppliedExport("u3", parts.ledger.now(), first)
    assert parts.ledger.applied_export("bb") == AppliedExport("u2", parts.ledger.now(), second)
    assert parts.ledger.applied_export("cc") is None
    table = boto3.resource("dynamodb").Table(parts.ledger.table_name)
    kept = [item for item in table.scan()["Items"] if keys.kind(item) == keys.EXPORT]
    assert [int(item["expires_at"]) for item in kept] == [parts.ledger.now() + 400 * 86_400] * 2


def test_a_plan_without_a_known_export_is_not_stopped(parts: Parts) -> None:
    (verdict,) = [each for each in parts.make_plan("u1", items("A"), allow=()).verdicts if each.guard == OLDER_EXPORT]
    assert (verdict.passed, verdict.message) == (
        True,
        "it is not known to be older than the export that was applied last",
    )
    assert ExportHistory().newest is None


def test_an_upload_remembers_its_export_until_it_is_settled_and_after(project: Project, folder: Folder) -> None:
    folder.write("mon.csv", "1.99", MONDAY)
    done(project, "u1")
    record = project.ledger.upload("u1")
    assert (record.state, Path(record.export.file).name, record.export.modified) == ("settled", "mon.csv", MONDAY)
    assert record.export == project.ledger.plan("u1").export
