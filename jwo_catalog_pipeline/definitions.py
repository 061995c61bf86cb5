"""The one list of everything that is registered: the code location `jwo_catalog_pipeline.definitions`.

https://docs.dagster.io/guides/build/projects
"""

import os
from typing import Any

import dagster as dg

from jwo_catalog_pipeline.defs.catalog_assets import mapped_catalog, source_catalog
from jwo_catalog_pipeline.defs.io_manager import ParquetIOManager
from jwo_catalog_pipeline.defs.merchants import asset_key, for_merchant, merchant_tags, upload_pool
from jwo_catalog_pipeline.defs.metadata import mapping_code_version
from jwo_catalog_pipeline.defs.pruning import build_prune_job
from jwo_catalog_pipeline.defs.resources import StorageResource, build_resources
from jwo_catalog_pipeline.defs.schedules import build_catalog_schedule, build_prune_schedule
from jwo_catalog_pipeline.defs.sensor_health import sensor_checks
from jwo_catalog_pipeline.defs.sensors import (
    alerts_sensor,
    ingestion_results_sensor,
    overdue_ingestions_sensor,
    source_catalog_sensor,
    waiting_items_sensor,
)
from jwo_catalog_pipeline.defs.unfinished import unfinished_uploads_sensor
from jwo_catalog_pipeline.defs.upload_assets import (
    catalog_changes,
    fix_list,
    ingestion_record,
    ingestion_record_in,
    ingestion_results,
)
from jwo_catalog_pipeline.defs.work import run_folder
from jwo_catalog_pipeline.redaction import install
from jwo_catalog_pipeline.settings import read_settings

ASSETS = [source_catalog, mapped_catalog, catalog_changes, ingestion_record, ingestion_results, fix_list]


def build_jobs(merchant: str, checks: list[dg.AssetChecksDefinition]) -> list[Any]:
    """The jobs; `checks` are what the sensors report, of which a run of a job has nothing to say."""
    none_of, tags = dg.AssetSelection.checks(*checks), merchant_tags(merchant)

    def assets(*names: str) -> dg.AssetSelection:
        return dg.AssetSelection.assets(*(asset_key(merchant, name) for name in names))

    catalog_upload_job = dg.define_asset_job(
        "catalog_upload_job",
        selection=(assets("ingestion_record").upstream() | assets("quarantined_items", "fix_list")) - none_of,
        description="Read, map, check, plan and send: one upload.",
        tags=tags,
    )
    ingestion_results_job = dg.define_asset_job(
        "ingestion_results_job",
        selection=assets("ingestion_results", "fix_list") - none_of,
        description="Fetch the reports of one upload, store every item's outcome, and list the rows to fix.",
        tags=tags,
    )
    return [catalog_upload_job, ingestion_results_job, build_prune_job(merchant)]


@dg.io_manager(required_resource_keys={"storage", "work"})
def parquet_io_manager(context: dg.InitResourceContext) -> ParquetIOManager:
    """Parquet in JWO_BUCKET."""
    storage: StorageResource = context.resources.storage
    return ParquetIOManager(storage.open_bucket(), context.resources.work)


def build_defs(**overrides: Any) -> dg.Definitions:
    """Everything, with resources from the environment; `overrides` replaces resources by name (tests)."""
    settings = read_settings(os.environ)
    resources = {**build_resources(settings), "work": run_folder, "io_manager": parquet_io_manager}
    resources |= overrides
    merchant = resources["storage"].merchant
    version = mapping_code_version(resources["source"].mapping_path)
    changed = {
        mapped_catalog: mapped_catalog.map_asset_specs(lambda spec: spec.replace_attributes(code_version=version)),
        ingestion_record: ingestion_record_in(upload_pool(merchant)),
    }
    checks = sensor_checks(merchant)
    return dg.Definitions(
        assets=for_merchant([changed.get(asset, asset) for asset in ASSETS], merchant),
        asset_checks=checks,
        jobs=build_jobs(merchant, checks),
        schedules=[
            build_catalog_schedule(settings.catalog_cron, settings.timezone, merchant),
            build_prune_schedule(settings.timezone),
        ],
        sensors=[
            source_catalog_sensor,
            ingestion_results_sensor,
            overdue_ingestions_sensor,
            unfinished_uploads_sensor,
            waiting_items_sensor,
            alerts_sensor,
        ],
        resources=resources,
        # The multiprocess executor imports everything again for every step: seconds for nothing here.
        executor=dg.in_process_executor,
    )


# Before anything is logged in a code location.
install()
defs = build_defs()
