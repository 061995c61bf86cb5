"""What a process really connects to and resolves while it is given hostile links: observed at the socket.

Run as a process of its own, for an audit hook cannot be taken off again: `python -m ...chaos.sockets` prints JSON. The
name server's answers are made up here; a connection to anywhere but this process's own server is noted and refused.
"""

import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from jwo_catalog_pipeline.catalog_api.addresses import is_global
from jwo_catalog_pipeline.catalog_api.errors import ForbiddenReportLink, ReportUnavailable
from jwo_catalog_pipeline.catalog_api.report import fetch_report
from jwo_catalog_pipeline.catalog_api.safe_http import SafeHttp
from jwo_catalog_pipeline_tests.chaos.urls import (
    BAD_ADDRESSES,
    GENUINE_REPORT_HOSTS,
    GOOD_ADDRESSES,
    HOSTILE_REPORT_URLS,
    PRIVATE_ADDRESSES,
    REPORT_HOST,
)

PROXY = "127.0.0.2"
PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
S3 = "https://s3.us-east-1.amazonaws.com"
HTTP = SafeHttp(5)


@dataclass
class Seen:
    """What was tried and observed. Every list but `good_connections` and `own` must be empty.

    Attributes:
        tried: fetches by kind.
        fetched: kinds of hostile links that gave a document.
        other_errors: outcomes that are no error of ours.
        resolved: names that were looked up for a link that is refused by its looks.
        connections: connections to anywhere but the address that was checked.
        lookups: of a rebinding name, more than the one that was checked.
        good_connections: to the addresses of genuine links, which shows that the observer sees.
        proxied: genuine links for which the proxy was contacted, and nothing else.
        own: documents from the operator's own endpoint, which shows that fetching works here.
    """

    tried: dict[str, int] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    other_errors: list[str] = field(default_factory=list)
    resolved: list[str] = field(default_factory=list)
    connections: list[str] = field(default_factory=list)
    lookups: list[str] = field(default_factory=list)
    good_connections: int = 0
    proxied: int = 0
    own: int = 0


class Observer:
    """Sees every connection and look-up of the process; answers look-ups from a script."""

    def __init__(self, own_port: int) -> None:
        self.connected: list[str] = []
        self.looked_up: list[str] = []
        self.answers: list[list[str]] = []  # the n-th look-up of a name gets the n-th, the last one for ever
        self._own = ("127.0.0.1", own_port)
        self._real = socket.getaddrinfo
        socket.getaddrinfo = self._getaddrinfo  # type: ignore[assignment]
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and tuple(arguments[1][:2]) != self._own:
            self.connected.append(str(arguments[1][0]))
            raise ConnectionRefusedError("observed")

    def _getaddrinfo(self, host: str, port: int, *arguments: Any, **named: Any) -> list[Any]:
        try:
            socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host.split("%")[0])
        except OSError:
            self.looked_up.append(host)
            answer = self.answers[min(len(self.looked_up), len(self.answers)) - 1] if self.answers else []
            if not answer:
                raise socket.gaierror("no such name") from None
            family = {True: socket.AF_INET6, False: socket.AF_INET}
            return [(family[":" in each], socket.SOCK_STREAM, 6, "", (each, port)) for each in answer]
        return self._real(host, port, *arguments, **named)

    @contextmanager
    def script(self, *answers: list[str]) -> Iterator[None]:
        self.connected.clear()
        self.looked_up.clear()
        self.answers = list(answers)
        yield


def attempt(seen: Seen, kind: str, url: str, endpoint: str = S3) -> None:
    """Give a link to the code under test and note what came of it."""
    seen.tried[kind] = seen.tried.get(kind, 0) + 1
    try:
        fetch_report(HTTP, url, endpoint)
        seen.fetched.append(f"{kind}: {url[:100]!r}")
    except (ForbiddenReportLink, ReportUnavailable):
        pass
    except BaseException as error:  # noqa: BLE001 whatever else it is, it must be told
        seen.other_errors.append(f"{kind}: {url[:100]!r}: {type(error).__name__}")


def observe() -> Seen:
    """Try all hostile links and answers."""
    seen = Seen()
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    for name in PROXIES:
        os.environ.pop(name, None)
    observer = Observer(port)
    for url in HOSTILE_REPORT_URLS:
        with observer.script(["127.0.0.1"]):
            attempt(seen, "urls", url)
            attempt(seen, "urls next to a local endpoint", url, f"http://127.0.0.1:{port + 1}")
        seen.resolved += observer.looked_up
        seen.connections += observer.connected
    link = f"https://{REPORT_HOST}/r.json?X-Amz-Signature=5ec2e7"
    for bad in BAD_ADDRESSES:
        for answer in ([bad], [GOOD_ADDRESSES[0], bad], [bad, GOOD_ADDRESSES[0]]):
            with observer.script(answer, GOOD_ADDRESSES):
                attempt(seen, "addresses", link)
            seen.connections += observer.connected
        for good in (GOOD_ADDRESSES[0], GOOD_ADDRESSES[-1]):
            with observer.script([good], [bad]):
                attempt(seen, "rebinding", link)
            seen.connections += [each for each in observer.connected if each != good]
            seen.lookups += observer.looked_up[1:]
    _private(seen, observer, link)
    for host in GENUINE_REPORT_HOSTS:
        with observer.script(GOOD_ADDRESSES):
            attempt(seen, "genuine", f"https://{host}/b/r.json")
        seen.good_connections += observer.connected == GOOD_ADDRESSES
        seen.connections += [each for each in observer.connected if not is_global(each)]
    for path in ("/r.json?a=b", "/redirect"):
        with observer.script():
            try:
                seen.own += fetch_report(HTTP, f"http://127.0.0.1:{port}{path}", f"http://127.0.0.1:{port}") == b"[]"
            except ReportUnavailable:
                seen.tried["redirects"] = 1
        seen.connections += observer.connected
    _through_a_proxy(seen, observer)
    return seen


def _through_a_proxy(seen: Seen, observer: Observer) -> None:
    """Through a proxy nothing is looked up here, and the proxy itself is contacted for genuine links alone."""
    os.environ |= dict.fromkeys(PROXIES, f"http://{PROXY}:9")
    for url in HOSTILE_REPORT_URLS:
        with observer.script(GOOD_ADDRESSES):
            attempt(seen, "urls next to a proxy", url)
        seen.connections += observer.connected
        seen.resolved += observer.looked_up
    for host in GENUINE_REPORT_HOSTS:
        with observer.script(GOOD_ADDRESSES):
            attempt(seen, "genuine through a proxy", f"https://{host}/b/r.json")
        seen.proxied += observer.connected == [PROXY]
        seen.connections += [each for each in observer.connected if each != PROXY]
        seen.lookups += observer.looked_up
    for name in PROXIES:
        del os.environ[name]


def _private(seen: Seen, observer: Observer, link: str) -> None:
    """Private addresses count only where the pipeline's own S3 endpoint has such, and nothing else does even then."""
    for private in PRIVATE_ADDRESSES:
        # The first answer is for the link, the second for the endpoint.
        for endpoint, answers, allowed in (
            (S3, ([private], ["10.1.2.3"]), True),
            (S3, ([private], GOOD_ADDRESSES), False),
            (S3, ([private], ["10.1.2.3", GOOD_ADDRESSES[0]]), False),
            (S3, (["169.254.169.254"], ["10.1.2.3"]), False),
            ("http://minio.internal:9000", ([private], ["10.1.2.3"]), False),
        ):
            with observer.script(*answers):
                attempt(seen, "private addresses", link, endpoint)
            expected = [private] if allowed else []
            if observer.connected != expected:
                seen.connections += observer.connected or [f"none to {private}"]


class Endpoint(BaseHTTPRequestHandler):
    """The operator's own endpoint; what it redirects to must not be followed."""

    def do_GET(self) -> None:
        self.send_response(302 if self.path == "/redirect" else 200)
        if self.path == "/redirect":
            self.send_header("Location", "http://169.254.169.254/latest/meta-data/")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_: Any) -> None:
        pass


if __name__ == "__main__":
    print(json.dumps(asdict(observe())))  # noqa: T201
