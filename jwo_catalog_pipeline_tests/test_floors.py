"""Who may know whom: the contracts in pyproject.toml (docs/architecture.md has the picture)."""

import pytest
from importlinter.cli import lint_imports

from jwo_catalog_pipeline_tests.support import ROOT


def test_every_module_stands_on_the_floors_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert lint_imports(cache_dir=None) == 0
