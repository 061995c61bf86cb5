"""The running sandbox that tests share, and a signed client of its Catalog API. No tests here.

The client signs with botocore and talks through urllib3, so nothing of the project is between a test and the sandbox.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import boto3
import pytest
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

PATHS = {"upload": "upload", "archive": "archive", "status": "getCatalogUploadStatus"}


@dataclass
class Answer:
    status: int
    body: Any
    headers: Any = field(default_factory=dict)


class RunningSandbox:
    """A sandbox process. `environment` changes with every reset."""

    def __init__(self, *arguments: str, environ: dict[str, str] | None = None):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jwo_catalog_pipeline.sandbox", *arguments], stdout=subprocess.PIPE, env=environ
        )
        assert self.process.stdout is not None
        self._describe(json.loads(self.process.stdout.readline()))
        self.http = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(20))

    def _describe(self, description: dict[str, Any]) -> None:
        self.environment: dict[str, str] = description["environment"]
        self.control: str = description["control"]

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(10)

    def get(self, what: str) -> Any:
        return self.http.request("GET", f"{self.control}/{what}").json()

    def post(self, what: str, body: Any = None) -> Answer:
        answer = self.http.request("POST", f"{self.control}/{what}", body=json.dumps(body or {}))
        return Answer(answer.status, answer.json())

    def reset(self) -> None:
        self._describe(self.post("reset").body)

    def misbehave(self, **wanted: Any) -> None:
        answer = self.post("misbehave", wanted)
        assert answer.status == 200, answer.body

    @cache  # noqa: B019 lives as long as the test run
    def client(self, service: str) -> Any:
        env = self.environment
        return boto3.client(
            service,
            endpoint_url=env["AWS_ENDPOINT_URL"],
            region_name=env["AWS_DEFAULT_REGION"],
            aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
            config=Config(proxies={}, retries={"total_max_attempts": 1}),
        )

    def static_credentials(self) -> Credentials:
        return Credentials(self.environment["AWS_ACCESS_KEY_ID"], self.environment["AWS_SECRET_ACCESS_KEY"])

    def session_credentials(self) -> Credentials:
        role = self.environment["JWO_API_ROLE_ARN"]
        found = self.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        return Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])

    def sign(
        self,
        operation: str,
        body: bytes,
        credentials: Credentials | None = None,
        region: str = "us-west-2",
        service: str = "execute-api",
    ) -> AWSRequest:
        url = f"{self.environment['JWO_API_URL']}/v1/catalog/{PATHS[operation]}"
        request = AWSRequest("POST", url, data=body, headers={"Content-Type": "application/json"})
        SigV4Auth(credentials or self.static_credentials(), service, region).add_auth(request)
        return request

    def send(self, request: AWSRequest, timeout: float = 20) -> Answer:
        answer = self.http.request(
            "POST", request.url, body=request.data, headers=dict(request.headers), timeout=timeout
        )
        return Answer(answer.status, json.loads(answer.data or b"null"), answer.headers)

    def call(self, operation: str, body: Any, timeout: float = 20) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        return self.send(self.sign(operation, data), timeout)

    def upload(self, *items: dict[str, Any]) -> str:
        """Upload, and give the ingestion id."""
        answer = self.call("upload", {"catalogItems": list(items)})
        assert answer.status == 201, answer.body
        return answer.body["ingestionId"]

    def archive(self, *skus: str) -> str:
        stores = self.environment["JWO_STORE_IDS"].split(",")
        answer = self.call("archive", {"itemSkus": list(skus), "allApplicableStores": stores})
        assert answer.status == 201, answer.body
        return answer.body["ingestionId"]

    def status(self, ingestion_id: str) -> dict[str, Any]:
        return self.call("status", {"ingestionId": ingestion_id}).body

    def drain(self) -> None:
        assert self.post("drain").status == 200

    def report(self, ingestion_id: str) -> Any:
        """Process what is outstanding and fetch the report."""
        self.drain()
        return self.http.request("GET", self.status(ingestion_id)["reportDownloadLink"]).json()

    def messages(self) -> list[str]:
        """Bodies of what is in the queue; takes them out."""
        bodies: list[str] = []
        while True:
            url = self.environment["JWO_QUEUE_URL"]
            found = self.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
            if not found:
                return bodies
            bodies += [message["Body"] for message in found]

    def notified_ids(self) -> list[str]:
        return [json.loads(json.loads(body)["Message"])["ingestionId"] for body in self.messages()]


def item(sku: str = "SKU-1", store: str = "JWO-STORE-01", **changes: Any) -> dict[str, Any]:
    """A valid item, with changes; a change to `...` leaves the field out."""
    fields = {
        "item_sku": sku,
        "external_product_id": "4006381333931",
        "item_name": "Highlighter",
        "store_id": store,
        "standard_price": "1.99",
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not ...}


@pytest.fixture(scope="session")
def sandbox() -> Iterator[RunningSandbox]:
    """One sandbox for all tests, without a rate limit. Tests ask for `fresh`."""
    running = RunningSandbox("--requests-per-second", "0")
    yield running
    assert running.stop() == 0


@pytest.fixture
def fresh(sandbox: RunningSandbox) -> RunningSandbox:
    """The sandbox, having forgotten everything."""
    sandbox.reset()
    return sandbox
