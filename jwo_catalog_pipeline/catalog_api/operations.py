"""The endpoints of the Catalog API: their paths, and for those that change the catalog, how rows become requests.

A new operation that changes the catalog is one more `Operation` here, and a kind of change in the plan.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from jwo_catalog_pipeline.catalog_api.requests import archive_body, archive_bounds, upload_body, upload_bounds

Bounds = list[tuple[int, int, int]]  # of each batch: its first row, the row after its last, bytes of its body


@dataclass(frozen=True)
class Endpoint:
    """An endpoint of the API: what it is called here, and its path."""

    name: str
    path: str


@dataclass(frozen=True)
class Operation(Endpoint):
    """An endpoint that changes the catalog. The ledger, tables, and the keys of stored bodies have its name.

    Attributes:
        bounds: cuts rows in the operation's order into batches, given the retailer's stores.
        body: the request of a batch's rows, given the item's fields and the retailer's stores.
        by_sku: a request names SKUs, and changes them in every store; else it has a document for each row.
        removes: what Amazon accepts is no longer in its catalog.
    """

    bounds: Callable[[pa.Table, Sequence[str]], Bounds]
    body: Callable[[pa.Table, Sequence[str], Sequence[str]], bytes]
    by_sku: bool = False
    removes: bool = False

    def first_rows(self, items: pd.DataFrame) -> np.ndarray:
        """Where the rows of each document begin, in items that are in the operation's order."""
        return _first_rows(items["item_sku"]) if self.by_sku else np.arange(len(items))


def _first_rows(skus: pd.Series) -> np.ndarray:
    return np.flatnonzero(~skus.duplicated())


def _upload_bounds(rows: pa.Table, stores: Sequence[str]) -> Bounds:
    return upload_bounds(rows["document_bytes"].to_numpy())


def _upload_body(rows: pa.Table, fields: Sequence[str], stores: Sequence[str]) -> bytes:
    return upload_body(rows, fields)


def _archive_bounds(rows: pa.Table, stores: Sequence[str]) -> Bounds:
    skus = rows["item_sku"].to_pandas()
    starts = _first_rows(skus)
    ends = np.append(starts, len(skus))
    bounds = archive_bounds(list(skus.iloc[starts]), stores)
    return [(int(ends[first]), int(ends[past_last]), size) for first, past_last, size in bounds]


def _archive_body(rows: pa.Table, fields: Sequence[str], stores: Sequence[str]) -> bytes:
    return archive_body(rows["item_sku"].unique().to_pylist(), stores)


STATUS = Endpoint("status", "/v1/catalog/getCatalogUploadStatus")
UPLOAD = Operation("upload", "/v1/catalog/upload", _upload_bounds, _upload_body)
ARCHIVE = Operation("archive", "/v1/catalog/archive", _archive_bounds, _archive_body, by_sku=True, removes=True)
OPERATIONS = {operation.name: operation for operation in (UPLOAD, ARCHIVE)}
