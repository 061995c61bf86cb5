"""The assets of one upload: its plan, batches and results, each with a partition for each upload; and the fix list.

https://docs.dagster.io/guides/build/partitions-and-backfills
"""

from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial

import dagster as dg
import pandas as pd

from jwo_catalog_pipeline.catalog.markdown import as_markdown
from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS
from jwo_catalog_pipeline.catalog.source.fix_list import as_export, make_fix_list
from jwo_catalog_pipeline.catalog.source.reading import FORMAT
from jwo_catalog_pipeline.defs.applying import apply_upload
from jwo_catalog_pipeline.defs.catalog_assets import DATA_TEAM, FRESH, GROUP
from jwo_catalog_pipeline.defs.checks import (
    ChangesConfig,
    guard_results,
    guard_specs,
)
from jwo_catalog_pipeline.defs.failures import as_dagster_failure, upload_step
from jwo_catalog_pipeline.defs.io_manager import table_version
from jwo_catalog_pipeline.defs.merchants import UPLOAD_POOL, uploads_of
from jwo_catalog_pipeline.defs.metadata import (
    SAMPLE_ROWS,
    counts,
    rows_and_columns,
)
from jwo_catalog_pipeline.defs.planning import check_not_stopped, plan_upload
from jwo_catalog_pipeline.defs.provenance import (
    READ_AS,
    SOURCE_FILE,
    read_as,
    same_source,
)
from jwo_catalog_pipeline.defs.resources import (
    CatalogApiResource,
    SourceResource,
    StorageResource,
    UploadPolicyResource,
    settler,
)
from jwo_catalog_pipeline.defs.work import WorkFolder, step_folder
from jwo_catalog_pipeline.errors import PipelineError
from jwo_catalog_pipeline.table_file import TableFile
from jwo_catalog_pipeline.upload.model import leaf_batches
from jwo_catalog_pipeline.upload.queries import not_accepted, outcome_counts, rejected_items
from jwo_catalog_pipeline.upload.tables import batch_record

catalog_uploads = uploads_of("")

ENGINEERS = ["team:catalog-platform"]
# From the plan on, each upload is a partition.
upload_asset = partial(
    dg.asset,
    group_name=GROUP,
    owners=ENGINEERS,
    code_version="1",
    partitions_def=catalog_uploads,
    freshness_policy=FRESH,
)
UPLOAD_JOB, RESULTS_JOB = "catalog_upload_job", "ingestion_results_job"
SHOWN_OF_A_BATCH = ["batch", "state", "items", "attempts", "sent_at", "message", "ingestion_id", "http_status"]


@upload_asset(kinds={"duckdb"}, check_specs=guard_specs())
def catalog_changes(
    context: dg.AssetExecutionContext,
    config: ChangesConfig,
    storage: StorageResource,
    policy: UploadPolicyResource,
    work: WorkFolder,
    jwo_catalog: TableFile,
    quarantined_items: TableFile,
) -> Iterator[dg.MaterializeResult[TableFile] | dg.AssetCheckResult]:
    """The plan of this upload: the differences between the catalog and what Amazon holds. Sends nothing.

    Unchanged items are counted and have no row.
    """
    with upload_step(context, storage):
        folder = step_folder(work, "catalog_changes")
        tables = jwo_catalog, quarantined_items
        plan, metadata = plan_upload(context, config, storage, policy, folder, *tables)
    yield dg.MaterializeResult(value=plan.changes, data_version=dg.DataVersion(plan.digest), metadata=metadata)
    yield from guard_results(plan.verdicts)
    with upload_step(context, storage):
        check_not_stopped(plan)


def _ingestion_record(
    context: dg.AssetExecutionContext,
    storage: StorageResource,
    catalog_api: CatalogApiResource,
    policy: UploadPolicyResource,
    work: WorkFolder,
    catalog_changes: TableFile,
) -> Iterator[dg.MaterializeResult[pd.DataFrame]]:
    """The batches of this upload, sent to Amazon. Materialize again to resume; accepted batches are not resent.

    Where an upload of a newer export was faster, nothing of this one is left to send, and there is no table.
    """
    with upload_step(context, storage, retries=2):  # a resumed step sends nothing twice
        batches = apply_upload(
            context, storage, catalog_api, policy, step_folder(work, "ingestion_record"), catalog_changes
        )
    if batches is None:
        return
    record = batch_record(batches)
    yield dg.MaterializeResult(
        value=record,
        data_version=table_version(record),
        metadata={
            **rows_and_columns(record),
            "items": sum(batch.items for batch in leaf_batches(batches)),
            "attempts": int(record["attempts"].sum()),
            "batches_by_state": dg.MetadataValue.json(counts(record["state"])),
            "batches": dg.MetadataValue.md(as_markdown(record[SHOWN_OF_A_BATCH].head(100))),
        },
    )


def ingestion_record_in(pool: str) -> dg.AssetsDefinition:
    """`ingestion_record` in a pool: the assets' only name that cannot be changed afterwards."""
    decorate = upload_asset(name="ingestion_record", kinds={"dynamodb", "s3"}, pool=pool, output_required=False)
    return decorate(_ingestion_record)


ingestion_record = ingestion_record_in(UPLOAD_POOL)


@upload_asset(kinds={"sqs", "s3"}, deps=[ingestion_record])
def ingestion_results(
    context: dg.AssetExecutionContext,
    storage: StorageResource,
    catalog_api: CatalogApiResource,
    work: WorkFolder,
) -> Iterator[dg.MaterializeResult[TableFile]]:
    """The outcome of every item of this upload, from Amazon's reports."""
    with as_dagster_failure():
        folder = step_folder(work, "ingestion_results")
        outcomes, problems = settler(storage, catalog_api).settle(context.partition_key, folder)
        items, reasons = outcome_counts(outcomes), not_accepted(outcomes)
    yield dg.MaterializeResult(
        value=outcomes,
        data_version=table_version(outcomes),
        metadata={
            **rows_and_columns(outcomes),
            **{outcome: items.get(outcome, 0) for outcome in ("accepted", "rejected")},
            "items_by_outcome": dg.MetadataValue.json(dict(sorted(items.items()))),
            **({"reasons": dg.MetadataValue.md(as_markdown(reasons.head(2 * SAMPLE_ROWS)))} if len(reasons) else {}),
            **({"problems": dg.MetadataValue.json(problems)} if problems else {}),
        },
    )
    if problems:
        # Fails only after storing what is known; the sensors try again after a growing pause.
        raise dg.Failure("; ".join(problems), allow_retries=False)


@dg.asset(
    group_name=GROUP,
    owners=DATA_TEAM,
    kinds={"s3"},
    code_version="1",
    deps=[ingestion_results],
    output_required=False,
    op_tags={"dagster/priority": "-1"},  # below ingestion_record: the first batch is more urgent
)
def fix_list(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    storage: StorageResource,
    work: WorkFolder,
    source_catalog: TableFile,
    jwo_catalog: TableFile,
    quarantined_items: TableFile,
) -> Iterator[dg.MaterializeResult[pd.DataFrame]]:
    """The quarantined and rejected rows, with the reasons, in the export's own columns, to fix and send again.

    It is only shown, so it never fails a run: what cannot be made now, the next upload makes.
    """
    if not same_source(source_catalog, quarantined_items):
        context.log.warning("fix_list stays as it is: source_catalog was read again since quarantined_items was made")
        return
    complete = same_source(source_catalog, jwo_catalog)
    try:
        bucket = storage.open_bucket()
        rejected = pd.DataFrame({"source_row": pd.Series(dtype="int64"), "reason": pd.Series(dtype="str")})
        if complete:
            rejected = rejected_items(storage.open_ledger(), bucket, jwo_catalog, list(ITEM_FIELDS))
        fixes = make_fix_list(source_catalog, quarantined_items, rejected)
        options = read_as(source_catalog, source.mapping().source)
        fixes.attrs = {SOURCE_FILE: source_catalog.attrs.get(SOURCE_FILE, source.uri), READ_AS: asdict(options)}
        found = replace(options, format=options.format or source_catalog.attrs.get(FORMAT))
        name, content = as_export(fixes, found, fixes.attrs[SOURCE_FILE])
        bucket.put(f"fix_list/{name}", content)
    except PipelineError as error:
        context.log.warning(f"fix_list stays as it is: {error}")
        return
    yield dg.MaterializeResult(
        value=fixes,
        data_version=table_version(fixes),
        metadata={
            **rows_and_columns(fixes),
            **({} if complete else {"lacks": "rejected items: jwo_catalog was made from another export"}),
            "file": dg.MetadataValue.path(bucket.uri(f"fix_list/{name}")),
            "sample": dg.MetadataValue.md(as_markdown(fixes.head(SAMPLE_ROWS))),
        },
    )
