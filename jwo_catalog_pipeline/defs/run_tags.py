"""What a run says of itself: the upload that it is for, whether it only looks, and whether it sends."""

import dagster as dg

PARTITION_TAG = "dagster/partition"  # Dagster's own: the upload
DRY_RUN_TAG = "jwo_catalog/dry_run"
SENDS = "ingestion_record"


def sends(run: dg.DagsterRun) -> bool:
    """Whether a run is to send, and not only to plan or to make tables."""
    return not run.asset_selection or any(key.path[-1] == SENDS for key in run.asset_selection)
