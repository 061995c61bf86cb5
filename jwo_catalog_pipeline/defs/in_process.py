"""Runs the pipeline's jobs and sensors in this process, and shows the progress, for the command line."""

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import dagster as dg
from dagster._core.execution.plan.objects import ErrorSource
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from jwo_catalog_pipeline.defs.failures import Interrupted, NotSettled, RunFailed
from jwo_catalog_pipeline.defs.merchants import runs_of_merchant
from jwo_catalog_pipeline.defs.resources import StorageResource
from jwo_catalog_pipeline.defs.run_tags import PARTITION_TAG
from jwo_catalog_pipeline.defs.sensors import RESULTS_JOB, ingestion_results_sensor, overdue_ingestions_sensor
from jwo_catalog_pipeline.defs.upload_runs import RECENT_RUNS
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import leaf_batches
from jwo_catalog_pipeline.wording import plural

T = TypeVar("T")
_ERROR = dg.AssetCheckSeverity.ERROR

STOP_SECONDS = 20.0  # a stop waits for what is being sent, which takes ten seconds at most
SHOW_SECONDS = 0.3  # between two updates of the progress bars


@dataclass(frozen=True)
class BrokenRule:
    """A rule that rows break; `stops` says whether such rows are quarantined, or only warned about."""

    name: str
    rows: int
    stops: bool


@dataclass(frozen=True)
class Pipeline:
    """The pipeline's definitions, and the Dagster instance that keeps the records of the runs."""

    defs: dg.Definitions
    instance: dg.DagsterInstance

    @property
    def storage(self) -> StorageResource:
        return cast("StorageResource", (self.defs.resources or {})["storage"])

    def run(
        self,
        job: str,
        upload: str,
        ops: dict[str, Any] | None = None,
        only: list[str] | None = None,
        tags: dict[str, str] | None = None,
    ) -> list[BrokenRule]:
        """Run a job for an upload.

        Args:
            job: its name.
            upload: the upload's key.
            ops: the run config, by op.
            only: the assets to materialize; if not given, all assets of the job.
            tags: of the run.

        Returns:
            The rules that rows break.

        Raises:
            RunFailed: a step failed.
            Interrupted: a person stopped it.
        """
        self.instance.add_dynamic_partitions(str(self.storage.uploads().name), [upload])
        result = self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            partition_key=upload,
            raise_on_error=False,
            asset_selection=[self.storage.asset_key(name) for name in only] if only else None,
            tags=tags,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}, "ops": ops or {}},
        )
        if not result.success:
            failures = [event for event in result.all_events if event.is_step_failure]
            if failures and failures[0].step_failure_data.error_source is ErrorSource.INTERRUPT:
                raise Interrupted(f"stopped; nothing of upload {upload} was sent", "jwo-catalog upload starts again")
            raise RunFailed(_sentence(failures[0]) if failures else f"{job} failed before its first step")
        failed = [check for check in result.get_asset_check_evaluations() if not check.passed]
        return [
            BrokenRule(check.check_name, cast("int", check.metadata["rows"].value), check.severity is _ERROR)
            for check in failed
            if "rows" in check.metadata
        ]

    def stop(self, upload: str) -> None:
        """Have the run that sends an upload stop, as Terminate in the UI does."""
        filters = dg.RunsFilter(tags={PARTITION_TAG: upload}, statuses=[dg.DagsterRunStatus.STARTED])
        for record in runs_of_merchant(self.instance, self.storage.merchant, filters, RECENT_RUNS):
            self.instance.report_run_canceling(record.dagster_run)

    def fetch_results(self, upload: str) -> None:
        """Run one tick of the sensors that collect results, and the run for this upload if they request it."""
        asked: set[str | None] = set()
        for sensor in (ingestion_results_sensor, overdue_ingestions_sensor):
            needed = {key: (self.defs.resources or {})[key] for key in sensor.required_resource_keys}
            with dg.build_sensor_context(instance=self.instance, resources=needed) as context:
                tick = sensor(context)
            if isinstance(tick, dg.SensorResult):
                asked |= {request.partition_key for request in tick.run_requests or []}
        if upload in asked:
            self.run(RESULTS_JOB, upload)

    def row_count(self, asset: str) -> int:
        """The number of rows in an asset's newest materialization."""
        event = self.instance.get_latest_materialization_event(self.storage.asset_key(asset))
        materialization = event.asset_materialization if event else None
        return int(materialization.metadata["dagster/row_count"].value) if materialization else 0  # type: ignore[arg-type]


@contextmanager
def open_pipeline(defs: dg.Definitions, dagster_home: str | None) -> Iterator[Pipeline]:
    """The pipeline with the instance of DAGSTER_HOME; without one, with an instance that is gone afterwards."""
    if dagster_home:
        with dg.DagsterInstance.get() as instance:
            yield Pipeline(defs, instance)
        return
    with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.local_temp(folder) as instance:
        yield Pipeline(defs, instance)


def follow(
    console: Console,
    pipeline: Pipeline,
    ledger: Ledger,
    upload: str,
    start: Callable[[], T],
    doing: str,
    seconds: float,
    poll_seconds: float,
) -> T:
    """Start applying an upload, and collect its results until it has settled; show the progress meanwhile.

    Args:
        console: shows the progress.
        pipeline: collects the results.
        ledger: has the progress.
        upload: the upload's key.
        start: applies the upload; its result is returned.
        doing: text to show until the upload is recorded.
        seconds: the longest time to wait for the results.
        poll_seconds: the time between two ticks of the sensors.

    Raises:
        RunFailed: a run failed.
        NotSettled: it took longer.
        Interrupted: a person stopped it; what was being sent then has ended.
    """
    pool = ThreadPoolExecutor(1)
    work: list[Future[Any]] = []

    def until_done(task: Callable[..., Any], *arguments: Any) -> Any:
        work[:] = [pool.submit(task, *arguments)]
        return _until_done(work[0], show)

    with _progress(console) as progress:
        first = progress.add_task(doing, total=None)
        sending = progress.add_task("batches accepted", total=None, visible=False)
        settling = progress.add_task("items settled", total=None, visible=False)

        def show() -> None:
            if record := ledger.upload(upload):
                batches = leaf_batches(ledger.batches(upload))
                accepted = sum(bool(batch.ingestion_id) for batch in batches)
                settled = sum(batch.items for batch in batches if batch.state.final)
                progress.update(first, total=1, completed=1)
                progress.update(sending, total=len(batches), completed=accepted, visible=True)
                progress.update(settling, total=record.items, completed=settled, visible=True)

        try:
            started: T = until_done(start)
            deadline = time.monotonic() + seconds
            while (record := ledger.upload(upload)) and record.is_open:
                if time.monotonic() > deadline:
                    raise NotSettled(
                        f"upload {upload} has not settled after {seconds:,.0f} s",
                        (
                            "jwo-catalog status shows what is open, and the sensors of a running pipeline collect the "
                            "results when they come"
                        ),
                    )
                until_done(pipeline.fetch_results, upload)
                time.sleep(poll_seconds)
            show()
        except KeyboardInterrupt:
            pipeline.stop(upload)
            wait(work, STOP_SECONDS)
            raise _interrupted(ledger, upload) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return started


def _interrupted(ledger: Ledger, upload: str) -> Interrupted:
    """What was sent, in one line, for a person who stops the command."""
    batches = leaf_batches(ledger.batches(upload))
    left = [batch for batch in batches if batch.state.sendable and not batch.is_closed]
    resume = f"jwo-catalog upload --resume {upload}"
    if not batches:
        return Interrupted(f"stopped; nothing of upload {upload} was sent", f"{resume} sends it")
    if not left:
        return Interrupted(f"upload {upload} was sent, its results are not all in", f"{resume} waits for them")
    sent = f"{len(batches) - len(left):,} of {plural(len(batches), 'batch')}"
    return Interrupted(f"stopped; sent of upload {upload}: {sent}, the rest stays planned", f"{resume} sends it")


def _until_done(work: Future[T], show: Callable[[], None]) -> T:
    while not work.done():
        show()
        time.sleep(SHOW_SECONDS)
    return work.result()


def _progress(console: Console) -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console)


def _sentence(event: dg.DagsterEvent) -> str:
    """The message of a failed step's own error."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    while error and error.cause:
        error = error.cause
    return error.message.strip() if error else f"step {event.step_key} failed"
