"""Finds out how several files must be read as one export: a mapping says one way for all of them.

Belongs here: what the files have in common, and saying in what they differ.
Does not belong here: finding out how one file is read (see `detection.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.source.detection import Detected, detect
from jwo_catalog_pipeline.catalog.source.options import ExportFile
from jwo_catalog_pipeline.wording import plural

_LISTED = 5  # files named in a sentence
_OPTIONS = ("encoding", "delimiter", "quote")
_KEYS = ("sheet", "header_row", "records")
_WORDS = {
    "encoding": "the encoding",
    "delimiter": "the delimiter",
    "quote": "the quotation mark",
    "sheet": "the sheet",
    "header_row": "the row of the names",
    "records": "the list",
}
# What is read where nothing is written.
_DEFAULTS = {"encoding": "utf-8", "header_row": 1, "quote": '"', "delimiter": "a comma, or tabs in a .tsv file"}
_DEFAULTS |= {"sheet": "the only one with a table", "records": "the one at the top"}


def detect_all(files: Sequence[ExportFile], written: dict[str, Any]) -> Detected:
    """Find out how to read the files of an export.

    Args:
        files: At least one.
        written: What a person has said under `source` already; it is kept, and not looked for.

    Raises:
        SourceFileError: as `detect`; or the files cannot be read in one way. The message names files of each way.
    """
    each = [detect(file.path, file.name, written) for file in files]
    if len(files) == 1:
        return each[0]
    names = [file.name.rpartition("/")[2] for file in files]
    chosen = {key: _agreed(key, names, each) for key in (*_OPTIONS, *_KEYS)}
    formats = {found.source.get("format") for found in each}
    source: dict[str, Any] = {}
    if len(formats) == 1 and (format_ := formats.pop()):
        source["format"] = format_  # files of several formats are each read by their content
    source |= {key: chosen[key] for key in _KEYS if chosen[key] is not None}
    if options := {key: chosen[key] for key in _OPTIONS if chosen[key] is not None}:
        source["options"] = options
    leading = next((found for found in each if all(_said(found, key) == chosen[key] for key in chosen)), each[0])
    several = f"{plural(len(files), 'file')} are one export: {_listed(names)}."
    return Detected(source, (several, *leading.seen), (*leading.doubts, *_overruled(names, each, chosen)))


def _said(found: Detected, key: str) -> Any:
    return found.source.get("options", {}).get(key) if key in _OPTIONS else found.source.get(key)


def _agreed(key: str, names: list[str], each: list[Detected]) -> Any:
    """What the files say that are sure of it; without these, what most say; None is the default."""
    sure = {_said(found, key) for found in each if key in found.sure}
    if key == "encoding" and len(sure) > 1 and all(one is None or one.startswith("utf-") for one in sure):
        return None  # where UTF-8 is expected, the reader recognises UTF-16 by itself
    if len(sure) > 1:
        raise _differ(key, names, each)
    if sure:
        return sure.pop()
    # A file of plain ASCII is unsure of its encoding, and says nothing.
    said = [_said(found, key) for found in each]
    return Counter([one for one in said if one is not None] or [None]).most_common(1)[0][0]


def _differ(key: str, names: list[str], each: list[Detected]) -> SourceFileError:
    ways: dict[Any, list[str]] = {}
    for name, found in zip(names, each, strict=True):
        if key in found.sure:
            ways.setdefault(_said(found, key), []).append(name)
    parts = [f"{_shown(key, way)} in {_listed(named)}" for way, named in ways.items()]
    return SourceFileError(
        f"the files of the export differ in {_WORDS[key]}: {'; '.join(parts)}",
        "one mapping reads all files in the same way: export them alike, or name files of one kind by the glob",
    )


def _shown(key: str, way: Any) -> str:
    return f"{_DEFAULTS[key] if way is None else way!r}" if key != "encoding" else str(way or _DEFAULTS[key])


def _overruled(names: list[str], each: list[Detected], chosen: dict[str, Any]) -> list[str]:
    """What single files would be read as by themselves, where they are not sure of it."""
    return [
        f"{_WORDS[key]} of {name}; by itself, the file looks like {_shown(key, _said(found, key))}"
        for name, found in zip(names, each, strict=True)
        for key in chosen
        if _said(found, key) not in (chosen[key], None)
    ]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
