"""What a field mapping does to a real export, for the people who review it.

Belongs here: collecting the facts, and the two ways to show them: one HTML page, or Markdown for a pull request.
Does not belong here: the rules (see `rulebook.py`), and how two mappings differ (see `mapping_diff.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from jwo_catalog_pipeline.catalog.mapping.fitting import FittedMapping
from jwo_catalog_pipeline.catalog.mapping.loaded import FieldMapping, MappedField, shown
from jwo_catalog_pipeline.catalog.mapping.picture import picture_of
from jwo_catalog_pipeline.catalog.mapping.transform import CONDITION, Mapped, apply_mapping, source_columns
from jwo_catalog_pipeline.catalog.markdown import as_markdown, cell
from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS, KEY, REQUIRED_FIELDS, SOURCE_ROW
from jwo_catalog_pipeline.catalog.rules.validation import MAX_SAMPLES, RuleResult, Validation, validate
from jwo_catalog_pipeline.catalog.source.reading import NOTES, with_source_file
from jwo_catalog_pipeline.engine import connect, view
from jwo_catalog_pipeline.table_file import TableFile, as_frame
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
        quarantined: How many break a rule.
        excluded: How many do not meet a condition.
        merged: How many became part of another.
        first_quarantined: At most 50 of the quarantined ones: `source_row`, `reasons` and the fields.
        first_merged: At most 20 of the merged ones: `source_row`, `merged_into` and the fields.
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
    quarantined: int
    excluded: int
    merged: int
    first_quarantined: pd.DataFrame
    first_merged: pd.DataFrame
    fields: tuple[FieldReview, ...]
    conditions: tuple[ConditionReview, ...]
    rules: tuple[RuleResult, ...]
    unused_columns: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def items(self) -> int:
        """How many items the rows make, valid or not."""
        return self.valid + self.quarantined


def review_mapping(
    mapping: FieldMapping, source: TableFile, folder: Path, export: str, store_ids: Sequence[str] | None = None
) -> Review:
    """Apply and validate, then collect.

    Args:
        mapping: The mapping.
        source: The export, as `read_export` gives it.
        folder: Where tables are written.
        export: What the page calls it.
        store_ids: The retailer's stores, if they are known.
    """
    mapped = apply_mapping(mapping, source, folder)
    validation = validate(mapped.items, folder, store_ids, mapping.levels)
    return collect(mapping, source, mapped, validation, folder, export)


def collect(
    mapping: FieldMapping, source: TableFile, mapped: Mapped, validation: Validation, folder: Path, export: str
) -> Review:
    """Collect the review of what has been mapped and validated already; see `review_mapping`."""
    columns, items = source_columns(mapping, source), mapped.items
    head = as_frame(items.slice(0, EXAMPLE_ROWS, [SOURCE_ROW, *ITEM_FIELDS]))
    rows = _source_rows(source, head[SOURCE_ROW]).set_index(SOURCE_ROW).loc[head[SOURCE_ROW]]
    filled = _filled(items, folder)
    fields = tuple(_field(name, mapped, rows, head, filled[name], validation) for name in ITEM_FIELDS)
    used = {column.casefold() for expression in mapped.mapping.expressions for column in expression.columns}
    return Review(
        export=export,
        mapping=str(mapping.path.name),
        mapping_sha256=mapping.sha256,
        rows=items.rows + mapped.excluded.rows + mapped.merged.rows,
        valid=validation.valid.rows,
        quarantined=validation.quarantined.rows,
        excluded=mapped.excluded.rows,
        merged=mapped.merged.rows,
        first_quarantined=validation.quarantined.head(QUARANTINED_SHOWN),
        first_merged=mapped.merged.head(MAX_SAMPLES),
        fields=fields,
        conditions=tuple(review_conditions(mapped, folder)),
        rules=tuple(rule for rule in validation.rules if rule.count),
        unused_columns=tuple(name for name in columns if name.casefold() not in used),
        notes=tuple(source.attrs.get(NOTES, ())),
    )


def _source_rows(source: TableFile, wanted: pd.Series) -> pd.DataFrame:
    """Rows of the export by their number, which come from its beginning, with the column `source_file`."""
    last = int(wanted.max()) if len(wanted) else 0
    found = [source.schema.empty_table()]
    for piece in source.pieces():
        found.append(piece.filter(pc.is_in(piece[SOURCE_ROW], pa.array(wanted, pa.int64()))))
        if not len(piece) or piece[SOURCE_ROW][-1].as_py() >= last:
            break
    return as_frame(with_source_file(pa.concat_tables(found), source))


def _filled(items: TableFile, folder: Path) -> dict[str, tuple[int, int]]:
    """For each field how many items have a value, and how many different ones there are."""
    # Numbers for texts: counting them is many times faster.
    counts = [
        f"count({name}), count(DISTINCT CASE WHEN {name} IS NOT NULL THEN hash({name}) END)" for name in ITEM_FIELDS
    ]
    with connect(folder) as db:
        view(db, "items", items)
        (found,) = db.execute(f"SELECT {', '.join(counts)} FROM items").fetchall()  # noqa: S608 - our own names
    return dict(zip(ITEM_FIELDS, zip(found[::2], found[1::2], strict=True), strict=True))


def review_conditions(mapped: Mapped, folder: Path) -> list[ConditionReview]:
    """What each condition of the mapping leaves out, in the order of the file."""
    columns = [SOURCE_ROW, *KEY, "item_name"]
    conditions = []
    with connect(folder) as db:
        view(db, "excluded", mapped.excluded)
        counts = dict(db.execute(f"SELECT {CONDITION}, count(*) FROM excluded GROUP BY {CONDITION}").fetchall())  # noqa: S608
        for condition in mapped.mapping.conditions:
            samples = db.sql(
                f"SELECT {', '.join(columns)} FROM excluded WHERE {CONDITION} = $name "  # noqa: S608
                f"ORDER BY file_row_number LIMIT {MAX_SAMPLES}",
                params={"name": condition.name},
            ).to_arrow_table()
            rows = counts.get(condition.name, 0)
            note = condition.note or ""
            conditions.append(ConditionReview(condition.name, condition.expr, note, rows, as_frame(samples)))
    return conditions


def _field(
    name: str,
    mapped: Mapped,
    first_rows: pd.DataFrame,
    head: pd.DataFrame,
    filled: tuple[int, int],
    validation: Validation,
) -> FieldReview:
    expressions = mapped.mapping.expressions_of(name)
    expression = _expression(name, mapped.mapping, expressions)
    columns = dict.fromkeys(column for field in expressions for column in field.columns)
    note = "; ".join(field.note for field in expressions if field.note)
    values, distinct = filled
    return FieldReview(
        name=name,
        description=ITEM_FIELDS[name],
        required=name in REQUIRED_FIELDS,
        expression=expression,
        columns=tuple(columns),
        note=note,
        fill_rate=values / mapped.items.rows if mapped.items.rows else 0.0,
        distinct=distinct,
        examples=_examples(name, list(columns), first_rows, head),
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
    pairs = pd.DataFrame({"before": before.to_numpy(), "after": mapped[name].fillna("").to_numpy()}).drop_duplicates()
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
    quarantined, picture = review.first_quarantined.fillna(""), picture_of(review.fields)
    return render("review.html.jinja", review=review, quarantined=quarantined, picture=picture)


def as_review_markdown(review: Review) -> str:
    """The same facts, shorter, for a pull request."""
    return render("review.md.jinja", review=review, quarantined=review.first_quarantined.head(10))
