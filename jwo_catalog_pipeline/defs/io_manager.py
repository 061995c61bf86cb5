"""Stores the assets' tables: as Parquet in JWO_BUCKET, one object per asset and partition (never pickle).

https://docs.dagster.io/guides/build/io-managers
"""

import hashlib
from urllib.parse import quote

import dagster as dg
import pandas as pd

from jwo_catalog_pipeline.defs.columns import COLUMNS
from jwo_catalog_pipeline.storage import Bucket, NoSuchObject
from jwo_catalog_pipeline.table_file import hash_table

TABLES = "assets"  # the folder of all tables
# What an upload is made of. Each upload has its own, so that two that run at once do not read each other's.
UPLOAD_TABLES = ("source_catalog", "jwo_catalog", "quarantined_items")
_MADE_FOR = "upload"  # in the metadata of the current table: the upload that it was made for


class ParquetIOManager(dg.IOManager):
    """Stores DataFrames under `assets/<asset>[/<partition>].parquet`.

    A run for an upload keeps what the upload is made of under `uploads/<upload>/tables/` as well, until the upload is
    applied, and reads that.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def handle_output(self, context: dg.OutputContext, obj: pd.DataFrame) -> None:
        """Overwrite the previous table; the bucket keeps old versions."""
        if not isinstance(obj, pd.DataFrame):
            raise TypeError(f"{context.asset_key.to_user_string()} gave {type(obj).__name__}, not a DataFrame")
        key = self._key(context)
        if own := _own_key(context):
            size = self._bucket.put_table(own, obj)
            self._bucket.copy(own, key, **{_MADE_FOR: quote(context.partition_key)})
        else:
            size = self._bucket.put_table(key, obj)
        context.add_output_metadata(
            {"stored_at": dg.MetadataValue.path(self._bucket.uri(key)), "stored_bytes": dg.MetadataValue.int(size)}
        )

    def load_input(self, context: dg.InputContext) -> pd.DataFrame:
        """Read the table that the upstream asset stored last, for this upload if the run is for one."""
        key, own = self._key(context), _own_key(context)
        try:
            return self._bucket.get_table(own if own and self._is_newest(own, key) else key)
        except NoSuchObject as error:
            name = context.asset_key.to_user_string()
            raise dg.Failure(f"{name} has not been materialized yet ({error}); materialize it first") from None

    def _is_newest(self, own: str, current: str) -> bool:
        """Whether the upload has a table of its own, and no person has made the current one since."""
        mine, theirs = self._bucket.written(own), self._bucket.written(current)
        return mine is not None and (theirs is None or _MADE_FOR in theirs[1] or theirs[0] <= mine[0])

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


def table_version(table: pd.DataFrame) -> dg.DataVersion:
    """A data version from the content: equal tables have equal versions."""
    hashed = hashlib.sha256()
    hash_table(hashed, table)
    return dg.DataVersion(hashed.hexdigest())


def table_schema(table: pd.DataFrame) -> dg.TableSchema:
    """The columns of a table for the UI, with descriptions of the pipeline's own columns."""
    return dg.TableSchema(
        [dg.TableColumn(str(name), str(dtype), COLUMNS.get(str(name))) for name, dtype in table.dtypes.items()]
    )
