"""Descriptions of the columns of stored tables, for Dagster's UI; a name means the same in every table."""

from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS
from jwo_catalog_pipeline.upload.tables import BatchRecord, ItemOutcome, PlanRow, columns

COLUMNS: dict[str, str] = {
    **columns(PlanRow),
    **columns(BatchRecord),
    **columns(ItemOutcome),
    **ITEM_FIELDS,
    "source_row": "The number of the record in the export, from 1; the header and blank lines do not count.",
    "reasons": "The rules that the row breaks, each with the problem.",
}
