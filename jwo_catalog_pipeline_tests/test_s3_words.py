"""What S3 says is wrong, and the remedy that fits it: against a server that answers as S3 does."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.source_file import fetch_source, find_source
from jwo_catalog_pipeline.storage import Bucket, StorageError

KMS = (
    "User: arn:aws:sts::111122223333:assumed-role/jwo/run is not authorized to perform: kms:Decrypt on resource: "
    "arn:aws:kms:us-east-1:111122223333:key/1 because no identity-based policy allows the kms:Decrypt action"
)


class S3(HTTPServer):
    """Answers every GET with the error, and keeps its headers; HEAD finds an object."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.error = (403, "AccessDenied", "Access Denied")
        self.headers: dict[str, str] = {}


class _Handler(BaseHTTPRequestHandler):
    server: S3

    def do_HEAD(self) -> None:
        self.send_response(200)
        for name, value in {
            "ETag": '"abc-1"',
            "Content-Length": "3",
            "Last-Modified": "Fri, 27 Nov 2026 00:00:00 GMT",
        }.items():
            self.send_header(name, value)
        self.end_headers()

    def do_GET(self) -> None:
        self.server.headers = dict(self.headers)
        status, code, message = self.server.error
        body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def s3() -> Iterator[S3]:
    server = S3()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def client(server: S3) -> Any:
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{server.server_port}", config=config)


@pytest.mark.parametrize(
    ("error", "problem", "remedy"),
    [
        ((403, "AccessDenied", "Access Denied"), "access denied", "the pipeline's role needs s3:GetObject"),
        ((403, "AccessDenied", KMS), "is not authorized to perform: kms:Decrypt", "role needs kms:Decrypt"),
        (
            (403, "InvalidObjectState", "The operation is not valid for the object's storage class"),
            "a lifecycle rule has moved it to an archive (Glacier)",
            "restore the object in S3",
        ),
        ((503, "SlowDown", "Please reduce your request rate."), "asks for fewer requests", "try again in a minute"),
        ((400, "KMS.DisabledException", "The key is disabled."), "KMS.DisabledException (The key is disabled)", ""),
    ],
)
def test_an_error_of_s3_says_what_s3_says_and_what_helps(
    s3: S3, tmp_path: Path, error: tuple[int, str, str], problem: str, remedy: str
) -> None:
    s3.error = error
    with pytest.raises(StorageError) as raised:
        Bucket(client(s3), "b").get("key")
    assert problem in raised.value.problem
    assert remedy in raised.value.remedy
    file = find_source("s3://b/export.csv", client(s3))
    with pytest.raises(SourceFileError) as of_source:
        fetch_source(file, tmp_path, client(s3))
    assert problem in of_source.value.problem
    assert remedy in of_source.value.remedy


def test_the_version_of_an_export_is_asked_for_as_s3_named_it(s3: S3, tmp_path: Path) -> None:
    """A stricter S3 than moto refuses an ETag without its quotes, and then no export can be read."""
    file = find_source("s3://b/export.csv", client(s3))
    with pytest.raises(SourceFileError):
        fetch_source(file, tmp_path, client(s3))
    assert s3.headers["If-Match"] == '"abc-1"'
