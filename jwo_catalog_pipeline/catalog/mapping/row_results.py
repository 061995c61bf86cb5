"""What became of every row of an export, as one table and as a file.

Belongs here: the table of `jwo-catalog mapping apply`, and writing it as CSV, Parquet or workbook.
Does not belong here: mapping and rules (see `transform.py`, `rules/validation.py`).
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import pandas as pd

from jwo_catalog_pipeline.catalog.errors import OutputError
from jwo_catalog_pipeline.catalog.mapping.merging import MERGED_INTO
from jwo_catalog_pipeline.catalog.mapping.transform import CONDITION, Mapped
from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS, SOURCE_ROW
from jwo_catalog_pipeline.catalog.rules.validation import Validation

VALID, QUARANTINED, EXCLUDED = STATUSES = ("valid", "quarantined", "excluded")
KINDS = (".csv", ".parquet", ".xlsx")
# https://support.microsoft.com/office/excel-specifications-and-limits-1672b34d-7043-467e-8e27-269d656771c3
MAX_SHEET_ROWS = 1_048_576  # with the header
MAX_CELL = 32_767  # characters
_COLUMNS = [SOURCE_ROW, "status", "reasons", "warnings", MERGED_INTO, *ITEM_FIELDS]


def row_results(mapped: Mapped, validation: Validation) -> pd.DataFrame:
    """What became of every row, or of every row and store.

    Args:
        mapped: The rows.
        validation: Of `mapped.items`, with warnings.

    Returns:
        `source_row` (int64), `status` (one of `STATUSES`), `reasons` (the rules that a quarantined row breaks, or the
        condition that an excluded row does not meet), `warnings`, `merged_into` (Int64: the row of whose item this one
        is a part; it has that item's status and fields), and `ITEM_FIELDS`; text is `str`, missing where there is
        none. By row, then in the order of the mapping's stores.
    """
    items, on = mapped.items, [SOURCE_ROW, "store_id"]
    result = items[[SOURCE_ROW, *ITEM_FIELDS]].copy()
    result["reasons"] = _of_rows(validation.quarantined, "reasons", items[on])
    result["warnings"] = _of_rows(validation.warnings, "warnings", items[on])
    result["status"] = result["reasons"].isna().map({True: VALID, False: QUARANTINED})
    merged = mapped.merged.rename(columns={SOURCE_ROW: "own_row", MERGED_INTO: SOURCE_ROW})
    parts = merged[["own_row", *on]].merge(result, on=on, how="left")
    parts = parts.rename(columns={SOURCE_ROW: MERGED_INTO, "own_row": SOURCE_ROW})
    excluded = mapped.excluded.assign(status=EXCLUDED)
    excluded["reasons"] = excluded[CONDITION].map(_why(mapped))
    stores = {store: place for place, store in enumerate(mapped.mapping.mapping.store_names)}
    together = pd.concat([result, parts, excluded], ignore_index=True)
    order = pd.DataFrame({"row": together[SOURCE_ROW], "store": together["store_id"].map(stores)})
    together = together.take(order.sort_values(["row", "store"], kind="stable").index.to_numpy()).reset_index(drop=True)
    text = [name for name in _COLUMNS if name not in (SOURCE_ROW, MERGED_INTO)]
    return together.reindex(columns=_COLUMNS).astype({MERGED_INTO: "Int64", **dict.fromkeys(text, "str")})


def _of_rows(table: pd.DataFrame, column: str, rows: pd.DataFrame) -> pd.Series:
    """The column's value for each of `rows`, by row and store; missing where the table has none."""
    found = rows.merge(table[[*rows.columns, column]], on=list(rows.columns), how="left")[column]
    return found.set_axis(rows.index).astype("str")


def _why(mapped: Mapped) -> dict[str, str]:
    return {
        condition.name: f"{condition.name}: {condition.note or condition.expr}"
        for condition in mapped.mapping.conditions
    }


def write_rows(rows: pd.DataFrame, target: Path) -> None:
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
            rows.to_csv(written, index=False, lineterminator="\n")
        elif kind == ".parquet":
            rows.to_parquet(written, index=False)
        else:
            _write_sheet(rows, written)
        written.replace(target)


def _check_sheet(rows: pd.DataFrame, target: Path) -> None:
    remedy = "write a .csv or .parquet file instead"
    if len(rows) + 1 > MAX_SHEET_ROWS:
        raise OutputError(f"{target}: a sheet holds {MAX_SHEET_ROWS - 1:,} rows, and there are {len(rows):,}", remedy)
    for column in rows.columns[1:]:
        longest = rows[column].astype("str").str.len().max()
        if longest > MAX_CELL:
            where = rows.loc[rows[column].astype("str").str.len() > MAX_CELL, SOURCE_ROW].iloc[0]
            problem = f"{target}: {column} of row {where} is longer than the {MAX_CELL:,} characters of a cell"
            raise OutputError(problem, remedy)


def _write_sheet(rows: pd.DataFrame, path: Path) -> None:
    import xlsxwriter  # only here: few runs write a workbook

    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(path, {**options, "strings_to_numbers": False}) as book:
        sheet, bold = book.add_worksheet("rows"), book.add_format({"bold": True})
        sheet.freeze_panes(1, 0)
        for place, name in enumerate(rows.columns):
            sheet.write_string(0, place, name, bold)
        values = rows.astype(object).where(rows.notna(), None)
        for number, row in zip(itertools.count(1), values.itertuples(index=False, name=None)):
            for place, value in enumerate(row):
                if isinstance(value, str):
                    sheet.write_string(number, place, value)
                elif value is not None:
                    sheet.write_number(number, place, value)


def status_counts(rows: pd.DataFrame) -> dict[str, int]:
    """How many rows there are, how many of each status without those that are part of another, and how many are."""
    alone = rows.loc[rows[MERGED_INTO].isna(), "status"].value_counts()
    counts = {status: int(alone.get(status, 0)) for status in STATUSES}
    return {"rows": len(rows), **counts, "merged": int(rows[MERGED_INTO].notna().sum())}
