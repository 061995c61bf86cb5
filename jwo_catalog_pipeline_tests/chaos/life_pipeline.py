"""A pipeline on a simulated clock: its triggers, runs and sensors, in the order in which Dagster's daemon has them.

What they decide and do is the pipeline's own code; only Dagster, which would need a minute of real time for each, is
replaced, by a list of runs.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from jwo_catalog_pipeline.upload.alert_publishing import AlertPublisher
from jwo_catalog_pipeline.upload.alerts import (
    UNVERIFIED,
    Looks,
    overdue_alerts,
    settled_alerts,
    stuck_batches,
    unreadable_alerts,
    unverified_alerts,
)
from jwo_catalog_pipeline.upload.dead_letters import DEAD_LETTERS, dead_letter_alerts
from jwo_catalog_pipeline.upload.exports import Export
from jwo_catalog_pipeline.upload.model import BatchState, upload_key
from jwo_catalog_pipeline.upload.results.in_doubt import expire_doubts, reconcile_orphans
from jwo_catalog_pipeline.upload.results.polling import ask_overdue, mark_reported, uploads_to_fetch
from jwo_catalog_pipeline.upload.resuming import (
    Run,
    RunState,
    backoff_reason,
    decided_reason,
    resuming_reason,
    unfinished_upload,
)
from jwo_catalog_pipeline.upload.send.newest import NewestFirst
from jwo_catalog_pipeline.upload.stop_alerts import OUTAGE, STOP_ALERTS, stop_alerts
from jwo_catalog_pipeline.upload.stops import StopKind
from jwo_catalog_pipeline.upload.waiting import Waits, waiting_items
from jwo_catalog_pipeline.work_folder import work_folder
from jwo_catalog_pipeline_tests.chaos.life_runs import File, Upload
from jwo_catalog_pipeline_tests.support.parts import Parts

MINUTE, HOUR, DAY = 60, 3600, 86_400
UNSENT = {BatchState.PLANNED, BatchState.SENDING, BatchState.IN_DOUBT}
OVERDUE_MINUTES = 90.0
LONGEST_PAUSE_SECONDS = 3600  # of `waiting_items_sensor`


class Mail:
    """The topic for people, of which every message is kept with its time."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.now = now
        self.messages: list[tuple[int, str, str]] = []

    def publish(self, **message: Any) -> dict[str, str]:
        self.messages.append((self.now(), message["Subject"], message["Message"]))
        return {}


class Pipeline:
    """Triggers, runs and sensors. `journal` says what happened; `ticks` when an alert could be published."""

    newest_first: Any = NewestFirst

    def __init__(self, parts: Parts, processing: Callable[[], int]):
        self.parts, self.api, self.processing = parts, parts.api, processing
        self.folder: list[File] = []
        self.runs: list[Upload] = []
        self.tables: dict[str, tuple[pd.DataFrame, Export, Any]] = {}
        self.read: set[str] = set()
        self.journal: list[str] = []
        self.ticks: list[int] = []
        self.sent: dict[str, set[str]] = defaultdict(set)  # the batches of an upload that Amazon has
        self.stuck: dict[str, int] = {}  # by upload: since when it has not gone on, though it would by itself
        self.decided = False  # whether a person must act, or Amazon has not taken something
        self.failures: list[str] = []  # for which, as the pipeline says, a person must fix something
        self.stuck_periods: list[tuple[int, int]] = []
        self.amazon_at = 0
        self.processed: Callable[[], None] = lambda: None
        self.mail = Mail(lambda: self.now)
        self.publisher = AlertPublisher(parts.ledger, self.mail, None, "arn:aws:sns:us-east-1:1:people")

    @property
    def now(self) -> int:
        return int(self.parts.clock.seconds)

    def say(self, text: str) -> None:
        self.journal.append(f"{(self.now - 1_800_000_000) / HOUR:7.2f} h  {text}")

    def newest_file(self) -> File:
        return max(self.folder, key=lambda file: file.modified)

    def sleep(self, seconds: float) -> None:
        self.parts.clock.seconds += seconds

    def start(self, **how: Any) -> Upload:
        """A new upload, of the newest export."""
        self.parts.clock.seconds += 1
        return Upload(self, upload_key(datetime.fromtimestamp(self.now, UTC)), **how)

    def noted_end(self, run: Upload) -> None:
        """Note for the checker since when uploads do not go on that would by themselves."""
        state, upload = run.run.state, run.upload
        self.decided |= run.kind in (StopKind.GUARD, StopKind.CANCELLED)
        if run.kind is StopKind.FAILED:
            self.failures.append(f"{upload}: {run.problem}")
        if run.kind in (StopKind.OUTAGE, StopKind.INTERRUPTED) and not run.sent_in_full:
            self.stuck.setdefault(upload, self.now)
            return
        over = list(self.stuck) if state is RunState.SUCCEEDED or run.sent_in_full else [upload]
        if state is not RunState.FAILED or run.kind:
            self._goes_on(over)

    def _goes_on(self, uploads: list[str]) -> None:
        for upload in uploads:
            if since := self.stuck.pop(upload, 0):
                self.stuck_periods.append((since, self.now))

    def _is_known(self, upload: str) -> bool:
        """Whether news of Amazon has ended every doubt of an upload, and nothing else is left of it."""
        batches = self.parts.ledger.batches(upload)
        return bool(batches) and not UNSENT.intersection(batch.state for batch in batches)

    # -- Amazon ---------------------------------------------------------------------------------------------------

    def amazon_is_asked(self) -> None:
        """Amazon may have accepted something, and processes it in some minutes."""
        self.amazon_at = self.amazon_at or self.now + self.processing()

    def _amazon_processes(self) -> None:
        if self.amazon_at and self.now >= self.amazon_at:
            self.amazon_at = 0
            self.parts.sandbox.drain()
            self.processed()

    # -- the daemon -----------------------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let time pass, with ticks while there is anything to do."""
        until, pause = self.now + round(seconds), MINUTE
        while self.now < until:
            step = min(pause, until - self.now)
            if self.amazon_at:
                step = min(step, max(MINUTE, self.amazon_at - self.now))
            self.parts.clock.seconds += step
            pause = min(pause * 3, 25 * MINUTE)
            self._amazon_processes()
            if self.tick():
                pause = MINUTE
            elif not self._busy():
                self.parts.clock.seconds = float(max(self.now, until))

    def _busy(self) -> bool:
        """Whether anything can happen by itself; a pause and dead letters end by a person's word."""
        ledger = self.parts.ledger
        if self.amazon_at or ledger.open_uploads() or ledger.doubtful():
            return True
        stopped = any(stop.kind.heals for stop in ledger.stops()) and not ledger.paused()
        return stopped or any(alert.lasting and alert.key in (OUTAGE, UNVERIFIED) for alert in ledger.alerts())

    def tick(self) -> bool:
        """All sensors once; whether one of them has started a run."""
        parts, ledger = self.parts, self.parts.ledger
        started = len(self.runs)
        parts.inbox().receive(20)
        mark_reported(ledger)
        ask_overdue(ledger, self.api, OVERDUE_MINUTES * MINUTE)
        reconcile_orphans(ledger, parts.bucket, self._settler().fetch)
        expire_doubts(ledger, Waits())
        self._fetch()
        self._unfinished_uploads()
        self._waiting_items()
        self._source()
        self._alerts()
        return len(self.runs) > started

    def _settler(self) -> Any:
        return replace(self.parts.settler(), api=self.api)

    def _fetch(self) -> None:
        mark_reported(self.parts.ledger)
        for upload in uploads_to_fetch(self.parts.ledger):
            with work_folder() as folder:
                problems = self._settler().settle(upload, folder)[1]
            for problem in problems:
                self.say(f"{upload}: {problem[:120]}")

    def _unfinished_uploads(self) -> None:
        ledger = self.parts.ledger
        if ledger.paused():
            return
        upload, left = unfinished_upload(ledger)
        last = self.runs[-1] if self.runs else None
        if not upload and last and last.run.state is not RunState.SUCCEEDED and not ledger.upload(last.upload):
            upload = last.upload
        if upload and not resuming_reason(ledger, upload, self.runs_of(upload), self.now):
            self.say(f"unfinished_uploads_sensor: {upload}")
            allow = last.allow if last else ()
            Upload(self, upload, only_sends=bool(left), allow=allow).whole()

    def _waiting_items(self) -> None:
        ledger = self.parts.ledger
        waiting = waiting_items(ledger, Waits())
        if not waiting.items or waiting.blocked_by:
            return
        runs = [each for each in reversed(self.runs) if each.after == waiting.upload]
        past = [each.run for each in runs]
        decided = decided_reason(ledger, runs[0].upload, past) if runs else None
        if not (decided or backoff_reason(past, self.now, LONGEST_PAUSE_SECONDS)):
            self.say(f"waiting_items_sensor: after {waiting.upload}")
            self.start(after=waiting.upload).whole()

    def _source(self) -> None:
        head = self.parts.ledger.head().upload
        record = self.parts.ledger.upload(head) if head else None
        version = self.newest_file().version
        if version not in self.read and not (record and record.export.version == version):
            self.say(f"source_catalog_sensor: {version}")
            self.start().whole()

    def runs_of(self, upload: str) -> list[Run]:
        """The runs that send an upload, newest first."""
        return [each.run for each in reversed(self.runs) if each.upload == upload]

    def _alerts(self) -> None:
        ledger, looks = self.parts.ledger, Looks()
        self.ticks.append(self.now)
        self._goes_on([upload for upload in self.stuck if self._is_known(upload)])
        url = self.parts.sandbox.environment["JWO_QUEUE_URL"]
        stuck = looks.at("open uploads", lambda: stuck_batches(ledger, OVERDUE_MINUTES))
        settled = looks.at("settled uploads", lambda: settled_alerts(ledger)) or {}
        unreadable = looks.at("unreadable messages", lambda: unreadable_alerts(ledger)) or []
        unverified = looks.at("unverified messages", lambda: unverified_alerts(ledger), lasting=[UNVERIFIED]) or []
        stopped = looks.at("stopped uploads", lambda: stop_alerts(ledger), lasting=STOP_ALERTS) or []
        dead = looks.at("dead-letter queue", lambda: dead_letter_alerts(self.parts.queue, url), [DEAD_LETTERS]) or []
        lasting = [*overdue_alerts(stuck or []), *unreadable, *unverified, *stopped, *dead, *looks.unseen]
        self.publisher.publish([*filter(None, settled.values()), *lasting], looks.unchecked)
        for upload in settled:
            ledger.acknowledge_settled(upload)
