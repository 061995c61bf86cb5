"""The whole pipeline for tests: definitions with the sandbox's resources, and runs in this process. No tests here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pandas as pd

from jwo_catalog_pipeline.definitions import build_defs
from jwo_catalog_pipeline.defs import resources
from jwo_catalog_pipeline.defs.sensors import ingestion_results_sensor
from jwo_catalog_pipeline.defs.upload_assets import catalog_uploads
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.plan.changes import KINDS
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

SAMPLE = Path(resources.__file__).parents[1] / "demo" / "sample"
KEY = ["store_id", "item_sku"]
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

MAPPING = """
version: 1
fields:
  item_sku: sku
  external_product_id: restore_barcode(barcode)
  item_name: clean(name)
  store_id: store
  standard_price: price(price)
"""
HEADER = "sku,barcode,name,store,price"
ROWS = [
    "A,4006381333931,Highlighter,JWO-STORE-01,1.99",
    "B,96385074,Chewing gum,JWO-STORE-01,0.99",
    "C,036000291452,Tissues,JWO-STORE-02,2.50",
]
# Enough rows for the guards about shares.
MANY = [f"S{n:02},4006381333931,Item {n},JWO-STORE-01,1.99" for n in range(15)]
OTHER_STORE = [f"T{n:02},4006381333931,Item {n},JWO-STORE-02,1.99" for n in range(5)]


@dataclass
class Project:
    """A retailer's installation against the sandbox, with a small export of its own until told otherwise."""

    sandbox: RunningSandbox
    instance: dg.DagsterInstance
    folder: Path

    def __post_init__(self) -> None:
        # A reset makes the sandbox forget the sessions that it gave out.
        resources._credentials.cache_clear()
        self.env = dict(self.sandbox.environment)
        self.export(HEADER, *ROWS)
        self.mapping(MAPPING)

    def export(self, *lines: str) -> None:
        self.raw_export("export.csv", "".join(line + "\n" for line in lines).encode())

    def raw_export(self, name: str, content: bytes) -> None:
        boto3.client("s3").put_object(Bucket=self.env["JWO_BUCKET"], Key=f"source/{name}", Body=content)
        self.env["JWO_SOURCE_URI"] = f"s3://{self.env['JWO_BUCKET']}/source/{name}"

    def mapping(self, text: str) -> None:
        path = self.folder / "mapping.yaml"
        path.write_text(text, encoding="utf-8")
        self.env["JWO_MAPPING"] = str(path)

    @property
    def defs(self) -> dg.Definitions:
        return build_defs(**resources.resources_from(self.env))

    @property
    def ledger(self) -> Ledger:
        return Ledger(boto3.resource("dynamodb").Table(self.env["JWO_LEDGER_TABLE"]))

    @property
    def bucket(self) -> Bucket:
        return Bucket(boto3.client("s3"), self.env["JWO_BUCKET"])

    def run(
        self,
        job: str,
        upload: str,
        run_config: dict[str, Any] | None = None,
        only: list[str] | None = None,
        tags: dict[str, str] | None = None,
    ) -> dg.ExecuteInProcessResult:
        self.instance.add_dynamic_partitions(str(catalog_uploads.name), [upload])
        return self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            partition_key=upload,
            raise_on_error=False,
            asset_selection=[dg.AssetKey(name) for name in only] if only else None,
            run_config={**QUIET, **(run_config or {})},
            tags=tags,
        )

    def upload(self, upload: str, **run_config: Any) -> dg.ExecuteInProcessResult:
        return self.run("catalog_upload_job", upload, run_config)

    def must_upload(self, upload: str, **run_config: Any) -> dg.ExecuteInProcessResult:
        result = self.upload(upload, **run_config)
        assert result.success, "\n".join(
            event.step_failure_data.error_display_string for event in result.all_events if event.is_step_failure
        )
        assert_every_item_once(
            self.table("catalog_changes", upload),
            self.table("jwo_catalog"),
            self.table("quarantined_items"),
            metadata(result, "catalog_changes")["unchanged"],
        )
        return result

    def tick(self, sensor: dg.SensorDefinition) -> Any:
        """What one evaluation of a sensor gives: a SensorResult or a SkipReason."""
        everything = resources.resources_from(self.env)
        needed = {key: everything[key] for key in sensor.required_resource_keys}
        with dg.build_sensor_context(instance=self.instance, resources=needed) as context:
            return sensor(context)

    def settle(self, upload: str) -> pd.DataFrame:
        """Process, tick, and run what the tick asks for."""
        self.sandbox.drain()
        requests = self.tick(ingestion_results_sensor).run_requests
        assert [request.partition_key for request in requests] == [upload]
        assert self.run("ingestion_results_job", upload).success
        return self.table("ingestion_results", upload)

    def table(self, asset: str, upload: str | None = None) -> pd.DataFrame:
        return self.bucket.get_table("/".join(filter(None, ("assets", asset, upload))) + ".parquet")

    def requests(self) -> list[dict[str, Any]]:
        return [call for call in self.sandbox.get("requests") if call["operation"] == "upload"]


def failure(result: dg.ExecuteInProcessResult) -> str:
    """The sentence with which a run failed, as the UI shows it."""
    assert not result.success
    found = set()
    for data in [event.step_failure_data for event in result.all_events if event.is_step_failure]:
        assert data.user_failure_data is not None, data.error
        found.add(data.user_failure_data.description or "")
    (sentence,) = found
    return sentence


def not_in(plan: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """The items that a plan has no row of: the unchanged ones, where they are valid."""
    planned = pd.MultiIndex.from_frame(plan[KEY])
    return items[~pd.MultiIndex.from_frame(items[KEY]).isin(planned)]


def assert_every_item_once(plan: pd.DataFrame, items: pd.DataFrame, quarantined: pd.DataFrame, unchanged: int) -> None:
    """Every row of the source and every published item is in exactly one kind of change, or unchanged and counted,
    or quarantined."""
    keys = {kind: set(map(tuple, plan.loc[plan["change"] == kind, KEY].to_numpy())) for kind in KINDS}
    assert sum(map(len, keys.values())) == len(plan)
    assert keys["unchanged"] == set()
    assert len(not_in(plan, items)) == unchanged
    in_source = set(map(tuple, plan.loc[plan["content_hash"].notna(), KEY].to_numpy()))
    assert in_source <= set(map(tuple, items[KEY].to_numpy()))
    set_aside = set(map(tuple, quarantined[KEY].to_numpy()))
    assert not set_aside & set().union(*keys.values()) - in_source


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """The values of a materialization's metadata."""
    (event,) = [event for event in result.get_asset_materialization_events() if event.asset_key == dg.AssetKey(asset)]
    return {name: value.value for name, value in event.materialization.metadata.items()}
