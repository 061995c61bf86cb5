"""moto as `sandbox/moto_quick.py` leaves it answers as moto does."""

import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from jwo_catalog_pipeline.sandbox.moto_server import QuietHandler, with_what_moto_lacks
from jwo_catalog_pipeline.upload.ledger.keys import PK, SK
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

KEYS = [{PK: {"S": f"P{partition}"}, SK: {"S": f"K{place}"}} for partition in range(3) for place in range(4)]
VALUES: list[dict[str, Any]] = [
    {"S": ""},
    {"S": "Käse"},
    {"N": "-1.50"},
    {"BOOL": False},
    {"NULL": True},
    {"L": [{"S": "a"}, {"M": {"b": {"N": "2"}}}, {"L": []}]},
    {"M": {"c": {"SS": ["x", "y"]}, "d": {"B": b"\x00\xff"}}},
    {"SS": ["x", "y"]},
    {"B": b"bytes"},
]
STEPS = 250


@pytest.fixture(scope="module")
def untouched() -> Iterator[Any]:
    """A client of a moto without our hands on it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        client = boto3.client("dynamodb", endpoint_url=f"http://127.0.0.1:{port}")
        for _ in range(300):
            try:
                client.list_tables()
                break
            except EndpointConnectionError:
                time.sleep(0.1)
        yield client
        process.kill()


def new_table(client: Any, name: str) -> None:
    """A table with the keys of the ledger's."""
    kinds = {PK: "HASH", SK: "RANGE"}
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in kinds],
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in kinds.items()],
    )


def an_update(rng: random.Random, key: dict[str, Any]) -> dict[str, Any]:
    return {
        "Key": key,
        "UpdateExpression": "SET a = :v, n = if_not_exists(n, :zero) + :one",
        "ConditionExpression": rng.choice(["attribute_exists(pk)", "attribute_not_exists(n) OR n < :many"]),
        "ExpressionAttributeValues": {
            ":v": rng.choice(VALUES),
            ":zero": {"N": "0"},
            ":one": {"N": "1"},
            ":many": {"N": "6"},
        },
    }


def a_transaction(rng: random.Random, table: str) -> list[dict[str, Any]]:
    """Of a few writes, the last of which may fail and take the others back."""
    writes: list[dict[str, Any]] = []
    for key in rng.sample(KEYS, rng.randint(1, 4)):
        kind = rng.choice(["Put", "Update", "Update", "Delete", "ConditionCheck"])
        details = {
            "Put": {"Item": {**key, "a": rng.choice(VALUES)}},
            "Update": an_update(rng, key),
            "Delete": {"Key": key},
            "ConditionCheck": {"Key": key, "ConditionExpression": "attribute_exists(a)"},
        }[kind]
        writes.append({kind: {"TableName": table, **details}})
    return writes


def a_query(rng: random.Random) -> dict[str, Any]:
    partition, start = {"S": f"P{rng.randrange(4)}"}, {"S": f"K{rng.randrange(5)}"}
    query: dict[str, Any] = {
        "KeyConditionExpression": "pk = :p",
        "ExpressionAttributeValues": {":p": partition},
        "ScanIndexForward": rng.random() < 0.5,
    }
    if rng.random() < 0.5:
        query["KeyConditionExpression"] += rng.choice([" AND sk >= :s", " AND begins_with(sk, :s)"])
        query["ExpressionAttributeValues"][":s"] = start
    if rng.random() < 0.5:
        query["Limit"] = rng.randint(1, 3)
    if rng.random() < 0.3:
        query["ExclusiveStartKey"] = {PK: partition, SK: start}
    return query


def answer(client: Any, operation: str, **call: Any) -> Any:
    """What the client gets: an answer, or the error's code and reasons."""
    try:
        found = getattr(client, operation)(**call)
    except ClientError as error:
        found = {**error.response, "reasons": error.response.get("CancellationReasons")}
    return {name: value for name, value in found.items() if name != "ResponseMetadata"}


def test_random_calls_are_answered_as_by_an_untouched_moto(fresh: RunningSandbox, untouched: Any):
    rng, table = random.Random(7), "compared"
    clients = [untouched, boto3.client("dynamodb")]
    for client in clients:
        new_table(client, table)
    failures = 0
    for step in range(STEPS):
        operation = rng.choice(["put_item", "update_item", "delete_item", "transact_write_items", "query", "get_item"])
        key = rng.choice(KEYS)
        call = {
            "put_item": {"Item": {**key, **dict(zip("abc", rng.sample(VALUES, 3), strict=True))}},
            "update_item": {**an_update(rng, key), "ReturnValues": rng.choice(["ALL_NEW", "ALL_OLD", "UPDATED_NEW"])},
            "delete_item": {"Key": key, "ReturnValues": "ALL_OLD"},
            "query": a_query(rng),
            "get_item": {"Key": key},
        }.get(operation)
        call = {"TableName": table, **call} if call else {"TransactItems": a_transaction(rng, table)}
        expected, found = (answer(client, operation, **call) for client in clients)
        assert found == expected, f"step {step}: {operation} {call}"
        if operation == "transact_write_items":
            failures += "Error" in found
            everything = [answer(client, "scan", TableName=table) for client in clients]
            assert everything[0] == everything[1], f"step {step}: after {call}"
    assert failures > 10, "too few transactions were taken back for this to say anything"
    clients[1].delete_table(TableName=table)


class Impatient(QuietHandler):
    """Waits for a client as little as a test may."""

    timeout = 0.3


def test_an_upload_that_stops_halfway_is_answered_as_s3_does() -> None:
    """A worker may be paused in the middle of one; botocore tries again after this answer."""
    app = with_what_moto_lacks(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, request_handler=Impatient)
    threading.Thread(target=server.handle_request, daemon=True).start()
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=30) as client:
        client.sendall(b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf of it")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    server.server_close()
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert b"<Code>RequestTimeout</Code>" in answer
