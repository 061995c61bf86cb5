"""The tree of errors: one root, drawn where it is defined."""

import importlib
import pkgutil

import jwo_catalog_pipeline
from jwo_catalog_pipeline import errors
from jwo_catalog_pipeline.errors import PipelineError
from jwo_catalog_pipeline.upload.errors import LeaseHeld


def _drawn() -> list[str]:
    return [line for line in (errors.__doc__ or "").splitlines() if line.strip() and " " not in line.strip()]


def _real(cls: type[PipelineError] = PipelineError, depth: int = 0) -> list[str]:
    below = [line for each in cls.__subclasses__() for line in _real(each, depth + 1)]
    return [" " * 2 * depth + cls.__name__, *below]


def test_the_docstring_draws_every_error_in_its_place() -> None:
    for module in pkgutil.walk_packages(jwo_catalog_pipeline.__path__, "jwo_catalog_pipeline."):
        if "sandbox" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)

    def paths(lines: list[str]) -> set[tuple[str, ...]]:
        found, above = set(), list[str]()
        for line in lines:
            depth = (len(line) - len(line.lstrip())) // 2
            above = [*above[:depth], line.strip()]
            found.add(tuple(above))
        return found

    assert paths(_drawn()) == paths(_real())


def test_people_read_both_parts_and_programs_each() -> None:
    error = PipelineError("the file is empty", "export it again")
    assert (str(error), error.problem, error.remedy) == (
        "the file is empty; export it again",
        "the file is empty",
        "export it again",
    )
    assert str(PipelineError("the file is empty")) == "the file is empty"
    assert LeaseHeld("a run holds it", "resume later", seconds=3).seconds == 3
