"""Removing what is old, with Dagster's partitions: the job of the weekly schedule, and what the command line uses.

https://docs.dagster.io/guides/build/partitions-and-backfills
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from jwo_catalog_pipeline.defs.failures import as_dagster_failure
from jwo_catalog_pipeline.defs.io_manager import TABLES
from jwo_catalog_pipeline.defs.merchants import merchant_tags, uploads_of
from jwo_catalog_pipeline.defs.resources import StorageResource, UploadPolicyResource
from jwo_catalog_pipeline.defs.upload_assets import (
    catalog_changes,
    ingestion_record,
    ingestion_results,
)
from jwo_catalog_pipeline.upload.prune import Tables, find_prunable, remove
from jwo_catalog_pipeline.wording import plural

PRUNE_JOB = "state_prune_job"
_PARTITIONED = "|".join(
    re.escape("/".join(asset.key.path)) for asset in (catalog_changes, ingestion_record, ingestion_results)
)
_TABLE = re.compile(rf"{TABLES}/(?:.*/)?(?:{_PARTITIONED})/(.+)\.parquet")


def stored_tables(instance: dg.DagsterInstance | None, merchant: str = "") -> Tables:
    """The tables of uploads, and the partitions that an instance has; none where there is no instance."""
    name = str(uploads_of(merchant).name)

    def upload_of(key: str) -> str | None:
        match = _TABLE.fullmatch(key)
        return match[1] if match else None

    def forget(upload: str) -> None:
        if instance:
            instance.delete_dynamic_partition(name, upload)

    return Tables(f"{TABLES}/", upload_of, instance.get_dynamic_partitions(name) if instance else [], forget)


@contextmanager
def instance_of(dagster_home: str | None) -> Iterator[dg.DagsterInstance | None]:
    """The instance of DAGSTER_HOME; None where that is not set."""
    if not dagster_home:
        yield None
        return
    with dg.DagsterInstance.get() as instance:
        yield instance


@dg.op(out=dg.Out(dg.Nothing))
def remove_old_uploads(context: dg.OpExecutionContext, storage: StorageResource, policy: UploadPolicyResource) -> None:
    """Remove what is older than JWO_KEEP_DAYS and no longer needed: objects, ledger items and partitions."""
    with as_dagster_failure():
        ledger, bucket = storage.open_ledger(), storage.open_bucket()
        tables = stored_tables(context.instance, storage.merchant)
        prunable = find_prunable(ledger, bucket, tables, policy.keep_days)
        remove(ledger, bucket, tables, prunable)
    for row in prunable.found:
        context.log.info(f"removed {row['number']:,} {row['kind']}, {row['bytes']:,} bytes")
    context.log.info(f"{plural(len(prunable.uploads), 'upload')} removed")


def build_prune_job(merchant: str) -> dg.JobDefinition:
    """`state_prune_job`."""

    @dg.job(name=PRUNE_JOB, tags=merchant_tags(merchant))
    def state_prune_job() -> None:
        """Remove what is older than JWO_KEEP_DAYS and no longer needed."""
        remove_old_uploads()

    return state_prune_job
