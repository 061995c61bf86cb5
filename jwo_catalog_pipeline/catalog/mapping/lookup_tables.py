"""Reads a table that others keep beside the mapping file, and that says what values become.

Belongs here: reading it, and what makes it unusable.
Does not belong here: looking values up in it (see `transform.py`).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from jwo_catalog_pipeline.catalog.errors import MappingError, SourceFileError
from jwo_catalog_pipeline.catalog.mapping.expressions import suggest
from jwo_catalog_pipeline.catalog.mapping.file import YamlNode, validated_options
from jwo_catalog_pipeline.catalog.mapping.language import Table
from jwo_catalog_pipeline.catalog.mapping.model import Source
from jwo_catalog_pipeline.catalog.rules.rules import SOURCE_ROW
from jwo_catalog_pipeline.catalog.source.detection import detect
from jwo_catalog_pipeline.catalog.source.options import SourceOptions
from jwo_catalog_pipeline.catalog.source.reading import read_source


def read_lookup(node: YamlNode, path: Path, table: Table) -> tuple[dict[str, str], bytes]:
    """What each key becomes, as it is written in the table, and the bytes of the file.

    Args:
        node: The place in the mapping file that names the table; messages begin with it.
        path: The file; how it is written (format, delimiter, encoding) is recognised as `mapping init` does.
        table: The columns.

    Raises:
        MappingError: the file is missing or cannot be read, has not the columns or no rows, lacks a key or a value, or
            has a key twice with different values. The message names the file and the row.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        remedy = "write its path from the folder of the mapping file, and ship the table beside the mapping"
        raise node.at(["file"]).error(f"the table {path} does not exist or cannot be read", remedy) from error
    try:
        rows = read_source(path, _options(path), str(path))
    except SourceFileError as error:
        # What helps an export, such as source.options, says nothing of how a table is read.
        remedy = (
            f"save it as CSV in UTF-8, or as a workbook with one sheet, with the columns {table.key} and {table.value}"
        )
        raise node.at(["file"]).error(error.problem, remedy) from error
    keys, values = (_column(node.at([name]), path, rows, column) for name, column in _columns(table))
    return _pairs(node, path, rows[SOURCE_ROW], keys, values), content


def _options(path: Path) -> SourceOptions:
    """How the table is written, as far as it differs from the defaults and is not in doubt.

    Delimiter and encoding are taken even where in doubt: a table has few lines, and the defaults fit it no better.
    """
    found = detect(path, str(path), {})
    sure = {key: value for key, value in found.source.items() if key in ("format", "options") or key in found.sure}
    return validated_options(Source, sure).as_options()


def _columns(table: Table) -> list[tuple[str, str]]:
    return [("key", table.key), ("value", table.value)]


def _column(node: YamlNode, path: Path, rows: pd.DataFrame, name: str) -> pd.Series:
    columns = {str(column).casefold(): column for column in rows.columns if column != SOURCE_ROW}
    if name.casefold() not in columns:
        listed = list(columns.values())
        remedy = suggest(name, listed) or f"its columns are {', '.join(map(repr, listed[:30]))}"
        raise node.error(f"the table {path} has no column {name!r}", remedy)
    return rows[columns[name.casefold()]]


def _pairs(node: YamlNode, path: Path, numbers: pd.Series, keys: pd.Series, values: pd.Series) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for number, key, value in zip(numbers, keys, values, strict=True):
        if pd.isna(key) and pd.isna(value):
            continue  # a line that holds nothing of this lookup
        if pd.isna(key) or pd.isna(value):
            raise _wrong(node, path, number, f"has no {'key' if pd.isna(key) else f'value for {key!r}'}", "complete it")
        if pairs.setdefault(key, value) != value:
            problem = f"gives {value!r} for {key!r}, and an earlier row gives {pairs[key]!r}"
            raise _wrong(node, path, number, problem, "keep one of the two")
    if not pairs:
        raise node.error(f"the table {path} holds no rows", "export it again, or list the values here")
    return pairs


def _wrong(node: YamlNode, path: Path, number: int, problem: str, remedy: str) -> MappingError:
    return node.error(f"row {number} of the table {path} {problem}", f"{remedy}, or remove the row")
