"""Stores the assets' tables: as Parquet in JWO_BUCKET, one object per asset and partition (never pickle).

Between assets goes a `TableFile`; people and small assets have a DataFrame, and get one where they ask for it.

https://docs.dagster.io/guides/build/io-managers
"""

import hashlib
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import dagster as dg
import pandas as pd

from jwo_catalog_pipeline.defs.columns import COLUMNS
from jwo_catalog_pipeline.storage import Bucket, NoSuchObject
from jwo_catalog_pipeline.table_file import TableFile, hash_table, table_of
from jwo_catalog_pipeline.work_folder import explained

TABLES = "assets"  # the folder of all tables
# What an upload is made of. Each upload has its own, so that two that run at once do not read each other's.
UPLOAD_TABLES = ("source_catalog", "jwo_catalog", "quarantined_items")
_MADE_FOR = "upload"  # in the metadata of the current table: the upload that it was made for


class ParquetIOManager(dg.IOManager):
    """Stores tables under `assets/<asset>[/<partition>].parquet`.

    A run for an upload keeps what the upload is made of under `uploads/<upload>/tables/` as well, until the upload is
    applied, and reads that. What this run has stored itself is not fetched again.
    """

    def __init__(self, bucket: Bucket, folder: Path) -> None:
        self._bucket, self._folder = bucket, folder
        self._stored: dict[str, tuple[str, TableFile]] = {}  # by key: the mark of the content, and the same here

    def handle_output(self, context: dg.OutputContext, obj: TableFile | pd.DataFrame) -> None:
        """Overwrite the previous table; the bucket keeps old versions."""
        name = context.asset_key.to_user_string()
        if isinstance(obj, pd.DataFrame):
            obj = table_of(obj, self._path())
        if not isinstance(obj, TableFile):
            raise TypeError(f"{name} gave {type(obj).__name__}, not a table")
        key = self._key(context)
        if own := _own_key(context):
            self._put(own, obj)
            self._bucket.copy(own, key, **{_MADE_FOR: quote(context.partition_key)})
        else:
            self._put(key, obj)
        context.add_output_metadata(
            {"stored_at": dg.MetadataValue.path(self._bucket.uri(key)), "stored_bytes": dg.MetadataValue.int(obj.size)}
        )

    def load_input(self, context: dg.InputContext) -> TableFile | pd.DataFrame:
        """The table that the upstream asset stored last, for this upload if the run is for one.

        Whoever asks for a `TableFile` gets one, others a DataFrame.
        """
        key, own = self._key(context), _own_key(context)
        try:
            table = self._get(own if own and self._is_newest(own, key) else key)
        except NoSuchObject as error:
            name = context.asset_key.to_user_string()
            raise dg.Failure(f"{name} has not been materialized yet ({error}); materialize it first") from None
        except OSError as error:
            if (said := explained(error)) is error:
                raise
            raise dg.Failure(str(said), allow_retries=False) from error
        return table if context.dagster_type.typing_type is TableFile else table.frame()

    def _put(self, key: str, table: TableFile) -> None:
        self._bucket.put_file(key, table.path)
        if written := self._bucket.written(key):
            self._stored[key] = written.etag, table

    def _get(self, key: str) -> TableFile:
        etag, table = self._stored.get(key, ("", None))
        written = self._bucket.written(key) if table else None
        if table and written and written.etag == etag:
            return table
        return self._bucket.fetch(key, self._path())

    def _path(self) -> Path:
        return self._folder / f"{uuid4().hex}.parquet"

    def _is_newest(self, own: str, current: str) -> bool:
        """Whether the upload has a table of its own, and no person has made the current one since."""
        mine, theirs = self._bucket.written(own), self._bucket.written(current)
        return mine is not None and (theirs is None or _MADE_FOR in theirs.about or theirs.at <= mine.at)

    @staticmethod
    def _key(context: dg.OutputContext | dg.InputContext) -> str:
        partition = [context.asset_partition_key] if context.has_asset_partitions else []
        return table_key(context.asset_key.path[-1], *partition)  # a merchant has a bucket of its own


def _own_key(context: dg.OutputContext | dg.InputContext) -> str | None:
    """Where a run for an upload keeps the upload's own table of an asset; None for other runs and assets."""
    name = context.asset_key.path[-1]
    return own_table_key(context.partition_key, name) if context.has_partition_key and name in UPLOAD_TABLES else None


def own_table_key(upload: str, asset: str) -> str:
    """The object key of an asset's table that belongs to an upload which is not applied yet."""
    return f"uploads/{upload}/tables/{asset}.parquet"


def drop_own_tables(bucket: Bucket, upload: str) -> None:
    """Remove an upload's own tables: it is applied, or will not be."""
    bucket.delete([own_table_key(upload, name) for name in UPLOAD_TABLES])


def table_key(*path: str) -> str:
    """The object key of an asset's table, from the asset's name and, if any, its partition."""
    return f"{'/'.join([TABLES, *path])}.parquet"


def table_version(table: TableFile | pd.DataFrame) -> dg.DataVersion:
    """A data version from the content: equal tables have equal versions."""
    if isinstance(table, TableFile):
        return dg.DataVersion(table.digest())
    hashed = hashlib.sha256()
    hash_table(hashed, table)
    return dg.DataVersion(hashed.hexdigest())


def table_schema(table: TableFile | pd.DataFrame) -> dg.TableSchema:
    """The columns of a table for the UI, with descriptions of the pipeline's own columns."""
    types = (table.head(0) if isinstance(table, TableFile) else table).dtypes
    return dg.TableSchema(
        [dg.TableColumn(str(name), str(dtype), COLUMNS.get(str(name))) for name, dtype in types.items()]
    )
