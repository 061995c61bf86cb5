"""Mapping and rules over tables in memory, for tests whose exports are small: frames in, frames out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd

from jwo_catalog_pipeline.catalog.mapping import diff, review, transform
from jwo_catalog_pipeline.catalog.mapping.fitting import FittedMapping
from jwo_catalog_pipeline.catalog.mapping.loaded import FieldMapping
from jwo_catalog_pipeline.catalog.rules import validation
from jwo_catalog_pipeline.catalog.rules.row_facts import ROW_FACTS
from jwo_catalog_pipeline.catalog.rules.rulebook import OWN_LEVELS
from jwo_catalog_pipeline.catalog.rules.rules import LINE_BREAKS, Level
from jwo_catalog_pipeline.table_file import TableFile, table_of
from jwo_catalog_pipeline.work_folder import work_folder


@dataclass(frozen=True)
class Mapped:
    """As `transform.Mapped`; `items` without facts, and with `line_breaks` only where there are some."""

    items: pd.DataFrame
    excluded: pd.DataFrame
    merged: pd.DataFrame
    mapping: FittedMapping


@dataclass(frozen=True)
class Validation:
    """As `validation.Validation`."""

    valid: pd.DataFrame
    quarantined: pd.DataFrame
    rules: tuple[validation.RuleResult, ...]
    warnings: pd.DataFrame


def apply_mapping(mapping: FieldMapping, source: pd.DataFrame) -> Mapped:
    with work_folder() as folder:
        mapped = Mapped(
            **_frames(transform.apply_mapping(mapping, table_of(source, folder / "source.parquet"), folder))
        )
    items = mapped.items.drop(columns=[name for name, _ in ROW_FACTS])
    items = items if items[LINE_BREAKS].notna().any() else items.drop(columns=LINE_BREAKS)
    return Mapped(items, mapped.excluded, mapped.merged, mapped.mapping)


def validate(
    items: pd.DataFrame,
    store_ids: Sequence[str] | None = None,
    levels: Mapping[str, Level] = OWN_LEVELS,
    with_warnings: bool = False,
) -> Validation:
    with work_folder() as folder:
        table = table_of(items, folder / "mapped.parquet")
        return Validation(**_frames(validation.validate(table, folder, store_ids, levels, with_warnings)))


def revalidate(items: pd.DataFrame, store_ids: Sequence[str] | None = None) -> None:
    with work_folder() as folder:
        validation.revalidate(table_of(items, folder / "mapped.parquet"), folder, store_ids)


def review_mapping(
    mapping: FieldMapping, source: pd.DataFrame, export: str, store_ids: Sequence[str] | None = None
) -> review.Review:
    with work_folder() as folder:
        return review.review_mapping(mapping, table_of(source, folder / "source.parquet"), folder, export, store_ids)


def diff_mappings(old: FieldMapping, new: FieldMapping, source: pd.DataFrame) -> diff.MappingDiff:
    with work_folder() as folder:
        table = table_of(source, folder / "source.parquet")
        return diff.diff_mappings(old, new, table, table, folder)


def _frames(found: transform.Mapped | validation.Validation) -> dict[str, Any]:
    values = {field.name: getattr(found, field.name) for field in fields(found)}
    return {name: value.frame() if isinstance(value, TableFile) else value for name, value in values.items()}
