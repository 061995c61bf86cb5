"""The command line's mapping commands, as a person and as a script use them."""

import json
from pathlib import Path

import boto3
import pytest
from click.testing import CliRunner, Result

from jwo_catalog_pipeline.cli.main import main
from jwo_catalog_pipeline_tests.support.project import HEADER, ROWS, SAMPLE
from jwo_catalog_pipeline_tests.support.project import MAPPING as SMALL
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

GROCERY, MAPPING = str(SAMPLE / "grocery.csv"), str(SAMPLE / "mapping.yaml")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JWO_STORE_IDS", raising=False)

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["mapping", *arguments], catch_exceptions=False)

    return call


def test_init_review_and_diff_follow_each_other(run, tmp_path: Path) -> None:
    proposed = run("init", GROCERY, "-o", "proposal.yaml")
    assert proposed.exit_code == 0
    assert "jwo-catalog mapping review" in proposed.output
    reviewed = run("review", GROCERY, "--mapping", "proposal.yaml")
    assert reviewed.exit_code == 0
    assert "2,518 mapped rows" in reviewed.output
    assert (tmp_path / "proposal.review.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    compared = run("diff", "proposal.yaml", MAPPING, GROCERY)
    assert compared.exit_code == 0
    assert "| product_tax_code |" in compared.output


def test_init_overwrites_nothing(run, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("precious")
    result = run("init", GROCERY, "-o", "mine.yaml")
    assert result.exit_code == 1
    assert "mine.yaml exists" in result.output
    assert (tmp_path / "mine.yaml").read_text() == "precious"


def test_review_for_machines_and_for_a_pull_request(run) -> None:
    found = json.loads(run("review", GROCERY, "--mapping", MAPPING, "--json").stdout)
    assert found["rows"] == found["valid"] + found["quarantined"] == 2518
    assert found["rules"]["item_unique"] == {"level": "error", "rows": 8}
    assert (
        "store_known"
        in json.loads(run("review", GROCERY, "--mapping", MAPPING, "--stores", "X", "--json").stdout)["rules"]
    )
    assert run("review", GROCERY, "--mapping", MAPPING, "--markdown").stdout.startswith("## Field mapping review")


@pytest.mark.parametrize(
    ("change", "fail_on", "code"),
    [
        (("clean(concat_ws", "upper(concat_ws"), "changed", 1),
        (("clean(concat_ws", "upper(concat_ws"), "keys", 0),
        (("'\"Article No\"'", "'lower(\"Article No\")'"), "keys", 1),
        (('restore_barcode("Barcode")\n', "'\"Barcode\"'\n"), "invalid", 1),
        (("", ""), "changed", 0),
    ],
)
def test_diff_can_fail_a_build(run, tmp_path: Path, change: tuple[str, str], fail_on: str, code: int) -> None:
    text = Path(MAPPING).read_text(encoding="utf-8")
    (tmp_path / "new.yaml").write_text(text.replace(*change, 1), encoding="utf-8")
    result = run("diff", MAPPING, "new.yaml", GROCERY, "--json", "--fail-on", fail_on)
    assert result.exit_code == code, result.output
    assert json.loads(result.stdout)["items_before"] == 2518


def test_a_wrong_mapping_is_a_sentence(run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("version: 1\nfields: {item_skew: a}\n")
    result = run("review", GROCERY, "--mapping", "bad.yaml")
    assert result.exit_code == 1
    assert "did you mean 'item_sku'" in result.output


def test_the_schema_is_printed(run) -> None:
    assert json.loads(run("schema").stdout)["title"] == "Field mapping of jwo_catalog_pipeline"


def test_an_export_is_named_as_in_the_setting(run, fresh: RunningSandbox, tmp_path: Path) -> None:
    s3, bucket = boto3.client("s3"), fresh.environment["JWO_BUCKET"]
    content = "\n".join([HEADER, *ROWS])
    s3.put_object(Bucket=bucket, Key="exports/new.csv", Body=content.encode())
    s3.put_object(Bucket=bucket, Key="exports/archive/old.csv", Body=f"{HEADER}\n{ROWS[0]}\n".encode())
    s3.put_object(Bucket=bucket, Key="exports/new.csv.done", Body=b"")
    (tmp_path / "m.yaml").write_text(SMALL)
    (tmp_path / "local.csv").write_text(content)
    for export in (f"s3://{bucket}/exports/", f"s3://{bucket}/exports/*.csv", "*.csv", "local.csv"):
        assert json.loads(run("review", export, "--mapping", "m.yaml", "--json").stdout)["rows"] == 3
    assert "new.csv" in run("init", f"s3://{bucket}/exports/").stdout
    assert "old.csv" in run("diff", "m.yaml", "m.yaml", f"s3://{bucket}/exports/archive/old.csv").stdout


def test_an_export_that_is_not_there_is_a_sentence(run, fresh: RunningSandbox) -> None:
    for export in ("gone.csv", "*.gone", f"s3://{fresh.environment['JWO_BUCKET']}/gone.csv", "s3://no-such-bucket/"):
        result = run("review", export, "--mapping", MAPPING)
        assert result.exit_code == 2
        assert "Invalid value for EXPORT" in result.output
        assert "exist" in result.output or "no file matches" in result.output
