"""What is said of an export that cannot be found or read, and what helps."""

from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError

from jwo_catalog_pipeline.aws import s3_problem
from jwo_catalog_pipeline.aws_errors import error_code
from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.source.file_names import has_wildcard

_SHOWN = 3  # names of files
_MISSING = ("it does not exist", "check JWO_SOURCE_URI; a folder ends with /")
_REPLACED = ("it was replaced while it was being read", "materialize source_catalog again")
_PROBLEMS = {
    "404": _MISSING,
    "NoSuchKey": _MISSING,
    "NoSuchBucket": ("its bucket does not exist", "check JWO_SOURCE_URI"),
    "412": _REPLACED,
    "PreconditionFailed": _REPLACED,
}


def listed(names: Sequence[str]) -> str:
    """The first names."""
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def no_export(uri: str, passed_over: Sequence[str]) -> SourceFileError:
    """No file matches, or only files of these names, which are passed over."""
    noun = "object" if uri.startswith("s3://") else "file"
    what = f"no {noun} matches {uri}" if has_wildcard(uri) else f"{uri} holds no {noun}"
    if passed_over:
        names = ", ".join(sorted(passed_over)[:_SHOWN])
        what += f" but markers, checksums and the like ({names})"
    return SourceFileError(what, "check JWO_SOURCE_URI, or wait for the export; folders below do not count")


def unreadable(uri: str, error: OSError) -> SourceFileError:
    """The disk's word."""
    return SourceFileError(f"cannot read {uri}: {error.strerror}", "check JWO_SOURCE_URI and the file's permissions")


def explained(uri: str, error: ClientError | BotoCoreError) -> SourceFileError:
    """S3's word."""
    code = error_code(error)
    problem, remedy = _PROBLEMS.get(code) or s3_problem(error, "s3:GetObject and s3:ListBucket")
    return SourceFileError(f"cannot read {uri}: {problem}", remedy)
