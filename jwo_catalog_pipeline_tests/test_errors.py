"""The tree of errors: one root, drawn where it is defined."""

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest

import jwo_catalog_pipeline
from jwo_catalog_pipeline import errors
from jwo_catalog_pipeline.errors import PipelineError, TerminalError, TransientError
from jwo_catalog_pipeline.upload.errors import LeaseHeld

# A line of the tree; the mark is that of the class's mix-in.
_LINE = re.compile(r" *[A-Z][A-Za-z]+( \((transient|terminal)\))?")


@pytest.fixture(autouse=True)
def _everything_is_imported() -> None:
    for module in pkgutil.walk_packages(jwo_catalog_pipeline.__path__, "jwo_catalog_pipeline."):
        if "sandbox" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def _drawn() -> list[str]:
    return [line for line in (errors.__doc__ or "").splitlines() if _LINE.fullmatch(line)]


def _classes(cls: type[PipelineError] = PipelineError) -> Iterator[type[PipelineError]]:
    yield cls
    for each in cls.__subclasses__():
        yield from _classes(each)


def _real(cls: type[PipelineError] = PipelineError, depth: int = 0) -> list[str]:
    mark = (
        " (transient)" if issubclass(cls, TransientError) else " (terminal)" if issubclass(cls, TerminalError) else ""
    )
    below = [line for each in cls.__subclasses__() for line in _real(each, depth + 1)]
    return [" " * 2 * depth + cls.__name__ + mark, *below]


def test_the_docstring_draws_every_error_in_its_place() -> None:
    def paths(lines: list[str]) -> set[tuple[str, ...]]:
        found, above = set(), list[str]()
        for line in lines:
            depth = (len(line) - len(line.lstrip())) // 2
            above = [*above[:depth], line.strip()]
            found.add(tuple(above))
        return found

    assert paths(_drawn()) == paths(_real())


def test_no_error_is_transient_and_terminal_at_once() -> None:
    assert not [cls for cls in _classes() if issubclass(cls, TransientError) and issubclass(cls, TerminalError)]


def test_people_read_both_parts_and_programs_each() -> None:
    error = PipelineError("the file is empty", "export it again")
    assert (str(error), error.problem, error.remedy) == (
        "the file is empty; export it again",
        "the file is empty",
        "export it again",
    )
    assert str(PipelineError("the file is empty")) == "the file is empty"
    assert LeaseHeld("a run holds it", "resume later", seconds=3).seconds == 3
