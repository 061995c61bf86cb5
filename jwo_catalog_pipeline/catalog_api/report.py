"""The report that Amazon writes about an ingestion: where it may be fetched from, and what it says of each item.

Its shape is unknown (CATALOG_API.md, "Result report"): three plausible shapes are read, anything else is `unknown`
and nothing is guessed about its items.
"""

import functools
import json
import re
import threading
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jwo_catalog_pipeline.catalog_api.addresses import is_private
from jwo_catalog_pipeline.catalog_api.errors import ForbiddenReportLink, ReportUnavailable
from jwo_catalog_pipeline.catalog_api.links import Link, NotAllowed, Origin, origin_of, parse_link
from jwo_catalog_pipeline.catalog_api.notification import ID_NAMES
from jwo_catalog_pipeline.catalog_api.plain_report import (
    CODE_NAMES,
    MESSAGE_NAMES,
    SKU_NAMES,
    STORE_NAMES,
    plain_entries,
)
from jwo_catalog_pipeline.catalog_api.safe_http import NotFetched, SafeHttp, resolve
from jwo_catalog_pipeline.errors import ConfigurationError

MAX_REPORT_BYTES = 20_000_000  # 10,000 items at 2 kB each
REPORT_SECONDS = 60.0  # 20 MB in that time takes 3 Mbit/s
# A JSON value takes up to 240 bytes once parsed (an object with one member), and as little as 3 in the file: 20 MB
# could become 700 MB. 100 values an item are far more than any plausible shape has.
MAX_REPORT_VALUES = 1_000_000
MAX_REPORT_ENTRIES = 100_000  # ten times the items of a batch
# S3 says of an object what its writer said: `Content-Encoding` may be missing, empty, `UTF-8` or `aws-chunked`, so that
# only the bytes tell. Each member is looked at once; a million empty ones would take hours.
_GZIP = b"\x1f\x8b"
MAX_GZIP_MEMBERS = 100
ACCEPTED, REJECTED, UNREPORTED = "accepted", "rejected", "unreported"
UNKNOWN_SHAPE = "unknown"
OUTCOMES = pa.schema([(name, pa.large_string()) for name in ("store_id", "item_sku", "outcome", "code", "message")])
Entry = tuple[str | None, str, str, str | None, str | None]  # the values of these

# Hosts that answer with an object of a bucket as it is stored: path style or the bucket in front, global, regional
# (with a dot, or with a dash as in the older regions), dual stack, FIPS, accelerated, or through an access point. Not
# those that answer with something else, unencrypted, or only to clients of their own: Object Lambda (the output of
# somebody's function), website (http only), control, Outposts, Express (sessions of its own kind).
_REGION = r"(?!cn-)[a-z]{2}(?:-gov)?-[a-z]{2,12}-[1-9]"
_BUCKET = r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+"
_S3_HOST = re.compile(
    rf"(?:{_BUCKET})?s3(?:-external-1)?\.amazonaws\.com"
    rf"|(?:{_BUCKET})?s3-{_REGION}\.amazonaws\.com"
    rf"|(?:{_BUCKET})?s3(?:-fips)?(?:\.dualstack)?\.{_REGION}\.amazonaws\.com"
    rf"|(?:{_BUCKET})?s3(?:\.dualstack)?\.cn-[a-z]{{2,12}}-[1-9]\.amazonaws\.com\.cn"
    rf"|{_BUCKET}s3-accelerate(?:\.dualstack)?\.amazonaws\.com"
    rf"|{_BUCKET}s3-accesspoint(?:-fips)?(?:\.dualstack)?\.{_REGION}\.amazonaws\.com"
)
_PARSING = threading.Lock()  # one report at a time, for its values may take 240 MB
_XML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<")  # S3's errors
_SUCCEEDED = frozenset({"SUCCESS", "SUCCEEDED", "OK", "ACCEPTED", "DONE"})
_FAILED = frozenset({"FAILED", "FAILURE", "FAIL", "ERROR", "REJECTED", "FATAL"})
# An archive of what is archived already has reached its goal, and so has one of what Amazon never took. The codes are
# unknown; the words "already archived" are documented.
_GONE = re.compile(r"already[ _-]?archived|unknown[ _-]sku|not in the catalog", re.IGNORECASE)


@dataclass(frozen=True)
class Report:
    """A report as understood.

    `shape` is `results`, `errors`, `items` or `unknown`; `outcomes` has the columns of `OUTCOMES` (store_id missing
    where the report does not say); `others_succeeded` says that what is not listed was accepted; `ingestion_id` is
    None where the report does not name its ingestion.
    """

    shape: str
    outcomes: pa.Table
    others_succeeded: bool = False
    ingestion_id: str | None = None


@functools.cache
def report_http() -> SafeHttp:
    """What reports are fetched with."""
    return SafeHttp(REPORT_SECONDS)


def check_report_link(url: str, endpoint: str) -> Link:
    """Refuse a link that leads anywhere but to Amazon S3 over https, or to `endpoint`, the S3 endpoint in use.

    Raises:
        ForbiddenReportLink: the message names the host only, for the rest of the link is a secret.
    """
    try:
        link = parse_link(url)
    except NotAllowed as error:
        raise ForbiddenReportLink(f"the report link is not followed: {error}") from None
    if link.origin == origin_of(endpoint) or _is_s3(link.origin):
        return link
    raise ForbiddenReportLink(
        f"the report link leads to {link.origin.host!r}, not to Amazon S3 over https, and is not followed"
    )


def _is_s3(origin: Origin) -> bool:
    return origin == Origin("https", origin.host, 443) and bool(_S3_HOST.fullmatch(origin.host))


def fetch_report(http: SafeHttp, url: str, endpoint: str) -> bytes:
    """Download a report, at most `MAX_REPORT_BYTES` of it, from an address of the public internet.

    There are two exceptions. An endpoint that is not Amazon's own (a local stack) has whatever address it has. And
    where the pipeline's own S3 endpoint has private addresses, the VPC has an interface endpoint for S3 with private
    DNS, so that those are what Amazon's names lead to; no other address is allowed even then.

    Raises:
        ForbiddenReportLink: see `check_report_link`; or the host has an address that is not allowed.
        ReportUnavailable: the link has expired (a fresh one can be asked for) or the download failed.
    """
    link, own = check_report_link(url, endpoint), origin_of(endpoint)

    def s3_is_private() -> bool:
        return own is not None and _is_s3(own) and all(map(is_private, resolve(own.host, own.port)))

    try:
        document = http.get(
            link,
            MAX_REPORT_BYTES,
            any_address=link.origin == own and not _is_s3(link.origin),
            private_allowed=s3_is_private,
        )
    except NotAllowed as error:
        raise ForbiddenReportLink(f"the report link is not followed: {error}") from None
    except ConfigurationError as error:
        raise ReportUnavailable(f"the report could not be downloaded ({error.problem})", error.remedy) from None
    except NotFetched as error:
        raise ReportUnavailable(f"the report could not be downloaded ({error})", error.remedy) from None
    if document.status != 200:
        raise ReportUnavailable(f"the report's link answered {document.status}: it has probably expired")
    if _XML.match(document.content):
        raise ReportUnavailable("the report's link answered with XML, as S3's errors are: it has probably expired")
    return document.content


def read_report(content: bytes, *, archive: bool = False) -> Report:
    """Read a report in any of the plausible shapes.

    Args:
        content: as Amazon wrote it, plain or gzipped; JSON or JSON Lines.
        archive: it is about an archive, so that a SKU which is not there any more is no failure.
    """
    content = _gunzipped(content) if content.startswith(_GZIP) else content
    if sum(content.count(mark) for mark in (b"{", b"[", b",")) > MAX_REPORT_VALUES:
        return _unknown()
    if plain := _read_plain(content, archive):
        return plain
    with _PARSING:
        return read_in_full(content, archive)


def read_in_full(content: bytes, archive: bool) -> Report:
    """What `read_report` gives, for any shape that is known; slower, for it makes an object of each value."""
    value = _parsed(content)
    if isinstance(value, list):
        return _listed("items", value, archive, others_succeeded=False)
    if not isinstance(value, dict):
        return _unknown()
    ingestion_id = _text(value, ID_NAMES)
    if isinstance(value.get("itemResults"), list):
        listed = _listed("results", value["itemResults"], archive, others_succeeded=False)
        return replace(listed, ingestion_id=ingestion_id)
    if isinstance(value.get("errors"), list) and value.get("processingStatus") == "DONE":
        listed = _listed("errors", value["errors"], archive, others_succeeded=True)
        return replace(listed, ingestion_id=ingestion_id)
    return replace(_unknown(), ingestion_id=ingestion_id)


def _gunzipped(content: bytes) -> bytes:
    """Decode gzip of a few members, at most `MAX_REPORT_BYTES` of it; nothing where it is more, or not complete."""
    decoded = bytearray()
    for _ in range(MAX_GZIP_MEMBERS):
        decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            decoded += decoder.decompress(content, MAX_REPORT_BYTES + 1 - len(decoded))
        except zlib.error:
            return b""
        if len(decoded) > MAX_REPORT_BYTES or not decoder.eof:
            return b""
        content = decoder.unused_data
        if not content:
            return bytes(decoded)
    return b""


def _parsed(content: bytes) -> object:
    """The JSON value, or those of JSON Lines as a list; None for what is neither."""
    # RecursionError is the parser's own limit of about 1,000 levels; nothing below recurses.
    with suppress(ValueError, RecursionError):
        return json.loads(content)
    with suppress(ValueError, RecursionError):
        return [json.loads(line) for line in content.splitlines() if line.strip()] or None
    return None


def _unknown() -> Report:
    return Report(UNKNOWN_SHAPE, OUTCOMES.empty_table())


def _listed(shape: str, entries: Sequence[Any], archive: bool, *, others_succeeded: bool) -> Report:
    """Outcomes of listed entries; one entry that is no item makes the whole shape unknown."""
    if len(entries) > MAX_REPORT_ENTRIES:
        return _unknown()
    rows = [_outcome(entry, archive, failed=others_succeeded) for entry in entries if isinstance(entry, dict)]
    known = [row for row in rows if row is not None]
    return Report(shape, _table(known), others_succeeded) if len(known) == len(entries) else _unknown()


def _table(rows: Sequence[Entry]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [[]] * len(OUTCOMES)
    return pa.table([pa.array(column, pa.large_string()) for column in columns], OUTCOMES)


def _read_plain(content: bytes, archive: bool) -> Report | None:
    """What `read_in_full` gives for a report such as most likely are, in a fifth of its time; None for any other."""
    found = plain_entries(content, ID_NAMES)
    if found is None or len(found[1]) > MAX_REPORT_ENTRIES:
        return None
    ids, entries = found
    has = {name: pc.fill_null(pc.not_equal(entries.field(name), ""), False) for name in ("item_sku", "store_id")}
    no_errors = pc.equal(pc.fill_null(pc.list_value_length(entries.field("errors")), 0), 0)
    succeeded = pc.and_(pc.equal(entries.field("status"), "SUCCESS"), no_errors)
    plain = pc.and_(pc.and_(has["item_sku"], has["store_id"]), succeeded)
    others = pc.invert(plain)
    rows = [_outcome(entry, archive, failed=False) for entry in entries.filter(others).to_pylist()]
    known = [row for row in rows if row is not None]
    if len(known) < len(rows):
        return None
    nothing = pa.nulls(len(entries), pa.large_string())
    stores, skus = (entries.field(name).cast(pa.large_string()) for name in ("store_id", "item_sku"))
    outcomes = pa.repeat(pa.scalar(ACCEPTED, pa.large_string()), len(entries))
    columns = [stores, skus, outcomes, nothing, nothing]
    if rows:
        told = _table(known).combine_chunks().columns
        columns = [
            pc.replace_with_mask(column, others, values.combine_chunks())
            for column, values in zip(columns, told, strict=True)
        ]
    return Report("results", pa.table(columns, OUTCOMES), ingestion_id=_text(ids, ID_NAMES))


def _outcome(entry: dict[str, Any], archive: bool, *, failed: bool) -> Entry | None:
    sku = _text(entry, SKU_NAMES)
    if sku is None:
        return None
    listed = entry.get("errors")
    errors = [error for error in listed if isinstance(error, dict)] if isinstance(listed, list) else []
    raw_status = _text(entry, ("status",)) if "status" in entry else "FAILED" if errors else None
    status = "FAILED" if failed else (raw_status or "").upper()
    outcome = REJECTED if status in _FAILED else ACCEPTED if status in _SUCCEEDED and not errors else UNREPORTED
    if outcome == ACCEPTED:
        return _text(entry, STORE_NAMES), sku, outcome, None, None
    causes = errors or [entry]
    codes = "; ".join(filter(None, (_text(cause, CODE_NAMES) for cause in causes)))
    messages = "; ".join(filter(None, (_text(cause, MESSAGE_NAMES) for cause in causes)))
    if archive and outcome == REJECTED and len(causes) == 1 and _GONE.search(f"{codes} {messages}"):
        outcome = ACCEPTED
    return _text(entry, STORE_NAMES), sku, outcome, codes or None, messages or None


def _text(entry: dict[str, Any], names: tuple[str, ...]) -> str | None:
    """The first text or number under one of the names; a list or an object, which may be deep, is neither."""
    values = (entry.get(name) for name in names)
    text = next((str(value) for value in values if isinstance(value, str | int | float) and value != ""), None)
    # Half a surrogate pair, as cutting text in Java leaves it, cannot be stored.
    return text.encode("utf-8", "replace").decode() if text else None
