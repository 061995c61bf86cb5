"""What a field mapping does to a real export, for the people who review it.

Belongs here: collecting the facts, and the two ways to show them: one HTML page, or Markdown for a pull request.
Does not belong here: the rules (see `rulebook.py`), and how two mappings differ (see `mapping_diff.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from jwo_catalog_pipeline.catalog.mapping.fitting import FittedMapping
from jwo_catalog_pipeline.catalog.mapping.loaded import FieldMapping, MappedField, shown
from jwo_catalog_pipeline.catalog.mapping.transform import CONDITION, Mapped, apply_mapping, with_named_columns
from jwo_catalog_pipeline.catalog.markdown import as_markdown, cell
from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS, KEY, REQUIRED_FIELDS, SOURCE_ROW
from jwo_catalog_pipeline.catalog.rules.validation import MAX_SAMPLES, RuleResult, Validation, validate
from jwo_catalog_pipeline.catalog.source.reading import NOTES, with_source_file
from jwo_catalog_pipeline.wording import plural

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
class ConditionReview:
    """Which rows a condition of the mapping leaves out, that the conditions before it do not.

    Attributes:
        place: Where in the mapping file it is, such as `where[2]`.
        expression: As written.
        note: The mapping's remark.
        rows: How many rows are excluded.
        samples: At most 20 of them: `source_row`, `store_id`, `item_sku`, `item_name`.
    """

    place: str
    expression: str
    note: str
    rows: int
    samples: pd.DataFrame


@dataclass(frozen=True)
class Review:
    """A mapping on an export.

    Attributes:
        export: What the page calls the export.
        mapping: The mapping file's name.
        mapping_sha256: Of the mapping.
        rows: All rows, and with `stores`, one for each row and store: valid, quarantined, excluded and merged ones.
        valid: How many are valid.
        quarantined: `source_row`, `reasons` and the fields of rows that break a rule.
        excluded: How many do not meet a condition.
        merged: `source_row`, `merged_into` and the fields of rows that became part of another.
        fields: What the mapping makes of each field.
        conditions: What each condition leaves out, in the order of the file.
        rules: What the rules found, where they found something.
        unused_columns: Columns of the export that the mapping does not name.
        notes: What was noted when the export was read, in sentences.
    """

    export: str
    mapping: str
    mapping_sha256: str
    rows: int
    valid: int
    quarantined: pd.DataFrame
    excluded: int
    merged: pd.DataFrame
    fields: tuple[FieldReview, ...]
    conditions: tuple[ConditionReview, ...]
    rules: tuple[RuleResult, ...]
    unused_columns: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def items(self) -> int:
        """How many items the rows make, valid or not."""
        return self.valid + len(self.quarantined)


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
    return collect(mapping, source, mapped, validate(mapped.items, store_ids, mapping.levels), export)


def collect(mapping: FieldMapping, source: pd.DataFrame, mapped: Mapped, validation: Validation, export: str) -> Review:
    """Collect the review of what has been mapped and validated already; see `review_mapping`."""
    source = with_named_columns(mapping, source)
    items, head = mapped.items, mapped.items.head(EXAMPLE_ROWS)
    rows = with_source_file(source)
    rows = rows[rows[SOURCE_ROW].isin(head[SOURCE_ROW])].set_index(SOURCE_ROW).loc[head[SOURCE_ROW]]
    fields = tuple(_field(name, mapped, rows, validation) for name in ITEM_FIELDS)
    used = {column.casefold() for expression in mapped.mapping.expressions for column in expression.columns}
    unused = [str(name) for name in source.columns if name != SOURCE_ROW and name.casefold() not in used]
    return Review(
        export=export,
        mapping=str(mapping.path.name),
        mapping_sha256=mapping.sha256,
        rows=len(items) + len(mapped.excluded) + len(mapped.merged),
        valid=len(validation.valid),
        quarantined=validation.quarantined,
        excluded=len(mapped.excluded),
        merged=mapped.merged,
        fields=fields,
        conditions=tuple(review_conditions(mapped)),
        rules=tuple(rule for rule in validation.rules if rule.count),
        unused_columns=tuple(unused),
        notes=tuple(source.attrs.get(NOTES, ())),
    )


def review_conditions(mapped: Mapped) -> list[ConditionReview]:
    """What each condition of the mapping leaves out, in the order of the file."""
    by_condition = dict(iter(mapped.excluded.groupby(CONDITION)))
    nothing = mapped.excluded.head(0)
    conditions = []
    for condition in mapped.mapping.conditions:
        rows = by_condition.get(condition.name, nothing)
        samples = rows[[SOURCE_ROW, *KEY, "item_name"]].head(MAX_SAMPLES).reset_index(drop=True)
        conditions.append(ConditionReview(condition.name, condition.expr, condition.note or "", len(rows), samples))
    return conditions


def _field(name: str, mapped: Mapped, first_rows: pd.DataFrame, validation: Validation) -> FieldReview:
    expressions, items = mapped.mapping.expressions_of(name), mapped.items
    expression = _expression(name, mapped.mapping, expressions)
    columns = dict.fromkeys(column for field in expressions for column in field.columns)
    note = "; ".join(field.note for field in expressions if field.note)
    return FieldReview(
        name=name,
        description=ITEM_FIELDS[name],
        required=name in REQUIRED_FIELDS,
        expression=expression,
        columns=tuple(columns),
        note=note,
        fill_rate=float(items[name].notna().mean()) if len(items) else 0.0,
        distinct=int(items[name].nunique()),
        examples=_examples(name, list(columns), first_rows, items),
        rules=tuple(rule for rule in validation.rules if rule.count and name in rule.fields),
    )


def _expression(name: str, mapping: FittedMapping, expressions: Sequence[MappedField]) -> str:
    """A field's expressions as text; those of single stores with the store's name."""
    if name == "store_id" and mapping.mapping.stores:
        return f"every row in each of {', '.join(mapping.mapping.store_names)}"
    own = {group.fields[name].label: group.stores for group in mapping.groups if name in group.fields}
    everywhere = len(own) <= 1
    return "; ".join(
        shown(field) if everywhere or field.label not in own else f"{', '.join(own[field.label])}: {shown(field)}"
        for field in expressions
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
    environment.filters |= {"cell": cell, "count_of": plural}
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
