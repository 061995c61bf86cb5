"""Whether an upload starts again by itself, by what is known of its runs."""

from datetime import UTC, datetime

import pytest

from jwo_catalog_pipeline.upload.resuming import Run, RunState, backoff_reason

NOW = datetime(2026, 11, 23, 19, 7, tzinfo=UTC).timestamp()
HOUR = 3600


def run(state: RunState, seconds_ago: int) -> Run:
    return Run("r", state, NOW - seconds_ago)


OK, BAD, BUSY = RunState.SUCCEEDED, RunState.FAILED, RunState.GOING_ON


@pytest.mark.parametrize(
    ("runs", "waits"),
    [
        ([], None),
        ([run(OK, 0)], None),
        ([run(BUSY, 2 * HOUR)], None),
        ([run(BUSY, 0)], "a run is already in progress"),
        ([run(BAD, 0), run(BUSY, 0)], "a run is already in progress"),
        ([run(BAD, 59)], "1 run failed; the next starts after 19:07:01 UTC"),
        ([run(BAD, 60)], None),
        ([run(BAD, 239), run(BAD, 0), run(BAD, 0)], "3 runs failed; the next starts after 19:07:01 UTC"),
        ([run(BAD, HOUR)] * 9, None),
        ([run(OK, 0), run(BAD, 0)], None),
        ([run(RunState.CANCELLED, 0), run(BAD, 0)], None),
    ],
)
def test_a_failed_run_is_followed_by_another_after_a_growing_pause(runs: list[Run], waits: str | None) -> None:
    assert backoff_reason(runs, NOW, HOUR) == waits
