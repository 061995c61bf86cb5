"""Clients of AWS, one of each in a process.

A client makes the credentials known to `redaction` that it signs with, whenever they are renewed. Nothing connects
before it is asked to. What AWS says is wrong is explained in `aws_words`.
"""

import functools
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from jwo_catalog_pipeline.aws_words import aws_problem
from jwo_catalog_pipeline.network import ca_file
from jwo_catalog_pipeline.redaction import hide_credentials

# Throttling is waited for. botocore's pauses are random up to 1, 2, 4, 8 and 16 s, so one call waits for 31 s at most
# (15 s on average), and adaptive mode adds at most a few seconds by slowing down the calls that follow; both are
# nothing at all where nothing is throttled. That is below a sensor's tick of 60 s, and far below the lease of 300 s.
# Six tries of a service that says nothing would take 78 s, so silence has fewer: 3 x 13 s.
_TRIES, _TRIES_OF_SILENCE = 6, 3
_CONFIG = Config(connect_timeout=3, read_timeout=10, retries={"mode": "adaptive", "total_max_attempts": _TRIES})


@functools.cache
def aws_client(service: str, region: str | None = None) -> Any:
    """One client for each service and region (None: the environment's): making one takes longer than most calls.

    Raises:
        ConfigurationError: the CA certificates that the environment names cannot be read.
    """
    return _hiding(boto3.client(service, region_name=region, config=_CONFIG, verify=_trusted()))


@functools.cache
def dynamodb_table(name: str) -> Any:
    """A table of DynamoDB, as boto3's resources are."""
    resource = boto3.resource("dynamodb", config=_CONFIG, verify=_trusted())
    _hiding(resource.meta.client)
    return resource.Table(name)


def _hiding(client: Any) -> Any:
    client.meta.events.register_first("before-sign", _hide_ambient)
    client.meta.events.register_first("needs-retry", _end_silence)
    return client


def _trusted() -> str | bool:
    """The CA certificates for boto3: the same file as everywhere, else boto3's own."""
    return ca_file() or True


def _end_silence(attempts: int, caught_exception: Exception | None, **_: Any) -> None:
    """Give up sooner where AWS does not answer than where it asks for patience."""
    if caught_exception is not None and attempts >= _TRIES_OF_SILENCE:
        raise caught_exception


def _hide_ambient(**_: Any) -> None:
    """What calls are about to be signed with; where there are none, the call itself says so."""
    session = boto3.DEFAULT_SESSION
    credentials = session.get_credentials() if session else None
    if credentials:
        hide_credentials(credentials.get_frozen_credentials())


def s3_problem(error: ClientError | BotoCoreError, action: str) -> tuple[str, str]:
    """As `aws_problem`, of a call of S3."""
    return aws_problem(error, action, "S3")
