"""A stopped service must not look healthy: what a sensor cannot do for 15 minutes is an alert and a failed check.

`watched` stands around what a sensor does. A sensor that raises a `PipelineError` skips, and says why. Since when it
does so is kept in Dagster's own store of cursors, because the ledger may be what is missing, and because a tick that
fails keeps no cursor of its own. The check of each watched sensor is on the asset whose data gets stale; the sensors
report it, and a person who runs it sees what they reported last.
https://docs.dagster.io/guides/test/asset-checks
"""

import functools
import inspect
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import dagster as dg

from jwo_catalog_pipeline.defs.alerts import AlertsResource
from jwo_catalog_pipeline.defs.merchants import asset_key
from jwo_catalog_pipeline.errors import PipelineError
from jwo_catalog_pipeline.redaction import redacted
from jwo_catalog_pipeline.upload.alert_messages import Alert
from jwo_catalog_pipeline.upload.model import utc
from jwo_catalog_pipeline.wording import plural

OUTAGE_SECONDS = 15 * 60
SECTION = 'docs/runbook.md, "A sensor that cannot work"'
WATCHED: dict[str, str] = {}  # the asset that gets stale without a sensor, by the sensor's name

Tick = Callable[..., dg.SensorResult | dg.SkipReason]


@dataclass(frozen=True)
class Hindered:
    """What a tick gives that did a part of its work, and why it could not do the rest."""

    result: dg.SensorResult | dg.SkipReason
    error: PipelineError


@dataclass(frozen=True)
class Health:
    """What is known of a sensor.

    Attributes:
        since: when it began to fail, epoch seconds; 0 while it works.
        problem: why it fails.
        remedy: what helps.
        failed: the check has failed, for it lasts.
        published: the alert was published.
    """

    since: float = 0
    problem: str = ""
    remedy: str = ""
    failed: bool = False
    published: bool = False


def watched(asset: str) -> Callable[[Callable[..., Any]], Tick]:
    """Watches what a sensor does; goes directly around the function, below `dg.sensor`.

    The function may raise a `PipelineError`, which becomes the reason to skip, or return `Hindered`.

    Args:
        asset: what gets stale while the sensor cannot work.
    """

    def decorate(work: Callable[..., Any]) -> Tick:
        WATCHED[work.__name__] = asset
        parameters = inspect.signature(work).parameters

        @functools.wraps(work)
        def tick(context: dg.SensorEvaluationContext, alerts: AlertsResource, **resources: Any) -> Any:
            watch = Watch(context.instance, work.__name__, alerts)
            own = {"alerts": alerts} if "alerts" in parameters else {}
            try:
                done = work(context, **resources, **own)
            except PipelineError as error:
                watch.note(error)
                return dg.SkipReason(str(error))
            except Exception as error:  # raised again: the tick fails, as it would without this
                watch.note(error)
                raise
            watch.note(done.error if isinstance(done, Hindered) else None)
            return done.result if isinstance(done, Hindered) else done

        needed = [*(each for each in parameters.values() if each.name != "alerts"), _ALERTS]
        tick.__signature__ = inspect.Signature(needed)  # type: ignore[attr-defined]
        tick.__annotations__ = {each.name: each.annotation for each in needed}
        return tick

    return decorate


_ALERTS = inspect.Parameter("alerts", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=AlertsResource)


@dataclass(frozen=True)
class Watch:
    """Notes what becomes of the ticks of one sensor, and publishes what lasts."""

    instance: dg.DagsterInstance
    sensor: str
    alerts: AlertsResource

    def note(self, error: Exception | None) -> None:
        """A tick has done its work, or failed with an error. Never fails because an alert cannot be published."""
        before, now = known_health(self.instance, self.alerts, [self.sensor]).get(self.sensor), time.time()
        after = health_after(before or Health(), error, now)
        if error and after.since <= now - OUTAGE_SECONDS:
            after = replace(after, failed=True, published=after.published or self._publish(after))
        if before is None or before.failed != after.failed:
            self._report(after)
        if after != before:
            keep_health(self.instance, self.alerts, self.sensor, after)

    def _publish(self, health: Health) -> bool:
        """Publish the problem, unless another sensor has done so; whether it is published now."""
        if not self.alerts.topic_arn:
            return False
        others = known_health(self.instance, self.alerts, [name for name in WATCHED if name != self.sensor])
        same = {name: other for name, other in others.items() if other.since and other.problem == health.problem}
        if any(other.published for other in same.values()):
            return True
        try:
            self.alerts.send(outage_alert({self.sensor: health, **same}))
        except PipelineError:
            return False  # the next tick tries again
        return True

    def _report(self, health: Health) -> None:
        self.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=asset_key(self.alerts.merchant, WATCHED[self.sensor]),
                check_name=check_name(self.sensor),
                passed=not health.failed,
                description=described(health),
                metadata={},
            )
        )


def health_after(before: Health, error: Exception | None, now: float) -> Health:
    """What is known of a sensor after a tick that ended with an error, or without one."""
    if error is None:
        return Health()
    problem, remedy = f"{type(error).__name__}: {error}", ""
    if isinstance(error, PipelineError):
        problem, remedy = error.problem, error.remedy
    return replace(before, since=before.since or now, problem=redacted(problem)[:500], remedy=redacted(remedy)[:500])


def outage_alert(sensors: Mapping[str, Health]) -> Alert:
    """The alert about sensors that cannot do their work, all for the same reason."""
    names, first = ", ".join(sorted(sensors)), min(sensors.values(), key=lambda health: health.since)
    one = len(sensors) == 1
    what = f"{names} cannot do its work" if one else f"{plural(len(sensors), 'sensor')} cannot do their work"
    return Alert(
        "",
        f"JWO catalog: {what}",
        f"{what}{'' if one else f' ({names})'} since {utc(first.since)}: {first.problem}. Until "
        "that is over, what they look for is neither seen nor published.",
        f"{first.remedy or '`jwo-catalog doctor` says what is missing'}. {SECTION}.",
        pages=["/automation"],
    )


def described(health: Health) -> str:
    """A sensor's health, as its check shows it."""
    if not health.failed:
        return "the sensor does its work"
    return f"since {utc(health.since)}: {health.problem}. {health.remedy or 'See jwo-catalog doctor'}; {SECTION}"


def check_name(sensor: str) -> str:
    return f"{sensor}_works"


def sensor_checks(merchant: str = "") -> list[dg.AssetChecksDefinition]:
    """The checks of all watched sensors."""
    return [_check(sensor, asset_key(merchant, asset)) for sensor, asset in WATCHED.items()]


def _check(sensor: str, asset: dg.AssetKey) -> dg.AssetChecksDefinition:
    text = f"{sensor} can do its work; fails after {OUTAGE_SECONDS // 60} minutes in which it could not."

    @dg.asset_check(asset=asset, name=check_name(sensor), description=text)
    def sensor_works(context: dg.AssetCheckExecutionContext, alerts: AlertsResource) -> dg.AssetCheckResult:
        health = known_health(context.instance, alerts, [sensor]).get(sensor, Health())
        return dg.AssetCheckResult(passed=not health.failed, description=described(health))

    return sensor_works


def known_health(instance: dg.DagsterInstance, alerts: AlertsResource, sensors: list[str]) -> dict[str, Health]:
    """What is known of sensors, by name; nothing of one that has never ticked."""
    keys = {_key(alerts, sensor): sensor for sensor in sensors}
    values = instance.daemon_cursor_storage.get_cursor_values(set(keys)) if keys else {}
    return {keys[key]: Health(**json.loads(value)) for key, value in values.items()}


def keep_health(instance: dg.DagsterInstance, alerts: AlertsResource, sensor: str, health: Health) -> None:
    """Keep what is known of a sensor."""
    instance.daemon_cursor_storage.set_cursor_values({_key(alerts, sensor): json.dumps(asdict(health))})


def _key(alerts: AlertsResource, sensor: str) -> str:
    return "/".join(filter(None, ["jwo_catalog", alerts.merchant, alerts.ledger_table, sensor]))
