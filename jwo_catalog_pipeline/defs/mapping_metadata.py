"""What Dagster's UI shows of a field mapping: its table, the lineage of columns, the constraints, the review page.

https://docs.dagster.io/guides/build/assets/metadata-and-tags/column-level-lineage
"""

from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from jwo_catalog_pipeline.catalog.errors import MappingError
from jwo_catalog_pipeline.catalog.mapping.model import load_mapping
from jwo_catalog_pipeline.catalog.mapping.review import Review, as_html
from jwo_catalog_pipeline.catalog.markdown import as_markdown
from jwo_catalog_pipeline.catalog.rules.rules import REQUIRED_FIELDS, rules
from jwo_catalog_pipeline.defs.io_manager import table_schema
from jwo_catalog_pipeline.storage import Bucket

_CODE_VERSION = "1"


def mapping_code_version(path: str) -> str:
    """The code version of what a mapping makes: another mapping file is other code, so the assets become stale."""
    try:
        return f"{_CODE_VERSION}-{load_mapping(Path(path)).sha256[:12]}" if path else _CODE_VERSION
    except (MappingError, OSError):
        return _CODE_VERSION  # the run says what is wrong with it


def store_review(bucket: Bucket, review: Review, run_id: str) -> dg.MetadataValue:
    """Keep the page of this run, and where it is."""
    key = f"reviews/{run_id}.html"
    bucket.put(key, as_html(review).encode(), "text/html; charset=utf-8")
    return dg.MetadataValue.path(bucket.uri(key))


def field_mapping(review: Review) -> dg.MetadataValue:
    """A row for each mapped field: `field`, `expression`, `source_columns`, `filled`, `note`."""
    rows = [
        (field.name, field.expression, ", ".join(field.columns), f"{field.fill_rate:.1%}", field.note)
        for field in review.fields
        if field.expression
    ]
    columns = ["field", "expression", "source_columns", "filled", "note"]
    return dg.MetadataValue.md(as_markdown(pd.DataFrame(rows, columns=columns)))


def column_lineage(review: Review) -> dg.TableColumnLineage:
    """From which columns of `source_catalog` each field comes."""
    source = dg.AssetKey("source_catalog")
    return dg.TableColumnLineage(
        {
            field.name: [dg.TableColumnDep(asset_key=source, column_name=column) for column in field.columns]
            for field in review.fields
            if field.columns
        }
    )


def constrained_schema(items: pd.DataFrame) -> dg.TableSchema:
    """The columns of valid items, with what the error rules promise of them."""
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
