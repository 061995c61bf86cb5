"""The kinds of network fault: what can happen to a call between a client and the service.

A `Kind` acts on an `Exchange`; most of them forward the request first or not at all, which the client cannot know.
"""

import gzip
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from jwo_catalog_pipeline_tests.chaos.exchange import Exchange

SLOW_SECONDS = 0.2  # until the first byte of an answer that is slow, and no more than that


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        name: what happens, in words.
        act: does it; the connection is closed afterwards.
        at: `connection` (instead of reading anything), `refuse` (no connection is taken until `heal`) or `call` (once
            the head of the request is read).
        borne: the call must succeed all the same, at the first try.
        needs_body: it cannot happen to a request without a body.
        before_body: the body must not have been read, so every call counts, also one that is made again.
    """

    name: str
    act: Callable[[Exchange], None]
    at: Literal["connection", "refuse", "call"] = "call"
    borne: bool = False
    needs_body: bool = False
    before_body: bool = False

    def __reduce__(self) -> tuple[object, ...]:
        """Travels to another process by its name, as functions within functions cannot."""
        return kind_named, (self.name,)


def _do(*steps: str) -> Callable[[Exchange], None]:
    """Do these in turn: `body`, `forward`, `wait`, `reset`, `close`."""

    def act(x: Exchange) -> None:
        does = {"body": x.body, "forward": x.forward, "wait": x.wait_for_client, "reset": x.reset, "close": x.close}
        for step in steps:
            does[step]()

    return act


def _say(answer: bytes, *, forward: bool = False, wait: bool = False) -> Callable[[Exchange], None]:
    """Answer with these bytes, whatever the service said, if it was asked at all."""

    def act(x: Exchange) -> None:
        x.forward() if forward else x.body()
        x.send(answer)
        if wait:
            x.wait_for_client()

    return act


def _answer(status: str, body: str = "", *headers: str, forward: bool = False) -> Callable[[Exchange], None]:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "Connection: close", "", body]
    return _say("\r\n".join(lines).encode(), forward=forward)


def _redirect(status: str) -> Callable[[Exchange], None]:
    def act(x: Exchange) -> None:
        _answer(status, "", f"Location: {x.trap}{x.target if x.target.startswith('/') else '/report'}")(x)

    return act


def _reset_in_the_body(x: Exchange) -> None:
    x.read_some(x.length // 2)
    x.reset()


def _half_a_status_line(x: Exchange) -> None:
    x.send(x.forward().bytes()[:9])


def _headers_only(x: Exchange) -> None:
    reply = x.forward()
    x.send(reply.head(len(reply.body)))


def _truncated_body(x: Exchange) -> None:
    reply = x.forward()
    x.send(reply.head(len(reply.body)) + reply.body[: len(reply.body) // 2])


def _truncated_json(x: Exchange) -> None:
    """Nothing but the JSON tells that the end is missing."""
    reply = x.forward()
    half = reply.body[: len(reply.body) // 2]
    x.send(reply.head(len(half), "Connection: close") + half)


def _byte_by_byte(x: Exchange) -> None:
    for byte in x.forward().bytes("Connection: close"):
        x.send(bytes([byte]))
        time.sleep(0.0002)  # so that each byte is a packet


def _late(x: Exchange) -> None:
    """The request was held up on its way, and arrives when the client has given up."""
    x.body()
    x.wait_for_client()
    x.forward()


def _twice(x: Exchange) -> None:
    x.forward()
    x.send(x.forward().bytes("Connection: close"))


def _continue_first(x: Exchange) -> None:
    x.body()
    x.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    x.send(x.forward().bytes("Connection: close"))


def _slow(x: Exchange) -> None:
    reply = x.forward()
    time.sleep(SLOW_SECONDS)  # the fault is that the answer is slow
    x.send(reply.bytes("Connection: close"))


def _endless_headers(x: Exchange) -> None:
    x.forward()
    x.send(b"HTTP/1.1 200 OK\r\n")
    with suppress(OSError):
        while True:
            x.send(b"X-More: and more\r\n" * 50)


def _gzip(x: Exchange) -> None:
    reply = x.forward()
    packed = gzip.compress(reply.body)
    x.send(reply.head(len(packed), "Content-Encoding: gzip", "Connection: close") + packed)


_PORTAL = "<html><body>Welcome to Airport WiFi. <a href='/login'>Sign in</a></body></html>"
_HTML = "<html><body><h1>{}</h1></body></html>"
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

KINDS = (
    Kind("connection refused", _do(), at="refuse"),
    Kind("accepted and closed", _do("close"), at="connection"),
    Kind("accepted and reset", _do("reset"), at="connection"),
    Kind("reset after the headers", _do("reset"), before_body=True),
    Kind("reset in the middle of the body", _reset_in_the_body, needs_body=True, before_body=True),
    Kind("closed without an answer, not delivered", _do("body", "close")),
    Kind("closed without an answer, delivered", _do("forward", "close")),
    Kind("reset without an answer, delivered", _do("forward", "reset")),
    Kind("no answer, delivered", _do("forward", "wait")),
    Kind("no answer, not delivered", _do("body", "wait")),
    Kind("no answer, delivered after the client gave up", _late),
    Kind("delivered twice", _twice, borne=True),
    Kind("half a status line", _half_a_status_line),
    Kind("headers only", _headers_only),
    Kind("endless headers", _endless_headers),
    Kind("truncated body", _truncated_body),
    Kind("truncated JSON of the right length", _truncated_json),
    Kind("wrong chunks", _say(_CHUNKED + b"zz\r\n{\r\n", forward=True)),
    Kind("not gzip though it says so", _answer("200 OK", "{}", "Content-Encoding: gzip", forward=True)),
    Kind("garbage instead of HTTP", _say(b"\x15\x03\x01\x00\x02\x02\x16 no HTTP\r\n\r\n")),
    Kind("captive portal", _answer("200 OK", _PORTAL, "Content-Type: text/html")),
    Kind("empty 200", _answer("200 OK")),
    Kind("204", _say(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")),
    Kind("301", _redirect("301 Moved Permanently")),
    Kind("302", _redirect("302 Found")),
    Kind("307", _redirect("307 Temporary Redirect")),
    Kind("308", _redirect("308 Permanent Redirect")),
    Kind(
        "400 of a middlebox",
        _answer("400 Bad Request", _HTML.format("Your browser sent an invalid request")),
    ),
    Kind("403 of a firewall", _answer("403 Forbidden", _HTML.format("Blocked by policy"))),
    Kind("404", _answer("404 Not Found", '{"message": "no Route matched with those values"}')),
    Kind("408", _answer("408 Request Time-out")),
    Kind("413", _answer("413 Request Entity Too Large", _HTML.format("nginx"))),
    Kind("429", _answer("429 Too Many Requests", '{"message": "Too Many Requests"}')),
    Kind("429 with Retry-After", _answer("429 Too Many Requests", "", "Retry-After: 7")),
    Kind("500", _answer("500 Internal Server Error", '{"message": "Internal server error"}')),
    Kind("502, delivered", _answer("502 Bad Gateway", _HTML.format("Bad Gateway"), forward=True)),
    Kind("503", _answer("503 Service Unavailable")),
    Kind("504, delivered", _answer("504 Gateway Timeout", '{"message": "Endpoint timed out"}', forward=True)),
    Kind("answer in single bytes", _byte_by_byte, borne=True),
    Kind("100 Continue first", _continue_first, borne=True),
    Kind("answer packed with gzip", _gzip, borne=True),
    Kind("slow first byte", _slow, borne=True),
)


def kind_named(name: str) -> Kind:
    """The kind of that name."""
    return next(kind for kind in KINDS if kind.name == name)
