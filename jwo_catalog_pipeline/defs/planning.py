"""Planning an upload in Dagster: the plan's table, metadata and checks, when it is made and when it is made again."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import dagster as dg

from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS
from jwo_catalog_pipeline.defs.checks import ChangesConfig, guard_results
from jwo_catalog_pipeline.defs.io_manager import own_table_key, table_key
from jwo_catalog_pipeline.defs.metadata import plan_tables, plan_values, rows_and_columns
from jwo_catalog_pipeline.defs.provenance import EXCLUDED, MERGED, check_same_run, export_of
from jwo_catalog_pipeline.defs.resources import StorageResource, UploadPolicyResource
from jwo_catalog_pipeline.engine import connect
from jwo_catalog_pipeline.table_file import TableFile
from jwo_catalog_pipeline.upload.errors import PlanStopped
from jwo_catalog_pipeline.upload.plan.differences import field_differences
from jwo_catalog_pipeline.upload.plan.plan import Plan, make_plan

PLAN = "catalog_changes"


def plan_upload(
    context: dg.AssetExecutionContext,
    config: ChangesConfig,
    storage: StorageResource,
    policy: UploadPolicyResource,
    folder: Path,
    items: TableFile,
    quarantined: TableFile,
) -> tuple[Plan, dict[str, Any]]:
    """The plan of the run's upload, recorded, and its metadata.

    Args:
        context: of the step.
        config: what a person has said for this upload.
        storage: where the plan is recorded.
        policy: its limits.
        folder: where the table is made.
        items: `jwo_catalog`.
        quarantined: `quarantined_items` of the same run.
    """
    check_same_run(items, quarantined)
    ledger, bucket, upload = storage.open_ledger(), storage.open_bucket(), context.partition_key
    settings = policy.plan_settings(config.retry_rejected, config.allow, planner(context))
    with connect(folder):  # for all that follows
        plan = make_plan(
            ledger, bucket, upload, items, quarantined, list(ITEM_FIELDS), settings, folder, export_of(items)
        )
        differences = field_differences(ledger, bucket, plan.changes, list(ITEM_FIELDS))
        return plan, {
            **rows_and_columns(plan.changes),
            "quarantined": quarantined.rows,
            **{name: quarantined.attrs.get(name, 0) for name in (EXCLUDED, MERGED)},
            **plan_values(plan),
            **plan_tables(plan, differences),
        }


def planner(context: dg.AssetExecutionContext) -> str:
    """What may plan again by itself: the run, and those that repeat it."""
    return context.run.root_run_id or context.run.run_id


def check_not_stopped(plan: Plan) -> None:
    """Raise `PlanStopped` where a guard has stopped the plan."""
    if stopped := [verdict.message for verdict in plan.verdicts if not verdict.passed]:
        raise PlanStopped("; ".join(stopped))


def plan_again(
    context: dg.AssetExecutionContext, storage: StorageResource, policy: UploadPolicyResource, folder: Path
) -> TableFile:
    """Plan the run's upload once more, of its own tables, for another was applied since; gives the plan's table.

    All is made in a folder of this step. The plan replaces that of `catalog_changes`, in its table, its metadata and
    its checks.

    Raises:
        PlanStopped: a guard has stopped it.
    """
    bucket, upload = storage.open_bucket(), context.partition_key
    folder = Path(mkdtemp(dir=folder))
    names = ("jwo_catalog", "quarantined_items")
    tables = [bucket.fetch(own_table_key(upload, name), folder / f"{name}.parquet") for name in names]
    plan, metadata = plan_upload(context, _config(context), storage, policy, folder, *tables)
    bucket.put_file(table_key(PLAN, upload), plan.changes.path)
    for event in _events(storage.asset_key(PLAN), upload, plan, metadata):
        context.log_event(event)
    check_not_stopped(plan)
    return plan.changes


def _config(context: dg.AssetExecutionContext) -> ChangesConfig:
    """What a person has said for this upload when the run was started."""
    ops: Any = context.run.run_config.get("ops", {})
    return ChangesConfig(**ops.get(PLAN, {}).get("config", {}))


def _events(
    asset: dg.AssetKey, upload: str, plan: Plan, metadata: dict[str, Any]
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    tags = {"dagster/data_version": plan.digest}
    yield dg.AssetMaterialization(asset, metadata=metadata, partition=upload, tags=tags)
    for check in guard_results(plan.verdicts):
        yield dg.AssetCheckEvaluation(
            asset_key=asset,
            check_name=str(check.check_name),
            passed=check.passed,
            metadata=check.metadata,
            severity=check.severity,
            description=check.description,
            blocking=True,
            partition=upload,
        )
