"""Objects in JWO_BUCKET: bytes, and tables as Parquet. The one place that talks to S3.

Writes replace whole objects under keys that their content or identity decides, so writing twice is writing once.
"""

import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError

from jwo_catalog_pipeline.aws import s3_problem
from jwo_catalog_pipeline.aws_errors import error_code
from jwo_catalog_pipeline.errors import PipelineError, TerminalError
from jwo_catalog_pipeline.failpoints import effect
from jwo_catalog_pipeline.table_file import COMPRESSION, TableFile, as_arrow, read_frame

_ACTIONS = {"write": "s3:PutObject", "read": "s3:GetObject", "list": "s3:ListBucket", "remove": "s3:DeleteObject"}
FRESH_SECONDS = 86_400
DELETED_TOGETHER = 1000  # S3's limit
PARQUET = "application/vnd.apache.parquet"
# Above this a file goes in parts, several at a time. https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
_TRANSFER = TransferConfig(multipart_threshold=64 << 20, multipart_chunksize=16 << 20, max_concurrency=4)


class StorageError(PipelineError):
    """An object in the bucket could not be read or written; the message says which, and why."""


class NoSuchObject(StorageError, TerminalError):
    """The bucket has no object of this key."""


def table_bytes(table: pd.DataFrame | pa.Table) -> bytes:
    """A table as Parquet, without its index; equal tables give equal bytes."""
    buffer = io.BytesIO()
    pq.write_table(as_arrow(table), buffer, compression=COMPRESSION)
    return buffer.getvalue()


@dataclass(frozen=True)
class Listed:
    """An object of a listing: when it was written, in epoch seconds, and its bytes."""

    key: str
    written_at: int
    size: int


@dataclass(frozen=True)
class Written:
    """What is known of an object: when it was written, in epoch seconds, the mark of its content, its metadata."""

    at: int
    etag: str
    about: dict[str, str]


@dataclass(frozen=True)
class Bucket:
    """A bucket and the client to reach it with."""

    client: Any
    name: str

    def put(self, key: str, content: bytes, content_type: str = "application/octet-stream") -> None:
        """Write an object; it is durable when this returns.

        Raises:
            StorageError: the bucket is missing, or may not be written.
        """
        try:
            with effect(f"bucket: {_kind(key)}"):
                self.client.put_object(Bucket=self.name, Key=key, Body=content, ContentType=content_type)
        except (ClientError, BotoCoreError) as error:
            raise self._explained(error, "write", key) from None

    def get(self, key: str) -> bytes:
        """Read an object.

        Raises:
            NoSuchObject: there is none.
            StorageError: the bucket is missing, or may not be read.
        """
        try:
            return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        except (ClientError, BotoCoreError) as error:
            raise self._explained(error, "read", key) from None

    def copy(self, key: str, target: str, **about: str) -> None:
        """Copy an object within the bucket, without fetching it, and write `about` to the copy's metadata.

        Raises:
            StorageError: it must not be read or written.
        """
        try:
            with effect(f"bucket: {_kind(target)}"):
                self.client.copy_object(
                    Bucket=self.name,
                    Key=target,
                    CopySource={"Bucket": self.name, "Key": key},
                    Metadata=about,
                    MetadataDirective="REPLACE",
                )
        except (ClientError, BotoCoreError) as error:
            raise self._explained(error, "write", target) from None

    def written(self, key: str) -> Written | None:
        """When an object was written, and what is known of it; None if there is none."""
        try:
            head = self.client.head_object(Bucket=self.name, Key=key)
        except (ClientError, BotoCoreError) as error:
            if error_code(error) in ("404", "NoSuchKey"):
                return None
            raise self._explained(error, "read", key) from None
        return Written(int(head["LastModified"].timestamp()), head["ETag"], head["Metadata"])

    def put_once(self, key: str, content: bytes, content_type: str) -> None:
        """Write an object whose key its content decides, unless it was written within `FRESH_SECONDS`.

        An older one is written again, so that it is known to be in use: `upload/prune` removes nothing that is young.
        """
        if not self._is_fresh(key):
            self.put(key, content, content_type)

    def put_file_once(self, key: str, path: Path) -> None:
        """Write a table whose key its content decides, as `put_once` does."""
        if not self._is_fresh(key):
            self.put_file(key, path)

    def _is_fresh(self, key: str) -> bool:
        written = self.written(key)
        return written is not None and written.at >= time.time() - FRESH_SECONDS

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects, at most `DELETED_TOGETHER`; that some are gone already is fine.

        Raises:
            StorageError: the bucket is missing, or objects must not be removed from it.
        """
        objects = [{"Key": key} for key in keys]
        try:
            with effect(f"s3: {_kind(keys[0])} deleted"):
                answer = self.client.delete_objects(Bucket=self.name, Delete={"Objects": objects, "Quiet": True})
        except (ClientError, BotoCoreError) as error:
            raise self._explained(error, "remove", keys[0]) from None
        for failed in answer.get("Errors", []):
            remedy = "the pipeline's role needs s3:DeleteObject, as deploy/cloudformation.yaml gives it"
            raise StorageError(f"cannot remove {self.uri(failed['Key'])}: {failed['Code']}", remedy)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Every key that begins so, and when its object was written, in epoch seconds; see `listed`."""
        return ((entry.key, entry.written_at) for entry in self.listed(prefix))

    def listed(self, prefix: str) -> Iterator[Listed]:
        """Every object whose key begins so, in the order of the keys.

        Raises:
            StorageError: the bucket is missing, or may not be listed.
        """
        try:
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
            for page in pages:
                for entry in page.get("Contents", []):
                    yield Listed(entry["Key"], int(entry["LastModified"].timestamp()), entry["Size"])
        except (ClientError, BotoCoreError) as error:
            raise self._explained(error, "list", prefix) from None

    def put_table(self, key: str, table: pd.DataFrame | pa.Table) -> int:
        """Write a table as Parquet, without its index; gives the size in bytes."""
        content = table_bytes(table)
        self.put(key, content, PARQUET)
        return len(content)

    def get_table(self, key: str) -> pd.DataFrame:
        """Read a table written by `put_table`."""
        return read_frame(io.BytesIO(self.get(key)))

    def put_file(self, key: str, path: Path, content_type: str = PARQUET) -> None:
        """Write an object from a file, a large one in parts; it is durable, and whole, when this returns.

        Raises:
            StorageError: the bucket is missing, or may not be written.
        """
        try:
            with effect(f"bucket: {_kind(key)}"):
                self.client.upload_file(str(path), self.name, key, {"ContentType": content_type}, Config=_TRANSFER)
        except S3UploadFailedError as error:
            cause = error.__context__
            if not isinstance(cause, ClientError | BotoCoreError):
                raise
            raise self._explained(cause, "write", key) from None
        except (ClientError, BotoCoreError) as error:
            raise self._explained(error, "write", key) from None

    def fetch(self, key: str, path: Path) -> TableFile:
        """Read a table into a file of this machine.

        Raises:
            NoSuchObject: there is none.
            StorageError: the bucket is missing, or may not be read.
        """
        try:
            self.client.download_file(self.name, key, str(path), Config=_TRANSFER)
        except (ClientError, BotoCoreError) as error:
            raise self._explained(error, "read", key) from None
        return TableFile(path)

    def uri(self, key: str) -> str:
        """The object's s3:// address, for people."""
        return f"s3://{self.name}/{key}"

    def _explained(self, error: ClientError | BotoCoreError, verb: str, key: str) -> StorageError:
        code = error_code(error)
        if code in ("NoSuchKey", "404"):
            return NoSuchObject(f"{self.uri(key)} does not exist")
        if code == "NoSuchBucket":
            remedy = "deploy deploy/cloudformation.yaml and set JWO_BUCKET to its BucketName"
            return StorageError(f"cannot {verb} {self.uri(key)}: no such bucket", remedy)
        problem, remedy = s3_problem(error, _ACTIONS[verb])
        return StorageError(f"cannot {verb} {self.uri(key)}: {problem}", remedy)


def _kind(key: str) -> str:
    """What an object is, for the name of its failpoint: `assets/jwo_catalog`, `batches` of an upload."""
    folders = key.split("/")
    if folders[0] == "uploads":
        return folders[3].partition(".")[0]
    return "/".join(folders[:2]).partition(".")[0] if folders[0] == "assets" else folders[0]
