"""Clients of AWS, one of each in a process.

A client makes the credentials known to `redaction` that it signs with, whenever they are renewed. Nothing connects
before it is asked to.
"""

import functools
import re
import time
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from jwo_catalog_pipeline.aws_errors import error_code
from jwo_catalog_pipeline.redaction import hide_credentials, redacted

# Short enough that a sensor's tick ends far below its 60 s even where AWS hangs.
CALLER_SECONDS = 600  # for which an answer, or that there was none, is remembered
_QUICK = Config(connect_timeout=2, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 1})
_CONFIG = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})


SHOWN_SENTENCE_CHARACTERS = 300
_NAMED_ACTION = re.compile(r"\b(?:kms|s3):[A-Za-z]+")
_THROTTLED = ("S3 asks for fewer requests", "try again in a minute; other programs may use the same bucket")
_S3_PROBLEMS = {
    "EndpointConnectionError": ("S3 cannot be reached", "check AWS_ENDPOINT_URL, the region and the network"),
    "NoCredentialsError": ("no AWS credentials found", "set AWS_PROFILE or run under a role"),
    "InvalidObjectState": (
        "a lifecycle rule has moved it to an archive (Glacier)",
        "restore the object in S3, and keep the rule away from it",
    ),
    "SlowDown": _THROTTLED,
    "503": _THROTTLED,
    "RequestLimitExceeded": _THROTTLED,
}


@functools.cache
def aws_client(service: str, region: str | None = None) -> Any:
    """One client for each service and region (None: the environment's): making one takes longer than most calls."""
    return _hiding(boto3.client(service, region_name=region, config=_CONFIG))


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
        client = _hiding(boto3.client("sts", config=_QUICK))
        answer = client.get_caller_identity()
    except (ClientError, BotoCoreError, ValueError):  # ValueError: AWS_ENDPOINT_URL is no address
        return Caller()
    return Caller(answer["Account"], answer["Arn"], client.meta.region_name)


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


def s3_problem(error: ClientError | BotoCoreError, action: str) -> tuple[str, str]:
    """What is wrong, in S3's own sentence, and the remedy that fits it.

    Args:
        error: of a call of S3.
        action: what the call needs, such as `s3:GetObject`.
    """
    code = error_code(error)
    sentence = str(error.response["Error"].get("Message", "")) if isinstance(error, ClientError) else ""
    sentence = redacted(sentence)[:SHOWN_SENTENCE_CHARACTERS].strip().rstrip(".")
    if code in ("403", "AccessDenied"):
        # A bucket with a key of its own needs that key as well, and only the sentence says so.
        named = _NAMED_ACTION.search(sentence)
        needed = named[0] if named else action
        problem = f"access denied ({sentence})" if named else "access denied"
        return problem, f"the pipeline's role needs {needed} (deploy/cloudformation.yaml)"
    problem, remedy = _S3_PROBLEMS.get(code, (code, ""))
    return f"{problem}{f' ({sentence})' if sentence and not remedy else ''}", remedy
