"""The tree of errors: one root, drawn where it is defined."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import jwo_catalog_pipeline
from jwo_catalog_pipeline import errors
from jwo_catalog_pipeline.errors import PipelineError, TerminalError, TransientError
from jwo_catalog_pipeline.upload.errors import LeaseHeld

PACKAGE = Path(jwo_catalog_pipeline.__file__).parent
# A line of the tree; the mark is that of the class's mix-in.
_LINE = re.compile(r" *[A-Z][A-Za-z]+( \((transient|terminal)\))?")
# The beginning of a remedy: a clause that starts with what to do.
_REMEDY = re.compile(
    r"[:;.] (add|ask|check|choose|correct|deploy|export|fix|give|install|leave|look|make|materialize|move|put|quote|"
    r"remove|rename|restore|resume|run|save|see|send|set|start|stop|upload|use|wait|write) ",
    re.IGNORECASE,
)


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


def _remedies_in_problems(source: str, names: set[str]) -> Iterator[int]:
    """The lines on which one of these errors is made with a problem that says what to do."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names and node.args:
            texts = [part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)]
            if any(isinstance(text, str) and _REMEDY.search(text) for text in texts):
                yield node.lineno


def test_a_problem_holds_no_remedy() -> None:
    names = {cls.__name__ for cls in _classes()}
    assert list(_remedies_in_problems('raise NoPlan(f"{key} has no plan: make one first")', names)) == [1]
    assert not list(_remedies_in_problems('raise NoPlan(f"{key} has no plan", "make one first")', names))
    found = {
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in PACKAGE.rglob("*.py")
        for line in _remedies_in_problems(path.read_text(encoding="utf-8"), names)
    }
    assert not found, "the second argument is for what to do"


def test_people_read_both_parts_and_programs_each() -> None:
    error = PipelineError("the file is empty", "export it again")
    assert (str(error), error.problem, error.remedy) == (
        "the file is empty; export it again",
        "the file is empty",
        "export it again",
    )
    assert str(PipelineError("the file is empty")) == "the file is empty"
    assert LeaseHeld("a run holds it", "resume later", seconds=3).seconds == 3
