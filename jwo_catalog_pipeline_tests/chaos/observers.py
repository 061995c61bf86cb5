"""What happens when a failpoint is reached: a death, an exception, anything else."""

import os
import signal
from collections.abc import Callable
from pathlib import Path


class Broken(Exception):
    """Raised at a failpoint, in place of a kill."""


def at(point: str, occurrence: int, act: Callable[[], object]) -> Callable[[str], None]:
    """An observer that acts when a point is reached for the n-th time."""
    left = [occurrence]

    def observer(reached: str) -> None:
        if reached == point:
            left[0] -= 1
            if left[0] == 0:
                act()

    return observer


def first_of(*observers: Callable[[str], None]) -> Callable[[str], None]:
    """An observer of several minds."""

    def observer(reached: str) -> None:
        for each in observers:
            each(reached)

    return observer


def after_hits(hits: int, act: Callable[[], object], note: Path) -> Callable[[str], None]:
    """An observer that acts at the n-th point of any name, and notes which that was."""
    left = [hits]

    def observer(reached: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            note.write_text(reached)
            act()

    return observer


def die() -> None:
    """As the kernel or an operator would have it."""
    os.kill(os.getpid(), signal.SIGKILL)


def break_down() -> None:
    """As a library would have it that nobody expects to."""
    raise Broken("raised at a failpoint")
