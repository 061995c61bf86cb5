"""The ledger's single writes, against the local DynamoDB, also where that answers as a busy one does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import boto3
import pytest
import urllib3

from jwo_catalog_pipeline.upload.errors import Conflict, Contended, LedgerUnavailable
from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.ledger.dynamodb import SCHEMA
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline_tests.support.parts import Parts, items
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
