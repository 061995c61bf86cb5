"""The call budget: at most so many calls in any second, over all operations (what Amazon's limit covers is unknown)."""

import threading
import time
from collections import deque
from collections.abc import Callable

WINDOW_SECONDS = 1.05  # a second, and 5 % for calls that travel at different speeds


class CallBudget:
    """Hands out permission to call, so that any window of a second sees at most `calls` of them.

    A budget of 0 calls is no limit at all (benchmarks). Thread-safe; one process.
    """

    def __init__(
        self,
        calls: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._recent: deque[float] = deque(maxlen=calls or None)
        self._calls, self._clock, self._sleep = calls, clock, sleep
        self._lock = threading.Lock()

    def take(self) -> None:
        """Wait until one more call is allowed, and count it."""
        if not self._calls:
            return
        with self._lock:
            if len(self._recent) == self._calls:
                self._sleep(max(0.0, self._recent[0] + WINDOW_SECONDS - self._clock()))
            self._recent.append(self._clock())
