"""Reads Parquet as databases and Spark write it: every value as text."""

from __future__ import annotations

import glob
from pathlib import Path

import duckdb

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.source.duckdb_errors import reason
from jwo_catalog_pipeline.catalog.source.shaping import Read, shaped

_EXACT = 9e15  # whole numbers up to 2**53 are exact in a float


def read_parquet(db: duckdb.DuckDBPyConnection, path: Path, name: str) -> Read:
    """Read a Parquet file.

    Raises:
        SourceFileError: it is empty, cut off or damaged.
    """
    try:
        rows = db.read_parquet(glob.escape(str(path)))
        kinds = [str(kind) for kind in rows.types]
        texts = [
            f"{_as_text(column, kind)} AS {_quoted(f'c{number}')}"
            for number, (column, kind) in enumerate(zip(rows.columns, kinds, strict=True))
        ]
        table = rows.project(", ".join(texts)).to_arrow_table()
    except duckdb.InvalidInputException as error:
        if path.stat().st_size == 0:
            raise SourceFileError(f"{name} is empty (0 bytes)", "export it again") from error
        raise SourceFileError(
            f"{name} cannot be read as Parquet: {reason(error).replace(str(path), name)}: the file is cut off or "
            "damaged",
            "export it again",
        ) from error
    return shaped(table.columns, rows.columns, name)


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
