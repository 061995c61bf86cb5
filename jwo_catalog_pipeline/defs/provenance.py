"""The run and the export from which a stored table comes; tables of different runs or exports are not combined."""

from dataclasses import asdict, fields
from typing import Any

from jwo_catalog_pipeline.catalog.source.options import SourceOptions
from jwo_catalog_pipeline.source_file import SourceFile
from jwo_catalog_pipeline.table_file import TableFile
from jwo_catalog_pipeline.upload.errors import NoPlan
from jwo_catalog_pipeline.upload.exports import Export
from jwo_catalog_pipeline.upload.plan.plan import EXCLUDED as EXCLUDED
from jwo_catalog_pipeline.upload.plan.plan import MERGED as MERGED

# Stored in the tables' attrs, which Parquet keeps: the run that made them, and the SHA-256 of their export.
RUN_STAMP, SOURCE_STAMP = "run_id", "source_sha256"
SOURCE_FILE = "source_uri"  # the file that was read; JWO_SOURCE_URI may name a prefix
EXPORT = "export"  # the version that was read: `export_stamp`
READ_AS = "source_options"  # how it was read: the `source` part of the mapping file at that time


def export_stamp(file: SourceFile, sha256: str, read_at: float, read_after: str | None) -> dict[str, Any]:
    """What is kept of the version of the export that was read; `read_at` in epoch seconds; see `Export`."""
    modified = int(file.modified.timestamp())
    return asdict(Export(sha256, file.uri, modified, file.version, round(read_at * 1000), read_after))


def check_same_run(items: TableFile, quarantined: TableFile) -> None:
    """Refuse to plan with the catalog of one run and the quarantine of another: items would seem to be gone.

    Raises:
        NoPlan: they were made by different runs, or the newest run was stopped before it stored a catalog.
    """
    if items.attrs.get(RUN_STAMP) != quarantined.attrs.get(RUN_STAMP):
        raise NoPlan(
            (
                "jwo_catalog and quarantined_items were stored by different runs: another run is in progress, or "
                "the newest was stopped because too many rows are invalid"
            ),
            "materialize jwo_catalog, then catalog_changes again",
        )


def check_read_as(source: TableFile, options: SourceOptions) -> None:
    """Refuse to map an export that was read in another way than the mapping file says by now.

    Raises:
        NoPlan: the `source` part of the mapping file has changed since.
    """
    if read_as(source, options) != options:
        raise NoPlan(
            "the source part of the mapping file has changed since source_catalog was read",
            "materialize source_catalog again, then jwo_catalog",
        )


def read_as(table: TableFile, otherwise: SourceOptions) -> SourceOptions:
    """How the export behind a table was read; `otherwise` for a table that does not say so, of an older version."""
    stored = table.attrs.get(READ_AS)
    known = {field.name for field in fields(SourceOptions)}
    # An option that this version does not know was made by a newer one, before a rollback.
    return SourceOptions(**stored) if stored and stored.keys() <= known else otherwise


def export_of(table: TableFile) -> Export:
    """The export that a table was made from, as far as it says so: a table of an older version does not."""
    return Export(**(table.attrs.get(EXPORT) or {}))


def same_source(source: TableFile, table: TableFile) -> bool:
    """Whether a table was made of this version of the export, so that its row numbers are true."""
    return bool(table.attrs.get(SOURCE_STAMP) == source.attrs.get(SOURCE_STAMP))
