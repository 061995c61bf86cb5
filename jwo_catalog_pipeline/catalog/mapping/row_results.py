"""What became of every row of an export, as one table and as a file.

Belongs here: the table of `jwo-catalog mapping apply`, and writing it as CSV, Parquet or workbook.
Does not belong here: mapping and rules (see `transform.py`, `rules/validation.py`).
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jwo_catalog_pipeline.catalog.errors import OutputError
from jwo_catalog_pipeline.catalog.mapping.merging import MERGED_INTO
from jwo_catalog_pipeline.catalog.mapping.transform import Mapped
from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS, SOURCE_ROW
from jwo_catalog_pipeline.catalog.rules.validation import Validation
from jwo_catalog_pipeline.engine import connect, pieces, view
from jwo_catalog_pipeline.table_file import TableFile, as_frame, is_text, write_table

VALID, QUARANTINED, EXCLUDED = STATUSES = ("valid", "quarantined", "excluded")
KINDS = (".csv", ".parquet", ".xlsx")
# https://support.microsoft.com/office/excel-specifications-and-limits-1672b34d-7043-467e-8e27-269d656771c3
MAX_SHEET_ROWS = 1_048_576  # with the header
MAX_CELL = 32_767  # characters
_COLUMNS = [SOURCE_ROW, "status", "reasons", "warnings", MERGED_INTO, *ITEM_FIELDS]
SCHEMA = pa.schema(
    [(name, pa.int64() if name in (SOURCE_ROW, MERGED_INTO) else pa.large_string()) for name in _COLUMNS]
)


def row_results(mapped: Mapped, validation: Validation, folder: Path) -> TableFile:
    """What became of every row, or of every row and store.

    Args:
        mapped: The rows.
        validation: Of `mapped.items`, with warnings.
        folder: Where the table is written.

    Returns:
        `source_row` (int64), `status` (one of `STATUSES`), `reasons` (the rules that a quarantined row breaks, or the
        condition that an excluded row does not meet), `warnings`, `merged_into` (int64: the row of whose item this one
        is a part; it has that item's status and fields), and `ITEM_FIELDS`; text is missing where there is none. By
        row, then in the order of the mapping's stores.
    """
    stores, why = mapped.mapping.mapping.store_names, _why(mapped)
    with connect(folder) as db:
        tables = {"items": mapped.items, "merged": mapped.merged, "excluded": mapped.excluded}
        tables |= {"quarantined": validation.quarantined, "warned": validation.warnings}
        for name, table in tables.items():
            view(db, name, table)
        db.execute("CREATE TEMP TABLE stores (store VARCHAR, nth BIGINT)")
        db.execute("CREATE TEMP TABLE why (condition VARCHAR, sentence VARCHAR)")
        for nth, store in enumerate(stores):
            db.execute("INSERT INTO stores VALUES (?, ?)", [store, nth])
        for condition, sentence in why.items():
            db.execute("INSERT INTO why VALUES (?, ?)", [condition, sentence])
        found = (pa.Table.from_batches([batch]) for batch in pieces(db, _RESULTS))
        return write_table(folder / "rows.parquet", found, SCHEMA)


_FIELDS = ", ".join(ITEM_FIELDS)
_SAME_STORE = "{0}.store_id IS NOT DISTINCT FROM {1}.store_id"
_RESULTS = f"""
WITH results AS (
    SELECT items.source_row, CASE WHEN reasons IS NULL THEN '{VALID}' ELSE '{QUARANTINED}' END AS status,
        reasons, warnings,
        items.file_row_number AS place, {", ".join(f"items.{field}" for field in ITEM_FIELDS)}
    FROM items
    LEFT JOIN quarantined q ON q.source_row = items.source_row AND {_SAME_STORE.format("q", "items")}
    LEFT JOIN warned w ON w.source_row = items.source_row AND {_SAME_STORE.format("w", "items")}
), together AS (
    SELECT source_row, status, reasons, warnings, NULL::BIGINT AS merged_into, 0 AS kind, place, {_FIELDS} FROM results
    UNION ALL
    SELECT m.source_row, status, reasons, warnings, merged_into, 1, m.file_row_number,
        {", ".join(f"{'m' if field == 'store_id' else 'r'}.{field}" for field in ITEM_FIELDS)}
    FROM merged m LEFT JOIN results r ON r.source_row = merged_into AND {_SAME_STORE.format("r", "m")}
    UNION ALL
    SELECT source_row, '{EXCLUDED}', sentence, NULL, NULL, 2, file_row_number, {_FIELDS}
    FROM excluded LEFT JOIN why USING (condition)
)
SELECT {", ".join(_COLUMNS)} FROM together LEFT JOIN stores ON store_id = store
ORDER BY source_row, nth NULLS LAST, kind, place
"""  # noqa: S608


def _why(mapped: Mapped) -> dict[str, str]:
    return {
        condition.name: f"{condition.name}: {condition.note or condition.expr}"
        for condition in mapped.mapping.conditions
    }


def write_rows(rows: TableFile, target: Path) -> None:
    """Write a table as the kind of file that its name says; a file that is there is replaced when all is written.

    Every value is kept as it is: text stays text, in a workbook too, whatever sign it begins with.

    Args:
        rows: As `row_results` gives them.
        target: Ends in one of `KINDS`.

    Raises:
        OutputError: the name says no kind, the folder is missing, or a workbook cannot hold the table.
    """
    kind = target.suffix.lower()
    if kind not in KINDS:
        raise OutputError(f"the name of {target} says no kind of table", f"let it end in {', '.join(KINDS)}")
    if kind == ".xlsx":
        _check_sheet(rows, target)
    if not target.parent.is_dir():
        raise OutputError(f"the folder {target.parent} does not exist", "create it, or name another one")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".jwo-") as folder:
        written = Path(folder) / target.name
        if kind == ".csv":
            _write_csv(rows, written)
        elif kind == ".parquet":
            _write_parquet(rows, written)
        else:
            _write_sheet(rows, written)
        written.replace(target)


def _frames(rows: TableFile) -> Iterator[pd.DataFrame]:
    """The rows a piece at a time; one without rows where there are none."""
    several = rows.pieces() if rows.rows else [rows.schema.empty_table()]
    return (as_frame(piece).astype({MERGED_INTO: "Int64"}) for piece in several)


def _write_csv(rows: TableFile, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        for number, frame in enumerate(_frames(rows)):
            frame.to_csv(file, index=False, header=number == 0, lineterminator="\n")


def _write_parquet(rows: TableFile, path: Path) -> None:
    schema = pa.Table.from_pandas(next(_frames(rows)), preserve_index=False).schema
    with pq.ParquetWriter(path, schema) as writer:
        for frame in _frames(rows):
            writer.write_table(pa.Table.from_pandas(frame, schema, preserve_index=False))


def _check_sheet(rows: TableFile, target: Path) -> None:
    remedy = "write a .csv or .parquet file instead"
    if rows.rows + 1 > MAX_SHEET_ROWS:
        raise OutputError(f"{target}: a sheet holds {MAX_SHEET_ROWS - 1:,} rows, and there are {rows.rows:,}", remedy)
    for piece in rows.pieces():
        for column in piece.column_names:
            if not is_text(piece.schema.field(column).type):
                continue
            long = pc.fill_null(pc.greater(pc.utf8_length(piece[column]), MAX_CELL), False)
            if pc.any(long).as_py():
                where = piece[SOURCE_ROW].filter(long)[0].as_py()
                problem = f"{target}: {column} of row {where} is longer than the {MAX_CELL:,} characters of a cell"
                raise OutputError(problem, remedy)


def _write_sheet(rows: TableFile, path: Path) -> None:
    import xlsxwriter  # only here: few runs write a workbook

    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(path, {**options, "strings_to_numbers": False}) as book:
        sheet, bold = book.add_worksheet("rows"), book.add_format({"bold": True})
        sheet.freeze_panes(1, 0)
        for place, name in enumerate(rows.columns):
            sheet.write_string(0, place, name, bold)
        every = itertools.chain.from_iterable(zip(*piece.to_pydict().values(), strict=True) for piece in rows.pieces())
        for number, row in enumerate(every, start=1):
            for place, value in enumerate(row):
                if isinstance(value, str):
                    sheet.write_string(number, place, value)
                elif value is not None:
                    sheet.write_number(number, place, value)


def status_counts(rows: TableFile, folder: Path) -> dict[str, int]:
    """How many rows there are, how many of each status without those that are part of another, and how many are."""
    with connect(folder) as db:
        view(db, "rows", rows)
        query = f"SELECT {MERGED_INTO} IS NOT NULL, status, count(*) FROM rows GROUP BY ALL"  # noqa: S608
        found = {(part, status): count for part, status, count in db.execute(query).fetchall()}
    counts = {status: found.get((False, status), 0) for status in STATUSES}
    merged = sum(count for (part, _), count in found.items() if part)
    return {"rows": rows.rows, **counts, "merged": merged}
