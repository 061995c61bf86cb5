"""What the columns of the stored tables mean: a name means the same wherever it stands. Shown in Dagster's UI."""

from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS
from jwo_catalog_pipeline.upload.tables import BatchRecord, ItemOutcome, PlanRow, columns

COLUMNS: dict[str, str] = {
    **columns(PlanRow),
    **columns(BatchRecord),
    **columns(ItemOutcome),
    **ITEM_FIELDS,
    "source_row": "The number of the record in the export, from 1; header and blank lines do not count.",
    "reasons": "The rules that the row breaks, each with what is wrong.",
}
