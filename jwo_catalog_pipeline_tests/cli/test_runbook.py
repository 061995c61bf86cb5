"""docs/runbook.md: what it says was done, as written; what other tests do is named there."""

import re

import pytest
from click.testing import CliRunner

from jwo_catalog_pipeline.cli.main import main
from jwo_catalog_pipeline_tests.support import ROOT
from jwo_catalog_pipeline_tests.support.project import HEADER, MAPPING, ROWS, Project, failure

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")


def accepted(project: Project) -> dict[str, str]:
    return {each["item_sku"]: each["item_name"] for each in project.sandbox.get("catalog")}


def test_every_section_that_a_message_names_exists() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "jwo_catalog_pipeline").rglob("*.py"))
    in_one_line = re.sub(r"""["']\s*\n\s*f?["']""", "", code)
    named = set(re.findall(r'runbook\.md, "([^"]+)"', in_one_line))
    assert named >= {"A stuck upload", "A message that cannot be read"}
    assert named <= set(re.findall(r"^## (.+)$", RUNBOOK, re.MULTILINE))


def test_every_test_that_it_names_exists() -> None:
    for name in set(re.findall(r"`(test_\w+)(?:\.py)?`", RUNBOOK)):
        assert list((ROOT / "jwo_catalog_pipeline_tests").rglob(f"{name}.py")), name


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"jwo-catalog ((?:[a-z][a-z-]* ?){1,2})([^`\n#]*)", RUNBOOK)))
)
def test_every_command_that_it_names_exists_with_its_options(command: tuple[str, str]) -> None:
    words, rest = command
    found = CliRunner().invoke(main, [*words.split(), "--help"])
    assert found.exit_code == 0, found.output
    for option in re.findall(r"--[a-z-]+", rest):
        assert option in found.output


@pytest.mark.thorough
def test_a_store_that_amazon_does_not_know_harms_no_other_and_is_left_out(project: Project) -> None:
    project.env.pop("JWO_STORE_IDS", None)
    project.export(HEADER, *ROWS, "D,4006381333931,Pens,JWO-STORE-77,1.00")
    project.upload("u1")
    assert set(accepted_after(project, "u1")) == {"A", "B", "C"}
    assert {str(batch.refusal) for batch in project.ledger.batches("u1")} == {"split", "one_store", ""}
    project.env["JWO_STORE_IDS"] = "JWO-STORE-01,JWO-STORE-02"
    project.must_upload("u2", ops={"jwo_catalog": {"config": {"max_invalid_share": 0.5}}})
    assert project.table("quarantined_items")["reasons"].str.contains("store_known").tolist() == [True]
    assert project.ledger.batches("u2") == []


def accepted_after(project: Project, upload: str) -> dict[str, str]:
    project.settle(upload)
    return accepted(project)


@pytest.mark.thorough
def test_an_upload_that_the_old_role_may_not_make_is_resumed_under_the_new_one(project: Project) -> None:
    project.sandbox.misbehave(forbid=99)
    assert "403" in failure(project.upload("u1"))
    assert [str(batch.state) for batch in project.ledger.batches("u1")] == ["planned"]
    project.sandbox.misbehave(forbid=0)
    project.env["JWO_API_ROLE_ARN"] = project.env["JWO_API_ROLE_ARN"] + "-new"
    assert project.run("catalog_upload_job", "u1", only=["ingestion_record"]).success
    assert set(accepted_after(project, "u1")) == {"A", "B", "C"}


@pytest.mark.thorough
def test_a_mapping_is_rolled_back_by_an_ordinary_upload(project: Project) -> None:
    project.must_upload("u1")
    before = accepted_after(project, "u1")
    project.mapping(MAPPING.replace("clean(name)", "upper(clean(name))"))
    project.must_upload("u2")
    assert accepted_after(project, "u2") != before
    project.mapping(MAPPING)
    project.must_upload("u3")
    assert accepted_after(project, "u3") == before
