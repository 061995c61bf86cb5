"""Run the benchmarks and print their tables; with --write, also into docs/performance.md and docs/readiness.md.

    make bench                                 everything, up to a million rows
    make bench ARGS="uploading --rows 100000"  one of them

Each side runs in a process of its own, in turn with the others; figures are the median, and the lowest and highest of
all rounds. What counts is the ratio: seconds are those of one machine on one day.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import changing, costing, reading, results, starting, uploading, workbooks
from benchmarks.ground import MAPPING, make_export, spread
from jwo_catalog_pipeline.wording import plural
from jwo_catalog_pipeline_tests.support.documents import machine, markdown, write_between_marks

DOCUMENT = Path(__file__).parents[1] / "docs" / "performance.md"
DOCUMENTS = {"costing": DOCUMENT.with_name("readiness.md")}
SIZES = [10_000, 100_000, 1_000_000]
LIBRARIES = ["dagster", "duckdb", "pandas", "pandera", "pyarrow", "boto3", "moto", "dlt"]
BOUND_BYTES = 3_000_000_000
Rows = list[dict[str, str]]


def _unlimited(rows: int, rounds: int, folder: Path) -> Rows:
    """The sending step alone, without the API's limit."""
    runs = uploading.measure(rows, rounds, folder, limit=0, sides=[uploading.STEPS])[1][uploading.STEPS]
    return [{"rows": f"{rows:,}", "items a second": spread([run["items_a_second"] for run in runs], 0)}]


def _profile(rows: int, rounds: int, folder: Path) -> Rows:
    """How long each of the pipeline's steps takes."""
    runs = uploading.measure(rows, rounds, folder, sides=[uploading.STEPS])[1][uploading.STEPS]
    marks = ["began", "read", "mapped and checked", "planned", "first", "ended"]
    names = ["read the export", "map and check", "plan", "record, until the first call", "send, from the first call on"]
    return [
        {"step": name, "seconds": spread([run[end] - run[begin] for run in runs])}
        for name, (begin, end) in zip(names, pairwise(marks), strict=True)
    ]


def _large(sizes: list[int], rounds: int, folder: Path) -> Rows:
    """How time and memory grow, against the smallest of the sizes."""
    sides, found = [uploading.STEPS, uploading.DAGSTER], {}
    for rows in sizes:
        for side, runs in uploading.measure(rows, rounds, folder, sides=sides)[1].items():
            found[rows, side] = runs
    return [
        {
            "rows": f"{rows:,}",
            "side": side,
            "before the first call, s": spread([run["before"] for run in runs]),
            "that, to the shortest time of sending": spread([run["before_to_floor"] for run in runs]),
            "seconds in all": spread([run["in_all"] for run in runs]),
            "CPU µs an item": spread([1e6 * run["cpu"] / rows for run in runs], 1),
            "peak MB": spread([run["peak_mb"] for run in runs], 0),
            "that, to the smallest": spread(
                [run["peak_mb"] / other["peak_mb"] for run, other in zip(runs, found[sizes[0], side], strict=True)]
            ),
        }
        for (rows, side), runs in found.items()
    ]


def _bounded(sizes: list[int], folder: Path) -> Rows:
    """The largest of the sizes, in Dagster, in a control group of 3 GB."""
    make_export(sizes[-1], folder / "export.csv")
    (folder / "mapping.yaml").write_text(MAPPING)
    found = uploading.run(uploading.DAGSTER, folder, uploading.LIMIT, memory=BOUND_BYTES)
    return [
        {
            "rows": f"{sizes[-1]:,}",
            "may use, GB": f"{BOUND_BYTES / 1e9:.1f}",
            "sent": f"{found['items']:,.0f}",
            "seconds": f"{found['in_all']:,.0f}",
            "peak MB": f"{found['peak_mb']:,.0f}",
        }
    ]


SUITES: dict[str, tuple[str, Callable[[list[int], int, Path], Rows]]] = {
    "uploading": (
        "An upload, the API's limit on",
        lambda sizes, rounds, folder: [row for rows in sizes for row in uploading.measure(rows, rounds, folder)[0]],
    ),
    "profile": ("Where the time goes", lambda sizes, rounds, folder: _profile(sizes[-1], rounds, folder)),
    "unlimited": (
        "Sending, the API's limit off",
        lambda sizes, rounds, folder: _unlimited(sizes[-1], rounds, folder),
    ),
    "reading": (
        "Reading, mapping and checking, against DuckDB alone",
        lambda sizes, rounds, folder: [row for rows in sizes for row in reading.measure(rows, rounds, folder)],
    ),
    "workbooks": (
        "Reading a workbook, against the same rows as CSV",
        lambda sizes, rounds, folder: [
            row for rows in sizes for row in workbooks.measure(min(rows, workbooks.MOST_ROWS), rounds, folder)
        ],
    ),
    "changing": (
        "An export of which 1 % has changed",
        lambda sizes, rounds, folder: [row for rows in sizes for row in changing.measure(rows, rounds, folder)],
    ),
    "results": (
        "The results of an upload, against DuckDB alone reading the same reports",
        lambda sizes, rounds, folder: [row for rows in sizes for row in results.measure(rows, rounds, folder)],
    ),
    "starting": ("Waiting", lambda sizes, rounds, folder: starting.measure(rounds, folder)),
    "costing": ("The AWS bill of a month", lambda sizes, _, folder: costing.measure(sizes[-1], folder)),
    "large": ("How it grows", _large),
    "bounded": ("Within a bound of memory", lambda sizes, _, folder: _bounded(sizes, folder)),
}
# These take minutes, and the sandbox many GB of memory: --rows 1000000 3000000 10000000
ON_REQUEST = {"large", "bounded"}


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "suites",
        nargs="*",
        metavar="suite",
        help=f"{', '.join(SUITES)} (default: all but {' and '.join(sorted(ON_REQUEST))})",
    )
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES, help="sizes of the export")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write the tables into the documents in docs/")
    options = parser.parse_args()
    if unknown := set(options.suites) - SUITES.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    console = Console(width=None if os.isatty(1) else 200)
    for name in options.suites or [name for name in SUITES if name not in ON_REQUEST]:
        title, measure = SUITES[name]
        with tempfile.TemporaryDirectory() as folder, console.status(f"{title} ..."):
            rows = measure(options.rows, options.rounds, Path(folder))
        table = Table(*rows[0], title=title, title_justify="left")
        for row in rows:
            table.add_row(*row.values())
        console.print(table)
        if options.write:
            rounds = plural(options.rounds, "round")
            table = f"{markdown(rows)}\n\n{rounds}; {machine(*LIBRARIES)}."
            write_between_marks(DOCUMENTS.get(name, DOCUMENT), name, table)


if __name__ == "__main__":
    main()
