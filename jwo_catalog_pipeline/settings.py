"""Every `JWO_` variable, once: name, type, default, bounds and meaning. No other module reads one.

Tests compare README's table, `deploy/ecs.yaml` and `deploy/helm-values.yaml` with this. The variables of AWS and of
Dagster are not in it. No variable is a secret.
https://docs.pydantic.dev/latest/concepts/pydantic_settings/
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from jwo_catalog_pipeline.errors import ConfigurationError


def _switch(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value.lower() not in ("on", "off"):
        raise ValueError("neither on nor off")
    return value.lower() == "on"


def _listed(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _web_address(value: str) -> str:
    """An address that people can follow, and nothing else: it stands in mails."""
    url = urlsplit(value)
    if value and not (url.scheme in ("http", "https") and url.hostname and url.port != 0 and value.isprintable()):
        raise ValueError("no address")
    if url.username is not None or url.query or url.fragment or not set(value).isdisjoint(" <>\"'\\"):
        raise ValueError("more than an address")
    return value.rstrip("/")


def _merchant(value: str) -> str:
    """A name that Dagster allows as a part of the names of assets, partitions and pools."""
    if not re.fullmatch("[a-z0-9_]{0,30}", value):
        raise ValueError("no name")
    return value


def _memory(value: str) -> str:
    """An amount as DuckDB writes it."""
    if value and not re.fullmatch(r"[0-9]+(\.[0-9]+)? ?[KMGT]i?B", value.strip(), re.IGNORECASE):
        raise ValueError("no amount of memory")
    return value.strip()


MemoryAmount = Annotated[str, AfterValidator(_memory)]
Switch = Annotated[bool, BeforeValidator(_switch)]
MerchantName = Annotated[str, AfterValidator(_merchant)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]


def _variable(
    name: str,
    default: Any,
    description: str,
    *,
    needed: bool = False,
    advice: str = "",
    allowed: str = "",
    **more: Any,
) -> Any:
    extra: Any = {"needed": needed, "advice": advice, "allowed": allowed}
    return Field(default, validation_alias=name, description=description, json_schema_extra=extra, **more)


class Settings(BaseSettings):
    """The settings of one installation. Code that uses a needed setting raises an error if it is not set."""

    model_config = SettingsConfigDict(case_sensitive=True, frozen=True)

    source_uri: str = _variable(
        "JWO_SOURCE_URI",
        "",
        "the export: an s3:// address or a path, or the newest file of s3://bucket/prefix/, a folder or a glob",
        needed=True,
    )
    source_max_age_hours: float = _variable(
        "JWO_SOURCE_MAX_AGE_HOURS",
        50,
        "age of the export above which its check fails and an alert is published; 0 allows any age",
        ge=0,
        allow_inf_nan=False,
    )
    mapping: str = _variable("JWO_MAPPING", "", "path of the field mapping", needed=True)
    bucket: str = _variable("JWO_BUCKET", "", "bucket for everything that the pipeline stores", needed=True)
    ledger_table: str = _variable("JWO_LEDGER_TABLE", "", "DynamoDB table of the ledger", needed=True)
    queue_url: str = _variable("JWO_QUEUE_URL", "", "SQS queue subscribed to Amazon's topic", needed=True)
    topic_arn: str = _variable(
        "JWO_TOPIC_ARN", "", "Amazon's topic; messages of other topics are rejected", needed=True
    )
    verify_signatures: Switch = _variable(
        "JWO_VERIFY_SIGNATURES", True, "whether to reject messages without a valid SNS signature"
    )
    api_url: str = _variable("JWO_API_URL", "", "scheme and host of the Catalog API, from Amazon", needed=True)
    api_region: str = _variable("JWO_API_REGION", "", "signing region of the Catalog API, from Amazon", needed=True)
    api_role_arn: str = _variable("JWO_API_ROLE_ARN", "", "role to assume for API calls; empty: ambient credentials")
    api_requests_per_second: int = _variable(
        "JWO_API_REQUESTS_PER_SECOND", 10, "limit over all processes that share the ledger; 0 means no limit", ge=0
    )
    alert_topic_arn: str = _variable(
        "JWO_ALERT_TOPIC_ARN",
        "",
        "SNS topic for alerts; empty: no alert is published",
        advice="no alert is published when something goes wrong",
    )
    ui_url: WebAddress = _variable(
        "JWO_UI_URL",
        "",
        "address of Dagster's UI, for links in alerts; empty: alerts have no links",
        allowed="http:// or https:// with a host and at most a path",
    )
    store_ids: Listed = _variable(
        "JWO_STORE_IDS",
        (),
        "the retailer's stores, comma-separated; empty: rows are not checked against them",
        advice="one row with an unknown store id makes Amazon reject the whole request",
    )
    archive: Switch = _variable("JWO_ARCHIVE", False, "whether to archive SKUs that are gone from the source")
    guards: str = _variable(
        "JWO_GUARDS", "", "thresholds that differ from the defaults: archive_share=0.1,price_factor=4"
    )
    overdue_minutes: float = _variable(
        "JWO_OVERDUE_MINUTES",
        90,
        "how long to wait for an ingestion's notification before asking for its status",
        ge=0,
        allow_inf_nan=False,
    )
    lease_seconds: int = _variable("JWO_LEASE_SECONDS", 300, "how long a worker's lease on a batch lasts", gt=0)
    in_flight_hours: float = _variable(
        "JWO_IN_FLIGHT_HOURS",
        24,
        "how long to wait for the outcome of an ingestion that has an id before its items may be sent again",
        gt=0,
        allow_inf_nan=False,
    )
    doubt_minutes: float = _variable(
        "JWO_DOUBT_MINUTES",
        120,
        "how long newer content of an item waits after a call without an answer; Amazon documents an hour at most",
        gt=0,
        allow_inf_nan=False,
    )
    keep_days: float = _variable(
        "JWO_KEEP_DAYS",
        400,
        "how old uploads are when what is no longer needed of them is removed",
        gt=0,
        allow_inf_nan=False,
    )
    memory_limit: MemoryAmount = _variable(
        "JWO_MEMORY_LIMIT",
        "",
        "what DuckDB may use in each process, such as 2GB; empty: half of the container's memory",
        allowed="an amount of memory, such as 512MB or 2GB",
    )
    merchant: MerchantName = _variable(
        "JWO_MERCHANT",
        "",
        "prefix of asset keys, partitions and pool where several merchants share a Dagster instance; empty: none",
        allowed="at most 30 of a-z, 0-9 and _",
    )
    catalog_cron: str = _variable("JWO_CATALOG_CRON", "0 3 * * *", "when catalog_schedule starts an upload")
    timezone: str = _variable("JWO_TIMEZONE", "UTC", "time zone of JWO_CATALOG_CRON")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use only the values that are passed in: a test or the doctor can pass another environment."""
        return (init_settings,)


@dataclass(frozen=True)
class Variable:
    """A variable, without its value.

    Attributes:
        name: its name.
        default: as written in the environment; "" for none.
        description: its meaning, in one line.
        needed: whether an upload requires it.
        advice: the consequence of leaving it unset; "" for none.
        allowed: the valid values; "" for any text.
    """

    name: str
    default: str
    description: str
    needed: bool
    advice: str
    allowed: str


def bounds(field: FieldInfo) -> dict[str, Any]:
    """The bounds of a number, as arguments of pydantic's `Field`."""
    return {
        name: bound
        for constraint in field.metadata
        for name in ("ge", "gt")
        if (bound := getattr(constraint, name, None)) is not None
    }


def _described(field: FieldInfo) -> Variable:
    extra: Any = field.json_schema_extra
    default, allowed = field.default, extra["allowed"]
    if field.annotation is bool:
        default, allowed = ("on" if default else "off"), "on or off"
    elif field.annotation in (int, float):
        kind = "a whole number" if field.annotation is int else "a number"
        texts = {"ge": "{:g} or more", "gt": "above {:g}"}
        allowed = ", ".join([kind, *(texts[name].format(bound) for name, bound in bounds(field).items())])
        default = f"{default:g}"
    elif not isinstance(default, str):
        default = ",".join(default)
    return Variable(
        str(field.validation_alias), default, field.description or "", extra["needed"], extra["advice"], allowed
    )


VARIABLES = {variable.name: variable for variable in map(_described, Settings.model_fields.values())}


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings from the environment; an empty variable counts as unset.

    Raises:
        ConfigurationError: a value is invalid; names the variable, its value and what is allowed.
    """
    settings, complaints = readable_settings(environment)
    if complaints:
        raise complaints[0]
    return settings


def readable_settings(environment: Mapping[str, str]) -> tuple[Settings, list[ConfigurationError]]:
    """The settings, with the default for each invalid value, and an error for each of these."""
    source = EnvSettingsSource(Settings)
    source.env_vars = {name: value for name, value in environment.items() if value}
    values = source()
    try:
        return Settings(**values), []
    except ValidationError as error:
        unreadable = {str(detail["loc"][0]): detail["input"] for detail in error.errors()}
    readable = Settings(**{name: value for name, value in values.items() if name not in unreadable})
    return readable, [
        ConfigurationError(f"{name} is {value!r}", f"it must be {VARIABLES[name].allowed}", name)
        for name, value in unreadable.items()
    ]


def unset_needed(environment: Mapping[str, str]) -> list[str]:
    """The needed variables that are not set."""
    return [name for name, variable in VARIABLES.items() if variable.needed and not environment.get(name)]


def unset_advised(environment: Mapping[str, str]) -> dict[str, str]:
    """The optional variables that should be set but are not, and the consequence of each."""
    return {
        name: variable.advice for name, variable in VARIABLES.items() if variable.advice and not environment.get(name)
    }
