"""Stores the assets' tables: as Parquet in JWO_BUCKET, one object per asset and partition (never pickle).

https://docs.dagster.io/guides/build/io-managers
"""

import hashlib

import dagster as dg
import pandas as pd

from jwo_catalog_pipeline.defs.columns import COLUMNS
from jwo_catalog_pipeline.storage import Bucket, NoSuchObject, hash_table

TABLES = "assets"  # the folder of all tables


class ParquetIOManager(dg.IOManager):
    """Stores DataFrames under `assets/<asset>[/<partition>].parquet`."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def handle_output(self, context: dg.OutputContext, obj: pd.DataFrame) -> None:
        """Overwrite the previous table; the bucket keeps old versions."""
        if not isinstance(obj, pd.DataFrame):
            raise TypeError(f"{context.asset_key.to_user_string()} gave {type(obj).__name__}, not a DataFrame")
        key = self._key(context)
        size = self._bucket.put_table(key, obj)
        context.add_output_metadata(
            {"stored_at": dg.MetadataValue.path(self._bucket.uri(key)), "stored_bytes": dg.MetadataValue.int(size)}
        )

    def load_input(self, context: dg.InputContext) -> pd.DataFrame:
        """Read the table that the upstream asset stored last."""
        try:
            return self._bucket.get_table(self._key(context))
        except NoSuchObject as error:
            name = context.asset_key.to_user_string()
            raise dg.Failure(f"{name} has not been materialized yet ({error}); materialize it first") from None

    @staticmethod
    def _key(context: dg.OutputContext | dg.InputContext) -> str:
        partition = [context.asset_partition_key] if context.has_asset_partitions else []
        return table_key(*context.asset_key.path, *partition)


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
