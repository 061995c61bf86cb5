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
from jwo_catalog_pipeline.catalog.source.file_names import before_wildcard, has_wildcard, is_beside, is_match, parts_of
from jwo_catalog_pipeline.catalog.source.options import ExportFile

_CHUNK = 1 << 20
_SHOWN = 3  # names of files that are passed over
_MISSING = ("it does not exist", "check JWO_SOURCE_URI; a folder ends with /")
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
    """One version of the export: a file, or all the files that match a glob.

    Attributes:
        uri: The file's; of several files, the glob.
        etag: S3's without its quotes, or made of size and time for a local file; of several files, a digest of theirs.
        size: In bytes, of all files.
        modified: When the file was written; of several files, the one written last.
        parts: Several files, by name; empty for one.
    """

    uri: str
    etag: str
    size: int
    modified: datetime
    parts: tuple["SourceFile", ...] = ()

    @property
    def version(self) -> str:
        """Names this version: another etag, or the same content written again, is another version."""
        return f"{self.uri} {self.etag} {self.modified:%Y-%m-%dT%H:%M:%SZ}"

    @property
    def files(self) -> tuple["SourceFile", ...]:
        """The file, or all of them, by name."""
        return self.parts or (self,)

    @property
    def oldest(self) -> "SourceFile":
        """The file that was written first: the export is as old as the oldest of its files."""
        return min(self.files, key=lambda file: file.modified)

    def age_hours(self, now: datetime) -> float:
        """How long ago it was written."""
        return (now - self.oldest.modified).total_seconds() / 3600


def find_source(uri: str, s3: Any) -> SourceFile:
    """Find the export: all files that match a glob; in a folder, the file written last, and by name in one second.

    Raises:
        SourceFileError: as `find_files`; or the newest file of a folder is one part of several.
    """
    files = find_files(uri, s3)
    if len(files) == 1:
        return files[0]
    if not uri.endswith("/") and not Path(uri).expanduser().is_dir():
        return _together(uri, files)
    parts = parts_of(_name(files[-1]), files[-1].modified, [(_name(file), file.modified) for file in files])
    if parts:
        names = f"{', '.join(parts[:_SHOWN])}{f' and {len(parts) - _SHOWN} more' if len(parts) > _SHOWN else ''}"
        raise SourceFileError(
            f"{uri} holds {len(parts)} files that seem to be parts of one export ({names}), and of a folder only the "
            "newest file is read",
            "set JWO_SOURCE_URI to a glob that all parts match, and nothing else, such as "
            f"{uri.rstrip('/')}/{_glob_of(parts)}; or write each export as one file",
        )
    return files[-1]


def _together(uri: str, files: list[SourceFile]) -> SourceFile:
    """Several files as one export, by name."""
    parts = tuple(sorted(files, key=lambda file: file.uri))
    digest = hashlib.sha256("\n".join(part.version for part in parts).encode()).hexdigest()
    size, modified = sum(part.size for part in parts), max(part.modified for part in parts)
    return SourceFile(uri, digest, size, modified, parts)


def _glob_of(names: list[str]) -> str:
    """What the names have in common, with `*` for where they differ."""
    first, last = min(names), max(names)
    same = next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), 0)
    behind = len(first[same:].lstrip("0123456789"))
    end = first[-behind:] if behind and all(name.endswith(first[-behind:]) for name in names) else ""
    return f"{first[:same].rstrip('0123456789')}*{end}"


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
    if not uri:
        raise SourceFileError("JWO_SOURCE_URI is not set", "set it to the export's s3:// address or path")
    in_s3 = uri.startswith("s3://")
    try:
        if exact := _object(uri, s3) if in_s3 else _file(Path(uri).expanduser()):
            return [exact]
        pattern, found = _objects(uri, s3) if in_s3 else _files(uri)
    except (ClientError, BotoCoreError) as error:
        raise _explained(uri, error) from None
    except OSError as error:
        raise _unreadable(uri, error) from None
    # Who names a marker wants it.
    exports = found if is_beside(pattern, size=1) else [file for file in found if not is_beside(_name(file), file.size)]
    if not exports:
        raise _no_export(uri, found)
    return sorted(exports, key=lambda file: (file.modified, file.uri))


def check_readable(file: SourceFile, s3: Any) -> None:
    """Read one byte of exactly this version: a file that can be found may still be encrypted, archived or forbidden.

    Raises:
        SourceFileError: it cannot be read.
    """
    if not file.uri.startswith("s3://"):
        try:
            with Path(file.uri).open("rb"):
                return
        except OSError as error:
            raise _unreadable(file.uri, error) from None
    bucket, key = _split(file.uri)
    first = {"Range": "bytes=0-0"} if file.size else {}
    try:
        s3.get_object(Bucket=bucket, Key=key, IfMatch=f'"{file.etag}"', **first)["Body"].close()
    except (ClientError, BotoCoreError) as error:
        raise _explained(file.uri, error) from None


def fetch_export(export: SourceFile, folder: Path, s3: Any) -> tuple[list[ExportFile], str]:
    """Local copies of exactly this version, and a SHA-256 in hex: the file's, or one over the names and SHA-256s.

    Raises:
        SourceFileError: as `fetch_source`.
    """
    copies, digests = [], []
    for number, file in enumerate(export.files):
        own = folder / str(number)  # files of several folders may have one name
        own.mkdir(exist_ok=True)
        path, digest = fetch_source(file, own, s3)
        copies.append(ExportFile(path, file.uri))
        digests.append(f"{_name(file)} {digest}")
    if not export.parts:
        return copies, digest
    return copies, hashlib.sha256("\n".join(digests).encode()).hexdigest()


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
    try:
        with path.open("rb") as opened:
            return path, hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(file.uri, error) from None


# -- on disk ----------------------------------------------------------------------------------------------------------


def _file(path: Path) -> SourceFile | None:
    """The file of this path; None if there is none."""
    if not path.is_file():
        return None
    stat = path.stat()
    modified = datetime.fromtimestamp(stat.st_mtime, UTC)
    return SourceFile(str(path.resolve()), f"{stat.st_size}-{stat.st_mtime_ns}", stat.st_size, modified)


def _files(uri: str) -> tuple[str, list[SourceFile]]:
    """The last part of the glob, and the files that match it."""
    path = Path(uri).expanduser().absolute()
    if path.is_dir():
        pattern, paths = "*", [entry for entry in path.iterdir() if is_match(entry.name, "*")]
    elif has_wildcard(uri):
        _check_glob(uri)
        path = path / "*" if uri.endswith("/") else path
        pattern = path.name
        paths = [found for found in Path(path.anchor).glob(str(path)[1:]) if is_match(str(found), str(path))]
    else:
        raise SourceFileError(f"{uri} does not exist", "check JWO_SOURCE_URI")
    return pattern, [file for file in map(_file, paths) if file]


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


def _objects(uri: str, s3: Any) -> tuple[str, list[SourceFile]]:
    """The last part of the glob, and the objects that match it."""
    bucket, key = _split(uri)
    if key.endswith("/") or not key:
        directly = _matching(bucket, key, "*", s3)
        if directly or not has_wildcard(key):
            return "*", directly
        key += "*"
    _check_glob(uri)
    folder = "".join(before_wildcard(key).rpartition("/")[:2])
    pattern = key.removeprefix(folder)
    return pattern.rpartition("/")[2], _matching(bucket, folder, pattern, s3)


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


def _no_export(uri: str, found: list[SourceFile]) -> SourceFileError:
    """No file matches, or only files that are passed over."""
    noun = "object" if uri.startswith("s3://") else "file"
    what = f"no {noun} matches {uri}" if has_wildcard(uri) else f"{uri} holds no {noun}"
    if found:
        names = ", ".join(sorted(map(_name, found))[:_SHOWN])
        what += f" but markers, checksums and the like ({names})"
    return SourceFileError(what, "check JWO_SOURCE_URI, or wait for the export; folders below do not count")


def _unreadable(uri: str, error: OSError) -> SourceFileError:
    return SourceFileError(f"cannot read {uri}: {error.strerror}", "check JWO_SOURCE_URI and the file's permissions")


def _explained(uri: str, error: ClientError | BotoCoreError) -> SourceFileError:
    code = error_code(error)
    problem, remedy = _PROBLEMS.get(code) or s3_problem(error, "s3:GetObject and s3:ListBucket")
    return SourceFileError(f"cannot read {uri}: {problem}", remedy)
