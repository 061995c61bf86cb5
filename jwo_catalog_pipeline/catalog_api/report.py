"""The report that Amazon writes about an ingestion: where it may be fetched from, and what it says of each item.

Its shape is unknown (CATALOG_API.md, "Result report"): three plausible shapes are read, anything else is `unknown`
and nothing is guessed about its items.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import urllib3

from jwo_catalog_pipeline.catalog_api.errors import ForbiddenReportLink, ReportUnavailable
from jwo_catalog_pipeline.catalog_api.notification import ID_NAMES

MAX_REPORT_BYTES = 64_000_000  # 10,000 items with several errors each stay well below
OUTCOME_COLUMNS = ["store_id", "item_sku", "outcome", "code", "message"]

ACCEPTED, REJECTED, UNREPORTED = "accepted", "rejected", "unreported"

_S3_HOST = re.compile(r"(?:[a-z0-9.-]+\.)?s3(?:[.-][a-z0-9-]+)*\.amazonaws\.com(?:\.cn)?")
_SUCCEEDED = frozenset({"SUCCESS", "SUCCEEDED", "OK", "ACCEPTED", "DONE"})
_FAILED = frozenset({"FAILED", "FAILURE", "FAIL", "ERROR", "REJECTED", "FATAL"})
_SKU_NAMES, _STORE_NAMES = ("item_sku", "itemSku", "sku"), ("store_id", "storeId")
_CODE_NAMES, _MESSAGE_NAMES = ("code", "errorCode"), ("message", "errorMessage", "errorMsg")
# An archive of what is archived already has reached its goal, and so has one of what Amazon never took. The codes are
# unknown; the words "already archived" are documented.
_GONE = re.compile(r"already[ _-]?archived|unknown[ _-]sku|not in the catalog", re.IGNORECASE)


@dataclass(frozen=True)
class Report:
    """A report as understood.

    `shape` is `results`, `errors`, `items` or `unknown`; `outcomes` has `OUTCOME_COLUMNS` (store_id missing where the
    report does not say); `others_succeeded` says that what is not listed was accepted; `ingestion_id` is None where
    the report does not name its ingestion.
    """

    shape: str
    outcomes: pd.DataFrame
    others_succeeded: bool = False
    ingestion_id: str | None = None


def check_report_link(url: str, endpoint: str) -> None:
    """Refuse a link that leads anywhere but to Amazon S3 over https, or to `endpoint`, the S3 endpoint in use.

    Raises:
        ForbiddenReportLink: the message names the host only, for the rest of the link is a secret.
    """
    try:
        link, local = urlsplit(url), urlsplit(endpoint)
        origin = (link.scheme, link.hostname, link.port)
    except ValueError:
        raise ForbiddenReportLink("the report link is not a URL") from None
    if "@" in link.netloc or "\\" in url:
        raise ForbiddenReportLink("the report link carries a user name or a backslash")
    if origin == (local.scheme, local.hostname, local.port):
        return
    if link.scheme == "https" and link.port in (None, 443) and _S3_HOST.fullmatch(link.hostname or ""):
        return
    raise ForbiddenReportLink(f"the report link leads to {link.hostname!r}, not to Amazon S3 over https: not fetched")


def fetch_report(http: urllib3.PoolManager, url: str, endpoint: str) -> bytes:
    """Download a report, at most `MAX_REPORT_BYTES` of it, without following redirects.

    Raises:
        ForbiddenReportLink: see `check_report_link`.
        ReportUnavailable: the link has expired (a fresh one can be asked for) or the download failed.
    """
    check_report_link(url, endpoint)
    try:
        response = http.request("GET", url, redirect=False, retries=False, preload_content=False)
        content = response.read(MAX_REPORT_BYTES + 1)
        response.release_conn()
    except urllib3.exceptions.HTTPError as error:
        raise ReportUnavailable(f"the report could not be downloaded ({type(error).__name__})") from None
    if response.status != 200:
        raise ReportUnavailable(f"the report's link answered {response.status}: it has probably expired")
    if len(content) > MAX_REPORT_BYTES:
        raise ReportUnavailable(f"the report is larger than {MAX_REPORT_BYTES:,} bytes")
    return bytes(content)


def read_report(content: bytes, *, archive: bool = False) -> Report:
    """Read a report in any of the plausible shapes.

    Args:
        content: as Amazon wrote it.
        archive: it is about an archive, so that a SKU which is not there any more is no failure.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return _unknown()
    if isinstance(value, list):
        return _listed("items", value, archive, others_succeeded=False)
    if not isinstance(value, dict):
        return _unknown()
    ingestion_id = _text(value, ID_NAMES)
    if isinstance(value.get("itemResults"), list):
        listed = _listed("results", value["itemResults"], archive, others_succeeded=False)
        return replace(listed, ingestion_id=ingestion_id)
    if isinstance(value.get("errors"), list) and value.get("processingStatus") == "DONE":
        failed = [{**each, "status": "FAILED"} if isinstance(each, dict) else each for each in value["errors"]]
        return replace(_listed("errors", failed, archive, others_succeeded=True), ingestion_id=ingestion_id)
    return replace(_unknown(), ingestion_id=ingestion_id)


def _unknown() -> Report:
    return Report("unknown", _frame([]))


def _listed(shape: str, entries: Sequence[Any], archive: bool, *, others_succeeded: bool) -> Report:
    """Outcomes of listed entries; one entry that is no item makes the whole shape unknown."""
    rows = [_outcome(entry, archive) for entry in entries if isinstance(entry, dict)]
    known = [row for row in rows if row is not None]
    return Report(shape, _frame(known), others_succeeded) if len(known) == len(entries) else _unknown()


def _outcome(entry: dict[str, Any], archive: bool) -> tuple[str | None, ...] | None:
    sku = _text(entry, _SKU_NAMES)
    if sku is None:
        return None
    listed = entry.get("errors")
    errors = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    status = str(entry.get("status", "FAILED" if errors else "")).upper()
    outcome = REJECTED if status in _FAILED else ACCEPTED if status in _SUCCEEDED and not errors else UNREPORTED
    if outcome == ACCEPTED:
        return _text(entry, _STORE_NAMES), sku, outcome, None, None
    said = errors or [entry]
    codes = "; ".join(filter(None, (_text(each, _CODE_NAMES) for each in said)))
    messages = "; ".join(filter(None, (_text(each, _MESSAGE_NAMES) for each in said)))
    if archive and outcome == REJECTED and len(said) == 1 and _GONE.search(f"{codes} {messages}"):
        outcome = ACCEPTED
    return _text(entry, _STORE_NAMES), sku, outcome, codes or None, messages or None


def _text(entry: dict[str, Any], names: tuple[str, ...]) -> str | None:
    found = next((str(entry[name]) for name in names if entry.get(name) not in (None, "")), None)
    # Half a surrogate pair, as cutting text in Java leaves it, cannot be stored.
    return found.encode("utf-8", "replace").decode() if found else None


def _frame(rows: list[tuple[str | None, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=OUTCOME_COLUMNS, dtype="str")
