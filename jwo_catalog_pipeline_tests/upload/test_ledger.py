"""The ledger's single writes, against the local DynamoDB, also where that answers as a busy one does."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import boto3
import pytest
import urllib3

from jwo_catalog_pipeline.upload.errors import LedgerUnavailable, UploadStopped
from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.ledger.dynamodb import SCHEMA, Conflict, Contended
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import BatchState
from jwo_catalog_pipeline_tests.support.parts import FIELDS, Parts, items
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

ITEM = keys.news("i-1")


class Busy(HTTPServer):
    """Stands before DynamoDB; cancels transactions for the `reasons` in turn, and passes everything else on."""

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = behind
        self.reasons: list[str] = []
        self.calls = 0


class _Handler(BaseHTTPRequestHandler):
    server: Busy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls += 1
        if self.server.reasons:
            cancelled = {
                "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                "message": "Transaction cancelled",
                "CancellationReasons": [{"Code": "None"}, {"Code": self.server.reasons.pop(0), "Message": "busy"}],
            }
            status, answer = 400, json.dumps(cancelled).encode()
        else:
            passed = urllib3.request("POST", self.server.behind, body=body, headers=dict(self.headers))
            status, answer = passed.status, passed.data
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def busy(fresh: RunningSandbox) -> Iterator[Busy]:
    server = Busy(fresh.environment["AWS_ENDPOINT_URL"])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def ledger(busy: Busy, fresh: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setattr("jwo_catalog_pipeline.upload.ledger.dynamodb._PAUSE", lambda _: 0.0)
    resource = boto3.resource("dynamodb", endpoint_url=f"http://127.0.0.1:{busy.server_port}")
    return Ledger(resource.Table(fresh.environment["JWO_LEDGER_TABLE"]))


def test_a_transaction_that_met_another_is_tried_again(busy: Busy, ledger: Ledger) -> None:
    busy.reasons = ["TransactionConflict", "ThrottlingError"]
    ledger._transact("test", ledger._put_new(ITEM))
    assert busy.calls == 3
    assert ledger._get(ITEM) == {**ITEM, "schema": SCHEMA}


def test_a_table_that_stays_busy_is_an_error_of_its_own(busy: Busy, ledger: Ledger) -> None:
    busy.reasons = ["TransactionConflict"] * 50
    with pytest.raises(Contended, match="is busy: TransactionConflict"):
        ledger._transact("test", ledger._put_new(ITEM))
    assert busy.calls == 6


def test_a_condition_that_does_not_hold_is_a_conflict_at_once(busy: Busy, ledger: Ledger) -> None:
    ledger._transact("test", ledger._put_new(ITEM))
    with pytest.raises(Conflict):
        ledger._transact("test", ledger._put_new(ITEM))
    assert busy.calls == 2


def all_items(table: Any) -> list[dict[str, Any]]:
    return table.scan(ConsistentRead=True)["Items"]


def test_every_item_says_of_which_schema_it_is(parts: Parts) -> None:
    parts.apply("u1", items("A", "B"))
    parts.settle("u1")
    parts.plan("u2", items("A"))
    table = boto3.resource("dynamodb").Table(parts.ledger.table_name)
    assert [keys.name(item) for item in all_items(table) if item.get("schema") != SCHEMA] == []


def test_a_ledger_of_the_first_version_is_read_and_its_upload_resumed(parts: Parts) -> None:
    """That one knew no schema and no `first_row`, and made every batch's bytes before the first was sent."""
    plan = parts.plan("u1", items("A", "B"))
    parts.sandbox.misbehave(throttle=99)
    with pytest.raises(UploadStopped):
        parts.sender().apply("u1", plan, FIELDS)
    table = boto3.resource("dynamodb").Table(parts.ledger.table_name)
    for item in all_items(table):
        new = {name: item.pop(name) for name in ("schema", "first_row") if name in item}
        assert "schema" in new
        assert keys.kind(item) != keys.BATCH or (item["sha256"] and "first_row" in new)
        table.put_item(Item=item)
    parts.sandbox.misbehave(throttle=0)
    assert [str(batch.state) for batch in parts.sender().apply("u1", plan, FIELDS)] == ["submitted"]
    assert parts.settle("u1")["outcome"].tolist() == ["accepted", "accepted"]
    assert set(parts.plan("u2", items("A", "B"))["change"]) == {"unchanged"}


def test_a_batch_that_schema_1_calls_accepted_is_submitted_and_settles(parts: Parts) -> None:
    parts.apply("u1", items("A"))
    table = boto3.resource("dynamodb").Table(parts.ledger.table_name)
    (old,) = [item for item in all_items(table) if keys.kind(item) == keys.BATCH and not keys.is_ingestion(item)]
    assert (old["state"], old["schema"]) == ("submitted", 2)
    table.put_item(Item={**old, "state": "accepted", "schema": 1})
    (batch,) = parts.ledger.batches("u1")
    assert batch.state is BatchState.SUBMITTED
    assert parts.ledger.note_asked(batch, 1)
    assert not parts.ledger.note_asked(replace(batch, attempts=2), 1)
    assert parts.settle("u1")["outcome"].tolist() == ["accepted"]
    (batch,) = parts.ledger.batches("u1")
    assert batch.state is BatchState.SETTLED


def test_what_a_newer_version_wrote_is_left_alone(parts: Parts) -> None:
    parts.apply("u1", items("A"))
    table = boto3.resource("dynamodb").Table(parts.ledger.table_name)
    table.update_item(
        Key=keys.head(),
        UpdateExpression="SET #s = :newer",
        ExpressionAttributeNames={"#s": "schema"},
        ExpressionAttributeValues={":newer": SCHEMA + 1},
    )
    before = all_items(table)
    with pytest.raises(LedgerUnavailable, match=f"newer version of this software .schema {SCHEMA + 1}, this one knows"):
        parts.plan("u2", items("A", "B"))
    assert all_items(table) == before
