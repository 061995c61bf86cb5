"""Tables of figures in the documents: a command writes them between two marks, never copied by hand."""

import datetime
import os
import platform
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path


def markdown(rows: Sequence[dict[str, str]]) -> str:
    """Rows with the same keys as a table."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_between_marks(document: Path, name: str, content: str) -> None:
    """Put text between `<!-- name -->` and `<!-- end of name -->` of a document."""
    text = document.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, mark, rest = text.partition(begin)
    _, last, after = rest.partition(end)
    if not (mark and last):
        raise ValueError(f"{document} has no marks {begin} and {end}")
    document.write_text(f"{before}{begin}\n{content}\n{end}{after}", encoding="utf-8")


def machine(*libraries: str) -> str:
    """The day, and what the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    versions = "".join(f", {name} {version(name)}" for name in libraries)
    return (
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {os.cpu_count()} cores ({cpu[1] if cpu else 'unknown'}), "
        f"{memory:.0f} GB, Python {platform.python_version()}{versions}"
    )
