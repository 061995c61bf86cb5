"""Two merchants, each a code location, on one Dagster instance: nothing of one is taken for the other's."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
import dagster as dg
import pytest
from click.testing import CliRunner

from jwo_catalog_pipeline.cli.main import main
from jwo_catalog_pipeline.definitions import build_defs
from jwo_catalog_pipeline.defs.alerts import AlertsResource
from jwo_catalog_pipeline.defs.merchants import MERCHANT_TAG, runs_of_merchant
from jwo_catalog_pipeline.defs.pruning import stored_tables
from jwo_catalog_pipeline.defs.resources import resources_from
from jwo_catalog_pipeline.defs.run_failures import failed_runs
from jwo_catalog_pipeline.defs.sensor_health import Health, keep_health, known_health
from jwo_catalog_pipeline.defs.sensors import (
    alerts_sensor,
    ingestion_results_sensor,
    overdue_ingestions_sensor,
    source_catalog_sensor,
    waiting_items_sensor,
)
from jwo_catalog_pipeline.defs.unfinished import unfinished_uploads_sensor
from jwo_catalog_pipeline.defs.upload_runs import export_reason
from jwo_catalog_pipeline.errors import ConfigurationError
from jwo_catalog_pipeline.settings import read_settings
from jwo_catalog_pipeline_tests.support.mailbox import Mailbox
from jwo_catalog_pipeline_tests.support.project import Project

BROKEN = "version: 1\nfields: {item_sku: nowhere}\n"


@dataclass
class Merchant(Project):
    """A merchant with a bucket and a ledger of its own; API and queue are the sandbox's."""

    merchant: str = ""

    def __post_init__(self) -> None:
        self.folder = self.folder / (self.merchant or "none")
        self.folder.mkdir()
        super().__post_init__()
        first = self.env["JWO_LEDGER_TABLE"]
        own = f"of-{self.merchant or 'none'}-{uuid.uuid4().hex[:8]}"  # a process remembers what it knows of a ledger
        self.env |= {"JWO_MERCHANT": self.merchant, "JWO_BUCKET": f"bucket-{own}", "JWO_LEDGER_TABLE": f"ledger-{own}"}
        boto3.client("s3").create_bucket(Bucket=self.env["JWO_BUCKET"])
        dynamodb = boto3.client("dynamodb")
        table = dynamodb.describe_table(TableName=first)["Table"]
        kept = {name: table[name] for name in ("KeySchema", "AttributeDefinitions")}
        dynamodb.create_table(TableName=self.env["JWO_LEDGER_TABLE"], BillingMode="PAY_PER_REQUEST", **kept)

    def send(self, upload: str) -> dg.ExecuteInProcessResult:
        uploads = resources_from(self.env)["storage"].uploads()
        self.instance.add_dynamic_partitions(str(uploads.name), [upload])
        return self.defs.resolve_job_def("catalog_upload_job").execute_in_process(
            instance=self.instance, partition_key=upload, raise_on_error=False
        )

    def started(self, upload: str, tags: dict[str, str] | None = None) -> dg.DagsterRun:
        """A run as the daemon makes it: with the tags of its job."""
        job = self.defs.resolve_job_def("catalog_upload_job")
        return self.instance.create_run_for_job(job, tags={**job.tags, "dagster/partition": upload, **(tags or {})})


Two = tuple[Merchant, Merchant]


@pytest.fixture(
    params=[("north", "south"), ("", "south"), ("north", "")], ids=["both named", "first not", "second not"]
)
def two(request: pytest.FixtureRequest, fresh: Any, instance: dg.DagsterInstance, tmp_path: Any) -> Iterator[Two]:
    instance.wipe()
    one, other = (Merchant(fresh, instance, tmp_path, name) for name in request.param)
    for merchant in (one, other):
        for name in ("catalog_uploads", "north_catalog_uploads", "south_catalog_uploads"):
            for upload in instance.get_dynamic_partitions(name):
                instance.delete_dynamic_partition(name, upload)
        merchant.export("sku,barcode,name,store,price", "A,4006381333931,Pen,JWO-STORE-01,1.99")
    yield one, other


def names(defs: dg.Definitions) -> dict[str, set[str]]:
    """What Dagster keeps by name for the whole instance."""
    graph = defs.resolve_asset_graph()
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    return {
        "keys": {node.key.to_user_string() for node in nodes},
        "partitions": {str(node.partitions_def.name) for node in nodes if node.partitions_def},  # type: ignore[attr-defined]
        "pools": {pool for node in nodes for pool in node.pools},
        "checks": {key.to_user_string() for key in graph.asset_check_keys},
        "parents": {key.to_user_string() for node in nodes for key in node.parent_keys},
    }


def test_two_merchants_share_no_asset_no_check_no_partition_and_no_pool() -> None:
    none, north, south = (
        names(build_defs(**resources_from({"JWO_MERCHANT": name}))) for name in ("", "north", "south")
    )
    for kind in none:
        assert none[kind]
        assert len(none[kind]) == len(north[kind]) == len(south[kind])
        assert not none[kind] & north[kind]
        assert not north[kind] & south[kind]
    assert north["partitions"] == {"north_catalog_uploads"}
    assert north["pools"] == {"north_jwo_uploader"}
    assert {key.partition("/")[0] for key in north["keys"] | north["parents"]} == {"north"}


def test_without_a_merchant_no_name_has_a_prefix() -> None:
    found = names(build_defs(**resources_from({})))
    assert found["partitions"] == {"catalog_uploads"}
    assert found["pools"] == {"jwo_uploader"}
    assert found["keys"] >= {"source_catalog", "jwo_catalog", "catalog_changes", "ingestion_record", "fix_list"}
    for job in ("catalog_upload_job", "ingestion_results_job", "state_prune_job"):
        assert MERCHANT_TAG not in build_defs(**resources_from({})).resolve_job_def(job).tags


@pytest.mark.parametrize("name", ["North", "a-b", "a/b", "a b", "ä", "x" * 31, "a\n"])
def test_a_name_that_dagster_would_refuse_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"at most 30 of a-z, 0-9 and _"):
        read_settings({"JWO_MERCHANT": name})


def test_both_upload_under_the_same_key_and_each_sees_its_own_results(two: Two) -> None:
    for merchant in two:
        assert merchant.send("u1").success
        tables = {key.removeprefix("assets/") for key, _ in merchant.bucket.list("assets/")}
        assert "source_catalog.parquet" in tables  # each has its own bucket: no prefix
        assert "catalog_changes/u1.parquet" in tables
        assert merchant.ledger.upload("u1")
    one, other = two
    one.sandbox.drain()
    assert [request.partition_key for request in one.tick(ingestion_results_sensor).run_requests] == ["u1"]
    fetching = one.instance.create_run_for_job(
        one.defs.resolve_job_def("ingestion_results_job"),
        tags={**one.defs.resolve_job_def("ingestion_results_job").tags, "dagster/partition": "u1"},
    )
    one.instance.report_run_failed(fetching)
    assert "1 run failed" in one.tick(ingestion_results_sensor).skip_message
    other.env["JWO_OVERDUE_MINUTES"] = "0"  # the queue is empty now
    assert [request.partition_key for request in other.tick(overdue_ingestions_sensor).run_requests] == ["u1"]


def test_a_sensor_adds_partitions_of_its_own_merchant_alone(two: Two) -> None:
    for merchant in two:
        requested = merchant.tick(source_catalog_sensor).dynamic_partitions_requests
        prefix = f"{merchant.merchant}_" if merchant.merchant else ""
        assert [request.partitions_def_name for request in requested] == [f"{prefix}catalog_uploads"]


def test_the_same_version_of_an_export_is_read_by_both(two: Two) -> None:
    """Two merchants may be stores of one export."""
    one, other = two
    one.started("u1", {"dagster/run_key": "version"})
    first, second = (resources_from(merchant.env)["storage"] for merchant in two)
    assert "was started for it" in (export_reason(one.instance, first, "version") or "")
    assert export_reason(other.instance, second, "version") is None


def test_an_upload_that_failed_is_started_again_by_its_own_merchant_alone(two: Two) -> None:
    one, other = two
    one.instance.report_run_failed(one.started("u1"))
    assert "1 run failed" in one.tick(unfinished_uploads_sensor).skip_message
    assert other.tick(unfinished_uploads_sensor).skip_message == "no upload is unfinished"
    one.mapping(BROKEN)
    one.send("u2")
    assert other.tick(unfinished_uploads_sensor).skip_message == "no upload is unfinished"
    assert other.tick(waiting_items_sensor).skip_message == "no item waits"


def test_a_failed_run_is_published_by_its_own_merchant_alone(two: Two, mailbox: Mailbox) -> None:
    one, other = two
    for merchant in two:
        merchant.env |= {"JWO_ALERT_TOPIC_ARN": mailbox.topic, "JWO_UI_URL": "https://ui"}
    one.mapping(BROKEN)
    one.send("u1")
    other.tick(alerts_sensor)
    assert mailbox.take() == []
    one.tick(alerts_sensor)
    ((subject, text),) = mailbox.take()
    assert subject == "JWO catalog: catalog_upload_job of upload u1 failed"
    assert (f"merchant {one.merchant}," in text) is bool(one.merchant)


def test_a_link_to_an_asset_leads_to_that_of_the_merchant() -> None:
    for merchant, path in (("", "/assets/fix_list"), ("north", "/assets/north/fix_list")):
        place = AlertsResource(ledger_table="t", ui_url="https://ui", merchant=merchant).place()
        assert place.described(["/assets/fix_list"]).endswith(f"\nhttps://ui{path}")
        assert place.described(["/runs/1"]).endswith("\nhttps://ui/runs/1")


def test_a_run_of_the_asset_graph_is_published_by_the_merchant_whose_assets_it_makes(two: Two) -> None:
    """Such a run has no tag of the merchant, and the name of no job."""
    one, _ = two
    asset = resources_from(one.env)["storage"].asset_key("source_catalog")
    job = one.defs.resolve_implicit_global_asset_job_def()
    run = one.instance.create_run_for_job(job.get_subset(asset_selection={asset}), asset_selection={asset})
    one.instance.report_run_failed(run, "gone")
    now = datetime.now(UTC)
    found = [failed_runs(each.instance, None, now, merchant=each.merchant)[0] for each in two]
    assert [len(alerts) for alerts in found] == [1, 0]


def test_a_run_without_a_merchants_tag_is_not_taken_for_that_of_a_merchant(two: Two) -> None:
    """It is of before merchants had names."""
    old = two[0].instance.create_run_for_job(
        two[0].defs.resolve_job_def("catalog_upload_job"), tags={"dagster/partition": "u1"}
    )
    two[0].instance.report_run_failed(old)
    for merchant in two:
        found = runs_of_merchant(merchant.instance, merchant.merchant, dg.RunsFilter(), 5)
        assert len(found) == (not merchant.merchant)
        alerts, _ = failed_runs(merchant.instance, None, datetime.now(UTC), merchant=merchant.merchant)
        assert len(alerts) == (not merchant.merchant)


def test_the_runs_of_a_merchant_without_a_name_are_found_behind_those_of_others(two: Two) -> None:
    (named,) = [each for each in two if each.merchant][:1]
    run = named.instance.create_run_for_job(named.defs.resolve_job_def("catalog_upload_job"))
    for n in range(25):
        named.started(f"u{n}")
    (found,) = runs_of_merchant(named.instance, "", dg.RunsFilter(job_name="catalog_upload_job"), 1)
    assert found.dagster_run.run_id == run.run_id


def test_what_is_known_of_a_sensor_is_kept_for_each_merchant(instance: dg.DagsterInstance) -> None:
    """Also where the ledgers have the same name, in two accounts."""
    north, south = (AlertsResource(ledger_table="ledger", merchant=name) for name in ("north", "south"))
    keep_health(instance, north, "alerts_sensor", Health(since=1, problem="gone"))
    assert known_health(instance, south, ["alerts_sensor"]) == {}
    assert known_health(instance, north, ["alerts_sensor"])["alerts_sensor"].problem == "gone"


def test_a_sensors_check_is_on_the_merchants_asset(two: Two) -> None:
    for merchant in two:
        merchant.tick(waiting_items_sensor)
        key = dg.AssetCheckKey(
            resources_from(merchant.env)["storage"].asset_key("catalog_changes"), "waiting_items_sensor_works"
        )
        (record,) = merchant.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        assert record.event.dagster_event.asset_check_evaluation_data.passed
        assert key in merchant.defs.resolve_asset_graph().asset_check_keys


def test_pruning_forgets_the_partitions_of_its_own_merchant_alone(two: Two) -> None:
    one, other = two
    for merchant in two:
        uploads = resources_from(merchant.env)["storage"].uploads()
        merchant.instance.add_dynamic_partitions(str(uploads.name), ["u1"])
    stored_tables(one.instance, one.merchant).forget_partition("u1")
    assert stored_tables(one.instance, one.merchant).partitions == []
    assert stored_tables(other.instance, other.merchant).partitions == ["u1"]


@pytest.mark.thorough
def test_the_command_line_uploads_for_a_merchant(two: Two, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    merchant = two[1]
    for name, value in merchant.env.items():
        if name.startswith("JWO_"):
            monkeypatch.setenv(name, value)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    merchant.sandbox.misbehave(delay=0)
    done = CliRunner().invoke(main, ["upload", "--yes", "--json"])
    assert done.exit_code == 0, done.output
    assert '"accepted": 1' in done.output
    assert "no batch is open" in CliRunner().invoke(main, ["status"]).output.lower()
    with dg.DagsterInstance.get() as instance:
        prefix = f"{merchant.merchant}_" if merchant.merchant else ""
        assert len(instance.get_dynamic_partitions(f"{prefix}catalog_uploads")) == 1
        assert {run.tags.get(MERCHANT_TAG, "") for run in instance.get_runs()} == {merchant.merchant}
