"""Which files of a folder are exports, by their names: globs, and what lies beside an export. S3 and disk alike."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.source.options import format_of

_WILDCARD = re.compile(r"[*?[]")
_HIDDEN = (".", "_")
_DIGITS = re.compile(r"[0-9]+")
# Spark and Athena (part-00000-...), Redshift (0000_part_00), BigQuery (000000000000), Snowflake (data_0_0_0), by hand.
_PART = re.compile(
    r"part|chunk|split|shard|slice|piece|segment|teil|[0-9][-_ ]?of[-_ ]?[0-9]|data_[0-9]+_[0-9]+_[0-9]+"
    r"|(?<![0-9])0[0-9]{4}",
    re.IGNORECASE,
)
_UNNAMED_PARTS = 100  # more files than that, of which none is called a part, are those of many days
_TOGETHER_SECONDS = 600  # the parts of one export are written within ten minutes
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


def part_files(files: Sequence[tuple[str, float]]) -> list[str]:
    """The names of the parts of one export to which the newest file belongs, by name; empty where it is a whole one.

    Parts differ in one number, which counts from 0 or 1 without a gap, and were written within minutes. Two files must
    also say that they are parts; of three, nothing else is likely. The files of several days bear a date.

    Args:
        files: names and times in epoch seconds, the newest last.
    """
    if len(files) < 2:
        return []
    newest, at = files[-1]
    fewest, most = (2, len(files)) if _PART.search(newest) else (3, _UNNAMED_PARTS)
    near = sorted({name for name, time in files if at - time <= _TOGETHER_SECONDS})
    for place in range(len(_DIGITS.findall(newest))):
        numbers = {name: number for name in near if (number := _differs_at(name, newest, place)) is not None}
        values = sorted(numbers.values())
        if (
            fewest <= len(values) <= most
            and values[0] in (0, 1)
            and values == list(range(values[0], values[0] + len(values)))
        ):
            return sorted(numbers)
    return []


def parts_glob(parts: Sequence[str]) -> str:
    """A glob that matches the parts: their names with `*` for the number that differs."""
    one, other = parts[0], parts[1]
    for place in range(len(_DIGITS.findall(one))):
        if _differs_at(one, other, place) is not None:
            start, end = [match.span() for match in _DIGITS.finditer(one)][place]
            return f"{one[:start]}*{one[end:]}"
    return "*"


def _differs_at(name: str, other: str, place: int) -> int | None:
    """The number at a place, if the names are the same elsewhere."""
    numbers, others = _DIGITS.findall(name), _DIGITS.findall(other)
    if _DIGITS.split(name) != _DIGITS.split(other) or len(numbers) <= place:
        return None
    same = numbers[:place] == others[:place] and numbers[place + 1 :] == others[place + 1 :]
    return int(numbers[place]) if same else None


def _says_format(name: str) -> bool:
    try:
        format_of(name)
    except SourceFileError:
        return False
    return True
