"""The check of Dagster: its history stays, its daemon runs, and the sensors that take results run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jwo_catalog_pipeline.doctor.checks import Finding, Installation, ok, problem

if TYPE_CHECKING:
    from dagster import DagsterInstance

HEARTBEAT_SECONDS = 120  # each part of the daemon says every 30 s that it is there
TICK_SECONDS = 600  # each of the sensors ticks at least every minute
SENSORS = ("ingestion_results_sensor", "overdue_ingestions_sensor", "alerts_sensor")


def instance(installation: Installation) -> Finding:
    """Whether the instance of DAGSTER_HOME opens, and works."""
    from dagster import DagsterError, DagsterInstance
    from dagster_shared.check import CheckError
    from sqlalchemy.exc import SQLAlchemyError
    from yaml import YAMLError

    home = installation.environment.get("DAGSTER_HOME")
    if not home:
        return problem(
            "DAGSTER_HOME is not set: Dagster keeps its history in a folder that is deleted when the process ends",
            "set it to a folder that stays, the same for the UI, the daemon and this command",
        )
    try:
        opened = DagsterInstance.get()
    # The second where dagster.yaml names a library that is not installed, the third where a database's driver is not
    # (SQLAlchemy's own choice is psycopg, dagster-postgres brings psycopg2), the fourth where it is no YAML.
    except (DagsterError, CheckError, ImportError, YAMLError, SQLAlchemyError, OSError) as error:
        return _unopened(home, error)
    try:
        with opened:
            now = installation.now().timestamp()
            return _daemons(opened, now) or _sensors(opened, now) or ok(f"{_storage(opened)}; daemon and sensors run")
    except (DagsterError, SQLAlchemyError, OSError) as error:
        return _unopened(home, error)


def _unopened(home: str, error: Exception) -> Finding:
    """Only the first line of the error: others may quote dagster.yaml, and so a database's password."""
    mark = getattr(error, "problem_mark", None)
    where = f" (line {mark.line + 1} of dagster.yaml)" if mark else ""
    return problem(
        f"the instance of {home} cannot be opened: {str(error).strip().partition(chr(10))[0]}{where}",
        "DAGSTER_HOME must be the absolute path of a folder; then check its dagster.yaml, what that needs to be "
        "installed, and its database",
    )


def _storage(opened: DagsterInstance) -> str:
    """Where runs are kept, and which pools are limited; the project's own assets are in none."""
    limits = {pool.name: pool.limit for pool in opened.event_log_storage.get_pool_limits()}
    default = opened.get_concurrency_config().pool_config.default_pool_limit
    if default is not None:
        limits["any other pool"] = default
    pools = "".join(f"; {name}: {limit} at once" for name, limit in limits.items())
    return f"Dagster keeps its runs in {type(opened.run_storage).__name__}{pools}"


def _daemons(opened: DagsterInstance, now: float) -> Finding | None:
    beats = opened.get_daemon_heartbeats()
    alive = {name for name, beat in beats.items() if now - beat.timestamp <= HEARTBEAT_SECONDS}
    silent = sorted(set(opened.get_required_daemon_types()) - alive)
    if not silent:
        return None
    last = max((beat.timestamp for beat in beats.values()), default=None)
    since = f"was last heard from on {datetime.fromtimestamp(last, UTC):%Y-%m-%d %H:%M} UTC" if last else "never ran"
    which = f"some of the daemon's parts are silent ({', '.join(silent)})" if alive else f"the daemon {since}"
    return problem(
        f"{_storage(opened)}; {which}, so no sensor and no schedule runs",
        "start dagster-daemon run, or dagster dev, with the same DAGSTER_HOME; if it runs, check its log",
    )


def _sensors(opened: DagsterInstance, now: float) -> Finding | None:
    from dagster._core.definitions.run_request import InstigatorType

    states = opened.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    by_name = {state.instigator_name: state for state in states}
    off = [name for name in SENSORS if name in by_name and not by_name[name].is_running]
    if off:
        return problem(
            f"switched off: {', '.join(off)}", "switch them on in the UI, Automation: they collect the results"
        )
    silent = [name for name in SENSORS if not _ticks(by_name, name, now)]
    if silent:
        return problem(
            f"the daemon runs, but these sensors do not: {', '.join(silent)}",
            "check in the UI, Deployment, whether the code location jwo_catalog_pipeline.definitions loads; reload it",
        )
    return None


def _ticks(by_name: Mapping[str, Any], name: str, now: float) -> bool:
    """Whether a sensor ticked lately; the daemon makes its state when it first sees it."""
    data = by_name[name].instigator_data if name in by_name else None
    seen = [getattr(data, stamp, None) or 0 for stamp in ("last_tick_timestamp", "last_sensor_start_timestamp")]
    return now - max(seen) <= TICK_SECONDS
