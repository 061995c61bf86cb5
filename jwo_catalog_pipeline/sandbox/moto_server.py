"""The process that plays AWS: moto, one process with one thread, and what moto lacks for that.

moto's conditional writes are atomic only while one thread serves them: so a process of its own, and never threaded.
What the pipeline needs *in* that AWS is made from outside, by `aws.py`, through AWS's own API.
"""

import io
import json
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.sts.models import sts_backends
from werkzeug.serving import make_server

from jwo_catalog_pipeline.sandbox.moto_quick import make_moto_quick

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

SECRET_PATH = "/sandbox/secret/"  # noqa: S105 a path, not a secret
EXPIRE_PATH = "/sandbox/expire_sessions"
STS_DOWN_PATH = "/sandbox/sts_down/"
LONG_AGO = datetime(2000, 1, 1)  # as moto keeps it, in UTC without saying so
STS_IS_DOWN = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Receiver</Type>\
<Code>ServiceUnavailable</Code><Message>The request has failed due to a temporary failure of the server.</Message>\
</Error><RequestId>sandbox-sts-down</RequestId></ErrorResponse>"""
TIMED_OUT = """<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>RequestTimeout</Code><Message>Your socket connection to the server was not read from or written to within \
the timeout period. Idle connections will be closed.</Message><RequestId>SANDBOX00000TIMEOUT</RequestId>\
<HostId>sandbox</HostId></Error>"""
EXPIRED = """<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>AccessDenied</Code><Message>Request has expired</Message><X-Amz-Expires>{seconds}</X-Amz-Expires>\
<Expires>{expires}</Expires><ServerTime>{now}</ServerTime><RequestId>SANDBOX0000EXPIRED</RequestId>\
<HostId>sandbox</HostId></Error>"""


class QuietHandler(MotoRequestHandler):
    """Logs nothing, as request lines hold presigned links, and lets no silent client block the one thread for long."""

    timeout = 30

    def log(self, type: str, message: str, *args: Any) -> None:
        """Drop the line."""


def with_what_moto_lacks(app: WsgiApp) -> WsgiApp:
    """Wrap moto: presigned links expire, and long polls do not block. STS fails, and sessions end, when told to.

    An upload to S3 that stops halfway is answered so that AWS's clients try again.

    The secret of a session can be asked for.

    Args:
        app: moto's WSGI application.

    Returns:
        The application to serve.
    """

    sts_down = 0

    def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        nonlocal sts_down
        path = environ.get("PATH_INFO", "")
        if path.startswith(SECRET_PATH):
            session = _session(path.removeprefix(SECRET_PATH))
            status = "200 OK" if session else "404 Not Found"
            return _answer(start_response, status, "application/json", json.dumps(session))
        if path == EXPIRE_PATH:
            _expire_sessions()
            return _answer(start_response, "200 OK", "application/json", "{}")
        if path.startswith(STS_DOWN_PATH):
            sts_down = int(path.removeprefix(STS_DOWN_PATH))
            return _answer(start_response, "200 OK", "application/json", "{}")
        if sts_down and _assumes_role(environ):
            sts_down -= 1
            return _answer(start_response, "503 Service Unavailable", "text/xml", STS_IS_DOWN)
        expired = _expired(environ.get("QUERY_STRING", ""), datetime.now(UTC))
        if expired:
            return _answer(start_response, "403 Forbidden", "application/xml", expired)
        if environ.get("HTTP_X_AMZ_TARGET") == "AmazonSQS.ReceiveMessage":
            _poll_short(environ)
        if environ.get("REQUEST_METHOD") == "PUT":
            try:
                _put_body(environ, _take_body(environ))
            except TimeoutError:
                return _answer(start_response, "400 Bad Request", "application/xml", TIMED_OUT)
        return app(environ, start_response)

    return wrapped


def _poll_short(environ: dict[str, Any]) -> None:
    """Take the waiting out of a ReceiveMessage: with one thread, all of AWS would wait, the sender too."""
    request = json.loads(_take_body(environ))
    _put_body(environ, json.dumps({**request, "WaitTimeSeconds": 0}).encode())


def _assumes_role(environ: dict[str, Any]) -> bool:
    if "/sts/aws4_request" not in environ.get("HTTP_AUTHORIZATION", ""):
        return False
    body = _take_body(environ)
    _put_body(environ, body)
    return parse_qs(body.decode()).get("Action") == ["AssumeRole"]


def _take_body(environ: dict[str, Any]) -> bytes:
    return bytes(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))


def _put_body(environ: dict[str, Any], body: bytes) -> None:
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))


def _answer(start_response: Callable[..., Any], status: str, content_type: str, text: str) -> list[bytes]:
    body = text.encode()
    start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]


def _expire_sessions() -> None:
    """End every session that STS has issued so far."""
    for account in sts_backends.values():
        for backend in account.values():
            for role in backend.assumed_roles:
                role.expiration = LONG_AGO


def _session(access_key_id: str) -> dict[str, str] | None:
    """The secrets of a session that STS issued, or None."""
    for account in sts_backends.values():
        for backend in account.values():
            role = backend.get_assumed_role_from_access_key(access_key_id)
            if role is not None:
                return {
                    "secret_access_key": role.secret_access_key,
                    "session_token": role.session_token,
                    "expiration": role.expiration.replace(tzinfo=UTC).isoformat(),
                }
    return None


def _expired(query: str, now: datetime) -> str | None:
    """S3's answer to a presigned link whose time is over, or None. An unreadable date is left to moto."""
    values = parse_qs(query)
    try:
        start = datetime.strptime(values["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        seconds = int(values["X-Amz-Expires"][0])
    except (KeyError, ValueError):
        return None
    expires = start + timedelta(seconds=seconds)
    if now < expires:
        return None
    form = "%Y-%m-%dT%H:%M:%SZ"
    return EXPIRED.format(seconds=seconds, expires=expires.strftime(form), now=now.strftime(form))


def _end_with_parent() -> None:
    """The parent holds the other end of standard input; when that closes, however it died, so does this process."""
    sys.stdin.buffer.read()
    os._exit(0)


def _silence_moto() -> None:
    """Moto warns of the template's queue and bucket policy: it has neither, and would not enforce them."""
    warnings.simplefilter("ignore", UserWarning)
    logging.getLogger("moto").setLevel(logging.ERROR)


def main(listener: int) -> None:
    """Serve until the parent is gone.

    Args:
        listener: file descriptor of a listening socket on the loopback address.
    """
    _silence_moto()
    make_moto_quick()
    app = with_what_moto_lacks(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=False, request_handler=QuietHandler, fd=listener)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import_module("moto.cloudformation.parsing")  # the first deployment would wait for it
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
