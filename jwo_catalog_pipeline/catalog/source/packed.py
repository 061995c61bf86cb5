"""Unpacks gzip, zstd and zip, within bounds, and says what is inside."""

from __future__ import annotations

import gzip
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import BinaryIO, cast

import pyarrow as pa

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.source.file_names import is_beside
from jwo_catalog_pipeline.catalog.source.signatures import kind_of

_PIECE = 1 << 20
# A table packs to a tenth or a twentieth; a file that is made to fill a disk, to a thousandth.
_MOST_TIMES, _ANYWAY_BYTES = 200, 100 << 20
_WORKBOOK_NAMES = (".xlsx", ".xlsm", ".xlsb", ".ods")  # what has such a name and is cut off says so as a workbook
_WORKBOOK_PARTS = ("[Content_Types].xml", "xl/workbook.xml", "xl/workbook.bin")


class _Bounded:
    """A file that refuses to become much larger than what it is unpacked from."""

    def __init__(self, file: BinaryIO, packed_bytes: int, name: str) -> None:
        self._file, self._left, self._name = file, _MOST_TIMES * packed_bytes + _ANYWAY_BYTES, name

    def write(self, piece: bytes) -> int:
        self._left -= len(piece)
        if self._left < 0:
            raise SourceFileError(
                f"{self._name} is more than {_MOST_TIMES} times as large once it is unpacked; no table is",
                "unpack the file, and give the table itself if it is one",
            )
        return self._file.write(piece)


@contextmanager
def unpacked(path: Path, name: str, folder: Path | None = None) -> Iterator[tuple[Path, str]]:
    """The file, or what is packed in it, and its name.

    Args:
        path: the file; gzip, zstd and zip are recognised by their first bytes. A workbook, which is a zip file
            itself, stays as it is.
        name: what messages call the file.
        folder: where to unpack it; None: where this machine keeps temporary files.

    Raises:
        SourceFileError: the file is missing or empty, its data are cut or damaged, or a zip file holds
            not exactly one table.
    """
    kind = _kind(path, name)
    if kind not in _UNPACK or (kind == "zip" and (is_workbook(path) or name.lower().endswith(_WORKBOOK_NAMES))):
        yield path, name
        return
    with TemporaryDirectory(prefix="jwo-source-", dir=folder) as inside:
        target = Path(inside, "unpacked")
        inner = _UNPACK[kind](path, target, name)
        if target.stat().st_size == 0:
            raise SourceFileError(f"{inner} is empty once it is unpacked", "export it again")
        if kind == "zip" and _kind(target, inner) in ("gzip", "zstd"):
            with unpacked(target, inner, folder) as deeper:
                yield deeper
            return
        yield target, inner


def is_workbook(path: Path) -> bool:
    """Whether a zip file is a workbook: xlsx, xlsm, xlsb or ods."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if "mimetype" in names:
                with archive.open("mimetype") as file:
                    return b"spreadsheet" in file.read(200)
            return bool(names.intersection(_WORKBOOK_PARTS))
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError):
        return False


def _kind(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise SourceFileError(f"{name} does not exist or is not a file", "check JWO_SOURCE_URI") from error
    if not start:
        raise SourceFileError(f"{name} is empty (0 bytes)", "export it again")
    return kind_of(start)


def _gunzip(path: Path, target: Path, name: str) -> str:
    with target.open("wb") as out:
        bounded = _Bounded(out, path.stat().st_size, name)
        try:
            with gzip.open(path, "rb") as packed:
                shutil.copyfileobj(packed, bounded, _PIECE)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise _damaged("gzip", name, error) from error
    return name


def _unzstd(path: Path, target: Path, name: str) -> str:
    with path.open("rb") as file, target.open("wb") as out:
        bounded = _Bounded(out, path.stat().st_size, name)
        packed = pa.CompressedInputStream(file, "zstd")
        while True:
            try:
                piece = cast(bytes, packed.read(_PIECE))
            except OSError as error:
                # Arrow reports damaged data as an OSError without a number; one of the disk's has one.
                if error.errno is not None:
                    raise
                raise _damaged("zstd", name, error) from error
            if not piece:
                return name
            bounded.write(piece)


def _unzip(path: Path, target: Path, name: str) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            entry = _only_entry(archive, name)
            inner = f"{name}/{entry.filename}"
            if entry.flag_bits & 1:
                raise SourceFileError(f"{inner} has a password", "pack the file without one")
            with archive.open(entry) as packed, target.open("wb") as out:
                shutil.copyfileobj(packed, _Bounded(out, entry.compress_size, inner), _PIECE)
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError) as error:
        raise _damaged("zip", name, error) from error
    return inner


def _only_entry(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """The only file that may be a table; folders, hidden files and what a Mac adds are none."""
    entries = [
        entry
        for entry in archive.infolist()
        if not entry.is_dir() and not any(part.startswith((".", "__MACOSX")) for part in entry.filename.split("/"))
    ]
    tables = [entry for entry in entries if entry.file_size] or entries
    if len(tables) == 1:
        return tables[0]
    # A note beside the table is none.
    named = [entry for entry in tables if not _is_note(entry)]
    if len(named) == 1:
        return named[0]
    names = ", ".join(entry.filename for entry in tables[:5]) + (
        f" and {len(tables) - 5} more" if len(tables) > 5 else ""
    )
    if not tables:
        raise SourceFileError(f"the zip file {name} holds no file", "pack the export again")
    raise SourceFileError(
        f"the zip file {name} holds {len(tables)} files, and not one: {names}",
        "pack each table by itself; to read several as one export, unpack them and name them by a glob",
    )


def _is_note(entry: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(entry.filename)
    return path.suffix.lower() in (".pdf", ".md", ".html") or is_beside(path.name, entry.file_size)


_UNPACK = {"gzip": _gunzip, "zstd": _unzstd, "zip": _unzip}


def _damaged(kind: str, name: str, error: Exception) -> SourceFileError:
    return SourceFileError(
        f"the {kind} data of {name} end too early or are damaged ({error})", "export or upload the file again"
    )
