"""Fields of resources as `settings` defines them, and reading needed ones."""

from typing import Any

from pydantic import Field

from jwo_catalog_pipeline.catalog_api.sns_signature import TOPIC_ARN
from jwo_catalog_pipeline.errors import ConfigurationError
from jwo_catalog_pipeline.settings import Settings, bounds


def resource_field(name: str) -> Any:
    """A resource's field: the setting's default, bounds and description."""
    field = Settings.model_fields[name]
    default: Any = list(field.default) if isinstance(field.default, tuple) else field.default
    return Field(default, description=field.description, **bounds(field))


def setting(value: str, variable: str) -> str:
    if not value:
        raise ConfigurationError(
            f"{variable} is not set", "put it into .env or the environment (README, Configuration)", variable
        )
    return value


def topic(arn: str, variable: str) -> str:
    if not TOPIC_ARN.fullmatch(setting(arn, variable)):
        raise ConfigurationError(f"{variable} is {arn!r}", "it must be arn:aws:sns:REGION:ACCOUNT:NAME", variable)
    return arn


def region_of(topic_arn: str) -> str:
    """The region of a topic, which may differ from the pipeline's."""
    return topic_arn.split(":")[3]
