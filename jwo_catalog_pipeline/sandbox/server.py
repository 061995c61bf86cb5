"""HTTP in front of the JWO service: signatures, sizes, the request log, and connections that break on purpose.

The control API below /sandbox is in `control.py`.
"""

import hashlib
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from jwo_catalog_pipeline.sandbox.answers import Answer
from jwo_catalog_pipeline.sandbox.control import Control
from jwo_catalog_pipeline.sandbox.service import JwoService
from jwo_catalog_pipeline.sandbox.signatures import Credentials, Request, SignatureRefusedError, verify

SERVICE = "execute-api"
MAX_BODY = 10 * 1024 * 1024  # bytes; API Gateway's limit on a payload
LONGEST_HANG = 600  # seconds; every client gives up before
PATHS = {
    "/v1/catalog/upload": "upload",
    "/v1/catalog/archive": "archive",
    "/v1/catalog/getCatalogUploadStatus": "status",
}


class CredentialStore:
    """The static key pair, and the sessions that STS issued, each looked up once."""

    def __init__(self, access_key_id: str, secret_access_key: str, aws: Any):
        """Start with the static key pair.

        Args:
            access_key_id: its id.
            secret_access_key: its secret.
            aws: has `session_credentials(access_key_id)`.
        """
        self._static = {access_key_id: Credentials(secret_access_key)}
        self._aws = aws
        self.forget()

    def forget(self) -> None:
        """Forget the sessions."""
        self._known = dict(self._static)

    def find(self, access_key_id: str) -> Credentials | None:
        """The credentials of that name, if there are any."""
        # Anything else would be part of a path below.
        if access_key_id not in self._known and access_key_id.isalnum():
            found = self._aws.session_credentials(access_key_id)
            if found is None:
                return None
            self._known[access_key_id] = found
        return self._known.get(access_key_id)


class RequestLog:
    """One entry for each call; never a secret."""

    def __init__(self, next_event: Callable[[], int]) -> None:
        """Start empty.

        Args:
            next_event: gives the next position in the sequence of events, for calls that did not get one by ingesting.
        """
        self._next_event = next_event
        self._lock = threading.Lock()
        self._entries: list[dict[str, Any]] = []

    def add(self, operation: str, body: bytes, access_key_id: str | None, answer: Answer) -> None:
        """Note a call, before its answer goes out. `http_status` is None where none does."""
        entry = {
            "time": datetime.now(UTC).isoformat(),
            "sequence": self._next_event() if answer.sequence is None else answer.sequence,
            "operation": operation,
            "http_status": answer.status or None,
            "ingestion_id": answer.ingestion_id,
            "items": answer.items,
            "duplicates": answer.duplicates,
            "body_sha256": hashlib.sha256(body).hexdigest(),
            "body_bytes": len(body),
            "access_key_id": access_key_id,
            "fault": answer.fault,
        }
        with self._lock:
            self._entries.append(entry)

    def entries(self) -> list[dict[str, Any]]:
        """All calls, in order."""
        with self._lock:
            return list(self._entries)

    def forget(self) -> None:
        """Forget all calls."""
        with self._lock:
            self._entries.clear()


class JwoServer(ThreadingHTTPServer):
    """The server, bound to the loopback address, with what its handlers share."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, service: JwoService, credentials: CredentialStore, log: RequestLog, region: str):
        """Bind; `serve_forever` serves.

        Args:
            port: 0 takes a free one.
            service: answers the calls.
            credentials: who may call.
            log: where calls are noted.
            region: the signing region that is right.
        """
        super().__init__(("127.0.0.1", port), Handler)
        self.service = service
        self.credentials = credentials
        self.log = log
        self.region = region
        self.control: Control | None = None

    def now(self) -> datetime:
        """The service's own clock, which may have been told to be wrong."""
        return datetime.now(UTC) + timedelta(seconds=self.service.faults.settings.clock_offset)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: JwoServer
    error_types: ClassVar[dict[int, str]] = {
        413: "RequestEntityTooLargeException",
        429: "TooManyRequestsException",
    }

    def do_GET(self) -> None:
        """Control API only."""
        self._serve("GET")

    def do_POST(self) -> None:
        """The Catalog API and the control API."""
        self._serve("POST")

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The `Date` header, by the service's own clock."""
        return super().date_time_string(self.server.now().timestamp() if timestamp is None else timestamp)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: there is a request log for that."""

    def _serve(self, method: str) -> None:
        try:
            body = self._read_body()
        except ConnectionAbortedError:
            self.close_connection = True
            return
        path = self.path.partition("?")[0]
        if path.startswith("/sandbox/") and self.server.control is not None:
            status, content = self.server.control.handle(method, path, body or b"")
            self._send(status, content)
        elif method == "POST" and path in PATHS:
            self._call(PATHS[path], body)
        else:  # so says the gateway about a path that it does not have
            self._send(403, {"message": "Missing Authentication Token"}, "MissingAuthenticationTokenException")

    def _read_body(self) -> bytes | None:
        """The body; None if it is over the limit: read to its end all the same, or the client would see a reset."""
        length = int(self.headers.get("Content-Length") or 0)
        if length <= MAX_BODY:
            body = self.rfile.read(length)
            if len(body) < length:  # the client died while it was sending: the gateway passes no part of a request on
                raise ConnectionAbortedError
            return body
        while length > 0:
            length -= len(self.rfile.read(min(length, 1 << 20))) or length
        return None

    def _call(self, operation: str, body: bytes | None) -> None:
        access_key_id, error_type = None, ""
        if body is None:
            answer = Answer(413, {"message": "Request Too Long"})
        else:
            request = Request("POST", self.path, self.headers.items(), body)
            try:
                access_key_id = verify(
                    request,
                    region=self.server.region,
                    service=SERVICE,
                    now=self.server.now(),
                    skew=timedelta(seconds=self.server.service.faults.settings.signature_seconds),
                    find_credentials=self.server.credentials.find,
                )
                answer = self.server.service.call(operation, body)
            except SignatureRefusedError as refusal:
                answer, error_type = Answer(403, {"message": str(refusal)}), refusal.error_type
        self.server.log.add(operation, body or b"", access_key_id, answer)
        if answer.disconnect:
            self._disconnect(answer.disconnect)
        else:
            self._send(answer.status, answer.body, error_type or self.error_types.get(answer.status, ""))

    def _disconnect(self, how: str) -> None:
        """Say nothing more: close at once, or keep silent until the client has given up."""
        self.close_connection = True
        if how == "hang":
            self.connection.settimeout(LONGEST_HANG)
            self.connection.recv(1)

    def _send(self, status: int, content: Any, error_type: str = "") -> None:
        body = json.dumps(content, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if error_type:
            self.send_header("x-amzn-ErrorType", error_type)
        self.end_headers()
        self.wfile.write(body)
