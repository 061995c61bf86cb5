"""A run of the upload job on a simulated clock: what its steps do, and what the ledger keeps when it ends."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from jwo_catalog_pipeline.defs.failures import stop_kind
from jwo_catalog_pipeline.errors import PipelineError
from jwo_catalog_pipeline.table_file import TableFile, table_of
from jwo_catalog_pipeline.upload.errors import Overtaken, PlanStopped
from jwo_catalog_pipeline.upload.exports import Export
from jwo_catalog_pipeline.upload.model import Batch
from jwo_catalog_pipeline.upload.plan.plan import PlanSettings, make_plan
from jwo_catalog_pipeline.upload.resuming import Run, RunState
from jwo_catalog_pipeline.upload.stops import Stop, StopKind
from jwo_catalog_pipeline.work_folder import new_path
from jwo_catalog_pipeline_tests.support.parts import FIELDS, KilledWhileSending

if TYPE_CHECKING:
    from jwo_catalog_pipeline_tests.chaos.life_pipeline import Pipeline

RUN_SECONDS = 20  # between two steps of a run
LOST_SECONDS = 180  # after which run monitoring notes that a run was killed
READ, PLAN, APPLY = "read", "plan", "apply"
STEPS = (READ, PLAN, APPLY)


class Terminated(Exception):
    """A person has terminated the run; it is noted as a `SendingHalted` would be."""


class Interrupted(KeyboardInterrupt):
    """The platform has asked the process to end; not to be taken for somebody's Ctrl-C in the simulation."""


class Killed(BaseException):
    """The process is gone; nothing is recorded."""


@dataclass(frozen=True)
class File:
    """A file of the folder of exports. Its content decides its version, and a copy has a time of its own."""

    name: str
    modified: int
    items: pd.DataFrame
    sha256: str

    @property
    def version(self) -> str:
        return f"{self.name} {self.modified}"


@dataclass
class Upload:
    """A run of the upload job. `strike` is called for each batch that is sent, and may raise what ends the run."""

    pipeline: "Pipeline"
    upload: str
    after: str = ""  # the upload whose waiting items it sends
    allow: Sequence[str] = ()
    retry_rejected: bool = False
    only_sends: bool = False
    strike: Callable[[], None] = lambda: None
    api: Any = None
    run: Run = field(init=False)
    file: File | None = None
    failed: bool = False
    kind: StopKind | None = None  # what stopped it
    sent_in_full: bool = False  # then it is not stuck, whatever stopped it
    problem: str = ""

    def __post_init__(self) -> None:
        pipeline = self.pipeline
        self.run = Run(f"run-{len(pipeline.runs)}", RunState.GOING_ON, pipeline.now)
        pipeline.runs.append(self)

    def step(self, name: str) -> None:
        """Do one of `STEPS`, unless one before it failed; after the last the run has succeeded."""
        if self.failed or (self.only_sends and name != APPLY):
            return
        self.pipeline.parts.clock.seconds += RUN_SECONDS
        with self._noted():
            {READ: self._read, PLAN: self._plan, APPLY: self._apply}[name]()
            if name == APPLY:
                self._end(RunState.SUCCEEDED)

    def whole(self) -> "Upload":
        """Do all steps."""
        for name in STEPS:
            self.step(name)
        return self

    def _read(self) -> None:
        pipeline = self.pipeline
        head = pipeline.parts.ledger.head().upload
        self.file = pipeline.newest_file()
        pipeline.read.add(self.file.version)
        export = Export(
            self.file.sha256, self.file.name, self.file.modified, self.file.version, 1000 * pipeline.now, head
        )
        pipeline.tables[self.upload] = (self.file.items, export, None)

    def _plan(self) -> None:
        self._make_plan(self.run.id)

    def _make_plan(self, planner: str) -> TableFile:
        pipeline = self.pipeline
        items, export, _ = pipeline.tables[self.upload]
        settings = PlanSettings(allow=self.allow, retry_rejected=self.retry_rejected, planned_by=planner)
        parts = pipeline.parts
        given = [table_of(table, new_path(parts.folder, "given")) for table in (items, items.iloc[:0])]
        plan = make_plan(parts.ledger, parts.bucket, self.upload, *given, FIELDS, settings, parts.folder, export)
        pipeline.tables[self.upload] = (items, export, plan.changes)
        if stopped := [verdict.message for verdict in plan.verdicts if not verdict.passed]:
            raise PlanStopped("; ".join(stopped))
        return plan.changes

    def _after(self, batch: Batch, of: int) -> None:
        sent = self.pipeline.sent[self.upload]
        sent.add(batch.id)
        self.sent_in_full = len(sent) == of
        self.strike()

    def _apply(self) -> None:
        pipeline, ledger = self.pipeline, self.pipeline.parts.ledger
        if (stop := ledger.stopped(self.upload)) and not stop.kind.heals:
            ledger.forget_stopped(self.upload)
        sender = pipeline.parts.sender(
            api=self.api or pipeline.api,
            owner=self.run.id,
            at_once=1,
            on_batch=self._after,
            sleep=pipeline.sleep,
        )
        recorded = ledger.plan(self.upload)
        again = (lambda: self._make_plan(self.run.id)) if recorded and recorded.planned_by == self.run.id else None
        newest = pipeline.newest_first(sender, again, pipeline.sleep, lambda text: None)
        try:
            newest.apply(self.upload, pipeline.tables[self.upload][2], FIELDS)
        except Overtaken:
            pass
        finally:
            pipeline.amazon_is_asked()
        if ledger.stopped(self.upload):
            ledger.forget_stopped(self.upload)

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """As `upload_step`: the ledger keeps why the upload does not go on."""
        try:
            yield
        except Terminated:
            self._stopped(StopKind.CANCELLED, "a person terminated the run", RunState.CANCELLED)
        except Interrupted:
            self._stopped(StopKind.INTERRUPTED, "the process was asked to end", RunState.FAILED)
        except Killed:
            self.pipeline.parts.clock.seconds += LOST_SECONDS
            self._end(RunState.FAILED)
        except PipelineError as error:
            kind = stop_kind(error)
            self._stopped(kind, f"{type(error).__name__}: {error.problem}", RunState.FAILED)

    def _stopped(self, kind: StopKind, problem: str, state: RunState) -> None:
        pipeline = self.pipeline
        now = pipeline.now
        pipeline.parts.ledger.note_stopped(Stop(self.upload, kind, problem, "", self.run.id, now, now))
        pipeline.say(f"{self.upload} stopped: {kind}: {problem[:150]}")
        self.kind, self.problem = kind, problem
        self._end(state)

    def _end(self, state: RunState) -> None:
        self.run = replace(self.run, state=state, updated_at=self.pipeline.now)
        self.failed = state is not RunState.SUCCEEDED
        self.pipeline.noted_end(self)


class KilledOnce:
    """The first call kills its process, before or after Amazon got it."""

    def __init__(self, api: Any, *, sent: bool):
        self._dying, self._api = KilledWhileSending(api, sent=sent), api
        self.check_ready, self.sign, self.status = api.check_ready, api.sign, api.status

    def deliver(self, call: Any, seconds: float) -> Any:
        dying, self._dying = self._dying, None
        if dying is None:
            return self._api.deliver(call, seconds)
        try:
            return dying.deliver(call, seconds)
        except KeyboardInterrupt:
            raise Killed from None
