"""Hostile URLs, name servers and answers: a smaller round of what `make chaos` tries; TLS to the checked address."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from jwo_catalog_pipeline.catalog_api.links import parse_link
from jwo_catalog_pipeline.catalog_api.notification import CertificateUnavailable, InvalidSignature
from jwo_catalog_pipeline.catalog_api.safe_http import NotFetched, SafeHttp
from jwo_catalog_pipeline.catalog_api.sns_signature import fetch_certificate
from jwo_catalog_pipeline_tests.chaos import bombs
from jwo_catalog_pipeline_tests.chaos.envelopes import certificate, certificate_url_of, private_pem
from jwo_catalog_pipeline_tests.chaos.hostile import bomb_figures, certificate_figures, socket_figures
from jwo_catalog_pipeline_tests.chaos.urls import TOPIC

SNS = "sns.us-east-1.amazonaws.com"
PUBLIC = "52.94.0.1"


@contextmanager
def tls_server(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, answer: bytes) -> Iterator[list[str]]:
    """A server with a certificate for a name, behind a public address; gives the addresses that are connected to."""
    (folder / "key.pem").write_bytes(private_pem())
    (folder / "cert.pem").write_bytes(certificate(names=(name,)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    connected: list[str] = []

    def redirected(address: tuple[str, int], timeout: float) -> socket.socket:
        connected.append(address[0])
        connection = socket.socket()
        connection.settimeout(timeout)
        connection.connect(listener.getsockname())
        return connection

    def serve() -> None:
        try:
            with context.wrap_socket(listener.accept()[0], server_side=True) as client:
                client.recv(65_536)
                client.sendall(answer)
        except OSError:
            return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (PUBLIC, 443))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
        monkeypatch.setattr(socket, "create_connection", redirected)
        server = threading.Thread(target=serve, daemon=True)
        server.start()
        yield connected
        server.join(5)


def client(folder: Path) -> SafeHttp:
    """Trusts the server's certificate, and verifies names as always."""
    return SafeHttp(5, ssl.create_default_context(cafile=str(folder / "cert.pem")))


def answer(status: str, body: bytes = b"pem", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


def test_the_certificate_of_the_host_is_verified_by_its_name_at_the_address_that_was_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tls_server(tmp_path, monkeypatch, SNS, answer("200 OK")) as connected:
        assert fetch_certificate(client(tmp_path))(certificate_url_of(TOPIC)) == b"pem"
    assert connected == [PUBLIC]


@pytest.mark.parametrize("name", ["evil.example", "sns.eu-west-1.amazonaws.com", "amazonaws.com"])
def test_a_host_that_cannot_prove_its_name_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with (
        tls_server(tmp_path, monkeypatch, name, answer("200 OK")),
        pytest.raises(CertificateUnavailable, match="SSLCertVerificationError"),
    ):
        fetch_certificate(client(tmp_path))(certificate_url_of(TOPIC))


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (answer("403 Forbidden"), InvalidSignature),
        (answer("404 Not Found"), InvalidSignature),
        (answer("302 Found", b"", "Location: https://evil.example/x.pem"), InvalidSignature),
        (answer("429 Too Many Requests"), CertificateUnavailable),
        (answer("500 Internal Server Error"), CertificateUnavailable),
        (answer("503 Service Unavailable"), CertificateUnavailable),
        (answer("200 OK", b"x" * 20_001), CertificateUnavailable),
        (b"", CertificateUnavailable),
    ],
)
def test_a_definite_no_quarantines_a_message_and_a_trouble_that_may_pass_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes, error: type[Exception]
) -> None:
    with tls_server(tmp_path, monkeypatch, SNS, said) as connected, pytest.raises(error):
        fetch_certificate(client(tmp_path))(certificate_url_of(TOPIC))
    assert connected == [PUBLIC]


def test_a_certificates_host_at_an_address_of_this_machine_is_not_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    with pytest.raises(InvalidSignature, match=r"127\.0\.0\.1"):
        fetch_certificate()(certificate_url_of(TOPIC))


@pytest.mark.parametrize("name", ["silence", "a slow body", "slow headers", "endless 100 Continue", "endless trailers"])
def test_a_fetch_ends_in_time_however_slowly_the_answer_drips(name: str) -> None:
    with bombs.serving() as url:
        started = time.monotonic()
        with pytest.raises(NotFetched, match=r"longer than 0\.5 s"):
            SafeHttp(0.5).get(parse_link(url(name)), 1_000, any_address=True)
    assert time.monotonic() - started < 3


def test_a_lie_about_the_answer_gives_no_report() -> None:
    with bombs.serving() as url, ThreadPoolExecutor(len(bombs.LYING)) as pool:
        said = dict(
            zip(bombs.LYING, pool.map(lambda name: bombs.read_as_a_report(url(name), 1), bombs.LYING), strict=True)
        )
    assert said.pop("longer than it says") == "unknown with 0 items"
    # What comes whole is kept, whatever its encoding is said to be; then nothing is guessed about its items.
    kept = [said.pop(name) for name in ("gzip that is none", "gzip cut short", "deflate", "gzip twice")]
    assert kept == ["items with 0 items", *["unknown with 0 items"] * 3]
    assert {what.split(":")[0] for what in said.values()} == {"ReportUnavailable"}


@pytest.mark.parametrize("figures", [certificate_figures, socket_figures])
def test_no_hostile_url_is_fetched_and_every_genuine_one_may_be(figures: object) -> None:
    assert [figure for figure in figures() if not figure.holds] == []  # type: ignore[operator]


def test_a_bomb_is_survived_within_the_bounds_of_memory() -> None:
    figures = bomb_figures(["gzip of 10 GB", "small objects"], [])
    assert [figure for figure in figures if not figure.holds] == []
