"""AWS's own words and the remedy that fits them, for every service; and throttling is waited for."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from jwo_catalog_pipeline import aws
from jwo_catalog_pipeline.catalog_api.errors import NoCredentials
from jwo_catalog_pipeline.catalog_api.signing import RoleCredentials
from jwo_catalog_pipeline.errors import ConfigurationError
from jwo_catalog_pipeline.storage import Bucket, StorageError
from jwo_catalog_pipeline.upload.alert_messages import Alert, Place, send_alert
from jwo_catalog_pipeline.upload.dead_letters import dead_letter_alerts
from jwo_catalog_pipeline.upload.errors import AlertsUnavailable, LedgerUnavailable, QueueUnavailable
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.results.inbox import Inbox
from jwo_catalog_pipeline_tests.catalog_api.test_networks import client as api_client
from jwo_catalog_pipeline_tests.support.networks import PrivateCa, web_server

ROLE = "arn:aws:iam::123456789012:role/jwo"
KMS = (
    "User: arn:aws:sts::123456789012:assumed-role/jwo/x is not authorized to perform: kms:Decrypt on resource: "
    "arn:aws:kms:us-east-1:123456789012:key/k because no identity-based policy allows it."
)
ONCE = Config(connect_timeout=1, read_timeout=5, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})


class Aws:
    """Answers as AWS does: each call with the next of `errors`, and after those with success. `calls` counts."""

    def __init__(self) -> None:
        self.errors: list[tuple[int, str, str]] = []
        self.calls = 0
        self.url = ""

    def __call__(self, request: Any) -> tuple[int, bytes]:
        self.calls += 1
        if not self.errors:
            return 200, b"{}"
        status, code, message = self.errors.pop(0) if len(self.errors) > 1 else self.errors[0]
        if code == "":
            self.errors.clear()
            return 200, b"{}"
        if "X-Amz-Target" in request.headers:
            return status, json.dumps({"__type": f"com.amazonaws#{code}", "message": message}).encode()
        error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        return status, (f"<ErrorResponse>{error}</ErrorResponse>" if b"Action=" in request.sent else error).encode()

    def client(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=self.url, config=ONCE)


@pytest.fixture
def server() -> Iterator[Aws]:
    server = Aws()
    with web_server(server) as port:
        server.url = f"http://127.0.0.1:{port}"
        yield server


def ledger(server: Aws) -> Ledger:
    return Ledger(boto3.resource("dynamodb", endpoint_url=server.url, config=ONCE).Table("t"))


def read_ledger(server: Aws) -> None:
    ledger(server).head()


def receive(server: Aws) -> None:
    topic = "arn:aws:sns:us-east-1:123456789012:t"
    bucket = Bucket(server.client("s3"), "b")
    Inbox(server.client("sqs"), server.client("sns"), f"{server.url}/1/q", topic, ledger(server), bucket, None).receive(
        5
    )


def read_object(server: Aws) -> None:
    Bucket(server.client("s3"), "b").get("key")


def publish(server: Aws) -> None:
    send_alert(server.client("sns"), "arn:aws:sns:us-east-1:123456789012:t", Alert("k", "s", "p"), Place("table"))


def look_for_dead_letters(server: Aws) -> None:
    dead_letter_alerts(server.client("sqs"), f"{server.url}/1/q")


def sign(server: Aws) -> None:
    api = api_client("https://api.example")
    credentials = RoleCredentials(ROLE, lambda: server.client("sts"))
    type(api)(api.url, api.region, credentials, api.budget, api.http).check_ready()


CALLS: dict[Callable[[Aws], None], tuple[type[Exception], str]] = {
    read_ledger: (LedgerUnavailable, "dynamodb:GetItem"),
    receive: (QueueUnavailable, "sqs:ReceiveMessage"),
    read_object: (StorageError, "s3:GetObject"),
    publish: (AlertsUnavailable, "sns:Publish"),
    look_for_dead_letters: (AlertsUnavailable, "sqs:GetQueueAttributes"),
    sign: (NoCredentials, "sts:AssumeRole"),
}


def said(server: Aws, call: Callable[[Aws], None], status: int, code: str, message: str) -> Any:
    server.errors = [(status, code, message)]
    with pytest.raises(CALLS[call][0]) as raised:
        call(server)
    return raised.value


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException"])
def test_a_permission_that_is_missing_is_named_also_where_it_is_the_keys(
    server: Aws, call: Callable[[Aws], None], code: str
) -> None:
    error = said(server, call, 400, code, "User: x is not authorized")
    assert "access denied (User: x is not authorized)" in error.problem
    assert f"the pipeline's role needs {CALLS[call][1]}" in error.remedy or "sqs:GetQueueAttributes" in error.remedy
    error = said(server, call, 400, code, KMS)
    assert "is not authorized to perform: kms:Decrypt" in error.problem
    assert "the pipeline's role needs kms:Decrypt" in error.remedy
    assert "the KMS key's policy must allow it" in error.remedy


@pytest.mark.parametrize(
    ("call", "code"),
    [(receive, "KmsAccessDenied"), (receive, "KMS.AccessDeniedException"), (publish, "KMSAccessDenied")],
)
def test_a_queue_or_topic_with_a_key_of_its_own_says_that_the_key_is_missing(
    server: Aws, call: Callable[[Aws], None], code: str
) -> None:
    assert "role needs kms:Decrypt" in said(server, call, 400, code, "The ciphertext refers to a key").remedy


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("code", "problem", "remedy"),
    [
        ("KMS.DisabledException", "the KMS key cannot be used: KMS.DisabledException (AWS said so)", "check the key"),
        ("KmsDisabled", "the KMS key cannot be used", "check the key's state and policy in KMS"),
        ("ThrottlingException", "asks for fewer requests (ThrottlingException: AWS said so)", "try again in a minute"),
        ("RequestThrottled", "asks for fewer requests", "try again in a minute"),
        ("ProvisionedThroughputExceededException", "asks for fewer requests", "try again in a minute"),
        ("SlowDown", "asks for fewer requests", "try again in a minute"),
        ("ExpiredToken", "the session of the AWS credentials has expired (AWS said so)", "log in again"),
        ("InvalidClientTokenId", "AWS does not know these keys", "set AWS_PROFILE"),
        ("SignatureDoesNotMatch", "the secret key is wrong", "set the AWS keys again"),
        ("SomethingNew", "SomethingNew (AWS said so)", ""),
    ],
)
def test_no_error_of_aws_is_a_bare_code(
    server: Aws, call: Callable[[Aws], None], code: str, problem: str, remedy: str
) -> None:
    error = said(server, call, 400, code, "AWS said so.")
    assert problem in error.problem
    assert remedy in error.remedy


@pytest.fixture
def clients(server: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """The pipeline's own clients, of this server."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    caches = (aws.aws_client, aws.dynamodb_table)
    for cached in caches:
        cached.cache_clear()
    yield server
    for cached in caches:
        cached.cache_clear()


BUSY = {
    "s3": (503, "SlowDown", "Please reduce your request rate."),
    "dynamodb": (400, "ProvisionedThroughputExceededException", "The level of configured throughput was exceeded."),
    "sqs": (403, "RequestThrottled", "Request is throttled."),
}


@pytest.mark.parametrize("service", BUSY)
def test_throttling_is_waited_for(clients: Aws, service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    real, here = time.sleep, threading.current_thread()

    def sleep(seconds: float) -> None:
        if threading.current_thread() is here:  # threads that other tests left behind sleep too
            slept.append(seconds)
            seconds = min(seconds, 0.01)
        real(seconds)

    monkeypatch.setattr("time.sleep", sleep)
    clients.errors = [BUSY[service]] * 5 + [(0, "", "")]
    if service == "s3":
        Bucket(aws.aws_client("s3"), "b").get("key")
    elif service == "dynamodb":
        Ledger(aws.dynamodb_table("t")).head()
    else:
        aws.aws_client("sqs").receive_message(QueueUrl=f"{clients.url}/1/q")
    assert clients.calls == 6
    assert sum(slept) < 60  # a sensor's tick


def test_throttling_that_lasts_ends_in_a_message(clients: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    clients.errors = [BUSY["dynamodb"]]
    with pytest.raises(LedgerUnavailable, match="DynamoDB asks for fewer requests"):
        Ledger(aws.dynamodb_table("t")).head()
    assert clients.calls == 6


def test_a_service_that_does_not_answer_is_tried_three_times(clients: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    tried: list[Any] = []
    table = aws.dynamodb_table("t")
    table.meta.client.meta.events.register("before-send", lambda **_: tried.append(1))
    with pytest.raises(LedgerUnavailable, match=r"cannot reach .*DynamoDB cannot be reached.*check the network"):
        Ledger(table).head()
    assert len(tried) == 3


def test_calls_that_are_not_throttled_are_not_slowed_down(clients: Aws) -> None:
    book = Ledger(aws.dynamodb_table("t"))
    book.head()
    started = time.monotonic()
    for _ in range(50):
        book.head()
    assert time.monotonic() - started < 2


def test_boto3_trusts_the_file_of_every_variable_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ca = PrivateCa(tmp_path)
    server = Aws()
    with web_server(server, ca.context("localhost")) as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://localhost:{port}")
        for trusted in ("", str(ca.file), str(tmp_path / "gone")):
            monkeypatch.setenv("SSL_CERT_FILE", trusted)
            aws.dynamodb_table.cache_clear()
            if trusted == str(ca.file):
                Ledger(aws.dynamodb_table("t")).head()
            elif trusted:
                with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
                    aws.dynamodb_table("t")
            else:
                with pytest.raises(
                    LedgerUnavailable, match=r"certificate of localhost:\d+ is not trusted.*AWS_CA_BUNDLE"
                ):
                    Ledger(aws.dynamodb_table("t")).head()
    aws.dynamodb_table.cache_clear()
