"""The signed client against the sandbox, which verifies signatures with an implementation of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from botocore.credentials import Credentials

from jwo_catalog_pipeline.catalog_api.errors import (
    AccessDenied,
    CatalogApiError,
    NoCredentials,
    NotReached,
    Outcome,
    OutcomeUnknown,
    RequestRefused,
    Throttled,
    WrongEndpoint,
)
from jwo_catalog_pipeline.catalog_api.responses import (
    IngestionStatus,
    Response,
    raise_for_status,
    read_accepted,
    read_status,
)
from jwo_catalog_pipeline.catalog_api.signing import AmbientCredentials, RoleCredentials
from jwo_catalog_pipeline_tests.support.parts import api_client, body_of, deliver, impatient_pool
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox


@pytest.mark.parametrize("kind", ["ambient credentials", "assumed role"])
def test_non_ascii_bytes_are_signed_so_that_the_server_computes_the_same_signature(
    fresh: RunningSandbox, kind: str
) -> None:
    role = RoleCredentials(fresh.environment["JWO_API_ROLE_ARN"], lambda: boto3.client("sts"))
    credentials = AmbientCredentials() if kind == "ambient credentials" else role
    accepted = deliver(api_client(fresh, credentials=credentials), body_of(item_name="Crème brûlée חלב 🥛"))
    (call,) = fresh.get("requests")
    assert (call["http_status"], call["ingestion_id"]) == (201, accepted.ingestion_id)
    assert call["access_key_id"].startswith("ASIA") is (kind == "assumed role")


@pytest.mark.parametrize(
    "changes",
    [
        {"region": "eu-central-1"},
        {"credentials": lambda: Credentials("AKIAUNKNOWN", "wrong")},
        {"credentials": lambda: Credentials("sandbox", "wrong")},
    ],
)
def test_a_wrong_signature_is_denied(fresh: RunningSandbox, changes: dict) -> None:
    with pytest.raises(AccessDenied, match=r"execute-api:Invoke.*; check JWO_API_ROLE_ARN"):
        deliver(api_client(fresh, **changes), body_of())


def test_a_role_is_assumed_once_and_its_credentials_are_kept(fresh: RunningSandbox) -> None:
    asked = []

    def sts() -> object:
        asked.append(1)
        return boto3.client("sts")

    api = api_client(fresh, credentials=RoleCredentials(fresh.environment["JWO_API_ROLE_ARN"], sts))
    for _ in range(3):
        deliver(api, body_of())
    assert len({call["access_key_id"] for call in fresh.get("requests")}) == 1
    assert len(asked) == 1


def test_a_role_that_cannot_be_assumed_says_so_and_sends_nothing(fresh: RunningSandbox) -> None:
    sts = boto3.client(
        "sts", endpoint_url="http://127.0.0.1:9", config=boto3.session.Config(retries={"total_max_attempts": 1})
    )
    api = api_client(fresh, credentials=RoleCredentials("arn:aws:iam::123456789012:role/nobody", lambda: sts))
    with pytest.raises(NoCredentials, match=r"EndpointConnectionError.*check JWO_API_ROLE_ARN"):
        deliver(api, body_of())
    assert fresh.get("requests") == []


def test_a_status_call_gives_state_and_link_and_keeps_the_link_out_of_its_text(fresh: RunningSandbox) -> None:
    api = api_client(fresh)
    accepted = deliver(api, body_of())
    fresh.drain()
    status = api.status(accepted.ingestion_id)
    assert status.final
    assert "X-Amz-Signature" in (status.report_url or "")
    assert "X-Amz" not in repr(status)


def test_an_unknown_ingestion_is_refused(fresh: RunningSandbox) -> None:
    with pytest.raises(RequestRefused):
        api_client(fresh).status("no-such-id")


def test_an_unknown_status_means_wait() -> None:
    assert not read_status(Response(200, {}, b'{"processingStatus": "POLISHING"}')).final
    assert not IngestionStatus("INQUEUE", None).final


def test_no_connection_is_not_sent_and_a_hang_is_unknown(fresh: RunningSandbox) -> None:
    with pytest.raises(NotReached, match="nothing was sent"):
        deliver(api_client(fresh, url="http://127.0.0.1:9"), body_of())
    fresh.misbehave(hang_after_ingesting=1)
    with pytest.raises(OutcomeUnknown, match="ReadTimeoutError"):
        deliver(api_client(fresh, http=impatient_pool()), body_of())


@pytest.mark.parametrize(
    ("status", "body", "cause", "outcome", "retryable"),
    [
        (400, b'{"errorMsg": "Invalid request body"}', RequestRefused, Outcome.NO, False),
        (403, b'{"message": "Forbidden"}', AccessDenied, Outcome.NO, False),
        (413, b"<html>", RequestRefused, Outcome.NO, False),
        (429, b'{"errorMsg": "Too Many Requests"}', Throttled, Outcome.THROTTLED, True),
        (500, b'{"errorMsg": "retry"}', OutcomeUnknown, Outcome.IN_DOUBT, True),
        (502, b"", OutcomeUnknown, Outcome.IN_DOUBT, True),
        (307, b"", WrongEndpoint, Outcome.NO, False),
        (404, b'{"message": "Not Found"}', WrongEndpoint, Outcome.NO, False),
        (408, b"", OutcomeUnknown, Outcome.IN_DOUBT, True),
        (422, b"", RequestRefused, Outcome.NO, False),
        (200, b"{}", OutcomeUnknown, Outcome.IN_DOUBT, True),
        (201, b'{"ingestionId": 5}', OutcomeUnknown, Outcome.IN_DOUBT, True),
        (200, b"\xff\xfe", OutcomeUnknown, Outcome.IN_DOUBT, True),
    ],
)
def test_each_answer_has_its_cause(
    status: int, body: bytes, cause: type[CatalogApiError], outcome: Outcome, retryable: bool
) -> None:
    with pytest.raises(cause) as raised:
        read_accepted(Response(status, {"x-amzn-requestid": "req-1"}, body))
    assert type(raised.value) is cause
    assert (raised.value.outcome, raised.value.retryable) == (outcome, retryable)
    assert "(request id req-1)" in str(raised.value)


@pytest.mark.parametrize("status", [200, 201, 202])
def test_any_2xx_with_an_id_is_accepted(status: int) -> None:
    assert read_accepted(Response(status, {}, b'{"ingestionId": "i-1"}')).ingestion_id == "i-1"


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("3600", 60.0), ("soon", None), ("-1", 0.0)])
def test_retry_after_is_honoured_up_to_a_minute(header: str, seconds: float | None) -> None:
    with pytest.raises(Throttled) as raised:
        raise_for_status(Response(429, {"retry-after": header}, b""))
    assert raised.value.retry_after == seconds


@contextmanager
def http_server(status: int, **headers: str) -> Iterator[tuple[str, list[str]]]:
    """A server that gives one answer to everything: its address, and the requests that it has got."""
    got: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", got
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(fresh: RunningSandbox, status: int) -> None:
    with http_server(201) as (target, followed), http_server(status, Location=f"{target}/taken") as (url, got):
        with pytest.raises(WrongEndpoint, match="redirects are not followed"):
            deliver(api_client(fresh, url=url), body_of())
        assert got == ["POST /v1/catalog/upload"]
        assert followed == []


@pytest.mark.parametrize(
    "url", ["ftp://host", "api.invalid", "https://", "https://exa mple.com", "https://h:99999", "https://u@h", ""]
)
def test_an_address_that_is_none_is_said_before_anything_is_sent(fresh: RunningSandbox, url: str) -> None:
    with pytest.raises(WrongEndpoint, match="it must be scheme and host"):
        api_client(fresh, url=url)
