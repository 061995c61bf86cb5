"""The list of seeded bugs is up to date: each can still be put in, in one place, and its test exists."""

import re

import pytest

from jwo_catalog_pipeline_tests.seeded_bugs import BUGS, TESTS, Bug
from jwo_catalog_pipeline_tests.seeding import broken
from jwo_catalog_pipeline_tests.support import ROOT


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.guarantee)
def test_a_seeded_bug_can_be_put_in_and_its_test_exists(bug: Bug) -> None:
    assert len(broken(bug, ROOT / "jwo_catalog_pipeline")) == 1, f"{bug.function} has changed: {bug.old!r}"
    file, _, name = bug.test.partition("::")
    text = (ROOT / TESTS / file).read_text(encoding="utf-8")
    assert f"def {name}(" in text if name else "def test_" in text


def test_the_table_of_the_documentation_is_this_list() -> None:
    table = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| (.+?) \| `(.+?)` \| `(.+?)` \|$", table, re.MULTILINE))
    assert {(bug.guarantee, bug.function, bug.test.rpartition("::")[2].rpartition("/")[2]) for bug in BUGS} <= rows
