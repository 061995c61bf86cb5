"""What `jwo-catalog doctor` finds wrong with the network: every host that is needed is tried."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from jwo_catalog_pipeline.doctor import network
from jwo_catalog_pipeline_tests.support.doctor import Look, found
from jwo_catalog_pipeline_tests.support.networks import PrivateCa, TunnelProxy, web_server
from jwo_catalog_pipeline_tests.support.project import Project

NAMES = [check.name for check in network.CHECKS]
API = "api.jwo.example"
PASSWORD = "pass-w0rd-of-the-proxy"


@pytest.fixture
def company(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TunnelProxy]:
    """A network whose only way out is a proxy, with a CA of its own; AWS itself, and not the sandbox's."""
    ca, proxy = PrivateCa(tmp_path), TunnelProxy()
    bucket = f"{project.env['JWO_BUCKET']}.s3.eu-west-1.amazonaws.com"
    hosts = [API, bucket, *(f"{name}.eu-west-1.amazonaws.com" for name in ("s3", "dynamodb", "sqs", "sts", "sns"))]
    project.env |= {"JWO_API_URL": f"https://{API}", "JWO_VERIFY_SIGNATURES": "on"}
    project.env["JWO_TOPIC_ARN"] = "arn:aws:sns:eu-west-1:123456789012:t"
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_STS_REGIONAL_ENDPOINTS", "regional")
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{PASSWORD}@127.0.0.1:{proxy.port}")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(ca.file))
    with web_server(lambda _: (404, b""), ca.context(*hosts)) as port:
        proxy.ports = dict.fromkeys(hosts, port)
        yield proxy
    proxy.close()


def test_every_host_is_tried_through_the_proxy_whose_password_is_not_shown(company: TunnelProxy, look: Look) -> None:
    every = look(*NAMES)
    assert {name: finding.status for name, finding in every.items()} == dict.fromkeys(NAMES, "ok"), every
    assert set(company.asked) == {f"{host}:443" for host in company.ports}
    assert f"HTTPS_PROXY http://127.0.0.1:{company.port}" in every["network"].found
    assert "AWS_CA_BUNDLE" in every["network"].found
    assert f"{API} answers, through http://127.0.0.1:{company.port}" in every["host of the Catalog API"].found
    assert PASSWORD not in repr(every)


def test_each_host_that_cannot_be_reached_has_its_remedy(
    company: TunnelProxy, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    company.status = 403
    every = look(*NAMES)
    for name in NAMES[1:]:
        assert every[name].status == "problem", every[name]
        assert "does not let calls to" in every[name].found
        assert "add it to NO_PROXY" in every[name].remedy
    company.status = 200
    monkeypatch.delenv("AWS_CA_BUNDLE")
    every = look(*NAMES)
    for name in NAMES[1:]:
        assert "is not trusted" in every[name].found, every[name]
        assert "set AWS_CA_BUNDLE" in every[name].remedy
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nowhere/ca.pem")
    every = look(*NAMES)
    assert "AWS_CA_BUNDLE is '/nowhere/ca.pem'" in every["network"].found
    assert {every[name].status for name in NAMES[1:]} == {"skipped"}


def test_what_replaces_aws_is_not_tried_and_what_is_not_needed_neither(project: Project, look: Look) -> None:
    project.env |= {"JWO_API_ROLE_ARN": "", "JWO_VERIFY_SIGNATURES": "off"}
    every = look(*NAMES)
    assert {finding.status for finding in every.values()} == {"ok"}, every
    assert "AWS_ENDPOINT_URL sets http://127.0.0.1" in every["host of DynamoDB"].found
    assert "JWO_API_ROLE_ARN is not set" in every["host of STS"].found
    assert "JWO_VERIFY_SIGNATURES is off" in every["host of SNS certificates"].found
    project.env["JWO_API_URL"] = "http://127.0.0.1:9"
    said = found(look, "host of the Catalog API", "problem")
    assert "127.0.0.1:9 refuses connections" in said
    assert "-> check JWO_API_URL and the network" in said


def test_messages_that_wait_to_be_verified_are_published(project: Project, look: Look) -> None:
    project.ledger.keep_unverified("m-1", b"x", "")
    said = found(look, "notifications", "warning")
    assert "1 message to be verified later" in said
    assert "Messages that cannot be verified" in said
