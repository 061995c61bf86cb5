"""A figure: what was tried, how often, and what came of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One line of the table that `make chaos` prints.

    Attributes:
        what: the guarantee, or the kind of trouble.
        tried: what was tried, with its number: "2,000 kills at 61 points".
        found: what came of it: "0 lost, 0 unaccounted".
        holds: whether that is what is promised.
    """

    what: str
    tried: str
    found: str
    holds: bool
