"""A figure: what was tried, how often, and what came of it; and how figures are shown."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox


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

    def row(self) -> dict[str, str]:
        """As a row of the table of the documentation."""
        return {
            "Test": self.what,
            "Tried": self.tried,
            "Result": ("" if self.holds else "DOES NOT HOLD: ") + self.found,
        }


def alone(part: Callable[[RunningSandbox], list[Figure]]) -> int:
    """Run one part of `make chaos` in a sandbox of its own, and print its figures; the code says whether all hold."""
    sandbox = own_sandbox()
    try:
        figures = part(sandbox)
    finally:
        sandbox.stop()
    return report(figures)


def report(figures: Sequence[Figure]) -> int:
    """Print a part's figures, as JSON in one line where --json was asked for; the code says whether all hold."""
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps([asdict(figure) for figure in figures]) + "\n")
    else:
        show(figures)
    return 0 if all(figure.holds for figure in figures) else 1


def own_sandbox() -> RunningSandbox:
    """A sandbox without a limit of its own, whose AWS this process sees from now on."""
    sandbox = RunningSandbox("--requests-per-second", "0")
    for name, value in sandbox.environment.items():
        if name.startswith("AWS_"):
            os.environ[name] = value
    return sandbox


def show(figures: Sequence[Figure]) -> None:
    """The figures as a table, those that do not hold in red."""
    table = Table(title_justify="left")
    for name in ("What", "Tried", "Found"):
        table.add_column(name, overflow="fold")
    for figure in figures:
        mark = Text("" if figure.holds else "DOES NOT HOLD: ", style="red")
        table.add_row(figure.what, figure.tried, mark + Text(figure.found))
    Console(width=160, highlight=False).print(table)
