"""The functions of `functions.sql`, called over many values at once."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from jwo_catalog_pipeline.catalog.mapping.sql_engine import connect_locked, register


def results(call: str, values: Sequence[str | None]) -> list[Any]:
    """What `call`, an expression over `x`, gives for each value, in their order."""
    with connect_locked() as db:
        register(db, "given", pa.table({"place": range(len(values)), "x": pa.array(values, pa.large_string())}))
        found = db.execute(f"SELECT {call} FROM given ORDER BY place").fetchall()
    return [result for (result,) in found]
