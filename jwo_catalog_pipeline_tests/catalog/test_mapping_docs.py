"""docs/mapping.md says what the code does: its tables of rules, functions and ready mappings are whole."""

import re
from pathlib import Path

from jwo_catalog_pipeline.catalog.mapping.sql_engine import FUNCTIONS
from jwo_catalog_pipeline.catalog.mapping.systems import SYSTEMS
from jwo_catalog_pipeline.catalog.rules.rulebook import rules
from jwo_catalog_pipeline_tests.support import ROOT

DOCS = (ROOT / "docs" / "mapping.md").read_text(encoding="utf-8")


def first_column(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, row by row."""
    section = DOCS.split(f"\n## {heading}", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row] for row in rows]


def test_every_rule_is_in_the_table_with_its_level() -> None:
    documented = {(row[0].strip("`"), row[1]) for row in first_column("6. Rules")}
    assert documented == {(rule.name, rule.level) for rule in rules(["ST-1"])}


def test_every_function_is_in_the_table() -> None:
    macros = {name for name in re.findall(r"CREATE MACRO (\w+)\(", FUNCTIONS) if not name.startswith("_")}
    documented = {name for row in first_column("5. Functions") for name in re.findall(r"`(\w+)\(x", row[0])}
    assert documented == macros


def test_every_ready_mapping_is_in_the_table() -> None:
    documented = {Path(row[0].strip("`")).stem for row in first_column("9. Ready mappings")}
    assert documented == {system.preset for system in SYSTEMS} | {"template"}
