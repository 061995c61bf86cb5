"""Guards: what a plan looks like when something upstream has gone wrong. Counts and times in, verdicts out.

A guard that a person has allowed for one upload passes and says so. What earlier uploads were allowed to leave missing
is not complained of again.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields

from jwo_catalog_pipeline.errors import ConfigurationError
from jwo_catalog_pipeline.upload.exports import NO_HISTORY, ExportHistory, overtakes
from jwo_catalog_pipeline.upload.model import utc
from jwo_catalog_pipeline.upload.plan.figures import PlanFigures
from jwo_catalog_pipeline.wording import plural

ARCHIVE_SHARE, CHANGED_SHARE, PRICE_JUMPS, STORE_MISSING, SOURCE_TRUNCATED, OLDER_EXPORT, UNKNOWN_BARCODES = (
    "archive_share",
    "changed_share",
    "price_jumps",
    "store_missing",
    "source_truncated",
    "older_export",
    "unknown_barcodes",
)
GUARDS = {
    ARCHIVE_SHARE: "No larger share of the published SKUs is archived than allowed.",
    CHANGED_SHARE: "No larger share of the published items changes at once than allowed.",
    PRICE_JUMPS: "No larger share of prices than allowed changes by more than the allowed factor.",
    STORE_MISSING: "No store whose items Amazon holds has vanished from the source.",
    SOURCE_TRUNCATED: "No larger share of the published items is missing from the source than allowed.",
    OLDER_EXPORT: "The export is not older than the one that was applied last, by its content or by its file.",
    UNKNOWN_BARCODES: "No larger share than allowed of the barcodes that are sent has the form of no known type.",
}
# So few changed items are a day's ordinary work, whatever share of a small catalog they are.
FEW_ITEMS = 10


@dataclass(frozen=True)
class GuardLimits:
    """Thresholds; the shares are of what is published.

    Attributes:
        archive_share: SKUs to archive. 5 %: an assortment loses about 1 % in a busy week.
        changed_share: items updated, others than new ones.
        price_factor: a price that rises or falls by more than this factor has jumped.
        price_share: items whose price jumps.
        missing_share: items that are gone from the source since the last upload. 30 %: less than one of three part
            files, and more than any assortment loses between two exports.
        unknown_share: barcodes of no known form, of the items that are sent. 5 %: of the published prices of five
            supermarket chains 0.6 % are the chains' own codes.
    """

    archive_share: float = 0.05
    changed_share: float = 0.5
    price_factor: float = 3.0
    price_share: float = 0.02
    missing_share: float = 0.3
    unknown_share: float = 0.05


@dataclass(frozen=True)
class AcknowledgedGaps:
    """What the plan before had already left missing: stores, and how many items were absent or archived."""

    missing_stores: frozenset[str] = frozenset()
    absent: int = 0


@dataclass(frozen=True)
class Verdict:
    """What a guard says; `allowed` where it found something that a person has allowed for this upload."""

    guard: str
    passed: bool
    message: str
    allowed: bool
    figures: Mapping[str, float]


def parse_limits(text: str) -> GuardLimits:
    """Limits from `archive_share=0.1,price_factor=4`; what is not named keeps its default.

    Raises:
        ConfigurationError: an unknown name, or a value that is not a number of 0 or more.
    """
    known = {field.name for field in fields(GuardLimits)}
    values = {}
    for pair in filter(None, (entry.strip() for entry in text.split(","))):
        name, _, value = (part.strip() for part in pair.partition("="))
        if name not in known:
            raise _unreadable(f"{name!r} is not a limit", f"use one of {', '.join(sorted(known))}")
        try:
            values[name] = float(value)
        except ValueError:
            values[name] = -1
        if not 0 <= values[name] < float("inf"):
            raise _unreadable(f"{name} is {value!r}", "it must be a number, 0 or more")
    return GuardLimits(**values)


def _unreadable(problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(f"JWO_GUARDS: {problem}", remedy, variable="JWO_GUARDS")


def check_plan(
    figures: PlanFigures,
    limits: GuardLimits,
    seen: AcknowledgedGaps,
    allow: Collection[str] = (),
    exports: ExportHistory = NO_HISTORY,
) -> list[Verdict]:
    """Ask every guard about a plan.

    Args:
        figures: what is counted of the plan, price jumps by the limits' factor.
        limits: the thresholds.
        seen: what the applied plan before this one had left missing.
        allow: names of guards that a person has overridden for this upload.
        exports: the plan's export and those before.

    Returns:
        One verdict for each of `GUARDS`, in their order.
    """
    findings = [
        _archive_share(figures, limits),
        _changed_share(figures, limits),
        _price_jumps(figures, limits),
        _store_missing(figures, seen),
        _truncated(figures, limits, seen),
        _older_export(exports),
        _unknown_barcodes(figures, limits),
    ]
    return [
        Verdict(guard, True, message, False, numbers) if passed else _failed(guard, message, guard in allow, numbers)
        for guard, passed, message, numbers in findings
    ]


_Finding = tuple[str, bool, str, dict[str, float]]


def _archive_share(figures: PlanFigures, limits: GuardLimits) -> _Finding:
    archived, skus = figures.archived_skus, figures.skus
    what = f"{archived:,} of {plural(skus, 'published SKU')} would be archived"
    return _share(ARCHIVE_SHARE, what, archived, skus, limits.archive_share, few=0)


def _changed_share(figures: PlanFigures, limits: GuardLimits) -> _Finding:
    what = f"{figures.changed:,} of {plural(figures.present, 'published item')} would change"
    return _share(CHANGED_SHARE, what, figures.changed, figures.present, limits.changed_share)


def _price_jumps(figures: PlanFigures, limits: GuardLimits) -> _Finding:
    jumps, of = figures.price_jumps, figures.present
    what = f"the price of {jumps:,} of {plural(of, 'published item')} would change by more than a factor of "
    return _share(PRICE_JUMPS, f"{what}{limits.price_factor:g}", jumps, of, limits.price_share)


def _store_missing(figures: PlanFigures, seen: AcknowledgedGaps) -> _Finding:
    new = sorted(set(figures.missing_stores) - seen.missing_stores)
    items = sum(figures.published_by_store[store] for store in new)
    shown = ", ".join(new[:5]) + (f" and {len(new) - 5} more" if len(new) > 5 else "")
    message = (
        f"no row of the source is for {shown}, of which Amazon holds {plural(items, 'item')}"
        if new
        else "none is missing"
    )
    return STORE_MISSING, not new, message, {"stores": len(new), "items": items}


def _truncated(figures: PlanFigures, limits: GuardLimits, seen: AcknowledgedGaps) -> _Finding:
    missing = figures.published - figures.present
    newly, of = max(0, missing - seen.absent), max(0, figures.published - seen.absent)
    what = f"newly missing from the source: {newly:,} of {plural(of, 'published item')}"
    return _share(SOURCE_TRUNCATED, what, newly, of, limits.missing_share, few=0)


def _older_export(exports: ExportHistory) -> _Finding:
    older = _why_older(exports)
    return OLDER_EXPORT, not older, older or "it is not known to be older than the export that was applied last", {}


def _unknown_barcodes(figures: PlanFigures, limits: GuardLimits) -> _Finding:
    unknown, sent = figures.unknown_barcodes, figures.sent
    what = f"{unknown:,} of {plural(sent, 'barcode')} to send have the form of no known type, so they may never scan"
    return _share(UNKNOWN_BARCODES, what, unknown, sent, limits.unknown_share)


def _why_older(exports: ExportHistory) -> str:
    """Why the export must be an older one; "" where nothing says so.

    A copy or a restored version has a new time, so its content counts first. Compared is what was applied last, and
    not the newest of all: after a rollback that a person allowed, the same export is not stopped again.
    """
    export, newest, before = exports.export, exports.newest, exports.before
    if not export.sha256 or newest is None or newest.export.sha256 == export.sha256 or overtakes(newest, export):
        return ""
    last = f"upload {newest.upload} of {utc(newest.applied_at)}"
    this = f"{export.file} (written {utc(export.modified) or 'at an unknown time'})"
    if before:
        which = f" as {before.export.file}" if before.export.file != export.file else ""
        applied = f"by upload {before.upload} on {utc(before.applied_at)}{which}"
        overtaken = f"has been overtaken by {newest.export.file or 'another export'}, which {last} applied"
        return f"the content of {this} was applied before, {applied}, and {overtaken}"
    if 0 < export.modified < newest.export.modified:
        other = f"{newest.export.file} (written {utc(newest.export.modified)})"
        return f"the file {this} is older than {other}, which {last} applied"
    return ""


def _share(guard: str, what: str, part: int, whole: int, limit: float, few: int = FEW_ITEMS) -> _Finding:
    share = part / whole if whole else 0.0
    message = f"{what} ({share:.1%}), {limit:.1%} are allowed"
    figures = {"items": part, "of": whole, "share": share, "allowed_share": limit}
    return guard, share <= limit or part <= few, message, figures


def _failed(guard: str, message: str, allowed: bool, figures: dict[str, float]) -> Verdict:
    if allowed:
        return Verdict(guard, True, f"{message}; allowed for this upload", True, figures)
    remedy = (
        "nothing is sent. Fix the export or the mapping; or, if this is right, allow it for one upload: "
        f"jwo-catalog upload --allow {guard}, or the run config ops: catalog_changes: config: allow: [{guard}]"
    )
    return Verdict(guard, False, f"{message}: {remedy}", False, figures)
