"""The assets of the current state: the export as it is, and the items that the field mapping makes from it.

https://docs.dagster.io/guides/build/assets
"""

import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from jwo_catalog_pipeline.catalog.errors import SourceFileError, StructureError
from jwo_catalog_pipeline.catalog.mapping.loaded import FieldMapping
from jwo_catalog_pipeline.catalog.mapping.placeholders import placeholders
from jwo_catalog_pipeline.catalog.mapping.review import collect
from jwo_catalog_pipeline.catalog.mapping.transform import apply_mapping
from jwo_catalog_pipeline.catalog.markdown import as_markdown
from jwo_catalog_pipeline.catalog.rules.validation import validate
from jwo_catalog_pipeline.catalog.source.reading import FILES, NOTES, read_export
from jwo_catalog_pipeline.defs.checks import (
    STRUCTURE,
    CatalogConfig,
    check_specs,
    rule_results,
    share_result,
    structure_result,
)
from jwo_catalog_pipeline.defs.export_watch import age_result, export_check
from jwo_catalog_pipeline.defs.failures import RowsInvalid, upload_step
from jwo_catalog_pipeline.defs.io_manager import table_version
from jwo_catalog_pipeline.defs.metadata import (
    SAMPLE_ROWS,
    column_lineage,
    constrained_schema,
    counts,
    field_mapping,
    left_out,
    rows_and_columns,
    store_review,
)
from jwo_catalog_pipeline.defs.provenance import (
    EXCLUDED,
    EXPORT,
    MERGED,
    READ_AS,
    RUN_STAMP,
    SOURCE_FILE,
    SOURCE_STAMP,
    check_read_as,
    export_stamp,
)
from jwo_catalog_pipeline.defs.resources import (
    SourceResource,
    StorageResource,
    UploadPolicyResource,
)
from jwo_catalog_pipeline.defs.run_tags import PARTITION_TAG
from jwo_catalog_pipeline.defs.work import WorkFolder, step_folder
from jwo_catalog_pipeline.source_file import SourceFile
from jwo_catalog_pipeline.table_file import TableFile
from jwo_catalog_pipeline.wording import plural

GROUP = "jwo_catalog"
READS = 3  # of an export that is written again while it is read
DATA_TEAM = ["team:catalog-data"]
# Made every night by default (JWO_CATALOG_CRON); stale when older than a day plus a long run.
FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=30), warn_window=timedelta(hours=26))


@dg.asset(
    group_name=GROUP,
    owners=DATA_TEAM,
    kinds={"s3", "duckdb"},
    code_version="1",
    freshness_policy=FRESH,
    check_specs=[export_check()],
)
def source_catalog(
    context: dg.AssetExecutionContext, source: SourceResource, storage: StorageResource, work: WorkFolder
) -> Iterator[dg.MaterializeResult[TableFile] | dg.AssetCheckResult]:
    """The retailer's export as it is: every row, every column as text, with its row number."""
    with upload_step(context, storage):
        mapping = source.mapping()
        source.find()  # where there is none, that is said first
        # Before the version is found that is read: what is applied from now on was made beside this.
        read_after = storage.open_ledger().head().upload if PARTITION_TAG in context.run.tags else None
        file, sha256, rows = _read_newest(source, mapping, step_folder(work, "source_catalog"), read_after)
    unchanged = _last_metadata(context, "sha256") == sha256
    context.log.info(
        f"{file.uri}: {plural(rows.rows, 'row')}" + (", unchanged since the last time" if unchanged else "")
    )
    yield dg.MaterializeResult(
        value=rows,
        data_version=dg.DataVersion(sha256),
        metadata={
            **rows_and_columns(rows),
            "uri": dg.MetadataValue.path(file.uri),
            "etag": file.etag,
            "version": file.version,
            "bytes": file.size,
            "files": dg.MetadataValue.json(dict(rows.attrs[FILES])),
            "notes": dg.MetadataValue.md("\n".join(f"- {note}" for note in rows.attrs[NOTES]) or "none"),
            "sha256": sha256,
            "modified": file.modified.isoformat(),
            "columns": dg.MetadataValue.json([str(name) for name in rows.columns if name != "source_row"]),
            "unchanged": unchanged,
            "sample": dg.MetadataValue.md(as_markdown(rows.head(SAMPLE_ROWS))),
        },
    )
    yield age_result(file, source.max_age_hours, datetime.now(UTC))


def _read_newest(
    source: SourceResource, mapping: FieldMapping, folder: Path, read_after: str | None
) -> tuple[SourceFile, str, TableFile]:
    """The version of the export that is still the newest when it was read, its SHA-256, and its rows.

    Raises:
        SourceFileError: it cannot be read, or was written again each time.
    """
    newest = source.find()
    for _ in range(READS):
        file, read_at = newest, time.time()
        files, sha256 = source.fetch(file, folder)
        noted = {
            SOURCE_STAMP: sha256,
            SOURCE_FILE: file.uri,
            READ_AS: asdict(mapping.source),
            EXPORT: export_stamp(file, sha256, read_at, read_after),
        }
        rows = read_export(files, mapping.source, folder / "rows.parquet", noted)
        if (newest := source.find()).version == file.version:
            return file, sha256, rows
    raise SourceFileError(f"{newest.uri} was written while {file.uri} was being read", "start the upload again")


@dg.multi_asset(
    name="jwo_catalog",
    outs={
        "jwo_catalog": dg.AssetOut(
            group_name=GROUP,
            freshness_policy=FRESH,
            owners=DATA_TEAM,
            kinds={"duckdb", "pandera"},
            code_version="1",
            description="The valid rows of the export as JWO items: what Amazon's catalog should contain.",
        ),
        "quarantined_items": dg.AssetOut(
            group_name=GROUP,
            freshness_policy=FRESH,
            owners=DATA_TEAM,
            kinds={"pandera"},
            code_version="1",
            description="Rows that break a rule, each with its source row and the reasons: the worklist.",
        ),
    },
    check_specs=check_specs(),
)
def mapped_catalog(
    context: dg.AssetExecutionContext,
    config: CatalogConfig,
    source: SourceResource,
    storage: StorageResource,
    policy: UploadPolicyResource,
    work: WorkFolder,
    source_catalog: TableFile,
) -> Iterator[dg.MaterializeResult[TableFile] | dg.AssetCheckResult]:
    """Map the export's columns to JWO's fields, check every rule, and set the invalid rows aside."""
    with upload_step(context, storage):
        mapping = source.mapping()
        check_read_as(source_catalog, mapping.source)
        folder = step_folder(work, "jwo_catalog")
        mapped = apply_mapping(mapping, source_catalog, folder)
        noted = {RUN_STAMP: context.run.run_id, EXCLUDED: mapped.excluded.rows, MERGED: mapped.merged.rows}
        noted |= {name: source_catalog.attrs.get(name) for name in (SOURCE_STAMP, SOURCE_FILE, EXPORT)}
        try:
            validation = validate(mapped.items, folder, policy.store_ids or None, mapping.levels, attrs=noted)
        except StructureError as error:
            yield dg.AssetCheckResult(passed=False, check_name=STRUCTURE, description=str(error))
            raise
        file = source_catalog.attrs.get(SOURCE_FILE, source.uri)
        review = collect(mapping, source_catalog, mapped, validation, folder, file)
        page = store_review(storage.open_bucket(), review)
    quarantined, items = validation.quarantined, validation.valid
    # The worklist comes first, because people need it most when the rest is blocked.
    yield dg.MaterializeResult(
        asset_key=storage.asset_key("quarantined_items"),
        value=quarantined,
        data_version=table_version(quarantined),
        metadata={
            **rows_and_columns(quarantined),
            "reasons": dg.MetadataValue.md(
                as_markdown(
                    pd.DataFrame(
                        [(r.name, r.count) for r in validation.rules if r.level == "error" and r.count],
                        columns=["rule", "rows"],
                    )
                )
            ),
            "sample": dg.MetadataValue.md(as_markdown(quarantined.head(SAMPLE_ROWS))),
            **left_out(review),
            "review": page,
        },
    )
    share = share_result(validation, config.max_invalid_share, review.excluded)
    yield structure_result()
    yield share
    yield from rule_results(validation)
    if not share.passed:
        with upload_step(context, storage):
            raise RowsInvalid(". ".join([*placeholders(mapping), str(share.description)]))
    yield dg.MaterializeResult(
        asset_key=storage.asset_key("jwo_catalog"),
        value=items,
        data_version=table_version(items),
        metadata={
            "dagster/row_count": items.rows,
            "dagster/column_schema": constrained_schema(items),
            "dagster/column_lineage": column_lineage(review, storage.asset_key("source_catalog")),
            "items_by_store": dg.MetadataValue.json(counts(items.frame(["store_id"])["store_id"])),
            "mapping_sha256": mapping.sha256,
            "field_mapping": field_mapping(review),
            **left_out(review),
            "review": page,
            "sample": dg.MetadataValue.md(as_markdown(items.head(SAMPLE_ROWS))),
        },
    )


def _last_metadata(context: dg.AssetExecutionContext, name: str) -> Any:
    """A metadata value of the asset's newest materialization; None if there is none."""
    event = context.instance.get_latest_materialization_event(context.asset_key)
    entry = event.asset_materialization.metadata.get(name) if event and event.asset_materialization else None
    return entry.value if entry else None
