"""Bodies of Catalog API requests: items as JSON documents, documents packed into batches.

The limits are CATALOG_API.md's: 10,000 items a request (documented) and 10 MB at the gateway (general AWS
behaviour). Absent optional fields are left out, never sent as null or "" (inferred).
"""

import json
from collections.abc import Iterator, Sequence

import duckdb
import numpy as np
import pandas as pd

MAX_ITEMS = 10_000  # items or SKUs in one request, documented
MAX_BYTES = 9_500_000  # bytes of one request's body: the gateway's 10 MB less room for headers
ADDITIONAL_BARCODES = "additional_external_product_information"

_PREFIX, _SUFFIX = b'{"catalogItems":[', b"]}"
_Bodies = Iterator[tuple[int, int, bytes]]


def item_documents(items: pd.DataFrame, fields: Sequence[str]) -> pd.DataFrame:
    """Serialise items the way they are sent, and hash what is sent.

    Args:
        items: one row per item with the `fields` as text columns; missing values are left out.
        fields: the item's field names in the order in which they are written.

    Returns:
        `store_id`, `item_sku`, `document` (the item's JSON text) and `content_hash` (SHA-256 of it, in hex),
        ordered by store and SKU (byte order), so that equal items give equal batches.
    """
    selected = f"store_id, item_sku, {_document_sql(fields)} AS document, sha256(document) AS content_hash"
    with duckdb.connect() as db:
        db.register("items", items[list(fields)])
        query = f"SELECT {selected} FROM items ORDER BY store_id, item_sku"  # noqa: S608 (the field names are ours)
        return db.sql(query).to_arrow_table().to_pandas()


def item_hashes(items: pd.DataFrame, fields: Sequence[str]) -> pd.DataFrame:
    """The hashes of `item_documents` without the documents, of which a plan needs only the sizes.

    Returns:
        `store_id`, `item_sku`, `content_hash`, `size` (bytes of the document), in the items' order.
    """
    with duckdb.connect() as db:
        db.register("items", items[list(fields)])
        query = f"""SELECT store_id, item_sku, sha256(document) AS content_hash, strlen(document) AS size
                    FROM (SELECT store_id, item_sku, {_document_sql(fields)} AS document FROM items)"""  # noqa: S608
        return db.sql(query).to_arrow_table().to_pandas()


def _document_sql(fields: Sequence[str]) -> str:
    return f"'{{' || concat_ws(',', {', '.join(_member(field) for field in fields)}) || '}}'"


def _member(field: str) -> str:
    """SQL of one `"name":value` pair; NULL, and so left out, where the field is missing."""
    value = _additional_barcodes_sql(field) if field == ADDITIONAL_BARCODES else f'to_json("{field}")'
    return f"""'"{field}":' || {value}"""


def _additional_barcodes_sql(field: str) -> str:
    """SQL that turns `[["code", "type"], ...]` into the elements Amazon expects.

    The element's shape is unknown; this is the assumption of CATALOG_API.md, and this its only place.
    """
    element = """'{' || concat_ws(',', '"external_product_id":' || to_json(pair[1]),
                                       '"external_product_id_type":' || to_json(pair[2])) || '}'"""
    pairs = f"""from_json("{field}", '[["VARCHAR"]]')"""
    return f"'[' || array_to_string(list_transform({pairs}, lambda pair: {element}), ',') || ']'"


def batch_bounds(
    sizes: np.ndarray,
    max_items: int | None = None,
    max_bytes: int = MAX_BYTES,
    envelope: int = len(_PREFIX) + len(_SUFFIX),
) -> list[tuple[int, int]]:
    """Cut a list of documents into the fewest consecutive batches within the limits.

    Args:
        sizes: UTF-8 length in bytes of each document.
        max_items: the most documents in a batch; `MAX_ITEMS` where it is not given.
        max_bytes: the most bytes of a batch's body, envelope and commas included.
        envelope: bytes of a body around its documents.

    Returns:
        `(first, past_last)` positions of each batch.

    Raises:
        ValueError: a single document is larger than a batch may be.
    """
    most = MAX_ITEMS if max_items is None else max_items
    ends = np.cumsum(sizes + 1)  # each document with its comma; the last comma is spared
    room = max_bytes - envelope + 1
    bounds, first = [], 0
    while first < len(sizes):
        sent = int(ends[first - 1]) if first else 0
        past_last = min(first + most, int(np.searchsorted(ends, sent + room, side="right")))
        if past_last == first:
            raise ValueError(f"item {first} takes {sizes[first]:,} bytes, more than one request may ({room:,})")
        bounds.append((first, past_last))
        first = past_last
    return bounds


def upload_bodies(documents: pd.Series) -> _Bodies:
    """Yield `(first, past_last, body)` for each upload request that carries the documents, in their order."""
    return _bodies([document.encode() for document in documents], _PREFIX, _SUFFIX)


def archive_bodies(skus: Sequence[str], store_ids: Sequence[str]) -> _Bodies:
    """Yield `(first, past_last, body)` for each archive request that names the SKUs, in their order.

    Args:
        skus: each once.
        store_ids: the retailer's complete list of stores: Amazon refuses an archive that leaves one out.
    """
    stores = json.dumps(list(store_ids), ensure_ascii=False).encode()
    encoded = [json.dumps(sku, ensure_ascii=False).encode() for sku in skus]
    return _bodies(encoded, b'{"itemSkus":[', b'],"allApplicableStores":' + stores + b"}")


def _bodies(encoded: list[bytes], prefix: bytes, suffix: bytes) -> _Bodies:
    sizes = np.fromiter((len(document) for document in encoded), dtype=np.int64, count=len(encoded))
    for first, past_last in batch_bounds(sizes, envelope=len(prefix) + len(suffix)):
        yield first, past_last, prefix + b",".join(encoded[first:past_last]) + suffix


def status_body(ingestion_id: str) -> bytes:
    """The body of a status request."""
    return json.dumps({"ingestionId": ingestion_id}).encode()
