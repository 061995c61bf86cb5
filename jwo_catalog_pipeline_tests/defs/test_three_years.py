"""Three years of hourly uploads: one more takes the calls, the time and the bytes that it took in the first week."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from jwo_catalog_pipeline.aws import aws_client, dynamodb_table
from jwo_catalog_pipeline.defs import resources
from jwo_catalog_pipeline.defs.sensors import (
    alerts_sensor,
    ingestion_results_sensor,
    overdue_ingestions_sensor,
    source_catalog_sensor,
    waiting_items_sensor,
)
from jwo_catalog_pipeline.defs.upload_assets import catalog_uploads
from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.ledger.writes import FENCE, attributes
from jwo_catalog_pipeline.upload.model import PlanRecord, UploadRecord, upload_key
from jwo_catalog_pipeline.upload.queries import overview
from jwo_catalog_pipeline.upload.snapshots import read_before, write_before
from jwo_catalog_pipeline_tests.support.project import HEADER, ROWS, Project

WEEK, THREE_YEARS = 10, 3 * 365 * 24
SENSORS = (
    source_catalog_sensor,
    ingestion_results_sensor,
    overdue_ingestions_sensor,
    waiting_items_sensor,
    alerts_sensor,
)
CACHES = [aws_client, dynamodb_table, resources._budget, resources._credentials]


@dataclass
class Cost:
    """What something took: calls by name, and seconds."""

    calls: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


@pytest.fixture
def calls(project: Project) -> Iterator[Counter[str]]:
    """Every call to AWS that is made from now on, by service and operation."""
    boto3.setup_default_session()
    made: Counter[str] = Counter()

    def note(model: Any, **_: Any) -> None:
        made[f"{model.service_model.service_name}:{model.name}"] += 1

    boto3.DEFAULT_SESSION.events.register("before-parameter-build", note)
    for cached in CACHES:
        cached.cache_clear()
    yield made
    boto3.setup_default_session()
    for cached in CACHES:
        cached.cache_clear()


def uploads_that_changed_nothing(project: Project, count: int) -> None:
    """Write so many hourly uploads after the newest, as the pipeline leaves them, into ledger, bucket and Dagster."""
    head = project.ledger.head()
    record = project.ledger.upload(head.upload)
    assert record is not None
    noted = read_before(project.bucket, head.upload, record.plan)
    layers = (*noted.layers, head.upload) if record.batches else noted.layers
    noted = type(noted)(noted.snapshot, layers, noted.layered + record.items, head.upload)
    began = datetime(2023, 1, 1, tzinfo=UTC) + timedelta(hours=head.fence)
    names = [upload_key(began + timedelta(hours=n)) for n in range(count)]
    table = boto3.resource("dynamodb").Table(project.env["JWO_LEDGER_TABLE"])
    base, plan, now = head.upload, "0" * 12, int(time.time())
    with table.batch_writer() as batch:
        for n, name in enumerate(names):
            planned = PlanRecord(plan, base, head.fence + n, now, counts={"unchanged": 3})
            batch.put_item(Item={**keys.plan(name), **attributes(planned)})
            batch.put_item(
                Item={**keys.upload(name), **attributes(UploadRecord(plan, base, 0, 0, now, "settled", now))}
            )
            base = name
        batch.put_item(Item={**keys.head(), "upload": base, FENCE: head.fence + count})
    write_before(project.bucket, base, plan, noted)
    project.instance.add_dynamic_partitions(str(catalog_uploads.name), names)


def one_upload(project: Project, calls: Counter[str], name: str, price: str) -> tuple[dict[str, Cost], int]:
    """Upload one changed item and settle it, tick every sensor, ask for the status: the cost of each, and bytes."""
    costs: dict[str, Cost] = {}

    def measured(what: str, work: Any) -> Any:
        calls.clear()
        began = time.monotonic()
        done = work()
        costs[what] = Cost(Counter(calls), time.monotonic() - began)
        return done

    project.export(HEADER, *ROWS[:2], f"C,036000291452,Tissues,JWO-STORE-02,{price}")
    before = {entry.key for entry in project.bucket.listed("")}
    measured("upload", lambda: project.upload(name))
    project.sandbox.drain()
    for sensor in SENSORS:
        measured(str(sensor.name), lambda sensor=sensor: project.tick(sensor))
    measured("results", lambda: project.run("ingestion_results_job", name))
    for sensor in SENSORS:
        measured(f"{sensor.name}, idle", lambda sensor=sensor: project.tick(sensor))
    measured("status", lambda: overview(project.ledger, 24, 10))
    left = sum(entry.size for entry in project.bucket.listed("") if entry.key not in before)
    assert not project.ledger.open_uploads()
    return costs, left


@pytest.mark.thorough
def test_after_three_years_of_hourly_uploads_one_more_costs_what_it_cost_in_the_first_week(
    project: Project, calls: Counter[str]
) -> None:
    project.env["JWO_ALERT_TOPIC_ARN"] = boto3.client("sns").create_topic(Name="alerts")["TopicArn"]
    project.must_upload("first")
    project.settle("first")
    uploads_that_changed_nothing(project, WEEK)
    one_upload(project, calls, "warm", "3.00")  # what a process does once
    uploads_that_changed_nothing(project, 1)
    early, early_bytes = one_upload(project, calls, "early", "4.00")
    uploads_that_changed_nothing(project, THREE_YEARS)
    late, late_bytes = one_upload(project, calls, "late", "5.00")
    assert len(project.instance.get_dynamic_partitions(str(catalog_uploads.name))) > THREE_YEARS
    assert abs(late_bytes - early_bytes) < 1_000
    assert early_bytes < 150_000
    for what, cost in late.items():
        figures = f"{what}: {cost.calls.total()} calls, {early[what].seconds:.2f} s, then {cost.seconds:.2f} s"
        # The call budget may take one try more.
        assert abs(cost.calls.total() - early[what].calls.total()) <= 2, figures
        assert cost.seconds < 3 * early[what].seconds + 1.0, figures
