"""A plan's record says what its items were checked with, and accounts for every row of the export."""

from typing import Any

import boto3

from jwo_catalog_pipeline.table_file import table_of
from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.plan.plan import PlanSettings, make_plan
from jwo_catalog_pipeline.upload.queries import overview
from jwo_catalog_pipeline.upload.waiting import Waits
from jwo_catalog_pipeline.work_folder import new_path
from jwo_catalog_pipeline_tests.support.parts import FIELDS, Parts, items

NOTED = {"checked_with": "these rules", "excluded": 3, "merged": 1}


def plan(parts: Parts, upload: str) -> Any:
    valid, quarantined = items("A"), items("B")
    valid.attrs, quarantined.attrs = {"checked_with": "these rules"}, {"excluded": 3, "merged": 1}
    tables = [table_of(table, new_path(parts.folder, "given")) for table in (valid, quarantined)]
    return make_plan(parts.ledger, parts.bucket, upload, *tables, FIELDS, PlanSettings(), parts.folder)


def test_a_plan_keeps_what_its_tables_say_of_themselves_and_people_see_it(parts: Parts) -> None:
    changes = plan(parts, "u1").changes
    recorded = parts.ledger.plan("u1")
    assert {name: getattr(recorded, name) for name in NOTED} == NOTED
    parts.sender().apply("u1", changes, FIELDS)
    (shown,) = overview(parts.ledger, Waits(), 10)["uploads"]
    assert (shown["items"], shown["quarantined"], shown["excluded"], shown["merged"]) == (1, 1, 3, 1)


def test_a_record_that_an_older_version_wrote_is_read_without_them(parts: Parts) -> None:
    plan(parts, "u1")
    table = boto3.resource("dynamodb").Table(parts.ledger.table_name)
    (item,) = [item for item in table.scan(ConsistentRead=True)["Items"] if keys.kind(item) == keys.PLAN]
    table.put_item(Item={name: value for name, value in item.items() if name not in NOTED})
    recorded = parts.ledger.plan("u1")
    assert recorded is not None
    assert (recorded.checked_with, recorded.excluded, recorded.merged) == ("", 0, 0)
    assert recorded.quarantined == 1
