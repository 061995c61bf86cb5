"""What Dagster shows of a plan: counts by store, what changes, what waits and why."""

import dagster as dg
import pandas as pd

from jwo_catalog_pipeline.catalog.markdown import as_markdown
from jwo_catalog_pipeline.upload.errors import NoPlan
from jwo_catalog_pipeline.upload.plan.changes import (
    ABSENT,
    ARCHIVE,
    HELD,
    IN_FLIGHT,
    INSERT,
    KINDS,
    UNCHANGED,
    counts_by_kind,
)
from jwo_catalog_pipeline.upload.plan.plan import Plan

# In the tables' attrs, which Parquet keeps: the run that made them, and the SHA-256 of the export they come from.
RUN_STAMP, SOURCE_STAMP = "run_id", "source_sha256"
SOURCE_FILE = "source_uri"  # the very file, where JWO_SOURCE_URI names a prefix
SHOWN_ROWS = 20
SHOWN_STORES = 100


def check_same_run(items: pd.DataFrame, quarantined: pd.DataFrame) -> None:
    """Refuse to plan with the catalog of one run and the quarantine of another: items would count as gone.

    Raises:
        NoPlan: they were made by different runs, or the newest run was stopped before it stored a catalog.
    """
    if items.attrs.get(RUN_STAMP) != quarantined.attrs.get(RUN_STAMP):
        raise NoPlan(
            (
                "jwo_catalog and quarantined_items were stored by different runs: another is at work, or "
                "the newest was stopped because too many rows are invalid"
            ),
            "materialize jwo_catalog, then catalog_changes again",
        )


def check_same_source(source: pd.DataFrame, *mapped: pd.DataFrame) -> None:
    """Refuse to look up rows in another version of the export than the one that was mapped.

    Raises:
        NoPlan: the export has been read again since.
    """
    if any(table.attrs.get(SOURCE_STAMP) != source.attrs.get(SOURCE_STAMP) for table in mapped):
        raise NoPlan("source_catalog was read again since jwo_catalog was made", "materialize jwo_catalog first")


def plan_values(plan: Plan) -> dict[str, int | str]:
    """Counts by kind of change, requests needed, and what the plan rests on."""
    return {
        **counts_by_kind(plan.changes),
        "requests": plan.requests,
        "plan": plan.digest,
        "compared_with": f"what Amazon holds after upload {plan.base.upload}" if plan.base.upload else "nothing",
    }


def counts_by_store(changes: pd.DataFrame) -> pd.DataFrame:
    """`store_id`, and a column per kind of change with the number of items."""
    counts = pd.crosstab(changes["store_id"], changes["change"]).reindex(columns=list(KINDS), fill_value=0)
    return counts.rename_axis(columns=None).reset_index()


def reasons(changes: pd.DataFrame) -> pd.DataFrame:
    """`change`, `reason`, `items`, most frequent first: why items wait, are held, stay, or are sent again."""
    explained = changes[changes["reason"].notna()]
    return (
        explained.groupby(["change", "reason"])
        .size()
        .rename("items")
        .reset_index()
        .sort_values("items", ascending=False, kind="stable", ignore_index=True)
    )


def plan_tables(changes: pd.DataFrame, differences: tuple[pd.DataFrame, int]) -> dict[str, dg.MetadataValue]:
    """The plan as tables for people; one that would be empty is left out."""
    fields, compared = differences
    samples = {
        "inserted": changes[changes["change"] == INSERT],
        "waiting": changes[changes["change"] == IN_FLIGHT],
        "held": changes[changes["change"] == HELD],
        "archived": changes[changes["change"] == ARCHIVE],
        "absent": changes[changes["change"] == ABSENT],
    }
    shown = {
        "by_store": counts_by_store(changes).head(SHOWN_STORES),
        "why": reasons(changes[changes["change"] != UNCHANGED]).head(SHOWN_ROWS),
        f"changed_fields (of {compared:,} updates compared)": fields,
        **{f"{name}_sample": _sample(rows) for name, rows in samples.items()},
    }
    return {name: dg.MetadataValue.md(as_markdown(table)) for name, table in shown.items() if len(table)}


def _sample(rows: pd.DataFrame) -> pd.DataFrame:
    columns = ["store_id", "item_sku", "item_name", "standard_price", "published_upload", "reason"]
    return rows.head(SHOWN_ROWS)[columns].dropna(axis="columns", how="all")
