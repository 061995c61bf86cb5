"""Reading a workbook against the same rows as CSV: the ratio of the times, and the peak of memory."""

import csv
import json
import sys
import time
from pathlib import Path

from benchmarks.ground import make_export, run_child, spread

MOST_ROWS = 1_000_000  # a sheet has at most 1,048,576
SIDES = {"CSV": "export.csv", "workbook": "export.xlsx"}


def read(export: Path) -> dict[str, float]:
    """Read an export."""
    from jwo_catalog_pipeline.catalog.source.options import SourceOptions
    from jwo_catalog_pipeline.catalog.source.reading import read_source

    begin = time.perf_counter()
    rows = len(read_source(export, SourceOptions(), export.name))
    return {"seconds": time.perf_counter() - begin, "rows": rows}


def make_workbook(export: Path, target: Path) -> None:
    """The rows of a CSV file as a workbook, numbers as numbers."""
    import xlsxwriter

    with export.open(encoding="utf-8", newline="") as file:
        options = {"constant_memory": True, "strings_to_numbers": True, "strings_to_formulas": False}
        book = xlsxwriter.Workbook(target, options)
        sheet = book.add_worksheet("Items")
        for number, fields in enumerate(csv.reader(file)):
            sheet.write_row(number, 0, fields)
        book.close()


def measure(rows: int, rounds: int, folder: Path) -> list[dict[str, str]]:
    """Both sides in turn; a row of the table for each."""
    make_export(rows, folder / "export.csv")
    make_workbook(folder / "export.csv", folder / "export.xlsx")
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side, runs in found.items():
            runs.append(run_child([sys.executable, "-m", "benchmarks.workbooks", str(folder / SIDES[side])]))
    text = [run["seconds"] for run in found["CSV"]]
    return [
        {
            "rows": f"{rows:,}",
            "side": side,
            "seconds": spread([run["seconds"] for run in runs]),
            "ratio": spread([run["seconds"] / other for run, other in zip(runs, text, strict=True)]),
            "peak MB": spread([run["peak_mb"] for run in runs], 0),
        }
        for side, runs in found.items()
    ]


if __name__ == "__main__":
    print(json.dumps(read(Path(sys.argv[1]))))
