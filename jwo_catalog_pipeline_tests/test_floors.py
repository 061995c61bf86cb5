"""Who may know whom: the contracts in pyproject.toml (docs/architecture.md has the picture)."""

from pathlib import Path

import pytest
from importlinter.cli import lint_imports


def test_every_module_stands_on_the_floors_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent.parent)
    assert lint_imports(cache_dir=None) == 0
