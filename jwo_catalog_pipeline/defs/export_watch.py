"""Whether the export is still written and can be read: a check of `source_catalog`, and alerts while no run says so."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.defs.resources import SourceResource
from jwo_catalog_pipeline.source_file import SourceFile
from jwo_catalog_pipeline.upload.alerts import Alert
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import utc

EXPORT_IS_CURRENT = "export_is_current"
OUTAGE_SECONDS = 30 * 60  # a shorter one passes without anyone's help
_WHAT = "export"  # the ledger's name for the outage
_PAGE = 'docs/runbook.md, "An export that is too old or missing".'


def export_check() -> dg.AssetCheckSpec:
    """The check of `source_catalog`. It blocks nothing: sending an old export that Amazon has anyway harms nothing."""
    description = "The export can be read, and was written within JWO_SOURCE_MAX_AGE_HOURS. A failure stops no upload."
    return dg.AssetCheckSpec(EXPORT_IS_CURRENT, asset="source_catalog", description=description)


def age_result(file: SourceFile, max_age_hours: float, now: datetime) -> dg.AssetCheckResult:
    """Whether a version of the export is young enough, by the time at which it was written."""
    too_old = is_too_old(file, max_age_hours, now)
    return dg.AssetCheckResult(
        passed=not too_old,
        check_name=EXPORT_IS_CURRENT,
        severity=dg.AssetCheckSeverity.ERROR,
        description=_age(file, max_age_hours) if too_old else None,
        metadata={"age_hours": round(file.age_hours(now), 1), "allowed_hours": max_age_hours},
    )


def is_too_old(file: SourceFile, max_age_hours: float, now: datetime) -> bool:
    """Whether an export is older than allowed; 0 allows any age."""
    return bool(max_age_hours) and file.age_hours(now) > max_age_hours


def _age(file: SourceFile, max_age_hours: float) -> str:
    oldest = file.oldest
    return (
        f"{oldest.uri} was written on {oldest.modified:%Y-%m-%dT%H:%M:%SZ} and not since, which is more than "
        f"{max_age_hours:g} hours ago (JWO_SOURCE_MAX_AGE_HOURS)"
    )


@dataclass(frozen=True)
class ExportLook:
    """What a look at the export found: an alert, and what the check says where that is new."""

    alert: Alert | None = None
    result: dg.AssetCheckResult | None = None
    is_over: bool = False  # the export can be read again after an outage that was published

    @property
    def alerts(self) -> list[Alert]:
        return [self.alert] if self.alert else []

    def events(self, published: Collection[str], asset: dg.AssetKey) -> list[dg.AssetCheckEvaluation]:
        """The check's result for Dagster, once: when its alert was published, or when an outage is over."""
        is_new = self.is_over or (self.alert and self.alert.key in published)
        if not self.result or not is_new:
            return []
        return [
            dg.AssetCheckEvaluation(
                asset_key=asset,
                check_name=EXPORT_IS_CURRENT,
                passed=self.result.passed,
                metadata=self.result.metadata,
                severity=self.result.severity,
                description=self.result.description,
                blocking=False,
            )
        ]


def look_at_export(source: SourceResource, ledger: Ledger) -> ExportLook:
    """Look whether the export can be read and is young enough: one request or listing, and one byte of the file."""
    if not source.uri:
        return ExportLook()  # doctor and every run say so
    now = ledger.now()
    try:
        file = source.find()
        source.check_readable(file)
    except SourceFileError as error:
        since = ledger.begin_outage(_WHAT)
        return _missing(error, since) if now - since >= OUTAGE_SECONDS else ExportLook()
    since = ledger.end_outage(_WHAT)
    result = age_result(file, source.max_age_hours, datetime.fromtimestamp(now, UTC))
    alert = None if result.passed else _old(file, source.max_age_hours)
    return ExportLook(alert, result, is_over=bool(since) and now - since >= OUTAGE_SECONDS)


def _old(file: SourceFile, max_age_hours: float) -> Alert:
    return Alert(
        f"old export/{hashlib.sha256(file.version.encode()).hexdigest()[:16]}",  # once for each version
        "JWO catalog: the export is not written any more",
        f"{_age(file, max_age_hours)}. Uploads go on and are green, but what they send is as old as this file.",
        f"look at what writes the export. {_PAGE}",
    )


def _missing(error: SourceFileError, since: int) -> ExportLook:
    what = f"since {utc(since)} the export cannot be found or read: {error.problem}"
    alert = Alert(
        f"no export/{utc(since)}",  # once for each outage
        "JWO catalog: the export cannot be read",
        f"{what[0].upper()}{what[1:]}. No upload can start, and Amazon goes on selling what it has.",
        f"{error.remedy}. {_PAGE}" if error.remedy else _PAGE,
    )
    result = dg.AssetCheckResult(passed=False, check_name=EXPORT_IS_CURRENT, description=f"{what}; {error.remedy}")
    return ExportLook(alert, result)
