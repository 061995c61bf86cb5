"""How a run, and a sensor's tick, show errors: people read both parts, and no error shows a secret."""

from types import TracebackType

import dagster as dg

from jwo_catalog_pipeline.errors import PipelineError, TransientError
from jwo_catalog_pipeline.redaction import redact_exceptions


class RunFailed(PipelineError):
    """A run in this process failed; the problem is the failed step's own sentence."""


class NotSettled(PipelineError, TransientError):
    """An upload has not settled in the time given to it."""


class DemoError(PipelineError):
    """The demo could not be finished."""


class as_dagster_failure(redact_exceptions):
    """Turns a `PipelineError` into a Failure with its text, which is not retried; no error shows a secret."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise the Failure in place of a pipeline error; let everything else through that holds no secret."""
        super().__exit__(kind, error, trace)
        if isinstance(error, PipelineError):
            raise dg.Failure(str(error), allow_retries=False) from error
