"""The list of all checks, and those of settings, versions, Amazon's API and the mapping."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from zoneinfo import available_timezones

import urllib3
from packaging.requirements import Requirement

from jwo_catalog_pipeline.catalog_api.client import CatalogApi, http_pool
from jwo_catalog_pipeline.catalog_api.errors import (
    AccessDenied,
    Denied,
    OutcomeUnknown,
    RequestRefused,
    SessionExpired,
    SignatureStale,
    Throttled,
)
from jwo_catalog_pipeline.catalog_api.signing import SIGNATURE_SECONDS
from jwo_catalog_pipeline.defs.resources import settings_complaints
from jwo_catalog_pipeline.doctor import aws, network
from jwo_catalog_pipeline.doctor.checks import Check, Finding, Installation, ok, problem, warning
from jwo_catalog_pipeline.doctor.dagster_instance import instance
from jwo_catalog_pipeline.doctor.uploads import uploads
from jwo_catalog_pipeline.settings import Settings, readable_settings, unset_advised

PACKAGE = "jwo_catalog_pipeline"
PYTHON = ".".join(map(str, sys.version_info[:3]))
SHOWN = ("dagster", "dagster-webserver", "duckdb", "pandas", "pandera", "pyarrow", "boto3")
NO_INGESTION = "00000000-0000-0000-0000-000000000000"
LONGEST_PROCESSING_MINUTES = 60  # of an ingestion, documented
API_TIMEOUT = urllib3.Timeout(connect=5, read=15)  # shorter than the pipeline's: a person waits


def settings(installation: Installation) -> Finding:
    """Whether all settings are present and valid."""
    from jwo_catalog_pipeline.defs.instance import is_valid_cron_schedule

    complaints = settings_complaints(installation.environment)
    readable, _ = readable_settings(installation.environment)
    cron, zone = readable.catalog_cron, readable.timezone
    if not is_valid_cron_schedule(cron):
        complaints.append(f"JWO_CATALOG_CRON is {cron!r}; it must be a cron expression")
    if zone not in available_timezones():
        complaints.append(f"JWO_TIMEZONE is {zone!r}; it must be a name such as Europe/Berlin")
    if complaints:
        return problem("; ".join(complaints), "correct them in .env or the environment (README, Configuration)")
    if risky := _risky(readable):
        return warning("; ".join(risky), "set the default again")
    if advised := unset_advised(installation.environment):
        return warning(
            "; ".join(f"without {name} {what}" for name, what in advised.items()),
            f"set {' and '.join(advised)} in .env or the environment",
        )
    return ok("all settings are present and valid")


def _risky(chosen: Settings) -> list[str]:
    """Waiting times that are shorter than what they protect from."""
    risks = []
    if chosen.lease_seconds < SIGNATURE_SECONDS:
        risks.append(
            f"JWO_LEASE_SECONDS is {chosen.lease_seconds}: AWS takes a signature for {SIGNATURE_SECONDS:.0f} s, so a "
            "worker that was paused beyond its lease could still send"
        )
    if chosen.doubt_minutes < LONGEST_PROCESSING_MINUTES:
        risks.append(
            f"JWO_DOUBT_MINUTES is {chosen.doubt_minutes:g}: Amazon takes up to an hour, so older content could come "
            "after newer"
        )
    return risks


def versions(_: Installation) -> Finding:
    """Whether Python and the installed libraries are those that this version was made for."""
    try:
        wrong, own = list(_wrong_versions()), version(PACKAGE)
    except PackageNotFoundError:
        return problem(f"{PACKAGE} is not installed, only its source is there", "pip install -e .")
    if wrong:
        return problem(
            "; ".join(wrong), "install requirements.lock again, with a Python version that the project supports"
        )
    shown = ", ".join(f"{name} {version(name)}" for name in SHOWN)
    return ok(f"{PACKAGE} {own}, Python {PYTHON}, {shown}")


def _wrong_versions() -> Iterator[str]:
    lines = [f"Python {metadata(PACKAGE)['Requires-Python'] or ''}", *(requires(PACKAGE) or [])]
    for needed in map(Requirement, lines):
        if needed.marker and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = PYTHON if needed.name == "Python" else version(needed.name)
        except PackageNotFoundError:
            yield f"{needed.name} is not installed"
            continue
        if not needed.specifier.contains(installed, prereleases=True):
            yield f"{needed.name} is {installed}, and must be {needed.specifier}"


def catalog_api(installation: Installation) -> Finding:
    """Whether Amazon takes our signature, by asking for an ingestion that does not exist."""
    resource, storage = installation.resources["catalog_api"], installation.resources["storage"]
    client: CatalogApi = resource.client(storage.open_ledger())
    try:
        replace(client, http=http_pool(API_TIMEOUT)).status(NO_INGESTION)
    except RequestRefused as error:
        if error.explained:
            return ok("Amazon accepts the signature, and reports that the test ingestion does not exist")
        return problem(
            f"{error.event}, which is not how the Catalog API rejects a call", "check JWO_API_URL and the proxy"
        )
    except AccessDenied as error:
        return _denied(error, client.region, resource.role_arn)
    except Throttled as error:
        return warning(
            error.event, "run this again in a minute; if the problem stays, other clients use up the 10 calls a second"
        )
    except OutcomeUnknown as error:
        return problem(
            f"the Catalog API does not respond as expected: {error.event}",
            "run this again in a few minutes; if the problem stays, check JWO_API_URL and the network, and ask Amazon",
        )
    return warning("Amazon knows an ingestion that does not exist", "check whether JWO_API_URL is the Catalog API")


def _denied(error: AccessDenied, region: str, role: str) -> Finding:
    who, event = role or "the pipeline's own identity", error.event
    if isinstance(error, SignatureStale):
        return problem(f"the signature is rejected because of its time: {event}", "set this machine's clock by NTP")
    if isinstance(error, SessionExpired):
        return problem(
            f"the signature is rejected because the session has expired: {event}", "log in again, or renew the keys"
        )
    if error.about is Denied.SIGNATURE:
        return problem(
            f"the signature is rejected: {event}",
            f"JWO_API_REGION is {region}: it must be the signing region that Amazon handed out, which need not be "
            f"that of the host or the stack; then check the clock and the credentials of {who}",
        )
    if error.about is Denied.ADDRESS:
        return problem(f"the host has no Catalog API: {event}", "check JWO_API_URL: scheme and host, without /v1")
    return problem(
        f"the signature is accepted, but the call is not permitted: {event}",
        f"allow execute-api:Invoke on the API to {who}; if it is allowed, ask your Amazon contact whether that "
        "role and its account are registered for the Catalog API in this region",
    )


def mapping(installation: Installation) -> Finding:
    """Whether the mapping fits the newest export, and how many rows it leaves valid."""
    from jwo_catalog_pipeline.catalog.errors import MappingError
    from jwo_catalog_pipeline.catalog.mapping.transform import apply_mapping
    from jwo_catalog_pipeline.catalog.rules.validation import validate
    from jwo_catalog_pipeline.catalog.source.reading import read_export
    from jwo_catalog_pipeline.defs.checks import CatalogConfig
    from jwo_catalog_pipeline.defs.export_watch import is_too_old
    from jwo_catalog_pipeline.work_folder import work_folder

    source, policy = installation.resources["source"], installation.resources["policy"]
    with work_folder() as folder:
        try:
            field_mapping, file = source.mapping(), source.find()
            files, _ = source.fetch(file, folder)
            rows = read_export(files, field_mapping.source, folder / "source.parquet")
            mapped = apply_mapping(field_mapping, rows, folder)
            checked = validate(mapped.items, folder, policy.store_ids or None, field_mapping.levels)
        except MappingError as error:
            remedy = error.remedy or f"fix {source.mapping_path}"
            return problem(error.problem, f"{remedy}; jwo-catalog mapping review EXPORT shows what the mapping does")
        invalid, of, left_out = checked.quarantined.rows, checked.valid.rows, mapped.excluded.rows
    of += invalid
    share, allowed = invalid / max(of, 1), CatalogConfig.model_fields["max_invalid_share"].default
    message = f"{file.uri} of {file.modified:%Y-%m-%d %H:%M} UTC: {of:,} rows, {invalid:,} quarantined ({share:.1%})"
    review = f"jwo-catalog mapping review EXPORT --mapping {source.mapping_path} shows why"
    if left_out:
        message += f", {left_out:,} excluded"
    if not of and left_out:
        return problem(message, "check `where` and `stores` of the mapping: they exclude every row")
    if not of:
        return problem(message, "check what writes the export: an empty export sends nothing")
    if share > allowed:
        return problem(message, f"{review}; more than {allowed:.0%} stop an upload")
    if is_too_old(file, source.max_age_hours, installation.now()):
        return warning(message, f"look at what writes the export: it is older than {source.max_age_hours:g} hours")
    return warning(message, review) if invalid else ok(message)


CHECKS = (
    Check("settings", settings, "check .env and the environment"),
    Check("versions", versions, "install requirements.lock again"),
    *network.CHECKS,
    *aws.CHECKS,
    Check("Catalog API", catalog_api, "check JWO_API_URL and the network", ("role", "ledger")),
    Check("mapping", mapping, "check JWO_MAPPING and JWO_SOURCE_URI"),
    Check("uploads", uploads, "jwo-catalog status", ("ledger",)),
    Check("Dagster", instance, "check DAGSTER_HOME"),
)
