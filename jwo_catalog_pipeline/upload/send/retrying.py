"""How often one batch is tried in a run, and how long the pauses between the tries are."""

from tenacity import RetryCallState, wait_random_exponential

from jwo_catalog_pipeline.catalog_api.errors import CatalogApiError, Throttled

ATTEMPTS_A_RUN = 5  # tries at one batch before the run stops and leaves the rest to a resume
# Those that met 429 count apart, for nothing is wrong with the batch: some ten minutes, while the call rate goes down.
THROTTLED_A_RUN = 40
# Full jitter (tenacity): a random wait of up to 1, 2, 4, 8 s, so that throttled clients do not return in step.
BACKOFF = wait_random_exponential(multiplier=1, max=30)


class Tries:
    """How often one batch was tried in vain in this run."""

    def __init__(self) -> None:
        self._throttled = self._others = 0

    def are_over(self, state: RetryCallState) -> bool:
        """Count one more, and say whether it was the last."""
        throttled = state.outcome is not None and isinstance(state.outcome.exception(), Throttled)
        self._throttled += throttled
        self._others += not throttled
        return self._others >= ATTEMPTS_A_RUN or self._throttled >= THROTTLED_A_RUN


def pause_seconds(state: RetryCallState) -> float:
    """Full jitter, or longer where the service asks for it."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, CatalogApiError) else None
    return max(BACKOFF(state), asked or 0.0)
