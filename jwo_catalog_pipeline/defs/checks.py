"""Asset checks: one for each rule and each guard, with counts and samples.

https://docs.dagster.io/guides/test/asset-checks
"""

from collections.abc import Iterator, Sequence

import dagster as dg
from pydantic import Field, field_validator

from jwo_catalog_pipeline.catalog.markdown import as_markdown
from jwo_catalog_pipeline.catalog.rules.rulebook import rules
from jwo_catalog_pipeline.catalog.rules.rules import Rule
from jwo_catalog_pipeline.catalog.rules.validation import RuleResult, Validation
from jwo_catalog_pipeline.upload.plan.guards import GUARDS, Verdict
from jwo_catalog_pipeline.wording import plural

STRUCTURE = "structure"
INVALID_SHARE = "invalid_share"
STORE_RULE = "store_known"
# All rules, including the one about stores, which is checked only if the stores are configured.
_RULES = rules(store_ids=["any"])
# Of the specs; the results leave the asset to Dagster, which knows it by the merchant's key.
_ASSET, _PLAN = dg.AssetKey("jwo_catalog"), dg.AssetKey("catalog_changes")


class CatalogConfig(dg.Config):
    """The run config of `jwo_catalog`."""

    max_invalid_share: float = Field(0.05, ge=0, le=1, description="share of invalid rows above which nothing is sent")


class ChangesConfig(dg.Config):
    """The run config of `catalog_changes`, for one upload."""

    retry_rejected: bool = Field(False, description="send rejected items again even if they have not changed")
    allow: list[str] = Field([], description=f"guards to override for this upload: {', '.join(GUARDS)}")

    @field_validator("allow")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        if unknown := sorted(set(names) - set(GUARDS)):
            raise ValueError(f"there is no guard {', '.join(unknown)}; there are {', '.join(GUARDS)}")
        return names


def check_specs() -> list[dg.AssetCheckSpec]:
    """The checks of `jwo_catalog`: structure, the share of invalid rows (blocking both), and every rule."""
    blocking = {
        STRUCTURE: "The mapped table has the columns of a JWO catalog, as text.",
        INVALID_SHARE: "There are rows, and the share of invalid ones is within the limit; otherwise nothing is sent.",
    }
    return [
        *(dg.AssetCheckSpec(name, asset=_ASSET, description=text, blocking=True) for name, text in blocking.items()),
        *(dg.AssetCheckSpec(rule.name, asset=_ASSET, description=_described(rule)) for rule in _RULES),
    ]


def rule_results(validation: Validation) -> Iterator[dg.AssetCheckResult]:
    """One result for each rule: how many rows break it, with samples."""
    asked = {result.name for result in validation.rules}
    for name in [rule.name for rule in _RULES if rule.name not in asked]:
        description = (
            "not checked, for JWO_STORE_IDS is not set" if name == STORE_RULE else "the mapping switches it off"
        )
        yield dg.AssetCheckResult(passed=True, check_name=name, description=description)
    for result in validation.rules:
        metadata: dict[str, dg.MetadataValue] = {"rows": dg.MetadataValue.int(result.count)}
        if result.count:
            metadata["samples"] = dg.MetadataValue.md(as_markdown(result.samples))
        yield dg.AssetCheckResult(
            passed=result.count == 0,
            check_name=result.name,
            severity=_severity(result),
            description=f"{plural(result.count, 'row')}: {result.description}" if result.count else None,
            metadata=metadata,
        )


def structure_result() -> dg.AssetCheckResult:
    """The structure is right; otherwise `validate` raises an error."""
    return dg.AssetCheckResult(passed=True, check_name=STRUCTURE)


def share_result(validation: Validation, max_invalid_share: float, excluded: int = 0) -> dg.AssetCheckResult:
    """Whether enough rows are valid for the catalog to be sent; of those that the mapping does not exclude."""
    invalid, rows = validation.quarantined.rows, validation.quarantined.rows + validation.valid.rows
    share = invalid / rows if rows else 1.0
    if not rows and excluded:
        description = (
            f"`where` and `stores` of the field mapping exclude all of {plural(excluded, 'row')}: nothing is sent; "
            "check the conditions with jwo-catalog mapping review"
        )
    elif not rows:
        description = "the source has no rows: nothing is sent; check the export"
    else:
        description = (
            f"{invalid:,} of {plural(rows, 'row')} ({share:.1%}) failed a check; the limit is {max_invalid_share:.1%}"
            + ("" if share <= max_invalid_share else _REMEDY)
        )
    return dg.AssetCheckResult(
        passed=bool(rows) and share <= max_invalid_share,
        check_name=INVALID_SHARE,
        severity=dg.AssetCheckSeverity.ERROR,
        description=description,
        metadata={
            "invalid_rows": invalid,
            "rows": rows,
            "excluded_rows": excluded,
            "share": share,
            "allowed_share": max_invalid_share,
        },
    )


def guard_specs() -> list[dg.AssetCheckSpec]:
    """The checks of `catalog_changes`: one per guard, all blocking."""
    return [dg.AssetCheckSpec(name, asset=_PLAN, description=text, blocking=True) for name, text in GUARDS.items()]


def guard_results(verdicts: Sequence[Verdict]) -> Iterator[dg.AssetCheckResult]:
    """One result for each guard; a guard that a person overrode passes, and its description says so."""
    for verdict in verdicts:
        yield dg.AssetCheckResult(
            passed=verdict.passed,
            check_name=verdict.guard,
            severity=dg.AssetCheckSeverity.ERROR,
            description=verdict.message,
            metadata={**verdict.figures, "allowed_for_this_upload": verdict.allowed},
        )


_REMEDY = (
    ": nothing is sent. See quarantined_items for the reasons; correct the export or the mapping, or allow more for "
    "one run with the run config ops: jwo_catalog: config: max_invalid_share (demo: --max-invalid-share)"
)


def _described(rule: Rule) -> str:
    text = rule.description if rule.level == "error" else f"{rule.description} (a warning: the row goes on)"
    return text if rule.forced else f"{text} The mapping file may set another level."


def _severity(result: RuleResult) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if result.level == "error" else dg.AssetCheckSeverity.WARN
