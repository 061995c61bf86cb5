"""What the sandbox has been told to do wrong, and how often. It decides only; `service.py` and `server.py` act on it.

A fault has a count (the next n times) or a share (a number between 0 and 1: that share of the times, evenly spread),
so a test that sets it knows what it will get.
"""

import difflib
import hashlib
import threading
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from jwo_catalog_pipeline.sandbox.ingestions import FIFO, is_order
from jwo_catalog_pipeline.sandbox.reports import SHAPES

OPERATIONS = ("upload", "archive", "status")
INGESTING = ("upload", "archive")

BEFORE = (
    "throttle",  # 429
    "forbid",  # 403, as for an account that is not onboarded
    "error_retry",  # 500 of the kind "retry recommended"
    "error_no_retry",  # 500 of the other kind
    "close_before_ingesting",
    "hang_before_ingesting",
)
AFTER = (
    "error_after_ingesting",  # 500
    "close_after_ingesting",
    "hang_after_ingesting",
    "no_ingestion_id",  # 2xx without the id
)
FINAL_STATUS = ("cancel", "fatal")
NOTIFYING = ("drop_notifications", "duplicate_notifications", "unreadable_notifications")

STS_DOWN = "sts_down"  # 503 to AssumeRole; a count only, for AWS's own process commits it (`moto_server.py`)

# Each fault, and the operations that can have it.
FAULTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(BEFORE, OPERATIONS),
    **dict.fromkeys((*AFTER, *FINAL_STATUS, *NOTIFYING), INGESTING),
    "expire_links": OPERATIONS,  # of an ingestion's notification, or of the status call
    "unknown_status": ("status",),
    STS_DOWN: (),
}


@dataclass(frozen=True)
class Settings:
    """How the service behaves until told otherwise."""

    delay: float = 0.0  # seconds from accepting to processing
    report_shape: str = "1"
    success_code: int = 201
    order: str = FIFO  # in which what is due gets processed: fifo, lifo, or random:<seed>
    signature_seconds: float = 300  # how far X-Amz-Date may be off; AWS's five minutes
    clock_offset: float = 0.0  # seconds that the service's own clock is fast; negative: slow
    requests_per_second: int = 10  # 0: no limit
    read_late: bool = False  # take uploads unread, and read them when they are processed: for benchmarks
    reorder_notifications: bool = False  # hold them, and publish in reverse when drained
    reject_skus: list[str] = field(default_factory=list)
    reject_share: float = 0.0
    refuse_skus: list[str] = field(default_factory=list)  # a request with one of these is refused as a whole
    refuse_text: str = ""  # with these words instead of the documented ones
    still_on_planogram: list[str] = field(default_factory=list)  # SKUs that cannot be archived

    def rejects(self, sku: str) -> bool:
        """Whether to reject this SKU; by share, it is the same SKUs every time."""
        if sku in self.reject_skus:
            return True
        return int.from_bytes(hashlib.sha256(sku.encode()).digest()[:4]) < self.reject_share * 2**32


@dataclass
class _Fault:
    kind: str
    operation: str | None
    amount: float
    times_asked: int = 0

    def fires(self) -> bool:
        self.times_asked += 1
        if 0 < self.amount < 1:
            return int(self.times_asked * self.amount) > int((self.times_asked - 1) * self.amount)
        return self.times_asked <= self.amount


class UnknownKeyError(Exception):
    """Something was asked for that does not exist, or with a value that makes no sense; the text says what does."""


class Faults:
    """The settings and the faults that are switched on; safe to use from several threads."""

    def __init__(self, settings: Settings):
        self._initial = settings
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Back to the settings of the start, and no faults."""
        with self._lock:
            self.settings = self._initial
            self._faults: dict[tuple[str, str | None], _Fault] = {}

    def set(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Change settings and faults; all of it, or, if anything is wrong with it, none.

        Args:
            wanted: settings and faults by name, and `operation` to limit these faults to one operation. 0 ends a fault.

        Returns:
            All settings, and the faults that are on.

        Raises:
            UnknownKeyError: an unknown name or an impossible value.
        """
        operation = wanted.get("operation")
        if operation is not None and operation not in OPERATIONS:
            raise UnknownKeyError(f"operation is {operation!r}; it is one of {', '.join(OPERATIONS)}")
        names = [name for name in wanted if name != "operation"]
        faults = [_fault(name, operation, wanted[name]) for name in names if name in FAULTS]
        changes = {name: _setting(name, wanted[name]) for name in names if name not in FAULTS}
        with self._lock:
            self.settings = replace(self.settings, **changes)
            for fault in faults:
                self._faults.pop((fault.kind, fault.operation), None)
                if fault.amount:
                    self._faults[fault.kind, fault.operation] = fault
        return self.state()

    def state(self) -> dict[str, Any]:
        """All settings, and the faults that are on with how often they were asked for."""
        with self._lock:
            return {**asdict(self.settings), "faults": [asdict(fault) for fault in self._faults.values()]}

    def take(self, kinds: tuple[str, ...], operation: str) -> str | None:
        """The fault to commit now, if any, and use it up.

        Args:
            kinds: the faults that could happen at this point.
            operation: the operation that is being served.

        Returns:
            The first that fires, in the order in which they were set.
        """
        with self._lock:
            for (kind, only), fault in self._faults.items():
                if kind in kinds and only in (None, operation) and operation in FAULTS[kind] and fault.fires():
                    return kind
        return None


def _fault(name: str, operation: str | None, amount: Any) -> _Fault:
    if operation is not None and operation not in FAULTS[name]:
        raise UnknownKeyError(f"{name} cannot happen to {operation}")
    whole = isinstance(amount, int) and not isinstance(amount, bool) and amount >= 0
    if name == STS_DOWN and not whole:
        raise UnknownKeyError(f"{name} is {amount!r}; it takes a count")
    if not whole and not (isinstance(amount, float) and 0 < amount < 1):
        raise UnknownKeyError(f"{name} is {amount!r}; it takes a count, or a share between 0 and 1")
    return _Fault(name, operation, amount)


def _setting(name: str, value: Any) -> Any:
    known = {f.name: f for f in fields(Settings)}
    if name not in known:
        candidates = [*known, *FAULTS, "operation"]
        nearest = difflib.get_close_matches(name, candidates, n=1, cutoff=0)[0]
        raise UnknownKeyError(f"unknown key {name!r}; did you mean {nearest!r}?")
    allowed: dict[str, tuple[Any, ...]] = {
        "report_shape": SHAPES,
        "success_code": (200, 201),
        "reorder_notifications": (True, False),
    }
    if name == "report_shape":
        value = str(value)
    if name in allowed:
        right = value in allowed[name]
    elif name == "order":
        right = is_order(value)
    elif name == "refuse_text":
        right = isinstance(value, str)
    elif name in ("reject_skus", "refuse_skus", "still_on_planogram"):
        right = isinstance(value, list) and all(isinstance(sku, str) for sku in value)
    else:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        right = number and (value >= 0 or name == "clock_offset")
    if not right:
        raise UnknownKeyError(f"{name} is {value!r}, which it cannot be")
    return value
