"""Configuration: thin Dagster resources that hand out ordinary objects. The only file that names environment variables.

Nothing here is a secret, and nothing connects before it is asked to.
https://docs.dagster.io/guides/build/external-resources
"""

import functools
import math
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import urllib3
from botocore.config import Config
from pydantic import Field

from jwo_catalog_pipeline.catalog.mapping.model import FieldMapping, load_mapping
from jwo_catalog_pipeline.catalog_api.client import CatalogApi, http_pool
from jwo_catalog_pipeline.catalog_api.report import report_http
from jwo_catalog_pipeline.catalog_api.signing import (
    AmbientCredentials,
    CredentialSource,
    RoleCredentials,
    SigningClock,
)
from jwo_catalog_pipeline.catalog_api.sns_signature import TOPIC_ARN, SnsVerifier, fetch_certificate
from jwo_catalog_pipeline.errors import ConfigurationError
from jwo_catalog_pipeline.redaction import hide_credentials
from jwo_catalog_pipeline.source_file import SourceFile, fetch_source, find_source
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.upload.alerts import Alert, AlertPublisher, dead_letter_alerts
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.ledger.rate_limiter import DistributedRateLimiter
from jwo_catalog_pipeline.upload.plan.guards import GuardLimits, parse_limits
from jwo_catalog_pipeline.upload.plan.plan import PlanSettings
from jwo_catalog_pipeline.upload.results.inbox import Inbox
from jwo_catalog_pipeline.upload.results.settle import Settler

# Short enough that a sensor's tick ends far below its 60 s even where AWS hangs.
_AWS = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})


# Without these there is no upload; the others have defaults.
NEEDED = (
    "JWO_SOURCE_URI",
    "JWO_MAPPING",
    "JWO_BUCKET",
    "JWO_LEDGER_TABLE",
    "JWO_QUEUE_URL",
    "JWO_TOPIC_ARN",
    "JWO_API_URL",
    "JWO_API_REGION",
)
# Where one of these is unset, something useful is left out.
ADVISED = {
    "JWO_ALERT_TOPIC_ARN": "nobody is told when something goes wrong",
    "JWO_STORE_IDS": "a row of a store that Amazon does not know has the whole store refused by Amazon",
}


def _set(value: str, variable: str) -> str:
    if not value:
        raise ConfigurationError(
            f"{variable} is not set", "put it into .env or the environment (README, Configuration)", variable
        )
    return value


def _topic(arn: str, variable: str) -> str:
    if not TOPIC_ARN.fullmatch(_set(arn, variable)):
        raise ConfigurationError(f"{variable} is {arn!r}", "it must be arn:aws:sns:REGION:ACCOUNT:NAME", variable)
    return arn


@functools.cache
def aws_client(service: str) -> Any:
    """One client a service and process: making one takes longer than most calls."""
    return _hiding(boto3.client(service, config=_AWS))


def _hiding(client: Any) -> Any:
    """The client, which makes the secrets known that it signs with, whenever they are renewed, to be struck out."""
    client.meta.events.register_first("before-sign", _hide_ambient)
    return client


def _hide_ambient(**_: Any) -> None:
    """What calls are about to be signed with; where there are none, the call itself says so."""
    session = boto3.DEFAULT_SESSION
    credentials = session.get_credentials() if session else None
    if credentials:
        hide_credentials(credentials.get_frozen_credentials())


@functools.cache
def _budget(ledger_table: str, calls: int) -> DistributedRateLimiter:
    """One a process, so that its threads need not compete in the ledger."""
    return DistributedRateLimiter(Ledger(_ledger_table(ledger_table)), calls)


@functools.cache
def _http() -> urllib3.PoolManager:
    return http_pool()


class SourceResource(dg.ConfigurableResource[None]):
    """The retailer's export and the field mapping for it."""

    uri: str = Field("", description="s3://bucket/key, s3://bucket/prefix/ (newest object), or a local path")
    mapping_path: str = Field("", description="path of the field mapping file")

    def find(self) -> SourceFile:
        """The version of the export that is there now."""
        return find_source(self.uri, aws_client("s3") if self.uri.startswith("s3://") else None)

    def fetch(self, file: SourceFile, folder: Path) -> tuple[Path, str]:
        """A local copy of that version and its SHA-256."""
        return fetch_source(file, folder, aws_client("s3") if file.uri.startswith("s3://") else None)

    def mapping(self) -> FieldMapping:
        """The field mapping as it is now."""
        return load_mapping(Path(_set(self.mapping_path, "JWO_MAPPING")))


class StorageResource(dg.ConfigurableResource[None]):
    """The bucket and the ledger table."""

    bucket: str = Field("", description="bucket for everything that the pipeline stores")
    ledger_table: str = Field("", description="DynamoDB table")

    def open_bucket(self) -> Bucket:
        """The bucket."""
        return Bucket(aws_client("s3"), _set(self.bucket, "JWO_BUCKET"))

    def open_ledger(self) -> Ledger:
        """The ledger."""
        return Ledger(_ledger_table(_set(self.ledger_table, "JWO_LEDGER_TABLE")))


@functools.cache
def _ledger_table(name: str) -> Any:
    resource = boto3.resource("dynamodb", config=_AWS)
    _hiding(resource.meta.client)
    return resource.Table(name)


class CatalogApiResource(dg.ConfigurableResource[None]):
    """Amazon's Catalog API, signed, within the call budget."""

    url: str = Field("", description="scheme and host that Amazon handed out")
    region: str = Field("", description="signing region; never guessed from the host")
    role_arn: str = Field("", description="role to assume; empty: the ambient credentials")
    requests_per_second: int = Field(10, ge=0, description="the call budget; 0 means none")

    def credentials(self) -> CredentialSource:
        """Whose signature calls carry: the role's where there is one, else the ambient credentials'."""
        return _credentials(self.role_arn)

    def client(self, ledger: Ledger) -> CatalogApi:
        """The client; the whole process shares its connections, and all that share the ledger the budget."""
        return CatalogApi(
            url=_set(self.url, "JWO_API_URL"),
            region=_set(self.region, "JWO_API_REGION"),
            credentials=self.credentials(),
            budget=_budget(ledger.table_name, self.requests_per_second),
            http=_http(),
            clock=_signing_clock(),
        )


@functools.cache
def _credentials(role_arn: str) -> CredentialSource:
    """Kept by role, so that a process assumes it once and botocore refreshes it."""
    return RoleCredentials(role_arn, lambda: aws_client("sts")) if role_arn else AmbientCredentials()


@functools.cache
def _signing_clock() -> SigningClock:
    """Kept, so that a process learns only once how far its clock is off."""
    return SigningClock()


class QueueResource(dg.ConfigurableResource[None]):
    """The queue that Amazon's topic delivers to."""

    queue_url: str = Field("", description="SQS queue subscribed to Amazon's topic")
    topic_arn: str = Field("", description="Amazon's topic: only its messages are believed")
    verify_signatures: bool = Field(True, description="believe only envelopes with a valid SNS signature")

    def inbox(self, ledger: Ledger, bucket: Bucket) -> Inbox:
        """Takes messages from the queue into the ledger."""
        topic_arn = self.topic()
        return Inbox(
            sqs=aws_client("sqs"),
            sns=_sns(topic_arn),
            queue_url=_set(self.queue_url, "JWO_QUEUE_URL"),
            topic_arn=topic_arn,
            ledger=ledger,
            bucket=bucket,
            verify=_verifier() if self.verify_signatures else None,
        )

    def topic(self) -> str:
        """Amazon's topic."""
        return _topic(self.topic_arn, "JWO_TOPIC_ARN")

    def attributes(self) -> dict[str, str]:
        """What SQS says of the queue: its policy, its dead-letter queue, how much waits."""
        names = ["Policy", "RedrivePolicy", "ApproximateNumberOfMessages"]
        url = _set(self.queue_url, "JWO_QUEUE_URL")
        found: dict[str, str] = aws_client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return found

    def dead_letters(self) -> list[Alert]:
        """An alert while messages wait in the dead-letter queue."""
        return dead_letter_alerts(aws_client("sqs"), _set(self.queue_url, "JWO_QUEUE_URL"))


@functools.cache
def _sns(topic_arn: str) -> Any:
    """A topic is used in its own region, which need not be ours."""
    return _hiding(boto3.client("sns", region_name=topic_arn.split(":")[3], config=_AWS))


@functools.cache
def _verifier() -> SnsVerifier:
    return SnsVerifier(fetch_certificate())


class AlertsResource(dg.ConfigurableResource[None]):
    """The topic through which people are told."""

    topic_arn: str = Field("", description="SNS topic for people; empty: nobody is told")

    def publisher(self, ledger: Ledger) -> AlertPublisher:
        """Tells people, and CloudWatch."""
        topic_arn = _topic(self.topic_arn, "JWO_ALERT_TOPIC_ARN")
        return AlertPublisher(ledger, _sns(topic_arn), aws_client("cloudwatch"), topic_arn)


class UploadPolicyResource(dg.ConfigurableResource[None]):
    """What an upload may do, and how long it waits."""

    store_ids: list[str] = Field([], description="the retailer's stores; empty: rows are not checked against them")
    archive: bool = Field(False, description="archive SKUs that are gone from the source")
    overdue_minutes: float = Field(90, ge=0, description="without news for so long, an ingestion is asked for")
    lease_seconds: int = Field(300, ge=1, description="how long a worker holds a batch without renewing")
    in_flight_hours: float = Field(24, gt=0, description="after how long an item without outcome is sent again")
    guards: str = Field("", description="thresholds that differ from the defaults: archive_share=0.1,price_factor=4")

    def plan_settings(self, retry_rejected: bool, allow: Collection[str]) -> PlanSettings:
        """How an upload is planned.

        Raises:
            ConfigurationError: archiving is on, but the stores are not known; or the thresholds cannot be read.
        """
        stores = self.store_ids if self.archive else []
        return PlanSettings(self.in_flight_hours, stores, retry_rejected, self.limits(), allow)

    def limits(self) -> GuardLimits:
        """The guards' thresholds; raises as `plan_settings` does."""
        if self.archive and not self.store_ids:
            raise ConfigurationError(
                "JWO_ARCHIVE is on, but JWO_STORE_IDS is not set: Amazon wants the complete list of stores to archive"
            )
        try:
            return parse_limits(self.guards)
        except ValueError as error:
            raise ConfigurationError(f"JWO_GUARDS: {error}") from None


def settler(storage: StorageResource, api: CatalogApiResource) -> Settler:
    """Fetches reports with the resources at hand."""
    ledger, bucket = storage.open_ledger(), storage.open_bucket()
    return Settler(ledger, bucket, api.client(ledger), report_http(), bucket.client.meta.endpoint_url)


def resources_from(environment: Mapping[str, str]) -> dict[str, Any]:
    """The resources as the environment configures them; an unset variable is complained of where it is needed."""
    env = environment.get
    return {
        "source": SourceResource(uri=env("JWO_SOURCE_URI", ""), mapping_path=env("JWO_MAPPING", "")),
        "storage": StorageResource(bucket=env("JWO_BUCKET", ""), ledger_table=env("JWO_LEDGER_TABLE", "")),
        "catalog_api": CatalogApiResource(
            url=env("JWO_API_URL", ""),
            region=env("JWO_API_REGION", ""),
            role_arn=env("JWO_API_ROLE_ARN", ""),
            requests_per_second=_whole(environment, "JWO_API_REQUESTS_PER_SECOND", 10),
        ),
        "queue": QueueResource(
            queue_url=env("JWO_QUEUE_URL", ""),
            topic_arn=env("JWO_TOPIC_ARN", ""),
            verify_signatures=_switch(environment, "JWO_VERIFY_SIGNATURES", default="on"),
        ),
        "alerts": AlertsResource(topic_arn=env("JWO_ALERT_TOPIC_ARN", "")),
        "policy": UploadPolicyResource(
            store_ids=[each.strip() for each in env("JWO_STORE_IDS", "").split(",") if each.strip()],
            archive=_switch(environment, "JWO_ARCHIVE", default="off"),
            overdue_minutes=_number(environment, "JWO_OVERDUE_MINUTES", 90),
            lease_seconds=_whole(environment, "JWO_LEASE_SECONDS", 300, zero=False),
            in_flight_hours=_number(environment, "JWO_IN_FLIGHT_HOURS", 24, zero=False),
            guards=env("JWO_GUARDS", ""),
        ),
    }


def readable_settings(environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The environment without what `resources_from` cannot read, and a sentence about each such variable."""
    readable, complaints = dict(environment), list[str]()
    while True:
        try:
            resources_from(readable)
        except ConfigurationError as error:
            complaints.append(str(error))
            del readable[error.variable]
        else:
            return readable, complaints


def settings_complaints(environment: Mapping[str, str]) -> list[str]:
    """A sentence about everything that is wrong with the settings: needed and not set, or set and not readable."""
    unset = [name for name in NEEDED if not environment.get(name)]
    complaints = [f"not set: {', '.join(unset)}"] if unset else []
    readable, unreadable = readable_settings(environment)
    complaints += unreadable
    topics = [name for name in ("JWO_TOPIC_ARN", "JWO_ALERT_TOPIC_ARN") if environment.get(name)]
    looks: list[Callable[[], object]] = [functools.partial(_topic, environment[name], name) for name in topics]
    for look in (*looks, resources_from(readable)["policy"].limits):
        try:
            look()
        except ConfigurationError as error:
            complaints.append(str(error))
    return complaints


def settings_advised(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that are not set and need not be, and what is missed without them."""
    return {name: what for name, what in ADVISED.items() if not environment.get(name)}


def schedule_settings(environment: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """Cron expression and time zone of `catalog_schedule`."""
    return environment.get("JWO_CATALOG_CRON") or "0 3 * * *", environment.get("JWO_TIMEZONE") or "UTC"


def _switch(environment: Mapping[str, str], variable: str, default: str) -> bool:
    value = (environment.get(variable) or default).lower()
    if value not in ("on", "off"):
        raise ConfigurationError(f"{variable} is {value!r}", "it must be on or off", variable)
    return value == "on"


def _number(environment: Mapping[str, str], variable: str, default: float, *, zero: bool = True) -> float:
    value = environment.get(variable) or str(default)
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf or (number == 0 and not zero):
        wanted = "0 or more" if zero else "above 0"
        raise ConfigurationError(f"{variable} is {value!r}", f"it must be a number, {wanted}", variable)
    return number


def _whole(environment: Mapping[str, str], variable: str, default: int, *, zero: bool = True) -> int:
    number = _number(environment, variable, default, zero=zero)
    if number != int(number):
        raise ConfigurationError(f"{variable} is {environment[variable]!r}", "it must be a whole number", variable)
    return int(number)
