"""The call budget of all processes that share a ledger: at most so many Catalog API calls in any second.

What Amazon's limit of 10 a second covers is unknown, so one budget covers all operations, runs, sensors and machines.
It is one item of the ledger, RATE: the newest slot anybody has reserved, and the reserver's clock when it did. Slots
lie an interval apart, and the process that has reserved one sleeps until then.

Clocks that differ: a process that finds the item noted later than its own clock shows follows the other's clock from
then on, so all go by the one that is furthest ahead, and no call waits for it. The difference is only seen when the
item is read, to within the age of what is found; each time that a process learns more of it, one of its calls may come
closer to another's than the interval.

A gateway that lets fewer calls through than documented answers 429. Whoever meets that makes the interval half as long
again, and notes it in the item, so all processes slow down; what was added halves each minute.
"""

import math
import threading
import time
from collections.abc import Callable

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from jwo_catalog_pipeline.upload.errors import Contended
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.notices import Slot

WINDOW_SECONDS = 1.06  # a second, and 6 % for calls that travel at different speeds; 9.4 of 10 calls remain
LATE_SECONDS = 0.015  # how late a slot may be used: a quarter of the above, the rest is for what happens after it
RESERVATIONS = 10  # slots that one call may give up, before it goes late: a machine so busy must get on, too
LONGEST_LEAD_SECONDS = 0.5  # a reservation that takes longer than this is an exception, not what to reckon with
# A slot further ahead than this is disregarded. It would be a queue of 280 processes, each having one slot at most; and
# a sensor's tick is cut off at 60 s. So it is no queue, but a wrong number.
HONOURED_SECONDS = 30.0
SLOWER = 1.5  # the interval after a 429, at most once in `SLOW_EVERY_SECONDS`, for calls under way meet it together
SLOW_EVERY_SECONDS = 1.0
SLOWEST = 2_000  # ms between two calls; a gateway that wants fewer is out of order
RECOVERY_SECONDS = 60.0  # in which what was added to the interval halves
# Others that reserved first; each such collision means that one of them got its slot.
_TRIES = 40
_JITTER = wait_random_exponential(0.01, max=0.2)


class DistributedRateLimiter:
    """Hands out permission to call. A budget of 0 calls is no limit, and touches no ledger. Thread-safe.

    Args:
        ledger: what the processes share.
        calls: how many in any second.
        clock: epoch seconds; may differ from other processes'.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        calls: int,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ledger, self._clock, self._sleep = ledger, clock, sleep
        self._interval = math.ceil(1000 * WINDOW_SECONDS / calls) if calls else 0  # ms
        self._seen: Slot | None = None  # the newest, as far as this process knows
        self._slower, self._slowed_at = False, -math.inf
        self._behind = 0.0  # seconds that the clock is behind the one that all go by
        self._lock = threading.Lock()

    def take(self) -> None:
        """Wait until one more call is allowed, and count it.

        Raises:
            LedgerUnavailable: no slot can be reserved; nothing may be called.
        """
        if not self._interval:
            return
        lead = 0.0
        with self._lock:
            for _ in range(RESERVATIONS):
                slot = self._reserve(lead) / 1000
                self._sleep(max(0.0, slot - self._now()))
                late = self._now() - slot
                if late <= LATE_SECONDS:
                    return
                # A late call would crowd those that follow. Perhaps reserving takes long: the next slot allows for it.
                lead = min(lead + late, LONGEST_LEAD_SECONDS)

    def slow_down(self) -> None:
        """Leave more time between calls, over all processes; what is added goes away again slowly."""
        now = self._clock()
        if now >= self._slowed_at + SLOW_EVERY_SECONDS:
            self._slower, self._slowed_at = True, now

    def _now(self) -> float:
        return self._clock() + self._behind

    def _reserve(self, lead: float) -> int:
        """The next slot that is free, no sooner than in `lead` seconds: ms since the epoch."""
        retrying = Retrying(
            sleep=self._sleep,
            retry=retry_if_exception_type(Contended),
            stop=stop_after_attempt(_TRIES),
            wait=_at_once_then_jitter,
            reraise=True,
        )
        return retrying(self._try_to_reserve, lead)

    def _try_to_reserve(self, lead: float) -> int:
        now, seen = self._now(), self._seen
        slot, interval = math.ceil(1000 * (now + lead)), self._interval_now(now)
        if seen is not None and seen.at <= 1000 * (now + HONOURED_SECONDS):
            slot = max(slot, seen.at + interval)
        mine = Slot(slot, noted_at=int(1000 * now), interval=interval)
        newest = self._ledger.reserve_slot(mine, seen.at if seen else None)
        if newest is None:
            self._seen, self._slower = mine, False
            return slot
        self._seen = newest
        self._behind = max(self._behind, newest.noted_at / 1000 - self._clock())
        raise Contended("other processes reserve calls at the same time", "run fewer of them")

    def _interval_now(self, now: float) -> int:
        """Between two calls: as budgeted, and what is left of what 429s have added; ms."""
        added = 0.0
        if self._seen is not None and self._seen.interval > self._interval:
            age = max(0.0, now - self._seen.noted_at / 1000)
            added = (self._seen.interval - self._interval) * 0.5 ** (age / RECOVERY_SECONDS)
        interval = self._interval + added
        return min(SLOWEST, math.ceil(interval * SLOWER)) if self._slower else round(interval)


def _at_once_then_jitter(state: RetryCallState) -> float:
    """The first failure only reads the newest slot; further ones are collisions."""
    return 0.0 if state.attempt_number == 1 else _JITTER(state)
