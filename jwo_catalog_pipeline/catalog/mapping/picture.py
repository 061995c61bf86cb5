"""The picture of a review: which column of the export feeds which field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jwo_catalog_pipeline.catalog.mapping.review import FieldReview

ROW_HEIGHT = 26  # in the picture's own units


def picture_of(reviews: Sequence[FieldReview]) -> dict[str, Any]:
    """Places of the columns and of the mapped fields, the lines between them, and the height of all."""
    fields = [field for field in reviews if field.expression]
    columns = list(dict.fromkeys(column for field in fields for column in field.columns))
    column_y = {column: (place + 1) * ROW_HEIGHT for place, column in enumerate(columns)}
    field_y = {field.name: (place + 1) * ROW_HEIGHT for place, field in enumerate(fields)}
    lines = [(column_y[column], field_y[field.name]) for field in fields for column in field.columns]
    height = (max(len(columns), len(fields)) + 1) * ROW_HEIGHT
    return {"columns": column_y, "fields": field_y, "lines": lines, "height": height}
