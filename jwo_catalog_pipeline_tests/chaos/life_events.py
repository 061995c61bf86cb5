"""A retailer's week: exports, and what happens to them and to the pipeline, as people and platforms have it."""

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from jwo_catalog_pipeline.upload.closing import close_upload
from jwo_catalog_pipeline.upload.errors import LeaseHeld
from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.plan.guards import GUARDS
from jwo_catalog_pipeline.upload.recovery import rebuild_state, restore_snapshot, salvage
from jwo_catalog_pipeline_tests.chaos.life_pipeline import DAY, HOUR, MINUTE
from jwo_catalog_pipeline_tests.chaos.life_retailer import SKUS, Retailer, aged, dead_letter_queue, taken
from jwo_catalog_pipeline_tests.chaos.life_runs import STEPS, File, Interrupted, KilledOnce, Terminated, Upload
from jwo_catalog_pipeline_tests.support.parts import api_client

FOR_EVER = 10**6  # calls
# A kind of outage, and what the sandbox does to calls meanwhile; "refused": nothing listens.
OUTAGES = ("error_retry", "close_before_ingesting", "throttle", "refused")
OUTAGE_MINUTES = (1, 10, 25, 40, 90, 300)

WEEKS_WITHOUT_PEOPLE = 0.4
FOR_PEOPLE = {
    "terminate",
    "guard",
    "guard_that_is_allowed",
    "close",
    "folder_restored",
    "file_removed",
    "ingestion_that_ends_badly",
    "rejected_item",
    "restored_ledger",
}


class Week(Retailer):
    """What may happen in a week; a trouble that lasts is put right later."""

    def events(self) -> list[Callable[[], None]]:
        """What may happen in this week; in some weeks nothing does for which a person must act."""
        names = [name for name in dir(self) if name.startswith("event_")]
        if self.chance.random() < WEEKS_WITHOUT_PEOPLE:
            names = [name for name in names if name.removeprefix("event_") not in FOR_PEOPLE]
        return [self._noted(getattr(self, name)) for name in names]

    def _noted(self, event: Callable[[], None]) -> Callable[[], None]:
        def noted() -> None:
            name = event.__name__.removeprefix("event_").replace("_", " ")
            self.happened[name] += 1
            self.pipeline.say(f"-- {name}")
            event()

        return noted

    # -- what happens ---------------------------------------------------------------------------------------------

    def event_new_export(self) -> None:
        self.write()

    def event_late_export_during_the_schedule(self) -> None:
        run = self.pipeline.start()
        run.step("read")
        self.write()
        for step in ("plan", "apply"):
            run.step(step)

    def event_terminate(self) -> None:
        run = self._struck(Terminated)
        if self.chance.random() < 0.5:
            self.later(self.chance.uniform(MINUTE, 10 * HOUR), lambda: self._resume(run))

    def event_sigterm(self) -> None:
        self._struck(Interrupted)

    def event_kill(self) -> None:
        self.write()
        api = KilledOnce(self.parts.api, sent=self.chance.random() < 0.5)
        self.pipeline.start(api=api).whole()

    def _struck(self, error: type[BaseException]) -> Upload:
        self.write()
        left = [self.chance.randint(1, 2)]

        def strike() -> None:
            left[0] -= 1
            if left[0] == 0:
                raise error

        return self.pipeline.start(strike=strike).whole()

    def _resume(self, run: Upload) -> None:
        ledger = self.parts.ledger
        if ledger.head().upload == run.upload and ledger.stopped(run.upload):
            self.pipeline.say(f"jwo-catalog upload --resume {run.upload}")
            Upload(self.pipeline, run.upload, only_sends=True).whole()

    def event_outage(self) -> None:
        kind = self.chance.choice(OUTAGES)
        self.outages.append(kind)
        self._set_amazon()
        if self.chance.random() < 0.8:
            self.write()
        self.later(MINUTE * self.chance.choice(OUTAGE_MINUTES), lambda: self._outage_ends(kind))

    def _outage_ends(self, kind: str) -> None:
        self.pipeline.say(f"over: {kind}")
        self.outages.remove(kind)
        self._set_amazon()

    def _set_amazon(self) -> None:
        faults = {kind: FOR_EVER * (kind in self.outages) for kind in OUTAGES if kind != "refused"}
        for operation in ("upload", "status"):
            self.sandbox.misbehave(**faults, operation=operation)
        refused = "refused" in self.outages
        self.pipeline.api = api_client(self.sandbox, url="http://127.0.0.1:9") if refused else self.parts.api

    def event_both_triggers(self) -> None:
        order = [0, 0, 0, 1, 1, 1]
        self.chance.shuffle(order)
        self.two_triggers(order, self.chance.randint(0, 5))

    def two_triggers(self, order: list[int], written_at: int) -> None:
        """Two runs whose steps come in this order; a new export is written before one of these steps."""
        steps, runs = [iter(STEPS), iter(STEPS)], dict[int, Upload]()
        for place, run in enumerate(order):
            if place == written_at:
                self.write()
            if run not in runs:
                runs[run] = self.pipeline.start()
            runs[run].step(next(steps[run]))
            self.parts.clock.seconds += 1

    def event_file_removed(self) -> None:
        """Yesterday's file is the newest, until somebody brings the other back."""
        if len(self.pipeline.folder) < 2:
            return
        gone = self.pipeline.newest_file()
        self.pipeline.folder.remove(gone)
        self.schedule()
        self.later(self.chance.uniform(MINUTE, 8 * HOUR), lambda: self.pipeline.folder.append(gone))

    def event_folder_restored(self) -> None:
        """An older file has a new time."""
        if len(self.pipeline.folder) < 2:
            return
        self.parts.clock.seconds += 1
        old = self.chance.choice(sorted(self.pipeline.folder, key=lambda file: file.modified)[:-1])
        copy = File(f"{old.name}-copy", self.pipeline.now, old.items, old.sha256)
        self.pipeline.folder.append(copy)
        self.later(self.chance.uniform(MINUTE, 8 * HOUR), lambda: self.pipeline.folder.remove(copy))

    def event_lost_answers(self) -> None:
        self.sandbox.misbehave(close_after_ingesting=self.chance.randint(1, 6), operation="upload")
        self.write()
        self.later(HOUR, lambda: self.sandbox.misbehave(close_after_ingesting=0, operation="upload"))

    def event_dead_letters(self) -> None:
        """What comes in the next hours goes to the dead-letter queue, and is moved back some hours or days later."""
        self.write()
        self.later(30 * MINUTE, self._bury)
        self.later(self.chance.uniform(HOUR, 3 * DAY), self._redrive)

    def _bury(self) -> None:
        self.sandbox.drain()
        url, buried = self.sandbox.environment["JWO_QUEUE_URL"], dead_letter_queue(self.parts)
        for body in taken(self.parts.queue, url):
            self.dead.append((self.pipeline.now, body))
            self.parts.queue.send_message(QueueUrl=buried, MessageBody=body)

    def _redrive(self) -> None:
        url, buried = self.sandbox.environment["JWO_QUEUE_URL"], dead_letter_queue(self.parts)
        taken(self.parts.queue, buried)
        if self.dead:
            self.burials.append((self.dead[0][0], self.pipeline.now))
        for at, body in self.dead:
            self.parts.queue.send_message(QueueUrl=url, MessageBody=aged(body, self.pipeline.now - at))
        self.dead = []

    def event_foreign_news(self) -> None:
        url = self.sandbox.environment["JWO_QUEUE_URL"]
        for _ in range(self.chance.randint(1, 12)):
            ingestion = str(uuid.UUID(int=self.chance.getrandbits(128)))
            text = json.dumps({"ingestionId": ingestion, "processingStatus": "DONE"})
            self.parts.queue.send_message(QueueUrl=url, MessageBody=text)

    def event_odd_reports(self) -> None:
        fault = self.chance.choice(("expire_links", "drop_notifications", "duplicate_notifications"))
        shape = self.chance.choice(("1", "2", "3", "mixed"))
        self.sandbox.misbehave(**{fault: self.chance.randint(1, 3)}, report_shape=shape)
        self.write()
        self.later(2 * HOUR, lambda: self.sandbox.misbehave(**{fault: 0}))

    def event_unreadable_message(self) -> None:
        self.sandbox.misbehave(unreadable_notifications=1)
        self.write()
        self.later(2 * HOUR, lambda: self.sandbox.misbehave(unreadable_notifications=0))

    def event_ingestion_that_ends_badly(self) -> None:
        fault = self.chance.choice(("cancel", "fatal"))
        self.sandbox.misbehave(**{fault: 1})
        self.pipeline.decided = True
        self.write()
        self.later(2 * HOUR, lambda: self.sandbox.misbehave(**{fault: 0}))

    def event_rejected_item(self) -> None:
        self.sandbox.misbehave(reject_skus=[self.chance.choice(SKUS)])
        self.pipeline.decided = True
        self.write()
        self.later(self.chance.uniform(HOUR, DAY), lambda: self.sandbox.misbehave(reject_skus=[]))

    def event_guard(self) -> None:
        file = self.write(factor=4, keep=False)

        def fixed() -> None:
            self.pipeline.folder.remove(file)
            self.write()

        self.later(self.chance.uniform(10 * MINUTE, 10 * HOUR), fixed)

    def event_guard_that_is_allowed(self) -> None:
        self.write(factor=self.chance.choice((0.25, 4)) if min(self.prices.values()) > 400 else 4)
        self.later(self.chance.uniform(10 * MINUTE, 10 * HOUR), self.allow)

    def allow(self) -> None:
        """A person starts an upload of the newest export, whatever the guards say, and of what was rejected."""
        self.pipeline.say("jwo-catalog upload --allow ...")
        self.pipeline.start(allow=tuple(GUARDS), retry_rejected=True).whole()

    def event_pause(self) -> None:
        if self.parts.ledger.paused():
            return
        self.parts.ledger.pause("Ann", "the prices are wrong")
        if self.chance.random() < 0.7:
            self.write()
        since = self.pipeline.now
        self.later(self.chance.uniform(10 * MINUTE, 10 * HOUR), lambda: self._unpause(since))

    def _unpause(self, since: int) -> None:
        self.parts.ledger.end_pause()
        self.pauses.append((since, self.pipeline.now))

    def event_close(self) -> None:
        """A person does not wait any longer, and starts the next upload."""
        self.pipeline.decided = True
        self.write()
        run = self.pipeline.start().whole()
        self.parts.clock.seconds += MINUTE
        if self.parts.ledger.upload(run.upload):
            try:
                close_upload(self.parts.ledger, self.parts.bucket, run.upload, "Ann", "takes too long")
            except LeaseHeld:
                return
            self.closed.add(run.upload)
            self.later(self.chance.uniform(MINUTE, HOUR), self.allow)

    def event_restored_ledger(self) -> None:
        rows = list(self._rows())
        self.later(self.chance.uniform(HOUR, DAY), lambda: self._restore(rows))

    def _rows(self) -> Iterator[dict[str, Any]]:
        for page in self.table.meta.client.get_paginator("scan").paginate(TableName=self.table.name):
            yield from page["Items"]

    def put_right(self) -> None:
        """All troubles are over; a person starts an upload where the last one was stopped by a person or a guard, or
        where Amazon has not taken all of it, which gives an alert."""
        if self.pipeline.decided:
            self.allow()

    def _restore(self, rows: list[dict[str, Any]]) -> None:
        """As docs/runbook.md has it: the table of some hours ago, `salvage`, and the next upload."""
        self.pipeline.say("the ledger is restored")
        self.restored = True
        now = {tuple(keys.key_of(row).values()): row for row in self._rows()}
        before = {tuple(keys.key_of(row).values()): row for row in rows}
        for key, row in now.items():
            if row.get("sha256") and keys.kind(row) == keys.BATCH:
                self.lost_attempts[row["sha256"]] += int(row["attempts"] - before.get(key, {}).get("attempts", 0))
        with self.table.batch_writer() as writer:
            for key in now.keys() - before.keys():
                writer.delete_item(Key=keys.key_of(now[key]))
            for key, row in before.items():
                if now.get(key) != row:
                    writer.put_item(Item=row)
        changed = salvage(self.parts.ledger, self.parts.bucket, write=True)
        restore_snapshot(
            self.parts.ledger, self.parts.bucket, rebuild_state(self.parts.ledger, self.parts.bucket, self.parts.folder)
        )
        self.pipeline.say(f"salvaged: {[(each['upload'], each['batch'], each['state']) for each in changed]}")
        self.allow()
