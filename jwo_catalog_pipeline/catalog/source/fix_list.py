"""The fix list: rows that were quarantined or rejected, in the export's own columns and format, with the reasons.

A corrected list can be fed back as it is: the mapping ignores the additional column.
"""

import csv
import io
import json
import re
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import xlsxwriter

from jwo_catalog_pipeline.catalog.rules.rules import SOURCE_ROW
from jwo_catalog_pipeline.catalog.source.json_files import path_of
from jwo_catalog_pipeline.catalog.source.options import WORKBOOKS, SourceOptions, format_of, is_tab_separated
from jwo_catalog_pipeline.table_file import TableFile, rows_with

REASONS = "fix_reasons"
# A spreadsheet executes cells that begin so (OWASP, "CSV Injection"; the wide forms in East Asian editions), but for
# plain numbers. An apostrophe in front makes them text.
_FORMULA = r"^(?:[=+\-@\t\r\uFF1D\uFF0B\uFF0D\uFF20])(?!\d+(?:[.,]\d+)*$)"


def make_fix_list(source: TableFile, quarantined: TableFile, rejected: pd.DataFrame) -> pd.DataFrame:
    """Collect the rows to correct; only these are in memory.

    Args:
        source: `source_row` and the export's columns, as text.
        quarantined: `source_row`, `reasons`.
        rejected: `source_row`, `reason`: what Amazon said of items that have not changed since.

    Returns:
        `fix_reasons` (the row's number in the export, and every reason) and the export's columns, a row for each
        source row with a reason, in the export's order.
    """
    parts = [
        quarantined.frame([SOURCE_ROW, "reasons"]).rename(columns={"reasons": REASONS}),
        rejected[[SOURCE_ROW]].assign(**{REASONS: "rejected by Amazon: " + rejected["reason"].astype("str")}),
    ]
    # A row that is spread over stores may have the same reason in each.
    reasons = pd.concat(parts, ignore_index=True).drop_duplicates()
    joined = reasons.groupby(SOURCE_ROW, sort=True)[REASONS].agg("; ".join)
    few = rows_with(source, SOURCE_ROW, joined.index.to_list())
    rows = few.drop(columns=REASONS, errors="ignore").set_index(SOURCE_ROW).loc[joined.index]
    numbered = "row " + joined.index.astype("str") + ": " + joined.astype("str")
    rows.insert(0, REASONS, numbered.astype("str"))
    return rows.reset_index(drop=True)


def as_export(fixes: pd.DataFrame, options: SourceOptions, name: str) -> tuple[str, bytes]:
    """The fix list as a file in the export's own format, unpacked, with harmless cells where spreadsheets open it.

    Args:
        fixes: as `make_fix_list` gives it.
        options: how the export is read.
        name: the export's name, which tells the format where the options do not.

    Returns:
        The file's name, and its content.
    """
    format_ = options.format or format_of(name)
    if format_ == "csv":
        delimiter = options.delimiter or ("\t" if is_tab_separated(name) else ",")
        suffix = "tsv" if delimiter == "\t" else "csv"
        return f"fix_list.{suffix}", _csv(fixes, options, delimiter)
    if format_ in WORKBOOKS:
        return "fix_list.xlsx", _workbook(fixes, options)
    if format_ == "parquet":
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pandas(fixes, preserve_index=False), buffer)
        return "fix_list.parquet", buffer.getvalue()
    records = [{key: value for key, value in row.items() if isinstance(value, str)} for row in fixes.to_dict("records")]
    if format_ == "jsonl":
        text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    else:
        text = json.dumps(_under(path_of(options.records), records), ensure_ascii=False, indent=1)
    return f"fix_list.{format_}", text.encode(options.encoding, "backslashreplace")


def _under(steps: list[str], records: Sequence[dict[Any, str]]) -> Any:
    """The records where `source.records` looks for them: each in outer objects of its own, with their fields."""
    if not steps:
        return records
    if len(steps) == 1:
        return {steps[0]: records}
    document: Any = []
    for record in records:
        inner: Any = record
        for depth in range(len(steps) - 1, 0, -1):
            prefix = ".".join(steps[:depth]) + "."
            outer = {key.removeprefix(prefix): inner.pop(key) for key in list(inner) if key.startswith(prefix)}
            inner = {**outer, steps[depth]: [inner]}
        document.append(inner)
    return {steps[0]: document}


def _workbook(fixes: pd.DataFrame, options: SourceOptions) -> bytes:
    """Every cell as text, with the names in the row in which they are looked for."""
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(
        buffer, {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    )
    sheet = book.add_worksheet(options.sheet or "Fix list")
    for row, cells in enumerate([list(fixes.columns), *fixes.to_numpy().tolist()], start=options.header_row - 1):
        for column, text in enumerate(cells):
            if isinstance(text, str):
                sheet.write_string(row, column, text)
    book.close()
    return buffer.getvalue()


def _csv(fixes: pd.DataFrame, options: SourceOptions, delimiter: str) -> bytes:
    harmless = fixes.apply(lambda column: column.where(~column.str.contains(_FORMULA, na=False), "'" + column))
    if not options.quote:  # nothing can be quoted, so the reasons must do without what would need it
        harmless[REASONS] = harmless[REASONS].str.replace(f"[{re.escape(delimiter)}\r\n]", " ", regex=True)
    buffer = io.StringIO()
    buffer.write("\r\n" * (options.header_row - 1))  # where the names are looked for
    harmless.to_csv(
        buffer,
        index=False,
        sep=delimiter,
        lineterminator="\r\n",
        **_quoting(options),
    )
    return buffer.getvalue().encode(options.encoding, "backslashreplace")


def _quoting(options: SourceOptions) -> dict[str, Any]:
    if not options.quote:
        return {"quoting": csv.QUOTE_NONE, "quotechar": None}
    if options.escape in (None, options.quote):
        return {"quotechar": options.quote}
    # An escape means something inside quotes only.
    escaped = {"doublequote": False, "escapechar": options.escape}
    return {"quotechar": options.quote, "quoting": csv.QUOTE_ALL, **escaped}
