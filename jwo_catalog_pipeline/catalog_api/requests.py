"""Bodies of Catalog API requests: items as JSON documents, documents packed into batches.

The limits are CATALOG_API.md's: 10,000 items a request (documented) and 10 MB at the gateway (general AWS
behaviour). Absent optional fields are left out, never sent as null or "" (inferred).
"""

import atexit
import json
from collections.abc import Sequence
from functools import cache

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

MAX_ITEMS = 10_000  # items or SKUs in one request, documented
MAX_BYTES = 9_500_000  # bytes of one request's body: the gateway's 10 MB less room for headers
PIECE_ROWS = 61_440  # half of what DuckDB itself stores together
ADDITIONAL_BARCODES = "additional_external_product_information"

_PREFIX, _SUFFIX = b'{"catalogItems":[', b"]}"


def item_documents(items: pd.DataFrame, fields: Sequence[str]) -> pd.DataFrame:
    """Serialise items the way they are sent, and hash what is sent.

    Args:
        items: one row per item with the `fields` as text columns; missing values are left out.
        fields: the item's field names in the order in which they are written.

    Returns:
        `store_id`, `item_sku`, `document` (the item's JSON text) and `content_hash` (SHA-256 of it, in hex),
        ordered by store and SKU (byte order), so that equal items give equal batches.
    """
    table = pa.Table.from_pandas(items[list(fields)], preserve_index=False)
    return _documents(table, fields, "store_id, item_sku, document, sha256(document) AS content_hash").to_pandas()


def upload_body(items: pa.Table, fields: Sequence[str]) -> bytes:
    """The upload request that carries the documents of items, ordered by store and SKU; see `item_documents`."""
    documents = _documents(items, fields, "document")["document"]
    # Arrow joins texts of up to 2 GB; a request has 9.5 MB.
    texts = pa.concat_arrays([chunk.cast(pa.string()) for chunk in documents.chunks])
    joined = pc.binary_join(pa.ListArray.from_arrays([0, len(texts)], texts), ",")[0]
    return _PREFIX + joined.as_buffer().to_pybytes() + _SUFFIX


def serialiser(fields: Sequence[str]) -> str:
    """Names how items become documents: while it is the same, so are the documents of equal items."""
    return f"DuckDB {duckdb.__version__}: {document_sql(fields)}"


def _documents(items: pa.Table, fields: Sequence[str], selected: str) -> pa.Table:
    # A field that no item has is left out of every document anyway.
    given = [field for field in fields if items[field].null_count < len(items)] or fields
    query = f"""SELECT {selected} FROM (SELECT store_id, item_sku, {document_sql(given)} AS document FROM items)
                ORDER BY store_id, item_sku"""  # noqa: S608 (the field names are ours)
    with _database().cursor() as db:
        # In pieces, for DuckDB shares out whole pieces among its threads.
        db.register("items", pa.Table.from_batches(items.to_batches(max_chunksize=PIECE_ROWS), items.schema))
        return db.sql(query).to_arrow_table()


@cache
def _database() -> duckdb.DuckDBPyConnection:
    """An empty database for all threads, each with a cursor of its own: opening one takes as long as a batch."""
    atexit.register(_database.cache_clear)  # DuckDB complains of connections that are open when Python ends
    return duckdb.connect(config={"arrow_large_buffer_size": True})  # what pandas holds, so nothing is converted


def document_sql(fields: Sequence[str]) -> str:
    """SQL of an item's document, of its fields as text columns; a field that is missing in every row may be left out.

    The hash of an item is `sha256` of this, and its size is `strlen` of it.
    """
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


def upload_bounds(sizes: np.ndarray) -> list[tuple[int, int, int]]:
    """Cut items into upload requests; see `batch_bounds`."""
    return batch_bounds(sizes, len(_PREFIX) + len(_SUFFIX))


def archive_bounds(skus: Sequence[str], store_ids: Sequence[str]) -> list[tuple[int, int, int]]:
    """Cut SKUs into archive requests; see `batch_bounds`."""
    sizes = np.array([len(_json(sku)) for sku in skus], dtype=np.int64)
    return batch_bounds(sizes, len(archive_body([], store_ids)))


def batch_bounds(
    sizes: np.ndarray, envelope: int, max_items: int | None = None, max_bytes: int = MAX_BYTES
) -> list[tuple[int, int, int]]:
    """Cut a list of documents into the fewest consecutive batches within the limits.

    Args:
        sizes: UTF-8 length in bytes of each document.
        envelope: bytes of a body around its documents.
        max_items: the most documents in a batch; `MAX_ITEMS` if not given.
        max_bytes: the most bytes of a batch's body, envelope and commas included.

    Returns:
        `(first, past_last, bytes)` of each batch: positions of its documents, and the size of its body.

    Raises:
        ValueError: a single document is larger than a batch may be.
    """
    max_items = max_items or MAX_ITEMS
    ends = np.cumsum(sizes + 1)  # each document with its comma; the last comma is spared
    room = max_bytes - envelope + 1
    bounds, first = [], 0
    while first < len(sizes):
        before = int(ends[first - 1]) if first else 0
        past_last = min(first + max_items, int(np.searchsorted(ends, before + room, side="right")))
        if past_last == first:
            raise ValueError(f"item {first} takes {sizes[first]:,} bytes, more than one request may ({room:,})")
        bounds.append((first, past_last, int(ends[past_last - 1]) - before - 1 + envelope))
        first = past_last
    return bounds


def archive_body(skus: Sequence[str], store_ids: Sequence[str]) -> bytes:
    """The archive request that names the SKUs, in their order.

    Args:
        skus: each once.
        store_ids: the retailer's complete list of stores: Amazon refuses an archive that leaves one out.
    """
    return b'{"itemSkus":[%s],"allApplicableStores":%s}' % (b",".join(map(_json, skus)), _json(list(store_ids)))


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def status_body(ingestion_id: str) -> bytes:
    """The body of a status request."""
    return json.dumps({"ingestionId": ingestion_id}).encode()


def split_body(body: bytes) -> tuple[str, list[str], str]:
    """A request that this module made: what stands before its documents, each document's text, and what follows."""
    text = body.decode()
    decode = json.JSONDecoder().raw_decode
    first = position = text.index("[") + 1
    documents = []
    while text[position - 1] != "]":
        _, end = decode(text, position)
        documents.append(text[position:end])
        position = end + 1
    return text[:first], documents, text[position - 1 :]


def join_body(before: str, documents: Sequence[str], after: str) -> bytes:
    """The request of these parts."""
    return (before + ",".join(documents) + after).encode()
