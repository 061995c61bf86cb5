"""The retailer's export as a file: where it is, which version it is, and a local copy to read. S3 or a local path."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from jwo_catalog_pipeline.aws import s3_problem
from jwo_catalog_pipeline.aws_errors import error_code
from jwo_catalog_pipeline.catalog.errors import SourceFileError

_CHUNK = 1 << 20
_MISSING = ("it does not exist", "check JWO_SOURCE_URI")
_REPLACED = ("it was replaced while it was being read", "materialize source_catalog again")
_PROBLEMS = {
    "404": _MISSING,
    "NoSuchKey": _MISSING,
    "NoSuchBucket": ("its bucket does not exist", "check JWO_SOURCE_URI"),
    "412": _REPLACED,
    "PreconditionFailed": _REPLACED,
}


@dataclass(frozen=True)
class SourceFile:
    """One version of the export. `etag` is S3's without its quotes, or made of size and time for a local file."""

    uri: str
    etag: str
    size: int
    modified: datetime

    @property
    def version(self) -> str:
        """Names this version: another etag, or the same content written again, is another version."""
        return f"{self.uri} {self.etag} {self.modified:%Y-%m-%dT%H:%M:%SZ}"


def find_source(uri: str, s3: Any) -> SourceFile:
    """Find the export: `s3://bucket/key`, the newest object under `s3://bucket/prefix/`, or a local path.

    Raises:
        SourceFileError: there is none, or it may not be read; the message names it and the remedy.
    """
    if not uri:
        raise SourceFileError("JWO_SOURCE_URI is not set", "set it to the export's s3:// address or path")
    if not uri.startswith("s3://"):
        return _find_local(uri)
    bucket, key = _split(uri)
    try:
        if key.endswith("/") or not key:
            return _newest(uri, bucket, key, s3)
        head = s3.head_object(Bucket=bucket, Key=key)
    except (ClientError, BotoCoreError) as error:
        raise _explained(uri, error) from None
    return SourceFile(uri, head["ETag"].strip('"'), head["ContentLength"], head["LastModified"].astimezone(UTC))


def fetch_source(file: SourceFile, folder: Path, s3: Any) -> tuple[Path, str]:
    """A local copy of exactly this version, and its SHA-256 in hex.

    Raises:
        SourceFileError: it is gone, or was replaced since it was found.
    """
    path = Path(file.uri)
    if file.uri.startswith("s3://"):
        bucket, key = _split(file.uri)
        path = folder / Path(key).name
        try:
            body = s3.get_object(Bucket=bucket, Key=key, IfMatch=f'"{file.etag}"')["Body"]
            with path.open("wb") as copy:
                for chunk in body.iter_chunks(_CHUNK):
                    copy.write(chunk)
        except (ClientError, BotoCoreError) as error:
            raise _explained(file.uri, error) from None
    with path.open("rb") as opened:
        return path, hashlib.file_digest(opened, "sha256").hexdigest()


def _find_local(uri: str) -> SourceFile:
    path = Path(uri).expanduser().resolve()
    if not path.is_file():
        raise SourceFileError(f"{uri} does not exist", "check JWO_SOURCE_URI")
    stat = path.stat()
    modified = datetime.fromtimestamp(stat.st_mtime, UTC)
    return SourceFile(str(path), f"{stat.st_size}-{stat.st_mtime_ns}", stat.st_size, modified)


def _newest(uri: str, bucket: str, prefix: str, s3: Any) -> SourceFile:
    """The object written last; the greatest key where two were written in one second."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    objects = [entry for page in pages for entry in page.get("Contents", []) if not entry["Key"].endswith("/")]
    if not objects:
        raise SourceFileError(f"{uri} holds no object", "check JWO_SOURCE_URI, or wait for the export")
    newest = max(objects, key=lambda entry: (entry["LastModified"], entry["Key"]))
    return SourceFile(
        f"s3://{bucket}/{newest['Key']}",
        newest["ETag"].strip('"'),
        newest["Size"],
        newest["LastModified"].astimezone(UTC),
    )


def _split(uri: str) -> tuple[str, str]:
    # By hand: a key may hold ? and #, which end a URL's path.
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _explained(uri: str, error: ClientError | BotoCoreError) -> SourceFileError:
    code = error_code(error)
    problem, remedy = _PROBLEMS.get(code) or s3_problem(error, "s3:GetObject and s3:ListBucket")
    return SourceFileError(f"cannot read {uri}: {problem}", remedy)
