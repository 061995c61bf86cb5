"""Makes plain UTF-8 text of a text file.

Belongs here: encodings.
Does not belong here: unpacking (see `packed.py`), reading records (see `csv_files.py` and `json_files.py`).
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.source.signatures import marked_encoding, unmarked_utf16

_UTF8 = {"utf-8", "utf-8-sig", "ascii"}  # as Python calls them


@contextmanager
def plain_utf8(path: Path, encoding: str, name: str, folder: Path | None = None) -> Iterator[Path]:
    """Give the path of a UTF-8 copy of a text file; of the file itself where it is that already.

    Args:
        path: The file, unpacked.
        encoding: A Python codec. A byte order mark is left out. A file that begins with the mark of UTF-16 or UTF-32
            is that, and not UTF-8.
        name: What messages call the file.
        folder: For the copy; None: where this machine keeps temporary files.

    Raises:
        SourceFileError: it is not in the encoding.
    """
    actual = actual_encoding(path, encoding)
    if codecs.lookup(actual).name in ("utf-8", "ascii"):
        yield path
        return
    with TemporaryDirectory(prefix="jwo-source-", dir=folder) as copies:
        _transcode(path, actual, Path(copies, "utf8"), name)
        yield Path(copies, "utf8")


def actual_encoding(path: Path, encoding: str) -> str:
    """The encoding that a file is in, where its first bytes know better than the mapping file."""
    with path.open("rb") as file:
        head = file.read(4096)
    said, marked = codecs.lookup(encoding).name, marked_encoding(head)
    if marked.startswith("utf-") and marked != "utf-8" and (said in _UTF8 or said.startswith(("utf-16", "utf-32"))):
        return marked
    if marked == "utf-8" and said in _UTF8:
        return "utf-8-sig"
    if not marked and (said in _UTF8 or said == "utf-16"):
        # Without a mark, Python would take what the machine has for UTF-16.
        return unmarked_utf16(head) or ("utf-16-le" if said == "utf-16" else encoding)
    return encoding


def is_utf8(encoding: str) -> bool:
    """Whether a codec is UTF-8 under one of its names."""
    return codecs.lookup(encoding).name in _UTF8


def _transcode(path: Path, encoding: str, target: Path, name: str) -> None:
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    with path.open("rb") as file, target.open("w", encoding="utf-8", newline="") as out:
        while True:
            block = file.read(1 << 20)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                line += error.object[: error.start].decode(encoding, "replace").count("\n")
                raise _not_encoded(name, line, encoding) from error
            line += text.count("\n")
            out.write(text)
            if not block:
                return


def _not_encoded(name: str, line: int, encoding: str) -> SourceFileError:
    return SourceFileError(
        f"{name}, line {line}: this is not {encoding} text",
        "set source.options.encoding in the field mapping to the file's encoding, such as windows-1252, iso-8859-8 or "
        "utf-16",
    )


def check_utf8(path: Path, name: str) -> None:
    """Raise SourceFileError, naming the line, where the file is not UTF-8 text."""
    with path.open("rb") as file:
        for line, text in enumerate(file, start=1):
            try:
                text.decode()
            except UnicodeDecodeError as error:
                raise _not_encoded(name, line, "UTF-8") from error
