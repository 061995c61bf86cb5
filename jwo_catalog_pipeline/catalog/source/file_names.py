"""Which files of a folder are exports, by their names: globs, and what lies beside an export. S3 and disk alike."""

import re
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
