"""Makes plain UTF-8 text of a text file, and finds what is wrong with a CSV file that DuckDB refuses.

Belongs here: gzip, zstd, encodings, and the plain-words diagnosis of damaged text files.
Does not belong here: reading records (see `reading.py`).
"""

from __future__ import annotations

import codecs
import csv
import gzip
import shutil
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, BinaryIO, cast

import pyarrow as pa

from jwo_catalog_pipeline.catalog.errors import SourceFileError

if TYPE_CHECKING:
    import _csv

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_UTF8 = {"utf-8", "utf-8-sig", "ascii"}
_CUT_OFF = "the file is cut off here, or a quote in it is not doubled"


@contextmanager
def plain_utf8(path: Path, encoding: str, name: str) -> Iterator[Path]:
    """Give the path of a plain UTF-8 copy of a text file; of the file itself where it is that already.

    Args:
        path: The file; gzip and zstd are recognised by their first bytes.
        encoding: A Python codec. UTF-8 may begin with a byte order mark.
        name: What messages call the file.

    Raises:
        SourceFileError: the file is missing or empty, its compressed data are cut or damaged, or it is not in
            the encoding.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise SourceFileError(f"{name} does not exist or is not a file", "check JWO_SOURCE_URI") from error
    if not start:
        raise SourceFileError(f"{name} is empty (0 bytes)", "export it again")
    kind = "gzip" if start.startswith(_GZIP) else "zstd" if start == _ZSTD else None
    transcode = codecs.lookup(encoding).name not in _UTF8
    if kind is None and not transcode:
        yield path
        return
    with TemporaryDirectory(prefix="jwo-source-") as folder:
        plain = path
        if kind is not None:
            plain = Path(folder, "plain")
            _decompress(path, kind, plain, name)
            if plain.stat().st_size == 0:
                raise SourceFileError(f"{name} is empty once it is unpacked", "export it again")
        if transcode:
            _transcode(plain, encoding, Path(folder, "utf8"), name)
            plain = Path(folder, "utf8")
        yield plain


def _decompress(path: Path, kind: str, target: Path, name: str) -> None:
    with target.open("wb") as out:
        if kind == "gzip":
            try:
                with gzip.open(path, "rb") as packed:
                    shutil.copyfileobj(packed, out, 1 << 20)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise _damaged(kind, name, error) from error
            return
        with path.open("rb") as file:
            for block in _unzstd(file, name):
                out.write(block)


def _unzstd(file: BinaryIO, name: str) -> Iterator[bytes]:
    packed = pa.CompressedInputStream(file, "zstd")
    while True:
        try:
            block = cast(bytes, packed.read(1 << 20))
        except OSError as error:
            # Arrow reports damaged data as an OSError without a number; one of the disk's has one.
            if error.errno is not None:
                raise
            raise _damaged("zstd", name, error) from error
        if not block:
            return
        yield block


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


def _damaged(kind: str, name: str, error: Exception) -> SourceFileError:
    return SourceFileError(
        f"the {kind} data of {name} end too early or are damaged ({error})", "export or upload the file again"
    )


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


def csv_header(path: Path, delimiter: str, quote: str, name: str) -> list[str]:
    """The column names in the first record of a plain CSV file, byte order mark removed."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            header = next(_records(file, delimiter, quote), [])
        except UnicodeDecodeError:
            check_utf8(path, name)
            raise
        except csv.Error as error:
            raise SourceFileError(f"{name}, line 1: the header cannot be read ({error})") from error
    if not any(header):
        raise SourceFileError(f"{name}, line 1 is blank", "the first line must hold the column names")
    return header


def diagnose_csv(path: Path, header: list[str], delimiter: str, quote: str, name: str) -> SourceFileError | None:
    """Say in plain words why a CSV file cannot be read; None where nothing is found.

    Slower than DuckDB, and therefore asked only when DuckDB has refused the file.
    """
    check_utf8(path, name)
    hint = f"; the header has only one column: check whether {delimiter!r} is the delimiter" if len(header) == 1 else ""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = _records(file, delimiter, quote)
        line = 1
        try:
            for fields in reader:
                if fields and len(fields) != len(header):
                    counts = f"{name}, line {line}: {len(fields)} fields where the header has {len(header)}"
                    if len(fields) < len(header) and next(reader, None) is None:
                        return SourceFileError(f"{counts}: {_CUT_OFF}", f"export it again{hint}")
                    return SourceFileError(counts, f"quote every field that holds the delimiter or a line end{hint}")
                line = reader.line_num + 1
        except csv.Error as error:
            return SourceFileError(
                f"{name}, line {line}: a quoted field that begins here does not end as it should ({error}): {_CUT_OFF}",
                "export it again",
            )
        if isinstance(file.newlines, tuple):
            return SourceFileError(
                f"{name} mixes kinds of line ends ({file.newlines})", "export it again with one kind only"
            )
    return None


def _records(file: Iterable[str], delimiter: str, quote: str) -> _csv.Reader:
    if not quote:
        return csv.reader(file, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
    return csv.reader(file, delimiter=delimiter, quotechar=quote, strict=True)
