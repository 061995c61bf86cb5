"""The list of seeded bugs is up to date: each can still be put in, in one place, and its test exists."""

import pytest

from jwo_catalog_pipeline_tests.seeded_bugs import BUGS, ROOT, TESTS, Bug


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.guarantee)
def test_a_seeded_bug_can_be_put_in(bug: Bug) -> None:
    source = (ROOT / "jwo_catalog_pipeline" / bug.file).read_text(encoding="utf-8")
    assert source.count(bug.old) == 1
    file, _, name = bug.test.partition("::")
    assert not name or f"def {name}(" in (ROOT / TESTS / file).read_text(encoding="utf-8")
