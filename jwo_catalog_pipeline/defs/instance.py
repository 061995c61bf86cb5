"""Dagster's instance as an installation has it: what keeps its records, and which daemons and sensors are alive."""

from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState
from dagster._utils.schedules import is_valid_cron_schedule
from dagster_shared.check import CheckError
from sqlalchemy.exc import SQLAlchemyError
from yaml import YAMLError

from jwo_catalog_pipeline.defs.merchants import runs_of_merchant
from jwo_catalog_pipeline.defs.upload_assets import RESULTS_JOB, UPLOAD_JOB
from jwo_catalog_pipeline.defs.upload_runs import RECENT_RUNS
from jwo_catalog_pipeline.errors import PipelineError

HEARTBEAT_SECONDS = 120  # each part of the daemon reports every 30 s
TICK_SECONDS = 600  # each of the sensors ticks at least every minute
SENSORS = ("ingestion_results_sensor", "overdue_ingestions_sensor", "unfinished_uploads_sensor", "alerts_sensor")


__all__ = ["InstanceState", "InstanceUnusable", "is_valid_cron_schedule", "look_at_instance"]


class InstanceUnusable(PipelineError):
    """Dagster's instance cannot be opened or read."""


@dataclass(frozen=True)
class InstanceState:
    """What an instance shows.

    Attributes:
        storage: what keeps the runs, and which pools are limited.
        silent_daemons: parts of the daemon that are needed and have not reported lately.
        daemon_alive: whether any part has.
        last_heartbeat: epoch seconds of the newest report; None for never.
        sensors_off: of `SENSORS`, those that a person has switched off.
        sensors_silent: of `SENSORS`, those that have not ticked lately.
    """

    storage: str
    silent_daemons: list[str] = field(default_factory=list)
    daemon_alive: bool = False
    last_heartbeat: float | None = None
    sensors_off: list[str] = field(default_factory=list)
    sensors_silent: list[str] = field(default_factory=list)


def look_at_instance(now: float, merchant: str = "") -> InstanceState:
    """The instance of DAGSTER_HOME.

    Args:
        now: epoch seconds.
        merchant: whose sensors to look at, where several share the instance.

    Raises:
        InstanceUnusable: it cannot be opened or read; never quotes dagster.yaml, which may hold a password.
    """
    # CheckError where dagster.yaml names a library that is not installed, ImportError where a database's driver is not
    # (SQLAlchemy's own choice is psycopg, dagster-postgres brings psycopg2), YAMLError where it is no YAML.
    try:
        with dg.DagsterInstance.get() as instance:
            return _state(instance, now, merchant)
    except (dg.DagsterError, CheckError, ImportError, YAMLError, SQLAlchemyError, OSError) as error:
        raise _unusable(error) from error


def _unusable(error: Exception) -> InstanceUnusable:
    """Only the first line of the error: others may quote dagster.yaml."""
    mark = getattr(error, "problem_mark", None)
    where = f" (line {mark.line + 1} of dagster.yaml)" if mark else ""
    return InstanceUnusable(
        f"{str(error).strip().partition(chr(10))[0]}{where}",
        "DAGSTER_HOME must be the absolute path of a folder; then check its dagster.yaml, the libraries that it needs, "
        "and its database",
    )


def _state(instance: dg.DagsterInstance, now: float, merchant: str) -> InstanceState:
    beats = instance.get_daemon_heartbeats()
    alive = {name for name, beat in beats.items() if now - beat.timestamp <= HEARTBEAT_SECONDS}
    states = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    location = _location(instance, merchant)
    by_name = {state.instigator_name: state for state in states if location in ("", _location_of(state))}
    return InstanceState(
        storage=_storage(instance),
        silent_daemons=sorted(set(instance.get_required_daemon_types()) - alive),
        daemon_alive=bool(alive),
        last_heartbeat=max((beat.timestamp for beat in beats.values()), default=None),
        sensors_off=[name for name in SENSORS if name in by_name and not by_name[name].is_running],
        sensors_silent=[name for name in SENSORS if now - _last_tick(by_name.get(name)) > TICK_SECONDS],
    )


def _location(instance: dg.DagsterInstance, merchant: str) -> str:
    """The merchant's code location, as its newest run names it; "" before the first one."""
    for job in (RESULTS_JOB, UPLOAD_JOB):
        for record in runs_of_merchant(instance, merchant, dg.RunsFilter(job_name=job), RECENT_RUNS):
            if origin := record.dagster_run.remote_job_origin:
                return str(origin.location_name)
    return ""


def _location_of(state: InstigatorState) -> str:
    return state.origin.repository_origin.code_location_origin.location_name


def _storage(instance: dg.DagsterInstance) -> str:
    """Where runs are kept, and which pools are limited; the project's own assets are in one."""
    limits = {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}
    default = instance.get_concurrency_config().pool_config.default_pool_limit
    if default is not None:
        limits["any other pool"] = default
    pools = "".join(f"; {name}: {limit} at once" for name, limit in limits.items())
    return f"Dagster keeps its runs in {type(instance.run_storage).__name__}{pools}"


def _last_tick(state: Any) -> float:
    """When a sensor last ticked or was started, epoch seconds; the daemon makes its state when it first sees it."""
    data = state.instigator_data if state else None
    stamps = ("last_tick_timestamp", "last_sensor_start_timestamp")
    return max(getattr(data, stamp, None) or 0.0 for stamp in stamps)
