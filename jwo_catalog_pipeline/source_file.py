"""The retailer's export as a file: where it is, which version it is, and a local copy to read. S3 or a local path."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from jwo_catalog_pipeline.aws_errors import error_code
from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.source.file_names import (
    before_wildcard,
    has_wildcard,
    is_beside,
    is_match,
    part_files,
    parts_glob,
)
from jwo_catalog_pipeline.catalog.source.options import ExportFile
from jwo_catalog_pipeline.source_errors import explained, listed, no_export, unreadable

_CHUNK = 1 << 20


@dataclass(frozen=True)
class SourceFile:
    """One version of the export. `etag` is S3's without its quotes, or made of size and time for a local file.

    Where a glob matches several files, they are one export: its address is the glob, and `parts` are the files by name.
    """

    uri: str
    etag: str
    size: int
    modified: datetime
    parts: tuple[SourceFile, ...] = ()

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """The files that it consists of."""
        return self.parts or (self,)

    @property
    def version(self) -> str:
        """Names this version: another etag, or the same content written again, is another version."""
        return f"{self.uri} {self.etag} {self.modified:%Y-%m-%dT%H:%M:%SZ}"

    @property
    def oldest(self) -> SourceFile:
        """The file that was written first."""
        return min(self.files, key=lambda file: file.modified)

    def age_hours(self, now: datetime) -> float:
        """How long ago it was written; of several files, the oldest."""
        return (now - self.oldest.modified).total_seconds() / 3600


def find_source(uri: str, s3: Any) -> SourceFile:
    """Find the export: all files that a glob matches; of a folder, the file written last, by name where two are equal.

    Raises:
        SourceFileError: as `find_files`; or the newest file of a folder is one part of several.
    """
    is_glob, files = _found(uri, s3)
    if is_glob and len(files) > 1:
        return _together(uri, files)
    if parts := part_files([(_name(file), file.modified.timestamp()) for file in files]):
        raise SourceFileError(
            f"{uri} holds the parts of one export, and the newest file is only one of them: {listed(parts)}",
            f"name them by a glob in JWO_SOURCE_URI, such as {uri.rstrip('/')}/{parts_glob(parts)}",
        )
    return files[-1]


def _together(uri: str, files: list[SourceFile]) -> SourceFile:
    by_name = tuple(sorted(files, key=lambda file: file.uri))
    etag = hashlib.sha256("\n".join(file.version for file in by_name).encode()).hexdigest()
    return SourceFile(uri, etag, sum(file.size for file in files), max(file.modified for file in files), by_name)


def find_files(uri: str, s3: Any) -> list[SourceFile]:
    """Find all files that match, at least one, in the order in which they were written, then by name.

    Args:
        uri: `s3://bucket/key` or a path: that file, whatever characters its name holds. `s3://bucket/prefix/` or a
            folder: the files directly in it. A glob of keys or paths: the files that match; `*`, `?` and `[...]`
            match no `/`. In a folder and by a glob, what only lies beside an export is passed over (`is_beside`).
        s3: a boto3 client; a local path needs none.

    Raises:
        SourceFileError: there is none, or it may not be read; the message names it and the remedy.
    """
    return _found(uri, s3)[1]


def _found(uri: str, s3: Any) -> tuple[bool, list[SourceFile]]:
    """Whether a glob found them, and the files."""
    if not uri:
        raise SourceFileError("JWO_SOURCE_URI is not set", "set it to the export's s3:// address or path")
    in_s3 = uri.startswith("s3://")
    try:
        if exact := _object(uri, s3) if in_s3 else _file(Path(uri).expanduser()):
            return False, [exact]
        is_glob, pattern, found = _objects(uri, s3) if in_s3 else _files(uri)
    except (ClientError, BotoCoreError) as error:
        raise explained(uri, error) from None
    except OSError as error:
        raise unreadable(uri, error) from None
    # Who names a marker wants it.
    exports = found if is_beside(pattern, size=1) else [file for file in found if not is_beside(_name(file), file.size)]
    if not exports:
        raise no_export(uri, list(map(_name, found)))
    return is_glob, sorted(exports, key=lambda file: (file.modified, file.uri))


def check_readable(export: SourceFile, s3: Any) -> None:
    """Read one byte of exactly this version: a file that can be found may still be encrypted, archived or forbidden.

    Raises:
        SourceFileError: it cannot be read.
    """
    for file in export.files:
        _check_readable(file, s3)


def _check_readable(file: SourceFile, s3: Any) -> None:
    if not file.uri.startswith("s3://"):
        try:
            with Path(file.uri).open("rb"):
                return
        except OSError as error:
            raise unreadable(file.uri, error) from None
    bucket, key = _split(file.uri)
    first = {"Range": "bytes=0-0"} if file.size else {}
    try:
        s3.get_object(Bucket=bucket, Key=key, IfMatch=f'"{file.etag}"', **first)["Body"].close()
    except (ClientError, BotoCoreError) as error:
        raise explained(file.uri, error) from None


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
            raise explained(file.uri, error) from None
    try:
        with path.open("rb") as opened:
            return path, hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(file.uri, error) from None


def fetch_export(export: SourceFile, folder: Path, s3: Any) -> tuple[list[ExportFile], str]:
    """Local copies of exactly this version, in the order of their names, and the SHA-256 of all in hex.

    Raises:
        SourceFileError: one is gone, or was replaced since it was found.
    """
    if not export.parts:
        path, sha256 = fetch_source(export, folder, s3)
        return [ExportFile(path, export.uri)], sha256
    files, digest = [], hashlib.sha256()
    for number, part in enumerate(export.parts):
        place = folder / str(number)  # two may have one name, in two folders
        place.mkdir(exist_ok=True)
        path, sha256 = fetch_source(part, place, s3)
        files.append(ExportFile(path, part.uri))
        digest.update(f"{_name(part)} {sha256}\n".encode())
    return files, digest.hexdigest()


# -- on disk ----------------------------------------------------------------------------------------------------------


def _file(path: Path) -> SourceFile | None:
    """The file of this path; None if there is none."""
    if not path.is_file():
        return None
    stat = path.stat()
    modified = datetime.fromtimestamp(stat.st_mtime, UTC)
    return SourceFile(str(path.resolve()), f"{stat.st_size}-{stat.st_mtime_ns}", stat.st_size, modified)


def _files(uri: str) -> tuple[bool, str, list[SourceFile]]:
    """Whether it is a glob, its last part, and the files that match it."""
    path = Path(uri).expanduser().absolute()
    is_glob = not path.is_dir()
    if not is_glob:
        pattern, paths = "*", [entry for entry in path.iterdir() if is_match(entry.name, "*")]
    elif has_wildcard(uri):
        _check_glob(uri)
        path = path / "*" if uri.endswith("/") else path
        pattern = path.name
        paths = [found for found in Path(path.anchor).glob(str(path)[1:]) if is_match(str(found), str(path))]
    else:
        raise SourceFileError(f"{uri} does not exist", "check JWO_SOURCE_URI")
    return is_glob, pattern, [file for file in map(_file, paths) if file]


# -- in S3 ------------------------------------------------------------------------------------------------------------


def _object(uri: str, s3: Any) -> SourceFile | None:
    """The object of exactly this key; None if the key can also be a folder or a glob, and there is no such object."""
    bucket, key = _split(uri)
    if key.endswith("/") or not key:
        return None
    try:
        head = s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        # S3 answers 403 for a missing key to whom must not list, and then the listing says so.
        if has_wildcard(key) and error_code(error) in ("404", "NoSuchKey", "403", "AccessDenied"):
            return None
        raise
    return _version(bucket, key, head["ETag"], head["ContentLength"], head["LastModified"])


def _objects(uri: str, s3: Any) -> tuple[bool, str, list[SourceFile]]:
    """Whether it is a glob, its last part, and the objects that match it."""
    bucket, key = _split(uri)
    if key.endswith("/") or not key:
        directly = _matching(bucket, key, "*", s3)
        if directly or not has_wildcard(key):
            return False, "*", directly
        key += "*"
    _check_glob(uri)
    folder = "".join(before_wildcard(key).rpartition("/")[:2])
    pattern = key.removeprefix(folder)
    return True, pattern.rpartition("/")[2], _matching(bucket, folder, pattern, s3)


def _matching(bucket: str, folder: str, pattern: str, s3: Any) -> list[SourceFile]:
    """The objects whose keys match a glob below a folder, whose name is taken literally."""
    # Of a bucket with years of folders, only the one that is asked for is listed.
    one_folder = {} if "/" in pattern else {"Delimiter": "/"}
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=folder + before_wildcard(pattern), **one_folder
    )
    return [
        _version(bucket, entry["Key"], entry["ETag"], entry["Size"], entry["LastModified"])
        for page in pages
        for entry in page.get("Contents", [])
        if not entry["Key"].endswith("/") and is_match(entry["Key"].removeprefix(folder), pattern)
    ]


def _version(bucket: str, key: str, etag: str, size: int, modified: datetime) -> SourceFile:
    return SourceFile(f"s3://{bucket}/{key}", etag.strip('"'), size, modified.astimezone(UTC))


def _split(uri: str) -> tuple[str, str]:
    # By hand: a key may hold ? and #, which end a URL's path.
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


# -- messages ---------------------------------------------------------------------------------------------------------


def _name(file: SourceFile) -> str:
    return file.uri.rpartition("/")[2]


def _check_glob(uri: str) -> None:
    if "**" in uri:
        raise SourceFileError(f"{uri} holds **", "name the folder: an export in a folder below it would be an old one")
