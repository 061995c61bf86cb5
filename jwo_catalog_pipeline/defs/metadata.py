"""Metadata for Dagster's UI about a field mapping and a plan: tables, column lineage, constraints, the review page.

https://docs.dagster.io/guides/build/assets/metadata-and-tags/column-level-lineage
"""

import hashlib
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from jwo_catalog_pipeline.catalog.errors import MappingError
from jwo_catalog_pipeline.catalog.mapping.loaded import load_mapping
from jwo_catalog_pipeline.catalog.mapping.review import Review, as_html
from jwo_catalog_pipeline.catalog.markdown import as_markdown
from jwo_catalog_pipeline.catalog.rules.rulebook import rules
from jwo_catalog_pipeline.catalog.rules.rules import REQUIRED_FIELDS
from jwo_catalog_pipeline.defs.io_manager import table_schema
from jwo_catalog_pipeline.engine import ask
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.table_file import TableFile
from jwo_catalog_pipeline.upload.plan.changes import (
    ABSENT,
    ARCHIVE,
    HELD,
    IN_FLIGHT,
    INSERT,
)
from jwo_catalog_pipeline.upload.plan.plan import Plan

_CODE_VERSION = "1"
SAMPLE_ROWS = 10  # of an asset's table
SHOWN_ROWS = 20
SHOWN_STORES = 100


def mapping_code_version(path: str) -> str:
    """The code version of assets that depend on the mapping: a changed mapping file makes them stale."""
    try:
        return f"{_CODE_VERSION}-{load_mapping(Path(path)).sha256[:12]}" if path else _CODE_VERSION
    except (MappingError, OSError):
        return _CODE_VERSION  # the run reports the error


def store_review(bucket: Bucket, review: Review) -> dg.MetadataValue:
    """Store the review page, the same page once, and return its address."""
    content = as_html(review).encode()
    key = f"reviews/{hashlib.sha256(content).hexdigest()[:32]}.html"
    bucket.put_once(key, content, "text/html; charset=utf-8")
    return dg.MetadataValue.path(bucket.uri(key))


def left_out(review: Review) -> dict[str, dg.MetadataValue]:
    """How many rows are excluded or part of another, by condition, with samples."""
    found: dict[str, dg.MetadataValue] = {
        "excluded": dg.MetadataValue.int(review.excluded),
        "merged": dg.MetadataValue.int(review.merged),
    }
    if review.conditions:
        columns = ["condition", "expression", "note", "rows"]
        rows = [(one.place, one.expression, one.note, one.rows) for one in review.conditions]
        found["excluded_by"] = dg.MetadataValue.md(as_markdown(pd.DataFrame(rows, columns=columns)))
    if review.excluded:
        samples = [one.samples.head(SAMPLE_ROWS).assign(condition=one.place) for one in review.conditions if one.rows]
        found["excluded_sample"] = dg.MetadataValue.md(as_markdown(pd.concat(samples)))
    if review.merged:
        merged = review.first_merged[["source_row", "merged_into", "store_id", "item_sku", "external_product_id"]]
        found["merged_sample"] = dg.MetadataValue.md(as_markdown(merged.head(SAMPLE_ROWS)))
    return found


def field_mapping(review: Review) -> dg.MetadataValue:
    """A row for each mapped field: `field`, `expression`, `source_columns`, `filled`, `note`."""
    rows = [
        (field.name, field.expression, ", ".join(field.columns), f"{field.fill_rate:.1%}", field.note)
        for field in review.fields
        if field.expression
    ]
    columns = ["field", "expression", "source_columns", "filled", "note"]
    return dg.MetadataValue.md(as_markdown(pd.DataFrame(rows, columns=columns)))


def column_lineage(review: Review, source: dg.AssetKey) -> dg.TableColumnLineage:
    """The columns of `source_catalog` from which each field comes."""
    return dg.TableColumnLineage(
        {
            field.name: [dg.TableColumnDep(asset_key=source, column_name=column) for column in field.columns]
            for field in review.fields
            if field.columns
        }
    )


def constrained_schema(items: TableFile) -> dg.TableSchema:
    """The columns of valid items, with the error rules as constraints."""
    promised: dict[str, list[str]] = {}
    for rule in rules(["any"]):
        if rule.level == "error":
            for field in rule.fields:
                promised.setdefault(field, []).append(rule.description)

    def constraints(column: str) -> dict[str, Any]:
        required = column in REQUIRED_FIELDS
        return {"constraints": dg.TableColumnConstraints(nullable=not required, other=promised.get(column, []))}

    return dg.TableSchema(
        [
            dg.TableColumn(column.name, column.type, column.description, **constraints(column.name))
            for column in table_schema(items).columns
        ]
    )


def plan_values(plan: Plan) -> dict[str, int | str]:
    """Counts by kind of change, the number of requests, and the state that the plan was compared with."""
    return {
        **plan.counts,
        "requests": plan.requests,
        "plan": plan.digest,
        "compared_with": f"what Amazon holds after upload {plan.base.upload}" if plan.base.upload else "nothing",
    }


def reasons(changes: TableFile) -> pd.DataFrame:
    """`change`, `reason`, `items`, most frequent first: why items wait, are held, stay, or are sent again."""
    return ask(
        """SELECT change, reason, count(*) AS items FROM changes WHERE reason IS NOT NULL
        GROUP BY ALL ORDER BY items DESC, change, reason""",
        changes=changes,
    )


def plan_tables(plan: Plan, differences: tuple[pd.DataFrame, int]) -> dict[str, dg.MetadataValue]:
    """The plan as tables for people, without empty tables."""
    changes, (fields, compared) = plan.changes, differences
    samples = {"inserted": INSERT, "waiting": IN_FLIGHT, "held": HELD, "archived": ARCHIVE, "absent": ABSENT}
    shown = {
        "by_store": plan.by_store.head(SHOWN_STORES),
        "why": reasons(changes).head(SHOWN_ROWS),
        f"changed_fields (of {compared:,} updates compared)": fields,
        **{f"{name}_sample": _sample(changes, kind) for name, kind in samples.items() if plan.counts[kind]},
    }
    return {name: dg.MetadataValue.md(as_markdown(table)) for name, table in shown.items() if len(table)}


def _sample(changes: TableFile, kind: str) -> pd.DataFrame:
    query = """SELECT store_id, item_sku, item_name, standard_price, published_upload, reason FROM changes
               WHERE change = $kind ORDER BY file_row_number LIMIT $rows"""
    return ask(query, {"kind": kind, "rows": SHOWN_ROWS}, changes=changes).dropna(axis="columns", how="all")


def rows_and_columns(table: TableFile | pd.DataFrame) -> dict[str, Any]:
    """How many rows a table has, and its columns."""
    rows = table.rows if isinstance(table, TableFile) else len(table)
    return {"dagster/row_count": rows, "dagster/column_schema": table_schema(table)}


def counts(column: pd.Series) -> dict[str, int]:
    """How often each value occurs, in the order of the values."""
    return {str(value): int(count) for value, count in column.value_counts().sort_index().items()}
