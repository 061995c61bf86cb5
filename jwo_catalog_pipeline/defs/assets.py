"""The assets, in data order. Thin: each calls one or two functions and says what a person wants to see.

https://docs.dagster.io/guides/build/assets
"""

import tempfile
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from jwo_catalog_pipeline.catalog.errors import SourceFileError, StructureError
from jwo_catalog_pipeline.catalog.mapping.review import collect
from jwo_catalog_pipeline.catalog.mapping.transform import apply_mapping
from jwo_catalog_pipeline.catalog.markdown import as_markdown
from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS
from jwo_catalog_pipeline.catalog.rules.validation import revalidate, validate
from jwo_catalog_pipeline.catalog.source.fix_list import as_export, make_fix_list
from jwo_catalog_pipeline.catalog.source.reading import read_source
from jwo_catalog_pipeline.defs.checks import (
    STRUCTURE,
    CatalogConfig,
    ChangesConfig,
    check_specs,
    guard_results,
    guard_specs,
    rule_results,
    share_result,
    structure_result,
)
from jwo_catalog_pipeline.defs.failures import as_dagster_failure
from jwo_catalog_pipeline.defs.io_manager import table_schema, table_version
from jwo_catalog_pipeline.defs.metadata import (
    column_lineage,
    constrained_schema,
    field_mapping,
    plan_tables,
    plan_values,
    store_review,
)
from jwo_catalog_pipeline.defs.provenance import (
    RUN_STAMP,
    SOURCE_FILE,
    SOURCE_STAMP,
    check_same_run,
    check_same_source,
)
from jwo_catalog_pipeline.defs.resources import (
    CatalogApiResource,
    SourceResource,
    StorageResource,
    UploadPolicyResource,
    settler,
)
from jwo_catalog_pipeline.upload.errors import LeaseHeld
from jwo_catalog_pipeline.upload.model import batch_table, leaf_batches
from jwo_catalog_pipeline.upload.plan.changes import to_send
from jwo_catalog_pipeline.upload.plan.differences import field_differences
from jwo_catalog_pipeline.upload.plan.plan import make_plan
from jwo_catalog_pipeline.upload.rejections import rejected_items
from jwo_catalog_pipeline.upload.results.settle import not_accepted
from jwo_catalog_pipeline.upload.send.sender import Sender

catalog_uploads = dg.DynamicPartitionsDefinition(name="catalog_uploads")

GROUP = "jwo_catalog"
DATA_TEAM, ENGINEERS = ["team:catalog-data"], ["team:catalog-platform"]
# Made every night by default (JWO_CATALOG_CRON); what is older than a night and a long run is stale.
FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=30), warn_window=timedelta(hours=26))
# From the plan on, each upload is a partition.
upload_asset = partial(
    dg.asset,
    group_name=GROUP,
    owners=ENGINEERS,
    code_version="1",
    partitions_def=catalog_uploads,
    freshness_policy=FRESH,
)
# deploy/dagster.yaml limits this pool to one run at a time. Without that limit, the ledger still lets one upload send.
UPLOAD_POOL = "jwo_uploader"
# Retries unexpected errors, such as a short outage of Dagster's database; a resumed run sends nothing twice.
STEP_RETRY_POLICY = dg.RetryPolicy(max_retries=2, delay=20)  # seconds
WAITS_FOR_LEASES = 3  # each for at most JWO_LEASE_SECONDS
SHOWN_OF_A_BATCH = ["batch", "state", "items", "attempts", "sent_at", "message", "ingestion_id", "http_status"]
SAMPLE_ROWS = 10  # in tables that the UI shows


@dg.asset(group_name=GROUP, owners=DATA_TEAM, kinds={"s3", "duckdb"}, code_version="1", freshness_policy=FRESH)
def source_catalog(context: dg.AssetExecutionContext, source: SourceResource) -> dg.MaterializeResult[pd.DataFrame]:
    """The retailer's export as it is: every row, every column as text, with its row number."""
    with as_dagster_failure(), tempfile.TemporaryDirectory() as folder:
        mapping = source.mapping()
        file = source.find()
        path, sha256 = source.fetch(file, Path(folder))
        rows = read_source(path, mapping.source, file.uri)
        # Another run may have read and sent a newer version meanwhile, which this one would overwrite.
        if (newest := source.find()).version != file.version:
            raise SourceFileError(f"{newest.uri} was written while {file.uri} was being read", "start the upload again")
    rows.attrs |= {SOURCE_STAMP: sha256, SOURCE_FILE: file.uri}
    unchanged = _last_metadata(context, "sha256") == sha256
    context.log.info(f"{file.uri}: {len(rows):,} rows" + (", unchanged since the last time" if unchanged else ""))
    return dg.MaterializeResult(
        value=rows,
        data_version=dg.DataVersion(sha256),
        metadata={
            **_rows_and_columns(rows),
            "uri": dg.MetadataValue.path(file.uri),
            "etag": file.etag,
            "version": file.version,
            "bytes": file.size,
            "sha256": sha256,
            "modified": file.modified.isoformat(),
            "columns": dg.MetadataValue.json([str(name) for name in rows.columns if name != "source_row"]),
            "unchanged": unchanged,
            "sample": dg.MetadataValue.md(as_markdown(rows.head(SAMPLE_ROWS))),
        },
    )


@dg.multi_asset(
    name="jwo_catalog",
    outs={
        "jwo_catalog": dg.AssetOut(
            group_name=GROUP,
            freshness_policy=FRESH,
            owners=DATA_TEAM,
            kinds={"duckdb", "pandera"},
            code_version="1",
            description="The export as JWO items: mapped, and every row valid. What Amazon's catalog should be.",
        ),
        "quarantined_items": dg.AssetOut(
            group_name=GROUP,
            freshness_policy=FRESH,
            owners=DATA_TEAM,
            kinds={"pandera"},
            code_version="1",
            description="Rows that break a rule, each with its row in the source and the reasons: the worklist.",
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
    source_catalog: pd.DataFrame,
) -> Iterator[dg.MaterializeResult[pd.DataFrame] | dg.AssetCheckResult]:
    """Map the export's columns to JWO's fields, check every rule, and set the invalid rows aside."""
    with as_dagster_failure():
        mapping = source.mapping()
        mapped = apply_mapping(mapping, source_catalog)
        try:
            validation = validate(mapped, policy.store_ids or None)
        except StructureError as error:
            yield dg.AssetCheckResult(
                passed=False, check_name=STRUCTURE, asset_key="jwo_catalog", description=str(error)
            )
            raise
        file = source_catalog.attrs.get(SOURCE_FILE, source.uri)
        review = collect(mapping, source_catalog, mapped, validation, file)
        page = store_review(storage.open_bucket(), review, context.run.run_id)
    del mapped  # a million items take 200 MB, and storing what follows takes as much again
    quarantined, items = validation.quarantined, validation.valid
    for table in (quarantined, items):
        table.attrs = {RUN_STAMP: context.run.run_id, SOURCE_STAMP: source_catalog.attrs.get(SOURCE_STAMP)}
    # First the worklist, which is needed most when the rest is blocked.
    yield dg.MaterializeResult(
        asset_key="quarantined_items",
        value=quarantined,
        data_version=table_version(quarantined),
        metadata={
            **_rows_and_columns(quarantined),
            "reasons": dg.MetadataValue.md(
                as_markdown(
                    pd.DataFrame(
                        [(r.name, r.count) for r in validation.rules if r.level == "error" and r.count],
                        columns=["rule", "rows"],
                    )
                )
            ),
            "sample": dg.MetadataValue.md(as_markdown(quarantined.head(SAMPLE_ROWS))),
            "review": page,
        },
    )
    share = share_result(validation, config.max_invalid_share)
    yield structure_result()
    yield share
    yield from rule_results(validation)
    if not share.passed:
        raise dg.Failure(share.description, allow_retries=False)
    yield dg.MaterializeResult(
        asset_key="jwo_catalog",
        value=items,
        data_version=table_version(items),
        metadata={
            "dagster/row_count": len(items),
            "dagster/column_schema": constrained_schema(items),
            "dagster/column_lineage": column_lineage(review),
            "items_by_store": dg.MetadataValue.json(_counts(items["store_id"])),
            "mapping_sha256": mapping.sha256,
            "field_mapping": field_mapping(review),
            "review": page,
            "sample": dg.MetadataValue.md(as_markdown(items.head(SAMPLE_ROWS))),
        },
    )


@upload_asset(kinds={"duckdb"}, check_specs=guard_specs())
def catalog_changes(
    context: dg.AssetExecutionContext,
    config: ChangesConfig,
    storage: StorageResource,
    policy: UploadPolicyResource,
    jwo_catalog: pd.DataFrame,
    quarantined_items: pd.DataFrame,
) -> Iterator[dg.MaterializeResult[pd.DataFrame] | dg.AssetCheckResult]:
    """What this upload would send: the difference between the catalog and what Amazon holds. Sends nothing."""
    with as_dagster_failure():
        check_same_run(jwo_catalog, quarantined_items)
        bucket = storage.open_bucket()
        plan = make_plan(
            storage.open_ledger(),
            bucket,
            context.partition_key,
            jwo_catalog,
            quarantined_items,
            list(ITEM_FIELDS),
            policy.plan_settings(config.retry_rejected, config.allow),
        )
        differences = field_differences(storage.open_ledger(), bucket, plan.changes, list(ITEM_FIELDS))
    yield dg.MaterializeResult(
        value=plan.changes,
        data_version=dg.DataVersion(plan.digest),
        metadata={
            **_rows_and_columns(plan.changes),
            "quarantined": len(quarantined_items),
            **plan_values(plan),
            **plan_tables(plan.changes, differences),
        },
    )
    yield from guard_results(plan.verdicts)
    if stopped := [verdict.message for verdict in plan.verdicts if not verdict.passed]:
        raise dg.Failure("; ".join(stopped), allow_retries=False)


@upload_asset(kinds={"dynamodb", "s3"}, pool=UPLOAD_POOL, retry_policy=STEP_RETRY_POLICY)
def ingestion_record(
    context: dg.AssetExecutionContext,
    storage: StorageResource,
    catalog_api: CatalogApiResource,
    policy: UploadPolicyResource,
    catalog_changes: pd.DataFrame,
) -> dg.MaterializeResult[pd.DataFrame]:
    """The batches of this upload, sent and answered. Materializing it again resumes it: nothing accepted is resent."""
    with as_dagster_failure():
        revalidate(to_send(catalog_changes), policy.store_ids or None)
        ledger = storage.open_ledger()
        sender = Sender(
            ledger,
            storage.open_bucket(),
            catalog_api.client(ledger),
            owner=context.run.run_id,
            lease_seconds=policy.lease_seconds,
            on_batch=lambda batch, of: context.log.info(
                f"batch {batch.number} of {of}: {batch.items:,} items, {batch.state} {batch.ingestion_id}"
            ),
        )
        try:
            batches = sender.apply(context.partition_key, catalog_changes, list(ITEM_FIELDS))
        except LeaseHeld as error:
            # As a rule of the run that this one is the retry of: its task was lost, and no other run would resume it.
            context.log.warning(f"{error}; this run waits for that")
            raise dg.RetryRequested(max_retries=WAITS_FOR_LEASES, seconds_to_wait=error.seconds + 1) from error
    record = batch_table(batches)
    return dg.MaterializeResult(
        value=record,
        data_version=table_version(record),
        metadata={
            **_rows_and_columns(record),
            "items": sum(batch.items for batch in leaf_batches(batches)),
            "attempts": int(record["attempts"].sum()),
            "batches_by_state": dg.MetadataValue.json(_counts(record["state"])),
            "batches": dg.MetadataValue.md(as_markdown(record[SHOWN_OF_A_BATCH].head(100))),
        },
    )


@upload_asset(kinds={"sqs", "s3"}, deps=[ingestion_record])
def ingestion_results(
    context: dg.AssetExecutionContext, storage: StorageResource, catalog_api: CatalogApiResource
) -> Iterator[dg.MaterializeResult[pd.DataFrame]]:
    """The outcome of every item of this upload, from Amazon's reports: one row per item."""
    with as_dagster_failure():
        outcomes, problems = settler(storage, catalog_api).settle(context.partition_key)
    reasons = not_accepted(outcomes)
    yield dg.MaterializeResult(
        value=outcomes,
        data_version=table_version(outcomes),
        metadata={
            **_rows_and_columns(outcomes),
            **{outcome: int((outcomes["outcome"] == outcome).sum()) for outcome in ("accepted", "rejected")},
            "items_by_outcome": dg.MetadataValue.json(_counts(outcomes["outcome"])),
            **({"reasons": dg.MetadataValue.md(as_markdown(reasons.head(2 * SAMPLE_ROWS)))} if len(reasons) else {}),
            **({"problems": dg.MetadataValue.json(problems)} if problems else {}),
        },
    )
    if problems:
        # After what could be had is stored; the sensors try again after a growing pause.
        raise dg.Failure("; ".join(problems), allow_retries=False)


@dg.asset(
    group_name=GROUP,
    owners=DATA_TEAM,
    kinds={"s3"},
    code_version="1",
    deps=[ingestion_results],
    op_tags={"dagster/priority": "-1"},  # people can wait for it longer than Amazon for the first batch
)
def fix_list(
    source: SourceResource,
    storage: StorageResource,
    source_catalog: pd.DataFrame,
    jwo_catalog: pd.DataFrame,
    quarantined_items: pd.DataFrame,
) -> dg.MaterializeResult[pd.DataFrame]:
    """What was quarantined or rejected, with the reasons, in the export's own columns: to be fixed and sent again."""
    with as_dagster_failure():
        check_same_source(source_catalog, jwo_catalog, quarantined_items)
        bucket = storage.open_bucket()
        rejected = rejected_items(storage.open_ledger(), bucket, jwo_catalog, list(ITEM_FIELDS))
        fixes = make_fix_list(source_catalog, quarantined_items, rejected)
        fixes.attrs = {SOURCE_FILE: source_catalog.attrs.get(SOURCE_FILE, source.uri)}
        name, content = as_export(fixes, source.mapping().source, fixes.attrs[SOURCE_FILE])
        bucket.put(f"fix_list/{name}", content)
    return dg.MaterializeResult(
        value=fixes,
        data_version=table_version(fixes),
        metadata={
            **_rows_and_columns(fixes),
            "file": dg.MetadataValue.path(bucket.uri(f"fix_list/{name}")),
            "sample": dg.MetadataValue.md(as_markdown(fixes.head(SAMPLE_ROWS))),
        },
    )


ASSETS = [source_catalog, mapped_catalog, catalog_changes, ingestion_record, ingestion_results, fix_list]


def _rows_and_columns(table: pd.DataFrame) -> dict[str, Any]:
    return {"dagster/row_count": len(table), "dagster/column_schema": table_schema(table)}


def _counts(column: pd.Series) -> dict[str, int]:
    return {str(value): int(count) for value, count in column.value_counts().sort_index().items()}


def _last_metadata(context: dg.AssetExecutionContext, name: str) -> Any:
    """A metadata value of the asset's newest materialization; None where there is none."""
    event = context.instance.get_latest_materialization_event(context.asset_key)
    found = event.asset_materialization.metadata.get(name) if event and event.asset_materialization else None
    return found.value if found else None
