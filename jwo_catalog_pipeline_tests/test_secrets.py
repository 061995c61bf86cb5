"""Nothing that the pipeline leaves behind holds a secret (design, invariant 8): logs, Dagster, bucket, ledger."""

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from jwo_catalog_pipeline_tests.chaos.secrets import held, search
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

SECRET = "c4nary/S3cret+Value=="


def test_no_secret_is_left_anywhere_and_without_redaction_they_would_be(fresh: RunningSandbox, tmp_path: Path) -> None:
    for figure in search(fresh, tmp_path):
        assert figure.holds, f"{figure}\n{(tmp_path / 'stderr').read_text()[-3000:]}"


@pytest.mark.parametrize(
    "text",
    [
        SECRET.encode(),
        b"x" + SECRET.encode("utf-16"),
        f"a={quote(SECRET, safe='')}".encode(),
        json.dumps(SECRET).replace("/", "\\/").encode(),
        base64.b64encode(f"a{SECRET} and more".encode()),
        base64.b64encode(f"ab{SECRET} and more".encode()),
        base64.b64encode(f"abc{SECRET}".encode()),
        SECRET.encode().hex().encode(),
    ],
)
def test_the_search_finds_a_secret_in_every_form(text: bytes) -> None:
    assert held(b"before " + text + b" after", [SECRET])
    assert not held(text, ["c4nary/another+Value=="])
