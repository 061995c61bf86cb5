"""Proxies, private CAs and wrong addresses: for the Catalog API, reports and certificates, against real servers."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import urllib3
from botocore.credentials import Credentials

from jwo_catalog_pipeline.catalog_api.client import CatalogApi, http_pool
from jwo_catalog_pipeline.catalog_api.errors import (
    CatalogApiError,
    ForbiddenReportLink,
    NetworkBlocks,
    NotReached,
    Outcome,
    ReportUnavailable,
    WrongEndpoint,
)
from jwo_catalog_pipeline.catalog_api.links import NotAllowed, parse_link
from jwo_catalog_pipeline.catalog_api.notification import CertificateUnavailable
from jwo_catalog_pipeline.catalog_api.report import fetch_report, report_http
from jwo_catalog_pipeline.catalog_api.safe_http import NotFetched, SafeHttp
from jwo_catalog_pipeline.catalog_api.sns_signature import fetch_certificate
from jwo_catalog_pipeline.errors import ConfigurationError
from jwo_catalog_pipeline.network import ca_file, network_settings
from jwo_catalog_pipeline.redaction import redacted
from jwo_catalog_pipeline_tests.chaos.envelopes import certificate_url_of
from jwo_catalog_pipeline_tests.chaos.urls import TOPIC
from jwo_catalog_pipeline_tests.support.networks import PrivateCa, TunnelProxy, web_server
from jwo_catalog_pipeline_tests.support.parts import NoLimit, body_of, deliver

API, S3, SNS = "api.jwo.example", "s3.us-east-1.amazonaws.com", "sns.us-east-1.amazonaws.com"
REPORT = f"https://{S3}/bucket/r.json?X-Amz-Signature=5ec2e7"
ACCEPTED = (201, b'{"ingestionId": "i-1"}')
PASSWORD = "pass-w0rd-of-the-proxy"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> PrivateCa:
    return PrivateCa(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def proxy() -> Iterator[TunnelProxy]:
    proxy = TunnelProxy()
    yield proxy
    proxy.close()


def client(url: str, http: urllib3.PoolManager | None = None) -> CatalogApi:
    class Source:
        def __call__(self) -> Credentials:
            return Credentials("AKIA", "secret-of-the-test")

        def renew(self) -> None:
            pass

    return CatalogApi(url, "us-east-1", Source(), NoLimit(), http or http_pool())


def refused(url: str) -> CatalogApiError:
    with pytest.raises(CatalogApiError) as raised:
        deliver(client(url), body_of())
    return raised.value


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize("bundle", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_catalog_api_is_reached_through_the_proxy_and_with_the_companys_certificates(
    ca: PrivateCa, proxy: TunnelProxy, monkeypatch: pytest.MonkeyPatch, variable: str, bundle: str
) -> None:
    monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv(bundle, str(ca.file))
    with web_server(lambda _: ACCEPTED, ca.context(API)) as proxy.ports[API]:
        api = client(f"https://{API}")
        assert [deliver(api, body_of()).ingestion_id for _ in range(3)] == ["i-1"] * 3
    assert proxy.asked == [f"{API}:443"]  # kept alive


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_reports_and_certificates_are_fetched_through_the_proxy_by_their_names(
    ca: PrivateCa, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """Nothing is looked up here: the proxy resolves the name, which perhaps only the proxy's name server knows."""
    monkeypatch.setattr("socket.getaddrinfo", _only_numbers())
    monkeypatch.setenv("AWS_CA_BUNDLE", str(ca.file))
    proxy = TunnelProxy(ca.context("localhost") if scheme == "https" else None)
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://localhost:{proxy.port}")
    hosts: list[str] = []

    def answer(request: object) -> tuple[int, bytes]:
        hosts.append(request.headers["Host"])  # type: ignore[attr-defined]
        return 200, b"[]"

    with (
        web_server(answer, ca.context(S3)) as proxy.ports[S3],
        web_server(answer, ca.context(SNS)) as proxy.ports[SNS],
    ):
        assert fetch_report(report_http(), REPORT, f"https://{S3}") == b"[]"
        assert fetch_certificate()(certificate_url_of(TOPIC)) == b"[]"
    assert proxy.asked == [f"{S3}:443", f"{SNS}:443"]
    assert hosts == [S3, SNS]
    proxy.close()


def _only_numbers() -> Callable[..., object]:
    real = socket.getaddrinfo

    def look_up(host: str, *more: object, **named: object) -> object:
        if host not in ("localhost", "127.0.0.1"):
            raise AssertionError(f"{host} was looked up")
        return real("127.0.0.1", *more, **named)  # type: ignore[arg-type]

    return look_up


@pytest.mark.parametrize("exception", ["*", API, ".jwo.example", f"other,{API}"])
def test_hosts_that_need_no_proxy_are_connected_to_directly(
    proxy: TunnelProxy, monkeypatch: pytest.MonkeyPatch, exception: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("NO_PROXY", exception)
    error = refused(f"https://{API}")
    assert type(error) is NotReached
    assert "has no address" in error.problem
    assert proxy.asked == []


def test_a_host_with_an_address_of_this_machine_needs_no_proxy_where_no_proxy_says_so(
    proxy: TunnelProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with web_server(lambda _: ACCEPTED) as port:
        assert deliver(client(f"http://127.0.0.1:{port}"), body_of()).ingestion_id == "i-1"
    assert proxy.asked == []


def test_the_operators_own_endpoint_without_tls_is_asked_for_through_the_proxy(
    proxy: TunnelProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    url = "http://minio.internal:9000/b/r.json?X-Amz-Signature=1"
    assert fetch_report(report_http(), url, "http://minio.internal:9000") == b"[]"
    assert proxy.asked == [url]


def test_what_is_none_of_amazons_hosts_is_not_asked_for_through_a_proxy_either(
    proxy: TunnelProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    for host in ("evil.example", "169.254.169.254", "s3.us-east-1.amazonaws.com.evil.example"):
        with pytest.raises(ForbiddenReportLink):
            fetch_report(report_http(), f"https://{host}/r.json", f"https://{S3}")
    for host in ("127.0.0.1", "[::1]", "2130706433", "a.0x7f000001", "1.2.3", "localhost"):
        with pytest.raises(NotAllowed, match="no name of a host"):
            SafeHttp(5).get(parse_link(f"https://{host}/"), 100)
    assert proxy.asked == []


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


def test_a_proxy_that_wants_a_password_gets_it_and_nobody_else_does(
    ca: PrivateCa, proxy: TunnelProxy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(ca.file))
    proxy.user_info = f"user:{PASSWORD}"
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    assert "wants a user and password (407)" in (error := refused(f"https://{API}")).problem
    assert error.remedy == "set HTTPS_PROXY to http://USER:PASSWORD@HOST:PORT"
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{PASSWORD}-wrong@127.0.0.1:{proxy.port}")
    wrong = refused(f"https://{API}")
    assert "does not accept the user and password (407)" in wrong.problem
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{PASSWORD}@127.0.0.1:{proxy.port}")
    with (
        web_server(lambda _: ACCEPTED, ca.context(API)) as proxy.ports[API],
        web_server(lambda _: (200, b"[]"), ca.context(S3)) as proxy.ports[S3],
    ):
        deliver(client(f"https://{API}"), body_of())
        fetch_report(report_http(), REPORT, f"https://{S3}")
    assert PASSWORD not in f"{wrong} {wrong!r} {network_settings()} {caplog.text}"
    assert "short" not in redacted("HTTPS_PROXY=http://user:short@proxy:3128")


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


def test_a_proxy_that_drips_does_not_hold_a_fetch_for_longer_than_its_time(
    proxy: TunnelProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    proxy.drips = True
    started = time.monotonic()
    with pytest.raises(NotFetched, match=r"longer than 0\.5 s"):
        SafeHttp(0.5).get(parse_link(REPORT), 1_000)
    assert time.monotonic() - started < 3


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
