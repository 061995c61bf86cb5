"""How runs and sensor ticks show errors: with problem and remedy, and without secrets."""

from types import TracebackType

import dagster as dg

from jwo_catalog_pipeline.errors import PipelineError, TransientError
from jwo_catalog_pipeline.redaction import redact_exceptions


class RunFailed(PipelineError):
    """A run in this process failed; the problem is the error message of the failed step."""


class NotSettled(PipelineError, TransientError):
    """An upload has not settled within the given time."""


class DemoError(PipelineError):
    """The demo failed."""


class as_dagster_failure(redact_exceptions):
    """Turns a `PipelineError` into a Failure, which Dagster does not retry; redacts secrets in all errors."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise a Failure in place of a `PipelineError`; other errors pass, redacted if they contain a secret."""
        super().__exit__(kind, error, trace)
        if isinstance(error, PipelineError):
            raise dg.Failure(str(error), allow_retries=False) from error
