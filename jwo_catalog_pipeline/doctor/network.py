"""Checks of the network: every host that the pipeline needs is tried, in the way in which the pipeline reaches it.

A host that AWS_ENDPOINT_URL replaces, as the sandbox does, is not tried: the other checks use what stands in its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import urllib3
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from jwo_catalog_pipeline.aws import aws_client
from jwo_catalog_pipeline.aws_words import aws_problem
from jwo_catalog_pipeline.catalog_api.client import NOT_CONNECTED, http_pool
from jwo_catalog_pipeline.catalog_api.links import NotAllowed, parse_link
from jwo_catalog_pipeline.catalog_api.safe_http import NotFetched, SafeHttp
from jwo_catalog_pipeline.doctor.checks import Check, Finding, Installation, ok, problem
from jwo_catalog_pipeline.errors import ConfigurationError
from jwo_catalog_pipeline.network import ca_file, network_settings, proxy_for
from jwo_catalog_pipeline.network_errors import explained

CONNECT_SECONDS, READ_SECONDS = 5, 10
_AMAZON = re.compile(r"(?:.+\.)?(?:amazonaws\.com|amazonaws\.com\.cn|api\.aws)")
_MOST_BYTES = 1_000_000  # of an answer that is thrown away
_CHECKS = "check JWO_API_URL and the network"


def settings(_: Installation) -> Finding:
    """Which proxies and CA certificates are used, and whether they can be."""
    try:
        ca_file()
        return ok(network_settings())
    except ConfigurationError as error:
        return problem(error.problem, error.remedy)


def catalog_api(installation: Installation) -> Finding:
    """Whether something answers at the Catalog API's address; what it is, another check asks."""
    url = installation.resources["catalog_api"].url
    host = urlsplit(url).netloc
    if not host:
        raise ConfigurationError("JWO_API_URL is not set", variable="JWO_API_URL")
    pool = http_pool(urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS))
    try:
        pool.request("GET", url, redirect=False, retries=False, timeout=READ_SECONDS)
    except NOT_CONNECTED as error:
        trouble = explained(error, host, proxy := proxy_for(url), _CHECKS)
        via = f" through {proxy.url}" if proxy else ""
        return (
            problem(trouble.problem, trouble.remedy) if trouble else problem(f"no connection to {host}{via}", _CHECKS)
        )
    except urllib3.exceptions.HTTPError as error:
        return problem(f"no answer from {host} ({type(error).__name__})", _CHECKS)
    return ok(_reached(url))


def _aws(service: str, name: str, needed: Callable[[Installation], str] = lambda _: "") -> Callable[..., Finding]:
    """A check of a host of AWS, as boto3 reaches it; `needed` says why it is not, if so."""

    def examine(installation: Installation) -> Finding:
        if reason := needed(installation):
            return ok(reason)
        url = aws_client(service).meta.endpoint_url
        if replaced := _replaced(url):
            return replaced
        if service == "s3":
            url = url.replace("://", f"://{installation.resources['storage'].open_bucket().name}.", 1)
        session = URLLib3Session(
            verify=ca_file() or True, proxies=get_environ_proxies(url), timeout=(CONNECT_SECONDS, READ_SECONDS)
        )
        try:
            session.send(AWSRequest("GET", url).prepare())
        except BotoCoreError as error:
            return problem(*aws_problem(error, "", name))
        return ok(_reached(url))

    return examine


def _fetched(service: str, needed: Callable[[Installation], str] = lambda _: "") -> Callable[..., Finding]:
    """A check of a host of AWS in the topic's region from which reports or certificates are fetched."""

    def examine(installation: Installation) -> Finding:
        if reason := needed(installation):
            return ok(reason)
        region = installation.resources["queue"].topic().split(":")[3]
        url = f"{aws_client(service, region).meta.endpoint_url}/"
        if replaced := _replaced(url):
            return replaced
        try:
            SafeHttp(CONNECT_SECONDS + READ_SECONDS).get(parse_link(url), _MOST_BYTES, private_allowed=lambda: True)
        except NotAllowed as error:
            return problem(str(error), "check the name server: it leads to another machine")
        except NotFetched as error:
            return problem(str(error), error.remedy or "check the network, the firewall and the proxy")
        return ok(_reached(url))

    return examine


def _replaced(url: str) -> Finding | None:
    return None if _AMAZON.fullmatch(urlsplit(url).hostname or "") else ok(f"AWS_ENDPOINT_URL sets {url} in its place")


def _reached(url: str) -> str:
    proxy = proxy_for(url)
    return f"{urlsplit(url).netloc} answers{f', through {proxy.url}' if proxy else ''}"


def _no_role(installation: Installation) -> str:
    return "" if installation.resources["catalog_api"].role_arn else "not needed: JWO_API_ROLE_ARN is not set"


def _not_verified(installation: Installation) -> str:
    return "" if installation.resources["queue"].verify_signatures else "not needed: JWO_VERIFY_SIGNATURES is off"


def _check(name: str, examine: Callable[..., Any]) -> Check:
    return Check(f"host of {name}", examine, "check the network, the firewall and the proxy", ("network",))


CHECKS = (
    Check("network", settings, "check HTTPS_PROXY, NO_PROXY and AWS_CA_BUNDLE"),
    _check("the Catalog API", catalog_api),
    _check("S3", _aws("s3", "S3")),
    _check("DynamoDB", _aws("dynamodb", "DynamoDB")),
    _check("SQS", _aws("sqs", "SQS")),
    _check("STS", _aws("sts", "STS", _no_role)),
    _check("SNS certificates", _fetched("sns", _not_verified)),
    _check("reports", _fetched("s3")),
)
