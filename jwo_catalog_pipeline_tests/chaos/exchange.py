"""One call as the proxy sees it: the request on its connection, and the service's answer. Breaks nothing itself."""

import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from urllib.parse import urlsplit

PATHS = {
    "/v1/catalog/upload": "upload",
    "/v1/catalog/archive": "archive",
    "/v1/catalog/getCatalogUploadStatus": "status",
}
REPORT = "report"  # whatever is at another path: the proxy sees nothing else
PATIENCE = 20.0  # seconds for anything that ought to happen at once; every client here gives up long before
_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "proxy-connection")


@dataclass(frozen=True)
class Reply:
    """An answer as the service gave it."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes

    def head(self, length: int | None, *more: str) -> bytes:
        """Status line and headers; `length` is what Content-Length says, None leaves it out."""
        lines = [f"HTTP/1.1 {self.status} {self.reason}", *(f"{name}: {value}" for name, value in self.headers), *more]
        lines += [] if length is None else [f"Content-Length: {length}"]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def bytes(self, *more: str) -> bytes:
        """The whole answer."""
        return self.head(len(self.body), *more) + self.body


class Exchange:
    """One request of a client, read as far as its head, and the connection on which it came.

    `content` is the body once it has been read to its end; `trap` is an address that nobody must ever contact.
    """

    def __init__(self, client: socket.socket, upstream: tuple[str, int], trap: str):
        self.client, self._upstream, self.trap = client, upstream, trap
        self._reader = client.makefile("rb")
        self.content: bytes | None = None

    def read_head(self) -> bool:
        """Read the next request's head; whether there was one."""
        self.content = None
        lines = []
        while (line := self._reader.readline()) not in (b"\r\n", b""):
            lines.append(line.decode("latin-1").rstrip("\r\n"))
        if not lines:
            return False
        self.method, self.target, _ = lines[0].split(" ", 2)
        pairs = (line.partition(":")[::2] for line in lines[1:])
        self.headers = [(name.strip(), value.strip()) for name, value in pairs]
        self.length = int({name.lower(): value for name, value in self.headers}.get("content-length", 0))
        return True

    @property
    def operation(self) -> str:
        return PATHS.get(self.target, REPORT)

    @property
    def subject(self) -> tuple[str, bytes]:
        """What is asked for, whatever the signature: a call that is tried again has the same."""
        return self.target.partition("?")[0], self.body()

    def read_some(self, count: int) -> None:
        """Read a part of the body only; it cannot be forwarded any more."""
        self._reader.read(count)

    def body(self) -> bytes:
        """The whole body."""
        if self.content is None:
            self.content = self._reader.read(self.length)
        return self.content

    def forward(self) -> Reply:
        """Have the service do it."""
        body, where, target = self.body(), self._upstream, self.target
        if target.startswith("http://"):
            url = urlsplit(target)
            where, target = (url.hostname or "", url.port or 80), f"{url.path}?{url.query}"
        kept = [f"{name}: {value}" for name, value in self.headers if name.lower() not in _HOP_BY_HOP]
        head = [f"{self.method} {target} HTTP/1.1", *kept, f"Content-Length: {len(body)}", "Connection: close", "", ""]
        with socket.create_connection(where, timeout=PATIENCE) as upstream:
            upstream.sendall("\r\n".join(head).encode("latin-1") + body)
            answer = HTTPResponse(upstream, method=self.method)
            answer.begin()
            headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP]
            return Reply(answer.status, answer.reason, headers, answer.read())

    def send(self, content: bytes) -> None:
        self.client.sendall(content)

    def wait_for_client(self) -> None:
        """Until the client has given up."""
        with suppress(OSError):
            while self.client.recv(1 << 16):
                pass

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        with suppress(OSError):
            self._reader.close()  # the socket stays open as long as this is
        self.client.close()
