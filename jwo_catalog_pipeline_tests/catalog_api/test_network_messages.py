"""What is said of a network that does not let a call through: each cause in a message of its own."""

import socket
import ssl
from pathlib import Path

import pytest

from jwo_catalog_pipeline.catalog_api.client import http_pool
from jwo_catalog_pipeline.catalog_api.errors import (
    NetworkBlocks,
    NotReached,
    Outcome,
    ReportUnavailable,
    WrongEndpoint,
)
from jwo_catalog_pipeline.catalog_api.notification import CertificateUnavailable
from jwo_catalog_pipeline.catalog_api.report import fetch_report, report_http
from jwo_catalog_pipeline.catalog_api.sns_signature import fetch_certificate
from jwo_catalog_pipeline.errors import ConfigurationError
from jwo_catalog_pipeline.network import ca_file
from jwo_catalog_pipeline_tests.chaos.envelopes import certificate_url_of
from jwo_catalog_pipeline_tests.chaos.urls import TOPIC
from jwo_catalog_pipeline_tests.support.networks import (
    ACCEPTED,
    API,
    PASSWORD,
    REPORT,
    S3,
    PrivateCa,
    TunnelProxy,
    client,
    refused,
    web_server,
)
from jwo_catalog_pipeline_tests.support.parts import body_of, deliver

pytestmark = pytest.mark.usefixtures("no_proxy")


def test_a_certificate_that_is_not_trusted_is_not_a_wrong_address(
    ca: PrivateCa, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with web_server(lambda _: ACCEPTED, ca.context("localhost")) as port:
        error = refused(f"https://localhost:{port}")
        assert isinstance(error, NetworkBlocks)
        assert error.outcome is Outcome.NOT_SENT
        assert f"the certificate of localhost:{port} is not trusted" in error.problem
        assert "set AWS_CA_BUNDLE to a file with the CA certificates to trust (now it is the system's)" in error.remedy
        monkeypatch.setenv("AWS_CA_BUNDLE", str(PrivateCa(tmp_path).file))
        assert f"now it is those of AWS_CA_BUNDLE, {tmp_path}" in refused(f"https://localhost:{port}").remedy
        monkeypatch.setenv("AWS_CA_BUNDLE", str(ca.file))
        assert deliver(client(f"https://localhost:{port}"), body_of()).ingestion_id == "i-1"
        foreign = refused(f"https://127.0.0.1:{port}")
    assert "mismatch" in foreign.problem
    assert foreign.remedy == "check JWO_API_URL and the network: another host answers"
    with web_server(lambda _: ACCEPTED, ca.context("localhost", days=-1)) as port:
        assert "check this machine's clock" in refused(f"https://localhost:{port}").remedy


def test_a_wrong_address_says_in_which_way_it_is_wrong() -> None:
    with web_server(lambda _: (404, b"<html>Not Found</html>")) as port:
        no_tls = refused(f"https://127.0.0.1:{port}")
        assert type(no_tls) is WrongEndpoint
        assert f"what answers at 127.0.0.1:{port} does not speak TLS" in no_tls.problem
        assert no_tls.problem.endswith("nothing was sent")
        another = refused(f"http://127.0.0.1:{port}")
        assert type(another) is WrongEndpoint
        assert "404 '<html>Not Found</html>'" in another.problem
        assert another.remedy == "check JWO_API_URL"
    nothing = refused("http://127.0.0.1:9")
    assert type(nothing) is NotReached
    assert "refuses connections" in nothing.problem
    nowhere = refused("https://no-such-host.invalid")
    assert type(nowhere) is NotReached
    assert "no-such-host.invalid has no address" in nowhere.problem
    assert "where only a proxy leads out, set HTTPS_PROXY" in nowhere.remedy


@pytest.mark.parametrize(
    ("status", "kind", "problem", "remedy"),
    [
        (403, NetworkBlocks, f"does not let calls to {API} through (403)", f"have {API} allowed at the proxy"),
        (502, NotReached, f"cannot reach {API} (502)", "ask who runs the proxy"),
    ],
)
def test_a_proxy_that_refuses_is_a_third_message(
    proxy: TunnelProxy, monkeypatch: pytest.MonkeyPatch, status: int, kind: type, problem: str, remedy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    proxy.status = status
    error = refused(f"https://{API}")
    assert type(error) is kind
    assert f"the proxy http://127.0.0.1:{proxy.port} (HTTPS_PROXY) {problem}" in error.problem
    assert remedy in error.remedy
    with pytest.raises(ReportUnavailable, match="proxy"):
        fetch_report(report_http(), REPORT, f"https://{S3}")
    with pytest.raises(CertificateUnavailable, match="proxy"):
        fetch_certificate()(certificate_url_of(TOPIC))


def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{PASSWORD}@127.0.0.1:9")
    error = refused(f"https://{API}")
    assert type(error) is NotReached
    assert "the proxy http://127.0.0.1:9 refuses connections" in error.problem
    assert error.remedy.startswith("check HTTPS_PROXY")
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{PASSWORD}@")
    error = refused(f"https://{API}")
    assert "HTTPS_PROXY is no address of a proxy" in error.problem
    assert PASSWORD not in str(error)


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_file_of_certificates_that_is_not_there_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "gone.pem"))
    for use in (http_pool, ca_file):
        with pytest.raises(ConfigurationError, match=rf"{variable} is '.*gone\.pem', which cannot be read") as raised:
            use()
        assert raised.value.variable == variable
    with pytest.raises(ReportUnavailable, match=variable):
        fetch_report(report_http(), REPORT, f"https://{S3}")
    with pytest.raises(CertificateUnavailable, match=variable):
        fetch_certificate()(certificate_url_of(TOPIC))
    (tmp_path / "gone.pem").write_text("no certificate")
    with pytest.raises(ConfigurationError, match="holds no certificate"):
        http_pool()


def test_the_first_variable_counts_as_it_does_for_boto3(ca: PrivateCa, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(ca.file))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    assert ca_file() == str(ca.file)


def test_a_connection_that_breaks_after_the_call_was_sent_leaves_a_doubt(
    ca: PrivateCa, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what happens before the first byte of a call may be called `not sent`."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(ca.file))

    def plain_text(request: object) -> tuple[int, bytes]:
        connection: ssl.SSLSocket = request.connection  # type: ignore[attr-defined]
        raw = socket.socket(fileno=connection.detach())
        raw.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        raw.close()
        raise ConnectionAbortedError

    with web_server(plain_text, ca.context("localhost")) as port:
        assert refused(f"https://localhost:{port}").outcome is Outcome.IN_DOUBT
