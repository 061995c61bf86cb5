"""One bounded GET, over an address that was checked. What is fetched, and from which hosts, is the caller's to say.

Reports and certificates are fetched from URLs that came in a message, so the URL, the answer of the name server and the
host itself may all be hostile. A URL is taken apart once, by one strict pattern, and its parts are used from then on:
no second parser sees it. The name is resolved once, every address of the answer is checked, and the connection is made
to exactly such an address; TLS still verifies the host's name. There are no redirects, retries, cookies or
credentials here, by there being no code for them; so this is `http.client`, which has none either and logs nothing
(urllib3 logs the whole URL where headers are garbled).

Where the environment names a proxy for the URL (`network`), the proxy resolves the name. Then there is no address to
check: the host must be a name with a dot, no number, and which names are allowed is the caller's to say; TLS verifies
that the host bears it.
"""

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from time import monotonic
from typing import Any

import urllib3

from jwo_catalog_pipeline.catalog_api.addresses import is_global, is_private
from jwo_catalog_pipeline.catalog_api.links import Link, NotAllowed, Origin
from jwo_catalog_pipeline.network import NotConnected, Proxy, proxied_connection, proxy_for, tls_context
from jwo_catalog_pipeline.network_errors import explained

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 10.0  # the longest wait for a next byte
PIECE_BYTES = 65_536
_NO_HEADERS: Mapping[str, str] = {}
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # as the last part of a host, it makes an address of it (WHATWG URL)


class NotFetched(Exception):
    """There was no usable answer; trying again may help. The message and the remedy hold no secret."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.remedy = remedy


@dataclass(frozen=True)
class Document:
    """A response: its status, and its content as it came, whatever encoding it says or has."""

    status: int
    content: bytes


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, in the order of preference.

    Raises:
        NotFetched: there are none.
    """
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotFetched(
            f"{host} has no address", "check the name server; where only a proxy leads out, set HTTPS_PROXY"
        ) from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


@dataclass(frozen=True)
class SafeHttp:
    """Fetches documents.

    Attributes:
        seconds: the most that a fetch takes once the name is resolved (the resolver has time-outs of its own).
        tls: verifies certificates and host names; None for the environment's CA certificates (`network`).
    """

    seconds: float
    tls: ssl.SSLContext | None = None

    def get(
        self,
        link: Link,
        max_bytes: int,
        *,
        any_address: bool = False,
        private_allowed: Callable[[], bool] = lambda: False,
    ) -> Document:
        """Fetch a document, at most `max_bytes` of it, before and after decoding.

        Args:
            link: where from.
            max_bytes: the most that is read; more is an error.
            any_address: the operator has named this very origin, so that its address is not checked.
            private_allowed: asked where the host has an address of a private network.

        Raises:
            NotAllowed: the host has an address that is not allowed.
            NotFetched: there was no complete answer within the bounds.
            ConfigurationError: the proxy or the CA certificates of the environment cannot be used.
        """
        origin, tls = link.origin, self.tls or tls_context()
        proxy = proxy_for(f"{origin.scheme}://{origin.authority}{link.target}")
        addresses: list[str] = []
        if proxy is None:
            addresses = resolve(origin.host, origin.port)
            if not any_address:
                _check(origin.host, addresses, private_allowed)
        elif not any_address:
            _check_name(origin.host)
        deadline = monotonic() + self.seconds
        try:
            if proxy:
                return self._get_through(proxy, tls, link, max_bytes)
            with (
                self._connect(origin, addresses, deadline, tls) as sock,
                _cut_off(lambda: sock, deadline - monotonic()) as overdue,
            ):
                document = _read(sock, link, max_bytes)
                if overdue.is_set():
                    raise TimeoutError
        except (OSError, HTTPException, NotFetched, urllib3.exceptions.HTTPError) as error:
            if monotonic() >= deadline:
                raise NotFetched(f"it took longer than {self.seconds:g} s") from None
            if isinstance(error, NotFetched):
                raise
            made = not isinstance(error, _HANDSHAKE)
            if not made and (trouble := explained(error, origin.authority, proxy, "check the network")):
                raise NotFetched(trouble.problem, trouble.remedy) from None
            raise NotFetched(type(error).__name__) from None
        return document

    def _get_through(self, proxy: Proxy, tls: ssl.SSLContext, link: Link, max_bytes: int) -> Document:
        """Fetch through a proxy: over TLS in a tunnel, else by the absolute URL."""
        origin = link.origin
        connection = proxied_connection(proxy, origin.scheme, origin.host, origin.port, tls, CONNECT_SECONDS)
        try:
            with _cut_off(lambda: connection.sock, self.seconds) as overdue:
                connection.connect()
                sock: Any = connection.sock
                sock.settimeout(SILENCE_SECONDS)
                if origin.scheme == "https":
                    document = _read(sock, link, max_bytes)
                else:
                    absolute = Link(origin, f"{origin.scheme}://{origin.authority}{link.target}")
                    document = _read(sock, absolute, max_bytes, proxy.headers)
                if overdue.is_set():
                    raise TimeoutError
        finally:
            connection.close()
        return document

    def _connect(self, origin: Origin, addresses: list[str], deadline: float, tls: ssl.SSLContext) -> socket.socket:
        """Connect to the first address that answers: by number, so that nothing is resolved again."""
        for address in addresses:
            remaining = deadline - monotonic()
            if remaining <= 0:
                break
            try:
                sock = socket.create_connection((address, origin.port), timeout=min(CONNECT_SECONDS, remaining))
            except OSError:
                continue
            try:
                # The handshake as a whole has the time-out of the connection so far.
                secured = tls.wrap_socket(sock, server_hostname=origin.host) if origin.scheme == "https" else sock
                secured.settimeout(SILENCE_SECONDS)
            except BaseException:
                sock.close()
                raise
            return secured
        raise NotFetched(
            f"{origin.host} cannot be connected to",
            "check the network and the firewall; where only a proxy leads out, set HTTPS_PROXY",
        )


# What stands for a connection that was not made, and not for one that broke.
_HANDSHAKE = (ssl.SSLError, NotConnected)


def _check_name(host: str) -> None:
    """A proxy is given names only: an address, in whatever spelling, could be one of the proxy's own network."""
    last = host.rpartition(".")[2]
    if ":" in host or "." not in host or _NUMBER.fullmatch(last):
        raise NotAllowed(f"{host} is no name of a host of the public internet")


def _check(host: str, addresses: list[str], private_allowed: Callable[[], bool]) -> None:
    """One address that is not allowed spoils the answer: a mixed answer is how a name server is made to lie."""
    for address in addresses:
        if not is_global(address) and not (is_private(address) and private_allowed()):
            raise NotAllowed(f"{host} has the address {address}, which is none of the public internet")


@contextmanager
def _cut_off(current: Callable[[], Any], seconds: float) -> Iterator[threading.Event]:
    """Cut the connection after so long, whatever it is doing: a time-out alone starts anew with every byte.

    Args:
        current: the connection's socket at that moment.
        seconds: how long.
    """
    overdue, done = threading.Event(), threading.Event()

    def cut() -> None:
        overdue.set()
        while (sock := current()) is None:  # not connected yet
            if done.wait(0.05):
                return
        while not isinstance(sock, socket.socket):  # urllib3's TLS in TLS holds the socket
            sock = sock.socket
        with suppress(OSError):  # it ended by itself meanwhile
            # Not SSLSocket.shutdown, which takes the TLS state from under the reader.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, seconds), cut)
    timer.daemon = True
    timer.start()
    try:
        yield overdue
    finally:
        done.set()
        timer.cancel()


def _read(sock: socket.socket, link: Link, max_bytes: int, more: Mapping[str, str] = _NO_HEADERS) -> Document:
    connection = HTTPConnection(link.origin.host, link.origin.port)
    connection.sock = sock
    headers = {"Host": link.origin.authority, "User-Agent": "jwo-catalog-pipeline", **more}
    connection.request("GET", link.target, headers=headers)
    with connection.getresponse() as response:
        if response.status != 200:
            return Document(response.status, b"")
        return Document(response.status, _bounded(response, max_bytes))


def _bounded(response: HTTPResponse, max_bytes: int) -> bytes:
    """The whole body, or an error: a part of it must not pass for the whole."""
    length = response.length
    if length is None and not response.chunked:
        raise NotFetched("it does not say how long it is")
    content = bytearray()
    while piece := response.read(PIECE_BYTES):
        content += piece
        if len(content) > max_bytes:
            raise NotFetched(f"it is larger than {max_bytes:,} bytes")
    if length is not None and len(content) != length:
        raise NotFetched("it is shorter than it says")
    return bytes(content)
