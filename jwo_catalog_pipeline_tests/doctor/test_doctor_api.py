"""What `jwo-catalog doctor` finds wrong with the Catalog API, its role, the mapping and the export."""

import pytest
import urllib3

from jwo_catalog_pipeline.doctor import configuration as installation
from jwo_catalog_pipeline_tests.support.doctor import Look, found, http_server, permissions
from jwo_catalog_pipeline_tests.support.project import MAPPING, Project


def test_a_role_that_cannot_be_assumed(project: Project, look: Look) -> None:
    project.sandbox.misbehave(sts_down=99)
    said = found(look, "role", "problem")
    assert f"sts:AssumeRole of {project.env['JWO_API_ROLE_ARN']} is answered with ServiceUnavailable" in said
    assert "trust policy must name the identity found above" in said
    project.sandbox.misbehave(sts_down=0)
    with permissions("sts:AssumeRole", trusted=False):
        said = found(look, "role", "problem")
    assert "is answered with AccessDenied" in said
    assert "trust policy must name the identity found above" in said
    project.env["JWO_API_ROLE_ARN"] = "short"
    assert "-> check JWO_API_ROLE_ARN" in found(look, "role", "problem")
    project.env["JWO_API_ROLE_ARN"] = ""
    assert "the pipeline's own identity signs" in found(look, "role", "ok")


def test_a_signature_that_is_refused_and_a_call_that_is_not_permitted(project: Project, look: Look) -> None:
    assert "the test ingestion does not exist" in found(look, "Catalog API", "ok")
    project.sandbox.misbehave(forbid=1)
    said = found(look, "Catalog API", "problem")
    assert "the signature is accepted, but the call is not permitted: the Catalog API answered 403" in said
    assert f"-> allow execute-api:Invoke on the API to {project.env['JWO_API_ROLE_ARN']}; if it is allowed, ask" in said
    assert "JWO_API_REGION" not in said
    project.env["JWO_API_REGION"] = "eu-west-1"
    said = found(look, "Catalog API", "problem")
    assert "the signature is rejected: the Catalog API answered 403 'Credential should be scoped" in said
    assert "-> JWO_API_REGION is eu-west-1: it must be the signing region that Amazon handed out" in said
    assert "execute-api:Invoke" not in said
    project.env["JWO_API_REGION"] = "us-west-2"
    project.sandbox.misbehave(signature_seconds=0)
    said = found(look, "Catalog API", "problem")
    assert "the signature is rejected because of its time" in said
    assert "-> set this machine's clock by NTP" in said


def test_an_api_that_cannot_be_reached_or_is_something_else(project: Project, look: Look) -> None:
    url = project.env["JWO_API_URL"]
    project.env["JWO_API_URL"] = "http://127.0.0.1:9"
    assert "cannot connect to the Catalog API at 127.0.0.1:9" in (said := found(look, "Catalog API", "problem"))
    assert "-> check JWO_API_URL and the network" in said
    project.env["JWO_API_URL"] = project.env["AWS_ENDPOINT_URL"]
    assert "-> check JWO_API_URL" in found(look, "Catalog API", "problem")
    project.env["JWO_API_URL"] = "api.example"
    assert "-> it must be scheme and host" in found(look, "Catalog API", "problem")
    with http_server(lambda *_: (400, b"<html>Bad Request</html>")) as project.env["JWO_API_URL"]:
        assert "400 '<html>Bad Request</html>', which is not how" in (said := found(look, "Catalog API", "problem"))
        assert "-> check JWO_API_URL and the proxy" in said
    project.env["JWO_API_URL"] = f"{url}/v1"
    said = found(look, "Catalog API", "problem")
    assert "the host has no Catalog API: the Catalog API answered 403 'Missing Authentication Token' -> check" in said
    assert "without /v1" in said


def test_an_api_that_is_busy_or_out_of_order(project: Project, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    project.sandbox.misbehave(throttle=1)
    assert "429" in (said := found(look, "Catalog API", "warning"))
    assert "-> run this again in a minute" in said
    project.sandbox.misbehave(error_retry=1)
    assert "does not respond as expected: the Catalog API answered 500" in (
        said := found(look, "Catalog API", "problem")
    )
    assert "may have been ingested" not in said
    monkeypatch.setattr(installation, "API_TIMEOUT", urllib3.Timeout(connect=1, read=0.3))
    project.sandbox.misbehave(hang_before_ingesting=1)
    assert "no answer from the Catalog API" in (said := found(look, "Catalog API", "problem"))
    assert "-> run this again in a few minutes" in said


def test_a_mapping_that_does_not_fit_and_a_source_that_is_missing(project: Project, look: Look) -> None:
    project.mapping(MAPPING.replace("item_sku: sku", "item_sku: nowhere"))
    said = found(look, "mapping", "problem")
    assert said.startswith(f"{project.env['JWO_MAPPING']}, line 4, fields.item_sku: the export has no")
    assert "nowhere" in said
    assert "; jwo-catalog mapping review EXPORT shows what the mapping does" in said
    project.mapping(MAPPING)
    project.env["JWO_SOURCE_URI"] += ".gone"
    said = found(look, "mapping", "problem")
    assert "export.csv.gone" in said
    assert "it does not exist -> check JWO_SOURCE_URI" in said
    project.env["JWO_MAPPING"] += ".gone"
    assert "mapping.yaml.gone" in found(look, "mapping", "problem")


def test_an_export_of_which_many_rows_are_invalid(project: Project, look: Look) -> None:
    project.export("sku,barcode,name,store,price", "A,123,Pen,JWO-STORE-01,1.00", "B,4006381333932,Ink,JWO-STORE-01,1")
    said = found(look, "mapping", "problem")
    assert "2 rows, 1 quarantined (50.0%) -> jwo-catalog mapping review EXPORT" in said
    assert "more than 5% stop an upload" in said
    valid = [f"V{n},4006381333931,Ink,JWO-STORE-01,1.00" for n in range(30)]
    project.export("sku,barcode,name,store,price", "B,4006381333932,Ink,JWO-STORE-01,1", *valid)
    assert "31 rows, 1 quarantined (3.2%)" in found(look, "mapping", "warning")
