"""What stops an upload before anything is sent, and the sentence that names it."""

import gzip
import re

import boto3
import pytest

from jwo_catalog_pipeline.aws import aws_client
from jwo_catalog_pipeline_tests.support.project import HEADER, MAPPING, ROWS, Project, failure


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.csv", b"", "empty.csv"),
        ("cut.csv.gz", gzip.compress(b"sku,barcode,name,store,price\n" * 50, mtime=0)[:-12], "cut.csv.gz"),
        ("cut.csv", b"sku,barcode,name,store,price\nA,4006381333931,Pen,JWO-STORE-01,1.99\nB,9638", "cut.csv"),
        ("semicolons.csv", "\n".join([HEADER, *ROWS, ""]).replace(",", ";").encode(), "delimiter"),
        ("latin.csv", (HEADER + "\nA,4006381333931,Crème,JWO-STORE-01,1.99\n").encode("latin-1"), "UTF-8"),
        ("renamed.csv", b"sku,barcode,title,store,price\nA,4006381333931,Pen,JWO-STORE-01,1.99\n", "name"),
    ],
)
def test_a_bad_file_stops_the_upload_with_a_sentence_that_names_it(
    project: Project, name: str, content: bytes, said: str
) -> None:
    project.raw_export(name, content)
    assert said in failure(project.upload("u1"))
    assert project.requests() == []
    assert project.ledger.upload("u1") is None


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("JWO_SOURCE_URI", "s3://{bucket}/nothing.csv", r"cannot read s3://.*/nothing.csv: it does not exist"),
        ("JWO_SOURCE_URI", "s3://{bucket}/nothing/", r"holds no object"),
        ("JWO_SOURCE_URI", "s3://no-such-bucket-anywhere/x.csv", r"no-such-bucket-anywhere.*does not exist"),
        ("JWO_SOURCE_URI", "/nowhere/export.csv", r"/nowhere/export.csv does not exist"),
        ("JWO_SOURCE_URI", "", r"JWO_SOURCE_URI is not set"),
        ("JWO_MAPPING", "", r"JWO_MAPPING is not set"),
        ("JWO_MAPPING", "/nowhere/mapping.yaml", r"/nowhere/mapping.yaml"),
        ("JWO_LEDGER_TABLE", "no-such-table", r"no-such-table: it does not exist; deploy"),
        ("JWO_API_URL", "http://127.0.0.1:9", r"cannot connect to the Catalog API"),
        ("JWO_API_URL", "", r"JWO_API_URL is not set"),
        ("JWO_API_ROLE_ARN", "not-an-arn", r"check JWO_API_ROLE_ARN"),
    ],
)
def test_a_wrong_setting_stops_the_upload_with_a_sentence_that_names_it(
    project: Project, variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jwo_catalog_pipeline.upload.send.retrying.BACKOFF", lambda _: 0.0)
    project.env[variable] = value.format(bucket=project.env["JWO_BUCKET"])
    sentence = failure(project.upload("u1"))
    assert re.search(said, sentence), sentence
    assert project.requests() == []


def test_a_missing_bucket_is_named(project: Project) -> None:
    project.env["JWO_BUCKET"] = "no-such-bucket-anywhere"
    result = project.upload("u1")
    assert not result.success
    errors = " ".join(str(event.step_failure_data.error) for event in result.all_events if event.is_step_failure)
    assert (
        "cannot write s3://no-such-bucket-anywhere/uploads/u1/tables/source_catalog.parquet: no such bucket; deploy"
        in errors
    )
    assert project.requests() == []


def test_missing_credentials_are_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    aws_client.cache_clear()
    try:
        sentence = failure(project.upload("u1"))
    finally:
        aws_client.cache_clear()
    assert re.search(r"cannot read s3://.*: no AWS credentials found; set AWS_PROFILE, or", sentence)
    assert project.requests() == []


def test_an_unknown_column_in_the_mapping_names_field_and_line(project: Project) -> None:
    project.mapping(MAPPING.replace("clean(name)", "clean(nmae)"))
    sentence = failure(project.upload("u1"))
    assert "item_name" in sentence
    assert "nmae" in sentence
    assert "line 6" in sentence
    assert project.requests() == []


def test_a_store_whose_id_nobody_has_written_names_the_line_of_the_mapping(project: Project) -> None:
    project.mapping(MAPPING.replace("store_id: store", "store_id: \"'YOUR-STORE-ID'\""))
    sentence = failure(project.upload("u1"))
    assert "line 7, fields.store_id: YOUR-STORE-ID stands for a store: write Amazon's id of it" in sentence
    assert "3 of 3 rows (100.0%) failed a check" in sentence
    assert project.requests() == []
