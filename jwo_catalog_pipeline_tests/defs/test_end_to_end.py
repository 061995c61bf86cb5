"""A catalog file goes in, every item's outcome comes back: compared item by item with an independent expectation."""

from pathlib import Path

import boto3
import pytest

from jwo_catalog_pipeline_tests.support import ROOT, expectation
from jwo_catalog_pipeline_tests.support.arrival import account, catalog
from jwo_catalog_pipeline_tests.support.project import SAMPLE, Project, metadata

SUPERMARKET = ROOT.parent / "shared/data/supermarket/prices_2026-08-13.csv.gz"


def send(project: Project, source: Path, mapping: Path) -> dict:
    project.raw_export(source.name, source.read_bytes())
    project.mapping(mapping.read_text(encoding="utf-8"))
    return metadata(project.must_upload("u1"), "source_catalog")


@pytest.mark.parametrize(
    "shape", ["1", pytest.param("2", marks=pytest.mark.thorough), pytest.param("3", marks=pytest.mark.thorough)]
)
def test_the_sample_arrives_as_expected_and_every_row_is_accounted_for(project: Project, shape: str) -> None:
    project.sandbox.misbehave(report_shape=shape)
    rows, sent = expectation.expected(SAMPLE / "grocery.csv", expectation.grocery)
    accepted = {key: item for key, item in sent.items() if expectation.service_accepts(item)}
    assert 0 < len(accepted) < len(sent) < rows

    assert send(project, SAMPLE / "grocery.csv", SAMPLE / "mapping.yaml")["dagster/row_count"] == rows
    project.settle("u1")

    assert catalog(project) == accepted
    assert account(project, rows) == {"accepted": set(accepted), "rejected": set(sent) - set(accepted)}
    objects = boto3.client("s3").list_objects_v2(Bucket=project.env["JWO_BUCKET"], Prefix="uploads/u1/")["Contents"]
    kinds = {each["Key"].split("/")[3].split(".")[0] for each in objects}
    assert kinds == {"batches", "items", "outcomes", "published_before", "reports"}


@pytest.mark.thorough
@pytest.mark.skipif(not SUPERMARKET.exists(), reason="the real catalogs lie beside the project, where they are at hand")
def test_a_real_catalog_arrives_as_expected_and_every_row_is_accounted_for(project: Project) -> None:
    rows, sent = expectation.expected(SUPERMARKET, expectation.supermarket)
    accepted = {key: item for key, item in sent.items() if expectation.service_accepts(item)}
    project.env.pop("JWO_STORE_IDS")
    project.sandbox.post("stores", {"stores": sorted({store for store, _ in sent})})
    assert rows > 50_000

    send(project, SUPERMARKET, ROOT / "examples/supermarket.yaml")
    assert len(project.requests()) == -(-len(sent) // 10_000)
    project.settle("u1")

    assert catalog(project) == accepted
    assert account(project, rows) == {"accepted": set(accepted), "rejected": set(sent) - set(accepted)}
