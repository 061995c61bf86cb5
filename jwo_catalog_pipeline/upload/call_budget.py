"""The call budget over all processes that share a ledger: each call has a slot, which a write to one item reserves.

A slot is a moment, and the next one is at least `SPACING / calls` seconds later, so that any second holds at most so
many. It is compared with this machine's clock: machines that share a ledger must agree on the time to some ten
milliseconds, as those do that keep it by NTP.
"""

import threading
import time
from collections.abc import Callable
from math import ceil
from typing import Any

from botocore.exceptions import ClientError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from jwo_catalog_pipeline.failpoints import effect
from jwo_catalog_pipeline.upload.errors import LedgerUnavailable
from jwo_catalog_pipeline.upload.ledger import Ledger

SPACING = 1.05  # seconds for as many calls as a second may have: 5 % for calls that travel at different speeds
# Ten calls span 945 ms of the 1,000, so a call that is late by up to 50 ms crowds no second; half of it is for travel.
TOLERANCE_MS = 25
# A slot further away than this was made by a clock that is ahead; there would have to be 95 calls waiting. It is not
# honoured but written over, for it would stall all others until then.
HORIZON_MS = 10_000
MAX_ROOM_MS = 2_000  # that a late process asks for
_KEY = {"pk": "RATE", "sk": "RATE"}
# Full jitter, up to 2, 4, 8 ... ms, for the winner is through in one write. 40 tries take some 6 s at most.
_PAUSE = wait_random_exponential(0.002, max=0.2)
_TRIES = 40


class _Taken(Exception):
    """Somebody reserved a slot meanwhile."""


class SharedBudget:
    """Hands out permission to call, at most `calls` in any second over all processes; 0 is no limit (benchmarks).

    Thread-safe. `clock` gives epoch seconds, and must agree with those of the others.
    """

    def __init__(
        self,
        ledger: Ledger,
        calls: int,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ledger, self._clock, self._sleep = ledger, clock, sleep
        self._interval = ceil(SPACING * 1000 / calls) if calls else 0
        self._newest: int | None = None
        self._lock = threading.Lock()

    def take(self) -> None:
        """Wait until one more call is allowed, and count it.

        Whoever wakes too late for its slot takes another, for a late call would crowd those after it: one with as much
        room behind it as it was late before, so that a busy machine gets its turn.

        Raises:
            LedgerUnavailable: the slot cannot be reserved; nothing was called.
        """
        room = 0
        while self._interval:
            slot = self._reserve(room)
            self._sleep(max(0, slot - self._now()) / 1000)
            late = self._now() - slot
            if late <= TOLERANCE_MS + room:
                return
            room = min(ceil(late), MAX_ROOM_MS)

    def _now(self) -> float:
        return self._clock() * 1000

    def _reserve(self, room: int) -> int:
        """The next slot, in epoch milliseconds; the one after it is so many milliseconds later."""
        retrying = Retrying(
            retry=retry_if_exception_type(_Taken),
            stop=stop_after_attempt(_TRIES),
            wait=_PAUSE,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            with self._lock:  # the threads of one process need not compete in the ledger
                return retrying(self._try_to_reserve, room)
        except _Taken:
            table = self._ledger.table.name
            raise LedgerUnavailable(f"the ledger table {table} is busy: no call could be counted") from None

    def _try_to_reserve(self, room: int) -> int:
        now, before = ceil(self._now()), self._newest
        slot = now if before is None or before > now + HORIZON_MS else max(before + self._interval, now)
        condition, values = "attribute_not_exists(slot)", {":slot": slot + room}
        if before is not None:
            condition, values = "slot = :before", {":slot": slot + room, ":before": before}
        with effect("ledger: RATE"), self._ledger.explained():
            try:
                self._ledger.table.update_item(
                    Key=_KEY,
                    UpdateExpression="SET slot = :slot",
                    ConditionExpression=condition,
                    ExpressionAttributeValues=values,
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                    raise
                self._newest = _slot_of(error.response.get("Item"))
                raise _Taken from None
        self._newest = slot + room
        return slot


def _slot_of(item: Any) -> int | None:
    """The slot in what a refused write answers, where it comes in DynamoDB's own notation."""
    return int(item["slot"]["N"]) if item else None
