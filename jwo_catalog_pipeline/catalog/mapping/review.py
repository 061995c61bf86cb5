"""What a field mapping does to a real export, for the people who review it.

Belongs here: collecting the facts, and the two ways to show them: one HTML page, or Markdown for a pull request.
Does not belong here: the rules (see `schema.py`), and how two mappings differ (see `mapping_diff.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from jwo_catalog_pipeline.catalog.mapping.model import FieldMapping, shown
from jwo_catalog_pipeline.catalog.mapping.transform import apply_mapping
from jwo_catalog_pipeline.catalog.markdown import as_markdown, cell
from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS, REQUIRED_FIELDS, SOURCE_ROW
from jwo_catalog_pipeline.catalog.rules.validation import RuleResult, Validation, validate

EXAMPLES = 5  # of a field: first those that the mapping changed
EXAMPLE_ROWS = 20_000  # examples are looked for in this many rows from the beginning
QUARANTINED_SHOWN = 50


@dataclass(frozen=True)
class FieldReview:
    """What the mapping makes of one JWO field.

    Attributes:
        name: The field.
        description: What Amazon expects.
        required: Must every item have it?
        expression: As written, with its lookup; empty where the field is not mapped.
        columns: The columns of the export that it takes from.
        note: The mapping's remark.
        fill_rate: Share of rows with a value.
        distinct: Number of different values.
        examples: (before, after) pairs; before is what the columns hold.
        rules: What the rules about the field found, where they found something.
    """

    name: str
    description: str
    required: bool
    expression: str
    columns: tuple[str, ...]
    note: str
    fill_rate: float
    distinct: int
    examples: tuple[tuple[str, str], ...]
    rules: tuple[RuleResult, ...]


@dataclass(frozen=True)
class Review:
    """A mapping on an export. `rows` counts mapped rows: with `stores`, one for each row and store."""

    export: str
    mapping: str
    mapping_sha256: str
    rows: int
    valid: int
    quarantined: pd.DataFrame
    fields: tuple[FieldReview, ...]
    rules: tuple[RuleResult, ...]
    unused_columns: tuple[str, ...]


def review_mapping(
    mapping: FieldMapping, source: pd.DataFrame, export: str, store_ids: Sequence[str] | None = None
) -> Review:
    """Apply and validate, then collect.

    Args:
        mapping: The mapping.
        source: The export, as `read_source` gives it.
        export: What the page calls it.
        store_ids: The retailer's stores, if they are known.
    """
    mapped = apply_mapping(mapping, source)
    return collect(mapping, source, mapped, validate(mapped, store_ids), export)


def collect(
    mapping: FieldMapping, source: pd.DataFrame, mapped: pd.DataFrame, validation: Validation, export: str
) -> Review:
    """Collect the review of what has been mapped and validated already; see `review_mapping`."""
    head = mapped.head(EXAMPLE_ROWS)
    rows = source[source[SOURCE_ROW].isin(head[SOURCE_ROW])].set_index(SOURCE_ROW).loc[head[SOURCE_ROW]]
    fields = tuple(_field(name, mapping, rows, mapped, validation) for name in ITEM_FIELDS)
    used = {column.casefold() for expression in mapping.expressions for column in expression.columns}
    unused = [str(name) for name in source.columns if name != SOURCE_ROW and name.casefold() not in used]
    return Review(
        export=export,
        mapping=str(mapping.path.name),
        mapping_sha256=mapping.sha256,
        rows=len(mapped),
        valid=len(validation.valid),
        quarantined=validation.quarantined,
        fields=fields,
        rules=tuple(rule for rule in validation.rules if rule.count),
        unused_columns=tuple(unused),
    )


def _field(
    name: str, mapping: FieldMapping, first_rows: pd.DataFrame, mapped: pd.DataFrame, validation: Validation
) -> FieldReview:
    expressions = mapping.expressions_of(name)
    expression = "; ".join(shown(field) for field in expressions)
    if name == "store_id" and mapping.stores:
        expression = f"every row in each of {', '.join(mapping.stores)}"
    columns = dict.fromkeys(column for field in expressions for column in field.columns)
    note = "; ".join(field.note for field in expressions if field.note)
    return FieldReview(
        name=name,
        description=ITEM_FIELDS[name],
        required=name in REQUIRED_FIELDS,
        expression=expression,
        columns=tuple(columns),
        note=note,
        fill_rate=float(mapped[name].notna().mean()) if len(mapped) else 0.0,
        distinct=int(mapped[name].nunique()),
        examples=_examples(name, list(columns), first_rows, mapped),
        rules=tuple(rule for rule in validation.rules if rule.count and name in rule.fields),
    )


def _examples(name: str, columns: list[str], rows: pd.DataFrame, mapped: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    """Some values before and after; `rows` are the export's, for each of the first mapped ones."""
    actual = {str(column).casefold(): column for column in rows.columns}
    before = pd.Series("", index=rows.index, dtype="str")
    for place, column in enumerate(columns):
        text = rows[actual[column.casefold()]].fillna("")
        before = before.str.cat(text, sep=" | ") if place else text
    pairs = pd.DataFrame(
        {"before": before.to_numpy(), "after": mapped[name].head(EXAMPLE_ROWS).fillna("").to_numpy()}
    ).drop_duplicates()
    # First what the mapping changed, which is what a reviewer has to believe.
    changed = (pairs["before"] != pairs["after"]).to_numpy()
    order = np.argsort(~changed, kind="stable")[:EXAMPLES]
    return tuple(pairs.iloc[order].itertuples(index=False, name=None))


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jwo_catalog_pipeline.catalog.mapping", "templates"),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.jinja",)),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["cell"] = cell
    environment.globals["as_markdown"] = as_markdown
    return environment


def render(template: str, **values: Any) -> str:
    """Fill a template of `templates/`; `.html.jinja` escapes everything, `.md.jinja` uses the filter `cell`."""
    return _templates().get_template(template).render(**values)


def as_html(review: Review) -> str:
    """One self-contained page: no script, no request, readable on a phone."""
    quarantined = review.quarantined.head(QUARANTINED_SHOWN).fillna("")
    return render("review.html.jinja", review=review, quarantined=quarantined, picture=_picture(review))


def as_review_markdown(review: Review) -> str:
    """The same facts, shorter, for a pull request."""
    return render("review.md.jinja", review=review, quarantined=review.quarantined.head(10))


ROW_HEIGHT = 26  # of the picture, in its own units


def _picture(review: Review) -> dict[str, Any]:
    """Which column feeds which field: places of the two lists and the lines between them."""
    fields = [field for field in review.fields if field.expression]
    columns = list(dict.fromkeys(column for field in fields for column in field.columns))
    column_y = {column: (place + 1) * ROW_HEIGHT for place, column in enumerate(columns)}
    field_y = {field.name: (place + 1) * ROW_HEIGHT for place, field in enumerate(fields)}
    lines = [(column_y[column], field_y[field.name]) for field in fields for column in field.columns]
    return {
        "columns": column_y,
        "fields": field_y,
        "lines": lines,
        "height": (max(len(columns), len(fields)) + 1) * ROW_HEIGHT,
    }
