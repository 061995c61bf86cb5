"""Reads JSON and JSON Lines: a record for each object of a list, its values as text.

Numbers lose a needless `.0` and no digit. Nested values become JSON text.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.catalog.source.json_counts import count_below, count_lines, count_objects
from jwo_catalog_pipeline.catalog.source.json_remedies import explained, lists_remedy
from jwo_catalog_pipeline.catalog.source.shaping import Read
from jwo_catalog_pipeline.catalog.source.text_files import check_utf8
from jwo_catalog_pipeline.engine import pieces

_KEY = "key"  # the column of the keys under which objects stand
# A whole document is one value for DuckDB; records of JSON Lines are smaller.
_LINE_BYTES = 64 << 20
_HEAD = 4096  # bytes that show whether a document is a list
_SQL_POINTER = "'/' || replace(replace(key, '~', '~0'), '/', '~1')"


def read_json(db: duckdb.DuckDBPyConnection, path: Path, format_: str, records: str | None, name: str) -> Read:
    """Read a plain UTF-8 file.

    Args:
        db: a connection of its own; tables are made in it.
        path: the file.
        format_: `json` or `jsonl`.
        records: where the list is in each document, such as `products[].variants[]`; None: the top level.
        name: what messages call the file.

    Raises:
        SourceFileError: it is cut off or damaged, or holds no such list.
    """
    db.execute(NUMBER_MACRO)
    if format_ == "json" and not path_of(records) and _begins_with_list(path):
        try:
            return _read(db, path, "list", records, name)
        except SourceFileError:
            _drop_tables(db)  # as one document, more can be said of what is wrong
    return _read(db, path, format_, records, name)


def _begins_with_list(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(_HEAD).lstrip().startswith(b"[")


def _drop_tables(db: duckdb.DuckDBPyConnection) -> None:
    for (table,) in db.execute("SELECT table_name FROM duckdb_tables()").fetchall():
        db.execute(f"DROP TABLE {table}")


def _read(db: duckdb.DuckDBPyConnection, path: Path, format_: str, records: str | None, name: str) -> Read:
    steps = path_of(records)
    try:
        _load(db, path, format_)
        if format_ == "json" and not steps:
            _check_is_list(db, name)
        outer = _walk(db, steps, records or "", name, entries=format_ == "list")
        wrong = _first(
            db, "SELECT number FROM records WHERE json_type(record) IS DISTINCT FROM 'OBJECT' ORDER BY number LIMIT 1"
        )
        columns = _columns(db, outer)
    except duckdb.InvalidInputException as error:
        check_utf8(path, name)
        raise explained(error, name, format_, records) from error
    except duckdb.OutOfMemoryException as error:
        raise SourceFileError(
            f"{name} is one JSON document of {path.stat().st_size / 1e6:,.0f} MB, and takes more memory than there is",
            "export the records as JSON Lines or CSV, or set JWO_MEMORY_LIMIT higher",
        ) from error
    if wrong is not None:
        raise SourceFileError(
            f"{name}, record {wrong[0]} is not an object with fields", lists_remedy(db, format_) or "export it again"
        )
    if not columns:
        where = f" under {records!r}" if records else ""
        raise SourceFileError(f"{name} holds no records{where}", lists_remedy(db, format_) or "export it again")
    found = _first(db, "SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM records)") or (0, 0)
    return Read(
        [label for *_, label in columns],
        name,
        lambda: _texts(db, columns),
        lambda: _counted(path, format_, steps, *found),
    )


def _counted(path: Path, format_: str, steps: list[str], documents: int, records: int) -> int:
    """How many records the text holds; of JSON Lines, whose lines may hold lists, by how many lines it differs."""
    if format_ == "jsonl":
        return records + count_lines(path) - documents
    if not steps:
        return count_objects(path)
    counted = count_below(path, steps)
    return records if counted is None else counted


def path_of(records: str | None) -> list[str]:
    """The keys on the way to the list: `products[].variants[]` and `products.variants` are the same."""
    return [step for step in (part.removesuffix("[]") for part in (records or "").split(".")) if step]


def _load(db: duckdb.DuckDBPyConnection, path: Path, format_: str) -> None:
    layout = {"jsonl": "newline_delimited", "list": "array"}.get(format_, "unstructured")
    size = path.stat().st_size + 1024 if format_ == "json" else _LINE_BYTES
    db.execute(
        f"CREATE TABLE documents AS SELECT json AS record FROM read_json($path, format = '{layout}', "  # noqa: S608
        "records = false, columns = {'json': 'JSON'}, maximum_object_size = $size, compression = 'none')",
        {"path": glob.escape(str(path)), "size": size},
    )


def _check_is_list(db: duckdb.DuckDBPyConnection, name: str) -> None:
    kinds = {kind for (kind,) in db.execute("SELECT DISTINCT json_type(record) FROM documents").fetchall()}
    if kinds == {"OBJECT"} and not _under_keys(db, "documents"):
        raise SourceFileError(
            f"{name} is one object, and not a list of records",
            lists_remedy(db, "json") or "export the records as a list",
        )


def _walk(
    db: duckdb.DuckDBPyConnection, steps: list[str], records: str, name: str, *, entries: bool
) -> list[tuple[str, str]]:
    """Make the table `records` (number, record, and a column for each outer object).

    `entries` says that the documents are the entries of the list already.

    Returns:
        The columns of outer objects, and what the names of their fields begin with.
    """
    outer: list[tuple[str, str]] = []
    db.execute("CREATE TABLE step0 AS SELECT rowid AS place, record FROM documents")
    number, prefix = 0, ""
    if not entries:
        number = _unnested(db, number, outer, keyed=not steps)  # a list at the top level
    for place, step in enumerate(steps):
        outer.append((f"outer{place}", prefix))
        missing = _first(
            db,
            f"SELECT count(*), count(json_extract(record, $path)) FROM step{number}",  # noqa: S608
            {"path": _pointer(step)},
        )
        if missing and missing[0] and not missing[1]:
            raise SourceFileError(
                f"{name} holds nothing under {records!r}: there is no {step!r}",
                lists_remedy(db, "json") or "check source.records",
            )
        kept = "".join(f", {column}" for column, _ in outer[:-1])
        db.execute(
            f"CREATE TABLE step{number + 1} AS SELECT place, json_extract(record, $path) AS record{kept}, "  # noqa: S608
            f"record AS {outer[-1][0]} FROM step{number} WHERE json_extract(record, $path) IS NOT NULL",
            {"path": _pointer(step)},
        )
        number = _unnested(db, number + 1, outer, keyed=place == len(steps) - 1)
        prefix = f"{prefix}{step}."
    kept = "".join(f", {column}" for column, _ in outer)
    keys = ", key" if _has_keys(db, number) else ""
    db.execute(
        f"CREATE TABLE records AS SELECT row_number() OVER (ORDER BY place) AS number, record{keys}{kept} "  # noqa: S608
        f"FROM step{number} WHERE json_type(record) <> 'NULL' ORDER BY place"
    )
    return outer


def _unnested(db: duckdb.DuckDBPyConnection, number: int, outer: list[tuple[str, str]], *, keyed: bool = False) -> int:
    """Make a row of each entry of the lists; of objects under keys, where their values are objects, one of each."""
    kept = "".join(f", {column}" for column, _ in outer)
    kinds = {kind for (kind,) in db.execute(f"SELECT DISTINCT json_type(record) FROM step{number}").fetchall()}  # noqa: S608
    if "ARRAY" in kinds:
        db.execute(
            f"CREATE TABLE step{number + 1} AS SELECT row_number() OVER () AS place, record{kept} FROM (SELECT place, "  # noqa: S608
            "unnest(CASE json_type(record) WHEN 'ARRAY' THEN record::JSON[] ELSE [record] END) AS record, "
            "generate_subscripts(CASE json_type(record) WHEN 'ARRAY' THEN record::JSON[] ELSE [record] END, 1) AS nth"
            f"{kept} FROM step{number}) ORDER BY place, nth"
        )
        return number + 1
    if keyed and kinds == {"OBJECT"} and _under_keys(db, f"step{number}"):
        db.execute(
            f"CREATE TABLE step{number + 1} AS SELECT row_number() OVER () AS place, "  # noqa: S608
            f"json_extract(record, {_SQL_POINTER}) AS record, key"
            f"{kept} FROM (SELECT place, record, unnest(json_keys(record)) AS key, "
            f"generate_subscripts(json_keys(record), 1) AS nth{kept} FROM step{number}) ORDER BY place, nth"
        )
        return number + 1
    return number


def _under_keys(db: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether every value of the objects is an object itself, and a record, which holds more than objects and lists."""
    found = _first(
        db,
        "SELECT count(*), count(*) FILTER (json_type(value) <> 'OBJECT'), count(*) FILTER (len(list_filter("  # noqa: S608
        "json_extract(value, '$.*'), lambda x: json_type(x) NOT IN ('OBJECT', 'ARRAY'))) > 0) "
        f"FROM (SELECT unnest(json_extract(record, '$.*')) AS value FROM {table})",
    )
    return bool(found and found[0] and not found[1] and found[2])


def _has_keys(db: duckdb.DuckDBPyConnection, number: int) -> bool:
    return "key" in [column for column, *_ in db.execute(f"DESCRIBE step{number}").fetchall()]


def _columns(db: duckdb.DuckDBPyConnection, outer: list[tuple[str, str]]) -> list[tuple[str, str, str]]:
    """Table column, key and name of each column of the export, in the order in which the keys first appear."""
    found = [("record", key, key) for key in _keys(db, "record", nested=True)]
    if found and _KEY in [column for column, *_ in db.execute("DESCRIBE records").fetchall()]:
        found.insert(0, (_KEY, "", _KEY))
    for column, prefix in outer:
        found += [(column, key, f"{prefix}{key}") for key in _keys(db, column, nested=False)]
    return found


def _keys(db: duckdb.DuckDBPyConnection, column: str, *, nested: bool) -> list[str]:
    """Keys of objects; of outer ones only those whose values are no lists and objects, for they hold the records."""
    scalar = "" if nested else f"WHERE json_type(json_extract(object, {_SQL_POINTER})) NOT IN ('ARRAY', 'OBJECT')"
    # An outer object comes once for each of its records.
    objects = (
        f"SELECT {column} AS object, number FROM records WHERE json_type({column}) = 'OBJECT'"  # noqa: S608
        if nested
        else f"SELECT {column} AS object, min(number) AS number FROM records GROUP BY {column}"  # noqa: S608
    )
    rows = db.execute(
        f"SELECT key FROM (SELECT object, number, unnest(json_keys(object)) AS key, "  # noqa: S608
        f"generate_subscripts(json_keys(object), 1) AS nth FROM ({objects})) {scalar} "
        "GROUP BY key ORDER BY min((number, nth))"
    ).fetchall()
    return [key for (key,) in rows]


def _pointer(key: str) -> str:
    """A JSON pointer, which holds any key."""
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _texts(db: duckdb.DuckDBPyConnection, columns: list[tuple[str, str, str]]) -> Iterator[pa.Table]:
    """Every column as text, in order of the records."""
    # One look into each object for all of its fields, which come by their place: names are alike to SQL that are not
    # to JSON.
    keys: dict[str, list[str]] = {}
    texts = []
    for place, (column, key, _) in enumerate(columns):
        if column == _KEY:
            texts.append(f"nullif(key, '') AS c{place}")
            continue
        keys.setdefault(column, []).append(_pointer(key))
        texts.append(f"{_as_text(column, len(keys[column]), _pointer(key))} AS c{place}")
    looks = [f"json_extract_string({column}, {_listed(found)}) AS {column}_texts" for column, found in keys.items()]
    query = f"SELECT {', '.join(texts)} FROM (SELECT *{''.join(f', {look}' for look in looks)} FROM records)"  # noqa: S608
    for batch in pieces(db, query):
        yield pa.Table.from_batches([batch])


def _as_text(column: str, place: int, pointer: str) -> str:
    text = f"{column}_texts[{place}]"
    value = f"json_extract({column}, {_quoted(pointer)})"
    return (
        f"nullif(CASE WHEN {_looks_like_long_number(text)} AND json_type({value}) <> 'VARCHAR' "
        f"THEN _json_number({text}) ELSE {text} END, '')"
    )


def _listed(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(_quoted, texts))}]"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _looks_like_long_number(text: str) -> str:
    """Whether text may be a number that is written with a point or an exponent; quick for what is none."""
    return (
        f"(contains({text}, '.') OR contains(lower({text}), 'e')) "
        f"AND regexp_full_match({text}, '-?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]+)?')"
    )


# A number as JSON writes it, without exponent and needless zeros behind the point; what has more digits than fit stays.
NUMBER_MACRO = r"""
CREATE OR REPLACE MACRO _json_number(x) AS CASE
    WHEN contains(lower(x), 'e') THEN coalesce(
        regexp_replace(CAST(TRY_CAST(x AS DECIMAL(38, 9)) AS VARCHAR), '[.]?0+$', ''), x)
    ELSE regexp_replace(x, '[.]0+$', '') END
"""


def _first(db: duckdb.DuckDBPyConnection, query: str, params: dict[str, Any] | None = None) -> tuple[Any, ...] | None:
    """The first row; all are fetched, for a connection with an open result does nothing else."""
    rows = db.execute(query, params).fetchall()
    return rows[0] if rows else None
