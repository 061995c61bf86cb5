"""The protocol's parts behind a proxy, through which all that they ask for goes."""

from dataclasses import replace
from typing import Any

import boto3
import urllib3

from jwo_catalog_pipeline.catalog_api.links import Link, origin_of
from jwo_catalog_pipeline.catalog_api.safe_http import Document, SafeHttp
from jwo_catalog_pipeline.catalog_api.signing import RoleCredentials
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.results.inbox import Inbox
from jwo_catalog_pipeline.upload.results.settle import Settler
from jwo_catalog_pipeline.upload.send.sender import Sender
from jwo_catalog_pipeline_tests.chaos.proxy import Proxy
from jwo_catalog_pipeline_tests.support.parts import Clock, Parts, api_client
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

READ_SECONDS = 0.5  # as the client waits for an answer; a healthy one takes some milliseconds


class Shop:
    """A sandbox and clients to it, which outlive a history."""

    def __init__(self, sandbox: RunningSandbox):
        self.sandbox = sandbox
        self._clients = {name: boto3.client(name) for name in ("s3", "sqs", "sns", "sts")}
        self._tables = boto3.resource("dynamodb")

    def open(self, proxy: Proxy) -> "ProxiedParts":
        """The protocol's parts, for an Amazon that knows nothing yet; they reach it through the proxy only."""
        env, clock, timeout = self.sandbox.environment, Clock(), urllib3.Timeout(connect=1, read=READ_SECONDS)
        api = api_client(
            self.sandbox,
            url=proxy.url,
            http=urllib3.PoolManager(timeout=timeout),
            credentials=RoleCredentials(env["JWO_API_ROLE_ARN"], lambda: self._clients["sts"]),
        )
        bucket = Bucket(self._clients["s3"], env["JWO_BUCKET"])
        ledger = Ledger(self._tables.Table(env["JWO_LEDGER_TABLE"]), clock)
        parts = ProxiedParts(self.sandbox, bucket, ledger, api, clock)
        parts.clients, parts.downloads = self._clients, ThroughProxy(2 * READ_SECONDS, proxy.url)
        return parts


class ThroughProxy(SafeHttp):
    """Fetches through a forward proxy, where the product has none."""

    def __init__(self, seconds: float, proxy_url: str) -> None:
        super().__init__(seconds)
        object.__setattr__(self, "proxy", origin_of(proxy_url))

    def get(self, link: Link, max_bytes: int, **_: Any) -> Document:
        origin = link.origin
        absolute = f"{origin.scheme}://{origin.host}:{origin.port}{link.target}"
        return super().get(Link(self.proxy, absolute), max_bytes, any_address=True)


class ProxiedParts(Parts):
    """Reports are downloaded through the proxy as well, which leaves their links as they are."""

    clients: dict[str, Any]
    downloads: SafeHttp

    def sender(self, **changes: Any) -> Sender:
        """One call after another: a fault is at the first, a middle or the last one."""
        return super().sender(at_once=1, **changes)

    def inbox(self, verify: Any = None) -> Inbox:
        queue, topic = (self.sandbox.environment[name] for name in ("JWO_QUEUE_URL", "JWO_TOPIC_ARN"))
        return Inbox(self.clients["sqs"], self.clients["sns"], queue, topic, self.ledger, self.bucket, verify)

    def settler(self) -> Settler:
        return replace(super().settler(), http=self.downloads)
