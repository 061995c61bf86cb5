"""Answers made to exhaust their reader, a loopback server for them, and the process that reads them.

`python -m ...chaos.bombs SECONDS URL...` reads them as the pipeline reads reports, and prints JSON: the outcome of
each, and the most memory that the process ever held.
"""

import gzip
import json
import socketserver
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

from jwo_catalog_pipeline.catalog_api.errors import CatalogApiError
from jwo_catalog_pipeline.catalog_api.report import MAX_REPORT_BYTES, MAX_REPORT_VALUES, fetch_report, read_report
from jwo_catalog_pipeline.catalog_api.safe_http import SafeHttp

DRIP_SECONDS = 0.1  # between the bytes of a slow answer: far below any time-out of silence
_ROOM = MAX_REPORT_BYTES - 100


def _filled(unit: bytes, start: bytes = b"[", end: bytes = b"]", size: int = _ROOM) -> bytes:
    """JSON of about a size: a list of a unit over and over."""
    return start + unit * ((size - len(unit)) // len(unit)) + unit.rstrip(b",") + end


def _counted(unit: bytes, start: bytes = b"[", end: bytes = b"]") -> bytes:
    """JSON with as many values as are just allowed."""
    values = sum(unit.count(each) for each in (b"{", b"[", b","))
    return _filled(unit, start, end, min(_ROOM, MAX_REPORT_VALUES // values * len(unit)))


def _gzip_of_zeros(megabytes: int) -> bytes:
    """Gzip of many megabytes, made from one that is repeated, and never ended."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    first = compressor.compress(b"\0" * 1_000_000) + compressor.flush(zlib.Z_FULL_FLUSH)
    again = compressor.compress(b"\0" * 1_000_000) + compressor.flush(zlib.Z_FULL_FLUSH)
    return first + again * (megabytes - 1)


def _sized(content: bytes, *headers: bytes) -> Iterator[bytes]:
    yield b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(content), *headers, b"", content])


def _halves(content: bytes) -> tuple[bytes, bytes]:
    return content[: len(content) // 2], content[len(content) // 2 :]


def _zipped(content: bytes) -> Iterator[bytes]:
    return _sized(content, b"Content-Encoding: gzip")


def _head(*headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", *headers, b"", b""])


def _dripped(head: bytes, unit: bytes) -> Iterator[bytes]:
    yield head
    for each in repeat(unit):
        time.sleep(DRIP_SECONDS)  # a server that drips: each byte comes before the time-out of a read
        yield each


def _endless(head: bytes, unit: bytes) -> Iterator[bytes]:
    yield head
    yield from repeat(unit)


def _report(items: int, size: int) -> bytes:
    """A genuine report: every item rejected, with a message that fills it up."""
    entry = {
        "store_id": "JWO-STORE-01",
        "status": "FAILED",
        "errors": [{"code": "INVALID", "message": "x" * (size - 150)}],
    }
    return json.dumps({"itemResults": [{"item_sku": f"SKU-{i:06}", **entry} for i in range(items)]}).encode()


_CHUNK = b"2000\r\n" + b" " * 0x2000 + b"\r\n"
# Each fills memory, so each is read by a process of its own.
FILLING: dict[str, Callable[[], Iterator[bytes]]] = {
    "gzip of 10 GB": lambda: _zipped(_gzip_of_zeros(10_000)),
    "gzip in gzip": lambda: _zipped(gzip.compress(_gzip_of_zeros(10_000), 1)),
    "a million empty gzips": lambda: _zipped(gzip.compress(b"") * 1_000_000),
    "gzip of empty lists": lambda: _zipped(gzip.compress(_filled(b"[],"), 1)),
    "nested lists": lambda: _sized(b"[" * _ROOM),
    "nested lists, as many as allowed": lambda: _sized(b"[" * MAX_REPORT_VALUES),
    "nested objects": lambda: _sized(_counted(b'{"a":', b"", b"1")),
    "deep values in items": lambda: _sized(_counted(b'{"item_sku":' + b"[" * 700 + b"]" * 700 + b"},")),
    "empty lists": lambda: _sized(_filled(b"[],")),
    "empty lists, as many as allowed": lambda: _sized(_counted(b"[],")),
    "small objects": lambda: _sized(_filled(b'{"":1},')),
    "small objects, as many as allowed": lambda: _sized(_counted(b'{"":1},')),
    "small strings": lambda: _sized(_filled(b'"ab",')),
    "small strings, as many as allowed": lambda: _sized(_counted(b'"ab",')),
    "small items, as many as allowed": lambda: _sized(_counted(b'{"sku":1},')),
    "errors, as many as allowed": lambda: _sized(
        _counted(b'{"sku":1},', b'{"processingStatus":"DONE","errors":[', b"]}")
    ),
    "as many items as are taken": lambda: _sized(_filled(b'{"sku":"%s"},' % (b"x" * 188), size=99_000 * 200)),
    "one wide string": lambda: _sized('["\U0001f600'.encode() + b"x" * (_ROOM - 10) + b'"]'),
    "UTF-32": lambda: _sized(('["\U0001f600' + "x" * (_ROOM // 4 - 10) + '"]').encode("utf-32-le")),
    "a number of 20 million digits": lambda: _sized(b"[" + b"9" * _ROOM + b"]"),
    "an endless body": lambda: _endless(_head(b"Transfer-Encoding: chunked"), _CHUNK),
    "a body said to be a terabyte": lambda: _endless(_head(b"Content-Length: 1000000000000"), b" " * 65_536),
}
# Each holds its reader up or tells it lies; read side by side by one process.
LYING: dict[str, Callable[[], Iterator[bytes]]] = {
    "silence": lambda: _dripped(b"", b""),
    "a slow body": lambda: _dripped(_head(b"Content-Length: 1000"), b" "),
    "a slow chunked body": lambda: _dripped(_head(b"Transfer-Encoding: chunked"), b"1\r\n \r\n"),
    "slow headers": lambda: _dripped(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "a slow status line": lambda: _dripped(b"HTTP/1.1 200 ", b"O"),
    "endless headers": lambda: _endless(b"HTTP/1.1 200 OK\r\n", b"X: x\r\n"),
    "one endless header": lambda: _endless(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65_536),
    "endless 100 Continue": lambda: _endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "an endless chunk header": lambda: _endless(_head(b"Transfer-Encoding: chunked") + b"1;", b"x" * 65_536),
    "endless trailers": lambda: _endless(_head(b"Transfer-Encoding: chunked") + b"0\r\n", b"X: x\r\n"),
    "a chunk of minus one": lambda: iter([_head(b"Transfer-Encoding: chunked") + b"-1\r\n[]\r\n0\r\n\r\n"]),
    "a chunk too few": lambda: iter([_head(b"Transfer-Encoding: chunked") + b"2\r\n[]\r\n"]),
    "shorter than it says": lambda: iter([_head(b"Content-Length: 100") + b"[]"]),
    "longer than it says": lambda: iter([_head(b"Content-Length: 1") + b"[]"]),
    "a length of minus one": lambda: iter([_head(b"Content-Length: -1") + b"[]"]),
    "a length in words": lambda: iter([_head(b"Content-Length: two") + b"[]"]),
    "no length": lambda: iter([_head() + b"[]"]),
    "gzip that is none": lambda: _zipped(b"[]"),
    "gzip cut short": lambda: _zipped(gzip.compress(b"[]")[:-4]),
    "deflate": lambda: _sized(zlib.compress(b"[]"), b"Content-Encoding: deflate"),
    "gzip twice": lambda: _sized(gzip.compress(gzip.compress(b"[]")), b"Content-Encoding: gzip, gzip"),
    "no HTTP": lambda: iter([b"[]" * 100_000]),
    "nothing": lambda: iter([b""]),
    "XML": lambda: _sized(b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'),
    "a redirect": lambda: iter([b"HTTP/1.1 302 Found\r\nLocation: /XML\r\nContent-Length: 0\r\n\r\n"]),
}
GENUINE: dict[str, Callable[[], Iterator[bytes]]] = {
    "10,000 items of 2 kB": lambda: _sized(_report(10_000, 1_990)),
    "10,000 items in gzip": lambda: _zipped(gzip.compress(_report(10_000, 500))),
    "gzip without a header": lambda: _sized(gzip.compress(_report(10_000, 500))),
    "gzip in two members": lambda: _zipped(b"".join(map(gzip.compress, _halves(_report(10_000, 500))))),
    "an encoding that is none": lambda: _sized(_report(10_000, 500), b"Content-Encoding: UTF-8"),
    "an empty encoding": lambda: _sized(_report(10_000, 500), b"Content-Encoding:"),
    "the encoding of an upload": lambda: _sized(_report(10_000, 500), b"Content-Encoding: aws-chunked"),
    "gzip with that of an upload": lambda: _sized(
        gzip.compress(_report(10_000, 500)), b"Content-Encoding: aws-chunked,gzip"
    ),
}
EVERYTHING = {**FILLING, **LYING, **GENUINE}


class _Handler(socketserver.BaseRequestHandler):
    """Answers `GET /<number in EVERYTHING>` until the reader has gone."""

    def handle(self) -> None:
        number = int(self.request.recv(65_536).split(b" ")[1][1:])
        try:
            for piece in list(EVERYTHING.values())[number]():
                self.request.sendall(piece)
        except OSError:
            return


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads, block_on_close, request_queue_size = True, False, 64


@contextmanager
def serving() -> Iterator[Callable[[str], str]]:
    """A server of bombs on the loopback address; gives what makes their URLs."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        numbers = {name: number for number, name in enumerate(EVERYTHING)}
        yield lambda name: f"http://127.0.0.1:{server.server_address[1]}/{numbers[name]}"
        server.shutdown()


def read_as_a_report(url: str, seconds: float) -> str:
    """What the pipeline makes of an answer: the name of an error of ours, or the shape and the number of items."""
    endpoint = "/".join(url.split("/")[:3])
    try:
        report = read_report(fetch_report(SafeHttp(seconds), url, endpoint))
    except CatalogApiError as error:
        return f"{type(error).__name__}: {error}"
    except BaseException as error:  # noqa: BLE001 whatever else it is, it must be told
        return f"UNEXPECTED {type(error).__name__}: {error}"
    return f"{report.shape} with {len(report.outcomes)} items"


def most_memory() -> float:
    """The most resident memory of this process so far, in MB.

    Not `ru_maxrss` where there is /proc: that begins with what the parent had when it started this process.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1000
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1_000_000 if sys.platform == "darwin" else 1000)


def main(seconds: float, urls: list[str]) -> dict[str, Any]:
    started = time.monotonic()
    with ThreadPoolExecutor(len(urls)) as pool:
        outcomes = list(pool.map(lambda url: read_as_a_report(url, seconds), urls))
    return {"outcomes": outcomes, "megabytes": most_memory(), "seconds": time.monotonic() - started}


if __name__ == "__main__":
    print(json.dumps(main(float(sys.argv[1]), sys.argv[2:])))  # noqa: T201
