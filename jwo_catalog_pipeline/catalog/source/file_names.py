"""Which files of a folder are exports, by their names: globs, and what lies beside an export. S3 and disk alike."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.source.options import format_of

_WILDCARD = re.compile(r"[*?[]")
_HIDDEN = (".", "_")
_BESIDE = re.compile(
    r"""
    \.(done|ok|ready|completed?|finished|success|trigger|trg|flag|marker|lock|lck|ctl|log)$  # says that one is there
    | \.(md5|sha1|sha256|sha512|crc|crc32|sfv)(sum)?$ | \.(sig|asc)$                         # checksums, signatures
    | \.(part|partial|filepart|tmp|temp|crdownload|inprogress|uploading|swp)$                # half written
    | \.(bak|old|orig)$ | ~$                                                                 # what was replaced
    | _\$folder\$$ | ^(thumbs\.db|desktop\.ini)$                                             # of file systems
    | ^(success|done|ok|ready|completed?|finished|readme)(\.\w+)?$
    | (^|[._-])(manifest|checksums?|(md5|sha\d+)sums?)(\.\w+)?$
    """,
    re.VERBOSE | re.IGNORECASE,
)
_DATE = re.compile(r"(19|20)\d\d[-_.]?[01]\d[-_.]?[0-3]\d([T_-]?[0-2]\d[-_.:h]?[0-5]\d([-_.:]?[0-5]\d)?)?Z?")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_PART = re.compile(
    r"""
    (?<![a-z])(?:part|chunk|shard|split|slice|data)(?:[-_. ]?\d+)+  # Spark, Snowflake
    | \d+[-_. ]?of[-_. ]?\d+
    | (?<!\d)0\d{11}(?!\d)                                        # BigQuery
    | ^\d{4,6}_(?:part_)?\d+                                      # Hive, Redshift
    | (?<=-)\d+(?:-\d+)?-c\d+(?=\.)                                # Databricks
    """,
    re.VERBOSE | re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![\dv(])\d{1,3}(?![\d)])", re.IGNORECASE)
_TOGETHER = timedelta(minutes=10)


def parts_of(newest: str, written: datetime, files: Sequence[tuple[str, datetime]]) -> list[str]:
    """The files that the newest one seems to be a part of an export with, by name; none where it stands alone.

    They are called the same but for the number of the part (`part-00000`, `2_of_3`); or but for any short number, such
    as a store's, and were written within 10 minutes. Files that differ in a date are exports of different days.

    Args:
        newest: the name of a file, without its folder.
        written: when it was written.
        files: names and times of all files of the folder, the newest among them.
    """
    parts = [
        name
        for name, time in files
        if name == newest
        or _without(_PART, name) == _without(_PART, newest)
        or (written - time <= _TOGETHER and _without(_NUMBER, name) == _without(_NUMBER, newest))
    ]
    return sorted(parts) if len(parts) > 1 else []


def _without(numbers: re.Pattern[str], name: str) -> str:
    """The name with `#` for the numbers, but for those in dates and identifiers."""
    kept = [match.span() for pattern in (_UUID, _DATE) for match in pattern.finditer(name)]

    def masked(match: re.Match[str]) -> str:
        inside = any(start < match.end() and match.start() < end for start, end in kept)
        return match[0] if inside else "#"

    return numbers.sub(masked, name)


def has_wildcard(path: str) -> bool:
    """Whether a path or key can be a glob: it holds `*`, `?` or `[`, which a name may hold as well."""
    return _WILDCARD.search(path) is not None


def before_wildcard(path: str) -> str:
    """The part of a glob that every match begins with."""
    return _WILDCARD.split(path, maxsplit=1)[0]


def is_match(path: str, pattern: str) -> bool:
    """Whether a path or key matches a glob. No wildcard matches a `/`; a hidden name matches only if named as one."""
    names, patterns = path.split("/"), pattern.split("/")
    return len(names) == len(patterns) and all(
        fnmatchcase(name, wanted) and (wanted.startswith(_HIDDEN) or not name.startswith(_HIDDEN))
        for name, wanted in zip(names, patterns, strict=True)
    )


def is_beside(name: str, size: int) -> bool:
    """Whether a file lies beside an export and is none: a marker, a checksum, a manifest, something half written.

    Args:
        name: without its folder.
        size: in bytes. An empty file is a marker, unless its name says a format: an empty export is an error.
    """
    return _BESIDE.search(name) is not None or (size == 0 and not _says_format(name))


def _says_format(name: str) -> bool:
    try:
        format_of(name)
    except SourceFileError:
        return False
    return True
