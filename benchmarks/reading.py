"""Reading, mapping and checking against DuckDB alone, which reads the same file and writes the same mapped columns to
Parquet, with the same expressions and nothing checked.
"""

import json
import sys
import time
from pathlib import Path

import duckdb

from benchmarks.ground import MAPPING, make_export, run_child, spread


def ours(export: Path, mapping_path: Path) -> dict[str, float]:
    """Read, map and validate, as `source_catalog` and `jwo_catalog` do."""
    from jwo_catalog_pipeline.catalog.mapping.loaded import load_mapping
    from jwo_catalog_pipeline.catalog.mapping.transform import apply_mapping
    from jwo_catalog_pipeline.catalog.rules.validation import validate
    from jwo_catalog_pipeline.catalog.source.options import ExportFile
    from jwo_catalog_pipeline.catalog.source.reading import read_export
    from jwo_catalog_pipeline.work_folder import work_folder

    mapping, begin = load_mapping(mapping_path), time.perf_counter()
    with work_folder() as folder:
        source = read_export([ExportFile(export, export.name)], mapping.source, folder / "source.parquet")
        read = time.perf_counter()
        mapped = apply_mapping(mapping, source, folder)
        applied = time.perf_counter()
        result = validate(mapped.items, folder)
        end = time.perf_counter()
        return {
            "seconds": end - begin,
            "read": read - begin,
            "map": applied - read,
            "validate": end - applied,
            "valid": result.valid.rows,
            "quarantined": result.quarantined.rows,
        }


def duckdb_alone(export: Path, mapping_path: Path) -> dict[str, float]:
    """The same expressions in one statement, from CSV to Parquet."""
    from jwo_catalog_pipeline.catalog.mapping.loaded import load_mapping
    from jwo_catalog_pipeline.catalog.mapping.sql_engine import FUNCTIONS

    columns = []
    for name, written in load_mapping(mapping_path).fields.items():
        field = written.choices[0]
        cases = "".join(f" WHEN '{key}' THEN '{value}'" for key, value in (field.values or {}).items())
        columns.append(f"CASE {field.expr}{cases} END AS {name}" if cases else f"{field.expr} AS {name}")
    with duckdb.connect() as db:
        db.execute(FUNCTIONS)
        begin = time.perf_counter()
        db.execute(
            f"COPY (SELECT {', '.join(columns)} FROM read_csv('{export}', all_varchar = true)) "
            f"TO '{export.with_suffix('.parquet')}' (FORMAT parquet)"
        )
        return {"seconds": time.perf_counter() - begin}


ALONE = "DuckDB alone"
SIDES = {"the pipeline": ours, ALONE: duckdb_alone}


def measure(rows: int, rounds: int, folder: Path) -> list[dict[str, str]]:
    """Both sides in turn; a row of the table for each."""
    make_export(rows, folder / "export.csv")
    (folder / "mapping.yaml").write_text(MAPPING)
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side, runs in found.items():
            runs.append(run_child([sys.executable, "-m", "benchmarks.reading", side, str(folder)]))
    alone = [run["seconds"] for run in found[ALONE]]
    return [
        {
            "rows": f"{rows:,}",
            "side": side,
            "seconds": spread([run["seconds"] for run in runs]),
            "ratio": spread([run["seconds"] / other for run, other in zip(runs, alone, strict=True)]),
            "CPU µs an item": spread([1e6 * run["cpu"] / rows for run in runs], 1),
            "peak MB": spread([run["peak_mb"] for run in runs], 0),
        }
        for side, runs in found.items()
    ]


if __name__ == "__main__":
    name, at = sys.argv[1:]
    print(json.dumps(SIDES[name](Path(at, "export.csv"), Path(at, "mapping.yaml"))))
