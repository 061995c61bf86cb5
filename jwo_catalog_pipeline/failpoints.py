"""Named points in the code at which a test may kill the process or raise: before and after every external effect.

In production nothing is armed, and a point costs one comparison. Names are `before` or `after` and the effect, such as
`before ledger: attempt`; the ledger and the bucket name what they are about to write, so no effect is without a point.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_armed: list[Callable[[str], None]] = []  # at most one


def failpoint(name: str) -> None:
    """Tell the armed observer, if there is one, that this point has been reached; it may not return."""
    if _armed:
        _armed[0](name)


@contextmanager
def effect(name: str) -> Iterator[None]:
    """The points before and after an external effect. Where the effect fails, the second is not reached."""
    failpoint(f"before {name}")
    yield
    failpoint(f"after {name}")


def arm(observer: Callable[[str], None]) -> None:
    """Call `observer` with every point reached in this process, in place of any other observer."""
    _armed[:] = [observer]


def disarm() -> None:
    """Call no observer any more."""
    _armed.clear()
