"""Clients of AWS, one of each in a process.

A client makes the credentials known to `redaction` that it signs with, whenever they are renewed. Nothing connects
before it is asked to.
"""

import functools
from typing import Any

import boto3
from botocore.config import Config

from jwo_catalog_pipeline.redaction import hide_credentials

# Short enough that a sensor's tick ends far below its 60 s even where AWS hangs.
_CONFIG = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})


@functools.cache
def aws_client(service: str, region: str | None = None) -> Any:
    """One client for each service and region (None: the environment's): making one takes longer than most calls."""
    return _hiding(boto3.client(service, region_name=region, config=_CONFIG))


@functools.cache
def dynamodb_table(name: str) -> Any:
    """A table of DynamoDB, as boto3's resources are."""
    resource = boto3.resource("dynamodb", config=_CONFIG)
    _hiding(resource.meta.client)
    return resource.Table(name)


def _hiding(client: Any) -> Any:
    client.meta.events.register_first("before-sign", _hide_ambient)
    return client


def _hide_ambient(**_: Any) -> None:
    """What calls are about to be signed with; where there are none, the call itself says so."""
    session = boto3.DEFAULT_SESSION
    credentials = session.get_credentials() if session else None
    if credentials:
        hide_credentials(credentials.get_frozen_credentials())
