"""Reads Parquet as databases and Spark write it: every value as text."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.source.duckdb_errors import reason
from jwo_catalog_pipeline.catalog.source.shaping import Read
from jwo_catalog_pipeline.table_file import PIECE_ROWS

_EXACT = 9e15  # whole numbers up to 2**53 are exact in a float


def read_parquet(db: duckdb.DuckDBPyConnection, path: Path, name: str) -> Read:
    """Read a Parquet file.

    Raises:
        SourceFileError: it is empty, cut off or damaged.
    """
    with _explained(path, name):
        rows = db.read_parquet(glob.escape(str(path)))
        columns, kinds = rows.columns, [str(kind) for kind in rows.types]
    texts = [
        f"{_as_text(column, kind)} AS {_quoted(f'c{number}')}"
        for number, (column, kind) in enumerate(zip(columns, kinds, strict=True))
    ]

    def records() -> Iterator[pa.Table]:
        with _explained(path, name):
            for batch in rows.project(", ".join(texts)).to_arrow_reader(PIECE_ROWS):
                yield pa.Table.from_batches([batch])

    return Read(columns, name, records, lambda: int(pq.read_metadata(path).num_rows))


@contextmanager
def _explained(path: Path, name: str) -> Iterator[None]:
    try:
        yield
    except duckdb.InvalidInputException as error:
        if path.stat().st_size == 0:
            raise SourceFileError(f"{name} is empty (0 bytes)", "export it again") from error
        raise SourceFileError(
            f"{name} cannot be read as Parquet: {reason(error).replace(str(path), name)}: the file is cut off or "
            "damaged",
            "export it again",
        ) from error


def _quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _as_text(column: str, kind: str) -> str:
    value = _quoted(column)
    text = f"CAST({value} AS VARCHAR)"
    if kind in ("DOUBLE", "FLOAT"):
        # Tools that know no missing integers store barcodes as floats; those that know no missing values write NaN.
        whole = f"{value} = trunc({value}) AND abs({value}) < {_EXACT}"
        text = f"CASE WHEN isnan({value}) THEN NULL WHEN {whole} THEN {value}::BIGINT::VARCHAR ELSE {text} END"
    elif kind.startswith("DECIMAL"):
        # Databases write the scale of the column, up to 38 digits; two digits behind the point are a price's.
        text = f"regexp_replace(regexp_replace({text}, '([.][0-9]{{2}}[0-9]*?)0+$', '\\1'), '[.]0+$', '')"
    elif kind == "BLOB":
        # Hive and Impala write text without saying that it is text.
        text = f"coalesce(TRY(decode({value})), {text})"
    elif kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION")):
        text = f"CAST(to_json({value}) AS VARCHAR)"
    return f"nullif({text}, '')"
