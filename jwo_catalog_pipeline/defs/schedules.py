"""The schedules: start a new upload at fixed times, and remove what is old every week.

https://docs.dagster.io/guides/automate/schedules
"""

import dagster as dg

from jwo_catalog_pipeline.defs.merchants import uploads_of
from jwo_catalog_pipeline.defs.pruning import PRUNE_JOB
from jwo_catalog_pipeline.failpoints import effect
from jwo_catalog_pipeline.upload.model import upload_key


def build_catalog_schedule(cron: str, timezone: str, merchant: str = "") -> dg.ScheduleDefinition:
    """`catalog_schedule`; because it sends data to Amazon, it is off at first."""

    @dg.schedule(
        name="catalog_schedule",
        job_name="catalog_upload_job",
        cron_schedule=cron,
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.STOPPED,
    )
    def catalog_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Start a new upload, which brings Amazon's catalog up to date."""
        # The key comes from the scheduled time, so a tick that is evaluated twice requests only one upload.
        key = upload_key(context.scheduled_execution_time)
        with effect("dagster: partition"):
            context.instance.add_dynamic_partitions(str(uploads_of(merchant).name), [key])
        return dg.RunRequest(run_key=key, partition_key=key)

    return catalog_schedule


def build_prune_schedule(timezone: str) -> dg.ScheduleDefinition:
    """`state_prune_schedule`; on at first, as it sends nothing, and without it storage grows for ever."""
    return dg.ScheduleDefinition(
        name="state_prune_schedule",
        job_name=PRUNE_JOB,
        cron_schedule="17 5 * * 0",  # a quiet time: Sunday, 5:17
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Remove every week what is older than JWO_KEEP_DAYS and no longer needed.",
    )
