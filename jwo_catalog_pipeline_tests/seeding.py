"""Puts seeded bugs in, each into a copy of the project, and sees whether its test fails.

.venv/bin/python -m jwo_catalog_pipeline_tests.seeding          all of them
.venv/bin/python -m jwo_catalog_pipeline_tests.seeding lease    those with the word in the guarantee
"""

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from jwo_catalog_pipeline_tests.seeded_bugs import BUGS, TESTS, Bug
from jwo_catalog_pipeline_tests.support import ROOT


def functions(tree: ast.AST, above: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Every function below a node of a syntax tree, and its qualified name: `Sender._attempt`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            name = f"{above}{node.name}"
            if isinstance(node, ast.FunctionDef):
                yield name, node
            yield from functions(node, f"{name}.")


def broken(bug: Bug, package: Path) -> list[tuple[Path, str]]:
    """The files in which the bug can be put, and their text with it: one, wherever its function is, or it is stale."""
    found = []
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for name, node in functions(ast.parse(text)):
            if name == bug.function:
                lines = text.splitlines(keepends=True)
                first, last = node.lineno - 1, node.end_lineno or 0
                body = "".join(lines[first:last])
                if body.count(bug.old) == 1:
                    found.append((path, "".join([*lines[:first], body.replace(bug.old, bug.new), *lines[last:]])))
    return found


def put_in(bug: Bug, package: Path) -> None:
    """Break a copy of the package."""
    ((path, text),) = broken(bug, package)
    path.write_text(text, encoding="utf-8")


def is_noticed(bug: Bug) -> bool:
    """Whether the test fails in a copy of the project that has the bug, and passed before is for `make test` to say."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("jwo_catalog_pipeline", TESTS, "deploy", "pyproject.toml"):
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy / name)
        put_in(bug, copy / "jwo_catalog_pipeline")
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"{TESTS}/{bug.test}"]
        env = {**os.environ, "PYTHONPATH": folder}
        done = subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode not in (0, 1):
            raise RuntimeError(
                f"{bug.guarantee}: the test could not be run: {done.stdout[-1000:]}{done.stderr[-1000:]}"
            )
        return done.returncode == 1


def main(words: list[str]) -> int:
    """Try each bug whose guarantee has all of the words; the exit code says whether all were noticed."""
    table = Table("Guarantee", "Broken in", "Test", "Noticed", title_justify="left")
    missed = 0
    for bug in (each for each in BUGS if all(word.lower() in each.guarantee.lower() for word in words)):
        noticed = is_noticed(bug)
        missed += not noticed
        sys.stderr.write(f"{'noticed' if noticed else 'MISSED '}  {bug.guarantee}\n")
        table.add_row(bug.guarantee, bug.function, bug.test.partition("::")[2] or bug.test, "yes" if noticed else "NO")
    Console(width=180).print(table)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
