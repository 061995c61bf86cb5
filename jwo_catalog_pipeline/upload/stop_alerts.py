"""Alerts about uploads that do not go on: an outage, once when it lasts and once when it is over; and the pause."""

from itertools import takewhile

from jwo_catalog_pipeline.upload.alert_messages import Alert
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.lifecycle import left_to_send
from jwo_catalog_pipeline.upload.model import utc
from jwo_catalog_pipeline.upload.stops import StopKind
from jwo_catalog_pipeline.wording import plural

OUTAGE_SECONDS = 30 * 60  # a shorter one heals without anybody
OUTAGE, PAUSED = "outage", "pause"
STOP_ALERTS = (OUTAGE, PAUSED)  # their keys
_LASTS = (StopKind.OUTAGE, StopKind.INTERRUPTED)


def stop_alerts(ledger: Ledger) -> list[Alert]:
    """What keeps uploads from going on, and ends without a person, or by a person's word."""
    return [*_outage(ledger), *_pause(ledger)]


def _outage(ledger: Ledger) -> list[Alert]:
    # What a person or a guard has stopped since is what counts: an older upload does not go on after that.
    stops = list(takewhile(lambda stop: stop.kind in _LASTS, reversed(ledger.stops())))[::-1]
    stops = [stop for stop in stops if _waits(ledger, stop.upload)]
    since = min((stop.since for stop in stops), default=ledger.now())
    if ledger.now() - since < OUTAGE_SECONDS:
        return []
    newest = stops[-1]
    return [
        Alert(
            OUTAGE,
            f"JWO catalog: upload {newest.upload} cannot go on",
            f"Since {utc(since)} {plural(len(stops), 'upload')} cannot go on. The newest is {newest.upload}: "
            f"{newest.problem}. It is tried again by itself every 30 minutes at least, and Amazon sells what it has "
            "until then.",
            f"{newest.remedy or '`jwo-catalog doctor` says what cannot be reached'}. docs/runbook.md, "
            '"An upload failed or was stopped".',
            lasting=True,
            over=f"What kept uploads from going on since {utc(since)} is over: nothing waits for it any more.",
        )
    ]


def _waits(ledger: Ledger, upload: str) -> bool:
    """Whether anything of a stopped upload is still to be sent; news may have ended the doubt that was left."""
    return ledger.upload(upload) is None or bool(left_to_send(ledger, upload))


def _pause(ledger: Ledger) -> list[Alert]:
    pause = ledger.paused()
    if pause is None:
        return []
    return [
        Alert(
            PAUSED,
            "JWO catalog: all sending is held",
            f"All sending has been held since {utc(pause.since)} by {pause.by}: {pause.reason}. Amazon sells what it "
            "has until then.",
            '`jwo-catalog resume` ends this. docs/runbook.md, "Stop sending now".',
            lasting=True,
            over=f"Sending, which {pause.by} had held since {utc(pause.since)}, goes on.",
        )
    ]
