"""Networks as companies have them: a server with a certificate of a private CA, and a proxy that opens tunnels."""

import base64
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import urllib3
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from jwo_catalog_pipeline.catalog_api.client import CatalogApi, http_pool
from jwo_catalog_pipeline.catalog_api.errors import CatalogApiError
from jwo_catalog_pipeline_tests.support.parts import NoLimit, body_of, deliver

API, S3, SNS = "api.jwo.example", "s3.us-east-1.amazonaws.com", "sns.us-east-1.amazonaws.com"
REPORT = f"https://{S3}/bucket/r.json?X-Amz-Signature=5ec2e7"
ACCEPTED = (201, b'{"ingestionId": "i-1"}')
PASSWORD = "pass-w0rd-of-the-proxy"
Answer = Callable[[BaseHTTPRequestHandler], tuple[int, bytes]]


@dataclass(frozen=True)
class PrivateCa:
    """A CA that no system trusts; `file` is its certificate, in PEM."""

    folder: Path
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    @property
    def file(self) -> Path:
        return self.folder / "ca.pem"

    def __post_init__(self) -> None:
        extension = x509.BasicConstraints(ca=True, path_length=None)
        self.file.write_bytes(self._signed("private CA", self.key.public_key(), (extension, True)))

    def _signed(self, name: str, key: Any, *extensions: tuple[x509.ExtensionType, bool], days: int = 2) -> bytes:
        now = datetime.now(UTC)
        subject, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in (name, "private CA"))
        builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=4)).not_valid_after(now + timedelta(days=days))
        ours = x509.SubjectKeyIdentifier.from_public_key(key)
        builder = builder.add_extension(ours, False)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def context(self, *names: str, days: int = 2) -> ssl.SSLContext:
        """What a server of these names needs."""
        key = rsa.generate_private_key(65537, 2048)
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        certificate = self._signed(names[0], key.public_key(), (alternatives, False), (issued_by, False), days=days)
        path = self.folder / f"{names[0]}.pem"
        plain = serialization.NoEncryption()
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        path.write_bytes(pem + certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


@contextmanager
def web_server(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server on the loopback address, with TLS if there is a context; gives its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10
        wbufsize = -1  # one packet an answer; two wait for each other

        def do_GET(self) -> None:
            self.sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = answer(self)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request: Any, client_address: Any) -> None:
            with suppress(OSError):  # such as a client that does not trust us
                secured = context.wrap_socket(request, server_side=True) if context else request
                super().finish_request(secured, client_address)

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


class TunnelProxy:
    """A proxy that opens tunnels (CONNECT) to the loopback address, whatever the host.

    Attributes:
        ports: by host, where a tunnel to it really leads.
        asked: `host:port` of every tunnel, and the URL of every other request.
        user_info: who may use it; "" for everyone.
        status: answers every request so, if not 200.
        drips: sends its answer byte by byte, and never ends.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.ports: dict[str, int] = {}
        self.asked: list[str] = []
        self.user_info, self.status, self.drips = "", 200, False
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                threading.Thread(target=self._handle, args=(client,), daemon=True).start()

    def _handle(self, client: socket.socket) -> None:
        with suppress(OSError):
            if self._context:
                client = self._context.wrap_socket(client, server_side=True)
            head = b""
            while b"\r\n\r\n" not in head:
                if not (piece := client.recv(65_536)):
                    return
                head += piece
            method, target, *_ = head.split(b"\r\n")[0].decode().split()
            self.asked.append(target)
            wanted = f"proxy-authorization: Basic {base64.b64encode(self.user_info.encode()).decode()}"
            status = 407 if self.user_info and wanted not in head.decode().split("\r\n") else self.status
            if self.drips:
                for letter in b"HTTP/1.1 200 OK\r\n" + b"x" * 10_000:
                    client.sendall(bytes([letter]))
                    threading.Event().wait(0.1)
            host = target.rpartition(":")[0]
            if method == "CONNECT" and status == 200 and host not in self.ports:
                status = 502
            if status != 200 or method != "CONNECT":
                client.sendall(f"HTTP/1.1 {status} as set\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]".encode())
                client.close()
                return
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with socket.create_connection(("127.0.0.1", self.ports[host])) as server:
                back = threading.Thread(target=_copy, args=(server, client), daemon=True)
                back.start()
                _copy(client, server)
                back.join(5)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65_536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


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
