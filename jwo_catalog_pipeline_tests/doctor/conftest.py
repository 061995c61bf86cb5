"""The fixture of the tests of `jwo-catalog doctor`."""

from collections.abc import Iterator
from typing import Any

import pytest

from jwo_catalog_pipeline.doctor.checks import Finding, Installation, examine
from jwo_catalog_pipeline.doctor.configuration import CHECKS
from jwo_catalog_pipeline_tests.support.doctor import ALERTS, Look, aws_environment, forget_clients, seen_environment
from jwo_catalog_pipeline_tests.support.project import Project


@pytest.fixture
def look(project: Project) -> Iterator[Look]:
    """Runs the named checks, or all, over the project as it is then."""
    project.env["JWO_ALERT_TOPIC_ARN"] = ALERTS
    before = aws_environment()
    seen_environment.clear()  # whatever other tests left
    forget_clients(before)

    def run(*names: str, **more: Any) -> dict[str, Finding]:
        forget_clients()
        wanted = [check for check in CHECKS if not names or check.name in names]
        return {finding.check: finding for finding in examine(Installation.of(project.env, **more), wanted)}

    yield run
    forget_clients(before)
