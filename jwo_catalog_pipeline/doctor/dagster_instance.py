"""The check of Dagster: its history stays, its daemon runs, and the sensors that take results run."""

from datetime import UTC, datetime

from jwo_catalog_pipeline.doctor.checks import Finding, Installation, ok, problem


def instance(installation: Installation) -> Finding:
    """Whether the instance of DAGSTER_HOME opens, and works."""
    from jwo_catalog_pipeline.defs.instance import InstanceUnusable, look_at_instance

    home = installation.environment.get("DAGSTER_HOME")
    if not home:
        return problem(
            "DAGSTER_HOME is not set: Dagster keeps its history in a folder that is deleted when the process ends",
            "set it to a folder that stays, the same for the UI, the daemon and this command",
        )
    try:
        state = look_at_instance(installation.now().timestamp(), installation.resources["storage"].merchant)
    except InstanceUnusable as error:
        return problem(f"the instance of {home} cannot be opened: {error.problem}", error.remedy)
    if state.silent_daemons:
        last = state.last_heartbeat
        since = f"last reported on {datetime.fromtimestamp(last, UTC):%Y-%m-%d %H:%M} UTC" if last else "never ran"
        parts = ", ".join(state.silent_daemons)
        which = f"some of the daemon's parts are silent ({parts})" if state.daemon_alive else f"the daemon {since}"
        return problem(
            f"{state.storage}; {which}, so no sensor and no schedule runs",
            "start dagster-daemon run, or dagster dev, with the same DAGSTER_HOME; if it runs, check its log",
        )
    if state.sensors_off:
        return problem(
            f"switched off: {', '.join(state.sensors_off)}",
            "switch them on in the UI, Automation: they collect the results",
        )
    if state.sensors_silent:
        return problem(
            f"the daemon runs, but these sensors do not: {', '.join(state.sensors_silent)}",
            "check in the UI, Deployment, whether the code location jwo_catalog_pipeline.definitions loads; reload it",
        )
    return ok(f"{state.storage}; daemon and sensors run")
