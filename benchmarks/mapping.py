"""How much slower than DuckDB alone is reading, mapping and validating? And in how much memory?

    .venv/bin/python benchmarks/mapping.py [--rows 1000000] [--runs 3]

DuckDB alone reads the same file and writes the same mapped columns to Parquet, with the same expressions and nothing
checked. The two take turns, each time in a process of its own; the best time of each counts.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

MAPPING = """version: 1
fields:
  item_sku: sku
  external_product_id: restore_barcode(barcode)
  external_product_id_type: barcode_type(restore_barcode(barcode))
  item_name: clean(brand || ' ' || name)
  store_id: {expr: branch, values: {"012": S1, "045": S2, "101": S3, "102": S4}}
  standard_price: price(gross)
  brand_name: clean(brand)
  product_tax_code: {expr: tax, values: {"F": A_FOOD_GEN, "S": A_GEN_TAX}}
  product_category: category
"""


def make_export(rows: int, path: Path) -> None:
    """A grocery export of 4 stores with 13-digit barcodes, one in a thousand with a wrong check digit."""
    duckdb.sql(f"""COPY (
      WITH codes AS (
        SELECT i, printf('%012d', 200000000000 + (i // 4) * 7) AS body FROM range({rows}) t(i)
      ), digits AS (
        SELECT i, body, list_sum([CAST(body[n] AS INT) * CASE WHEN n % 2 = 0 THEN 3 ELSE 1 END
                                  FOR n IN range(1, 13)]) AS total FROM codes
      )
      SELECT 'A' || (i // 4) AS sku,
             body || (CASE WHEN i % 1000 = 7 THEN total + 5 ELSE 10 - total % 10 END) % 10 AS barcode,
             'Brand ' || i // 4 % 900 AS brand, 'Product no. ' || i // 4 || ' of the range' AS name,
             ['012', '045', '101', '102'][i % 4 + 1] AS branch, printf('%d.%02d', i % 90 + 1, i % 100) AS gross,
             ['F', 'S'][i % 2 + 1] AS tax, 'Category ' || i % 30 AS category
      FROM digits ORDER BY i) TO '{path}' (HEADER)""")


def ours(export: Path, mapping_path: Path) -> dict[str, float]:
    """Read, map and validate, as `source_catalog` and `jwo_catalog` do."""
    from jwo_catalog_pipeline.catalog.applying import apply_mapping
    from jwo_catalog_pipeline.catalog.mapping import load_mapping
    from jwo_catalog_pipeline.catalog.reading import read_source
    from jwo_catalog_pipeline.catalog.validation import validate

    mapping, begin = load_mapping(mapping_path), time.perf_counter()
    source = read_source(export, mapping.source, str(export))
    read = time.perf_counter()
    mapped = apply_mapping(mapping, source)
    applied = time.perf_counter()
    result = validate(mapped)
    end = time.perf_counter()
    return {
        "seconds": end - begin,
        "read": read - begin,
        "map": applied - read,
        "validate": end - applied,
        "valid": len(result.valid),
        "quarantined": len(result.quarantined),
    }


def duckdb_alone(export: Path, mapping_path: Path) -> dict[str, float]:
    """The same expressions in one statement, from CSV to Parquet."""
    from jwo_catalog_pipeline.catalog.engine import FUNCTIONS
    from jwo_catalog_pipeline.catalog.mapping import load_mapping

    columns = []
    for field in load_mapping(mapping_path).fields.values():
        cases = "".join(f" WHEN '{key}' THEN '{value}'" for key, value in (field.values or {}).items())
        columns.append(f"CASE {field.expr}{cases} END AS {field.name}" if cases else f"{field.expr} AS {field.name}")
    with duckdb.connect() as db:
        db.execute(FUNCTIONS)
        begin = time.perf_counter()
        db.execute(
            f"COPY (SELECT {', '.join(columns)} FROM read_csv('{export}', all_varchar = true)) "
            f"TO '{export.with_suffix('.parquet')}' (FORMAT parquet)"
        )
        return {"seconds": time.perf_counter() - begin}


SIDES = {"ours": ours, "duckdb_alone": duckdb_alone}


def main() -> None:
    """Run both sides in turn, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        found = SIDES[options.side](options.folder / "export.csv", options.folder / "mapping.yaml")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
        print(json.dumps({**found, "peak_mb": peak}))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_export(options.rows, Path(folder, "export.csv"))
        Path(folder, "mapping.yaml").write_text(MAPPING)
        best: dict[str, dict[str, float]] = {}
        for _ in range(options.runs):
            for side in SIDES:
                command = [sys.executable, __file__, "--side", side, "--folder", folder]
                found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                if side not in best or found["seconds"] < best[side]["seconds"]:
                    best[side] = found
    mine, alone = best["ours"], best["duckdb_alone"]
    print(f"{options.rows:,} rows, best of {options.runs}")
    print(f"DuckDB alone, CSV to Parquet:   {alone['seconds']:6.2f} s   peak {alone['peak_mb']:6,.0f} MB")
    print(f"read, map and validate:         {mine['seconds']:6.2f} s   peak {mine['peak_mb']:6,.0f} MB")
    print(f"  read {mine['read']:.2f} s, map {mine['map']:.2f} s, validate {mine['validate']:.2f} s; ", end="")
    print(f"{mine['valid']:,.0f} valid, {mine['quarantined']:,.0f} quarantined")
    print(f"ratio: {mine['seconds'] / alone['seconds']:.2f}")


if __name__ == "__main__":
    main()
