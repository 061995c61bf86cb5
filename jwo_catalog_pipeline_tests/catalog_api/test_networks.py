"""Proxies, private CAs and wrong addresses: for the Catalog API, reports and certificates, against real servers."""

import socket
import time
from collections.abc import Callable

import pytest

from jwo_catalog_pipeline.catalog_api.errors import (
    ForbiddenReportLink,
    NotReached,
)
from jwo_catalog_pipeline.catalog_api.links import NotAllowed, parse_link
from jwo_catalog_pipeline.catalog_api.report import fetch_report, report_http
from jwo_catalog_pipeline.catalog_api.safe_http import NotFetched, SafeHttp
from jwo_catalog_pipeline.catalog_api.sns_signature import fetch_certificate
from jwo_catalog_pipeline.network import network_settings
from jwo_catalog_pipeline.redaction import redacted
from jwo_catalog_pipeline_tests.chaos.envelopes import certificate_url_of
from jwo_catalog_pipeline_tests.chaos.urls import TOPIC
from jwo_catalog_pipeline_tests.support.networks import (
    ACCEPTED,
    API,
    PASSWORD,
    REPORT,
    S3,
    SNS,
    PrivateCa,
    TunnelProxy,
    client,
    refused,
    web_server,
)
from jwo_catalog_pipeline_tests.support.parts import body_of, deliver

pytestmark = pytest.mark.usefixtures("no_proxy")


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


def test_a_proxy_that_drips_does_not_hold_a_fetch_for_longer_than_its_time(
    proxy: TunnelProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    proxy.drips = True
    started = time.monotonic()
    with pytest.raises(NotFetched, match=r"longer than 0\.5 s"):
        SafeHttp(0.5).get(parse_link(REPORT), 1_000)
    assert time.monotonic() - started < 3
