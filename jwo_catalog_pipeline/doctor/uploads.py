"""The check of uploads: whether any does not go on, and whether all sending is held."""

from jwo_catalog_pipeline.doctor.checks import Finding, Installation, ok, problem, warning
from jwo_catalog_pipeline.upload.model import utc
from jwo_catalog_pipeline.wording import plural


def uploads(installation: Installation) -> Finding:
    """What stopped uploads, the newest first."""
    ledger = installation.resources["storage"].open_ledger()
    if pause := ledger.paused():
        return warning(
            f"all sending has been held since {utc(pause.since)} by {pause.by}: {pause.reason}",
            "jwo-catalog resume ends this",
        )
    stops = ledger.stops()[::-1]
    if not stops:
        return ok("no upload is stopped")
    newest = stops[0]
    said = f"{plural(len(stops), 'upload')} stopped; {newest.upload} ({newest.kind}): {newest.problem}"
    if newest.kind.heals:
        return warning(said, "it goes on by itself once the cause is gone; jwo-catalog status lists all")
    return problem(said, newest.remedy or "jwo-catalog status lists all; docs/runbook.md")
