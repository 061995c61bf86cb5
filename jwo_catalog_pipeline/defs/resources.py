"""Thin Dagster resources, made from `settings`, that create ordinary objects.

They hold no secrets, and connect to nothing before they are used.
https://docs.dagster.io/guides/build/external-resources
"""

import functools
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import urllib3

from jwo_catalog_pipeline.aws import aws_client, dynamodb_table
from jwo_catalog_pipeline.catalog.mapping.loaded import FieldMapping, load_mapping
from jwo_catalog_pipeline.catalog.source.options import ExportFile
from jwo_catalog_pipeline.catalog_api.client import CatalogApi, http_pool
from jwo_catalog_pipeline.catalog_api.report import report_http
from jwo_catalog_pipeline.catalog_api.signing import (
    AmbientCredentials,
    CredentialSource,
    RoleCredentials,
    SigningClock,
)
from jwo_catalog_pipeline.catalog_api.sns_signature import SnsVerifier, fetch_certificate
from jwo_catalog_pipeline.defs.alerts import AlertsResource
from jwo_catalog_pipeline.defs.merchants import asset_key, uploads_of
from jwo_catalog_pipeline.defs.resource_fields import region_of as _region
from jwo_catalog_pipeline.defs.resource_fields import resource_field as _field
from jwo_catalog_pipeline.defs.resource_fields import setting as _set
from jwo_catalog_pipeline.defs.resource_fields import topic as _topic
from jwo_catalog_pipeline.errors import ConfigurationError
from jwo_catalog_pipeline.settings import Settings, read_settings, readable_settings, unset_needed
from jwo_catalog_pipeline.source_file import SourceFile, check_readable, fetch_export, find_source
from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline.upload.alert_messages import Alert
from jwo_catalog_pipeline.upload.dead_letters import dead_letter_alerts
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.ledger.rate_limiter import DistributedRateLimiter
from jwo_catalog_pipeline.upload.plan.guards import GuardLimits, parse_limits
from jwo_catalog_pipeline.upload.plan.plan import PlanSettings
from jwo_catalog_pipeline.upload.results.inbox import Inbox
from jwo_catalog_pipeline.upload.results.settle import Settler
from jwo_catalog_pipeline.upload.waiting import Waits


@functools.cache
def _budget(ledger_table: str, calls: int) -> DistributedRateLimiter:
    """One limiter for each process, so that its threads need not compete in the ledger."""
    return DistributedRateLimiter(Ledger(dynamodb_table(ledger_table)), calls)


@functools.cache
def _http() -> urllib3.PoolManager:
    return http_pool()


class SourceResource(dg.ConfigurableResource[None]):
    """The retailer's export and the field mapping for it."""

    uri: str = _field("source_uri")
    max_age_hours: float = _field("source_max_age_hours")
    mapping_path: str = _field("mapping")

    def find(self) -> SourceFile:
        """The current version of the export."""
        return find_source(self.uri, aws_client("s3") if self.uri.startswith("s3://") else None)

    def fetch(self, file: SourceFile, folder: Path) -> tuple[list[ExportFile], str]:
        """Local copies of that version and its SHA-256."""
        return fetch_export(file, folder, aws_client("s3") if file.uri.startswith("s3://") else None)

    def check_readable(self, file: SourceFile) -> None:
        """Raise a SourceFileError if that version cannot be read."""
        check_readable(file, aws_client("s3") if file.uri.startswith("s3://") else None)

    def mapping(self) -> FieldMapping:
        """The field mapping as it is now."""
        return load_mapping(Path(_set(self.mapping_path, "JWO_MAPPING")))


class StorageResource(dg.ConfigurableResource[None]):
    """The bucket and the ledger table of a merchant."""

    bucket: str = _field("bucket")
    ledger_table: str = _field("ledger_table")
    merchant: str = _field("merchant")

    def asset_key(self, name: str) -> dg.AssetKey:
        """The key of an asset."""
        return asset_key(self.merchant, name)

    def uploads(self) -> dg.DynamicPartitionsDefinition:
        """The partitions of uploads."""
        return uploads_of(self.merchant)

    def open_bucket(self) -> Bucket:
        return Bucket(aws_client("s3"), _set(self.bucket, "JWO_BUCKET"))

    def open_ledger(self) -> Ledger:
        return Ledger(dynamodb_table(_set(self.ledger_table, "JWO_LEDGER_TABLE")))


class CatalogApiResource(dg.ConfigurableResource[None]):
    """Amazon's Catalog API, signed, within the call budget."""

    url: str = _field("api_url")
    region: str = _field("api_region")
    role_arn: str = _field("api_role_arn")
    requests_per_second: int = _field("api_requests_per_second")

    def credentials(self) -> CredentialSource:
        """The credentials that sign calls: those of the role if one is set, otherwise the ambient ones."""
        return _credentials(self.role_arn)

    def client(self, ledger: Ledger) -> CatalogApi:
        """The client; a process shares its connections, and processes with the same ledger share the call budget."""
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
    """Cached by role, so that a process assumes the role once and botocore refreshes the session."""
    return RoleCredentials(role_arn, lambda: aws_client("sts")) if role_arn else AmbientCredentials()


@functools.cache
def _signing_clock() -> SigningClock:
    """Cached, so that a process measures the error of its clock only once."""
    return SigningClock()


class QueueResource(dg.ConfigurableResource[None]):
    """The queue that Amazon's topic delivers to."""

    queue_url: str = _field("queue_url")
    topic_arn: str = _field("topic_arn")
    verify_signatures: bool = _field("verify_signatures")

    def inbox(self, ledger: Ledger, bucket: Bucket) -> Inbox:
        """Moves messages from the queue into the ledger."""
        topic_arn = self.topic()
        return Inbox(
            sqs=aws_client("sqs"),
            sns=aws_client("sns", _region(topic_arn)),
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
        """The queue's attributes in SQS: its policy, its dead-letter queue, the number of waiting messages."""
        names = ["Policy", "RedrivePolicy", "ApproximateNumberOfMessages"]
        url = _set(self.queue_url, "JWO_QUEUE_URL")
        attrs: dict[str, str] = aws_client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return attrs

    def dead_letters(self) -> list[Alert]:
        """An alert if there are messages in the dead-letter queue."""
        return dead_letter_alerts(aws_client("sqs"), _set(self.queue_url, "JWO_QUEUE_URL"))


@functools.cache
def _verifier() -> SnsVerifier:
    return SnsVerifier(fetch_certificate())


class UploadPolicyResource(dg.ConfigurableResource[None]):
    """Limits and waiting times of uploads."""

    store_ids: list[str] = _field("store_ids")
    archive: bool = _field("archive")
    overdue_minutes: float = _field("overdue_minutes")
    lease_seconds: int = _field("lease_seconds")
    in_flight_hours: float = _field("in_flight_hours")
    doubt_minutes: float = _field("doubt_minutes")
    guards: str = _field("guards")
    keep_days: float = _field("keep_days")

    def waits(self) -> Waits:
        """How long outcomes are waited for."""
        return Waits(self.in_flight_hours, self.doubt_minutes)

    def plan_settings(self, retry_rejected: bool, allow: Collection[str], planned_by: str) -> PlanSettings:
        """The settings of a plan.

        Raises:
            ConfigurationError: archiving is on, but the stores are not set; or the thresholds are invalid.
        """
        stores = self.store_ids if self.archive else []
        return PlanSettings(self.waits(), stores, retry_rejected, self.limits(), allow, planned_by)

    def limits(self) -> GuardLimits:
        """The guards' thresholds; raises the same errors as `plan_settings`."""
        if self.archive and not self.store_ids:
            raise ConfigurationError(
                "JWO_ARCHIVE is on, but JWO_STORE_IDS is not set",
                "set JWO_STORE_IDS to the complete list of stores, which Amazon needs to archive",
            )
        return parse_limits(self.guards)


def settler(storage: StorageResource, api: CatalogApiResource) -> Settler:
    """Fetches reports and settles uploads with these resources."""
    ledger, bucket = storage.open_ledger(), storage.open_bucket()
    return Settler(ledger, bucket, api.client(ledger), report_http(), bucket.client.meta.endpoint_url)


def resources_from(environment: Mapping[str, str]) -> dict[str, Any]:
    """The resources as the environment configures them; a needed variable that is not set raises an error on first use.

    Raises:
        ConfigurationError: the value of a variable is invalid.
    """
    return build_resources(read_settings(environment))


def build_resources(settings: Settings) -> dict[str, Any]:
    """The resources by name."""
    return {
        "source": SourceResource(
            uri=settings.source_uri, max_age_hours=settings.source_max_age_hours, mapping_path=settings.mapping
        ),
        "storage": StorageResource(
            bucket=settings.bucket, ledger_table=settings.ledger_table, merchant=settings.merchant
        ),
        "catalog_api": CatalogApiResource(
            url=settings.api_url,
            region=settings.api_region,
            role_arn=settings.api_role_arn,
            requests_per_second=settings.api_requests_per_second,
        ),
        "queue": QueueResource(
            queue_url=settings.queue_url,
            topic_arn=settings.topic_arn,
            verify_signatures=settings.verify_signatures,
        ),
        "alerts": AlertsResource(
            topic_arn=settings.alert_topic_arn,
            ledger_table=settings.ledger_table,
            ui_url=settings.ui_url,
            merchant=settings.merchant,
        ),
        "policy": UploadPolicyResource(
            store_ids=list(settings.store_ids),
            archive=settings.archive,
            overdue_minutes=settings.overdue_minutes,
            lease_seconds=settings.lease_seconds,
            in_flight_hours=settings.in_flight_hours,
            doubt_minutes=settings.doubt_minutes,
            guards=settings.guards,
            keep_days=settings.keep_days,
        ),
    }


def settings_complaints(environment: Mapping[str, str]) -> list[str]:
    """One message for each problem with the settings: needed but not set, or invalid."""
    unset = unset_needed(environment)
    complaints = [f"not set: {', '.join(unset)}"] if unset else []
    settings, unreadable = readable_settings(environment)
    complaints += map(str, unreadable)
    topics = {"JWO_TOPIC_ARN": settings.topic_arn, "JWO_ALERT_TOPIC_ARN": settings.alert_topic_arn}
    looks: list[Callable[[], object]] = [functools.partial(_topic, arn, name) for name, arn in topics.items() if arn]
    for look in (*looks, build_resources(settings)["policy"].limits):
        try:
            look()
        except ConfigurationError as error:
            complaints.append(str(error))
    return complaints
