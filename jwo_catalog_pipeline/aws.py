"""Clients of AWS, one of each in a process.

A client makes the credentials known to `redaction` that it signs with, whenever they are renewed. Nothing connects
before it is asked to. What AWS says is wrong is explained in `aws_words`.
"""

import functools
import time
from dataclasses import dataclass
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
CALLER_SECONDS = 600  # for which an answer, or that there was none, is remembered
_QUICK = Config(connect_timeout=2, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 1})


@functools.cache
def aws_client(service: str, region: str | None = None) -> Any:
    """One client for each service and region (None: the environment's): making one takes longer than most calls.

    Raises:
        ConfigurationError: the CA certificates that the environment names cannot be read.
    """
    return _hiding(boto3.client(service, region_name=region, config=_CONFIG, verify=_trusted()))


@dataclass(frozen=True)
class Caller:
    """Who calls AWS: the account's number, the identity's ARN, the region; "" where AWS does not say."""

    account: str = ""
    arn: str = ""
    region: str = ""


def caller() -> Caller:
    """Who this process is to AWS, as known some minutes ago. Never fails, for records and alerts must go on."""
    return _caller(int(time.monotonic() // CALLER_SECONDS))


@functools.lru_cache(maxsize=1)
def _caller(period: int) -> Caller:
    try:
        client = _hiding(boto3.client("sts", config=_QUICK, verify=_trusted()))
        answer = client.get_caller_identity()
    except (ClientError, BotoCoreError, ValueError):  # ValueError: AWS_ENDPOINT_URL is no address
        return Caller()
    return Caller(answer["Account"], answer["Arn"], client.meta.region_name)


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
