"""`jwo-catalog mapping`: write, review and compare field mappings."""

from __future__ import annotations

import shlex
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jwo_catalog_pipeline.cli.common import EXISTING, json_option, local_export, print_json, with_status
from jwo_catalog_pipeline.wording import plural
from jwo_catalog_pipeline.work_folder import work_folder

if TYPE_CHECKING:
    from jwo_catalog_pipeline.catalog.mapping.draft import Draft


@click.group()
def mapping() -> None:
    """Write, review and compare field mappings (docs/mapping.md)."""


export_argument = click.argument("export")  # anything that JWO_SOURCE_URI may be
output_option = click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
stores_option = click.option(
    "--stores",
    envvar="JWO_STORE_IDS",
    default="",
    help="The retailer's stores, comma-separated; other stores are invalid.",
)


def _stores(text: str) -> list[str] | None:
    return [store.strip() for store in text.split(",") if store.strip()] or None


@mapping.command()
def schema() -> None:
    """Print the JSON Schema of mapping files, for editors."""
    from jwo_catalog_pipeline.catalog.mapping.json_schema import mapping_schema

    print_json(mapping_schema())


@mapping.command()
@export_argument
@output_option
@click.option("--format", help="What the file is: csv, xlsx, json, ...; found out by its content.")
@click.option("--sheet", help="Workbooks: the name of the sheet.")
@click.option("--header-row", help="The line or row that holds the names of the columns, from 1.")
@click.option("--records", help="JSON: where the list of items is, such as products[].variants[].")
@click.option("--delimiter", help="CSV: separates the fields; \\t is a tab.")
@click.option("--quote", help="CSV: around fields.")
@click.option("--encoding", help="A text encoding that Python knows, such as windows-1252.")
def init(export: str, output: Path | None, **written: str | None) -> None:
    """Write a first mapping for EXPORT, with the evidence for each line; mark uncertain lines NOT SURE.

    How the file is written is found out by itself; the options are for what was found out wrongly.
    """
    from jwo_catalog_pipeline.catalog.mapping.draft import draft_mapping, source_options
    from jwo_catalog_pipeline.catalog.mapping.draft_file import as_yaml

    if output and output.exists():
        raise click.ClickException(f"{output} exists; name another file, or remove it first")
    with with_status(f"looking at {export}"):
        options = source_options({name: value for name, value in written.items() if value is not None})
        with local_export(export) as (files, _):
            draft = draft_mapping(files[0].path, files[0].name, options, files[1:])
    if output is None:
        click.echo(as_yaml(draft), nl=False)
        return
    output.write_text(as_yaml(draft), encoding="utf-8")
    click.echo(f"wrote {output}: {_recognised(draft)}")
    for sentence in draft.seen:
        click.echo(f"  {sentence}")
    click.echo(f"NOT SURE ({len(draft.not_sure)}):" if draft.not_sure else "Nothing is in doubt.")
    for doubt in draft.not_sure:
        click.echo(f"  {doubt}")
    click.echo("Next: correct what is not sure in the file, then look at what it does to each row:")
    click.echo(f"  jwo-catalog mapping review {shlex.quote(export)} --mapping {shlex.quote(str(output))}")


def _recognised(draft: Draft) -> str:
    if draft.system is None:
        return "the system was not recognised; each column was judged by its name and content"
    return f"this is an export of {draft.system.title}; its ready mapping is the base"


@mapping.command()
@export_argument
@click.option("--mapping", "path", type=EXISTING, envvar="JWO_MAPPING", required=True, help="The field mapping.")
@stores_option
@output_option
@click.option("--markdown", is_flag=True, help="Print Markdown for a pull request instead of writing a page.")
@json_option
def review(export: str, path: Path, stores: str, output: Path | None, *, markdown: bool, as_json: bool) -> None:
    """Write a self-contained HTML page that shows how a mapping transforms EXPORT."""
    from jwo_catalog_pipeline.catalog.mapping import review as reviewing
    from jwo_catalog_pipeline.catalog.mapping.loaded import load_mapping
    from jwo_catalog_pipeline.catalog.mapping.placeholders import placeholders
    from jwo_catalog_pipeline.catalog.source.reading import read_export

    with with_status(f"mapping {export}"), local_export(export) as (files, name), work_folder() as folder:
        loaded = load_mapping(path)
        source = read_export(files, loaded.source, folder / "source.parquet")
        result = reviewing.review_mapping(loaded, source, folder, name, _stores(stores))
    counts = {"rows": result.rows, "valid": result.valid, "quarantined": result.quarantined}
    counts |= {"excluded": result.excluded, "merged": result.merged}
    if markdown:
        click.echo(reviewing.as_review_markdown(result))
        return
    target = output or Path(f"{path.stem}.review.html")
    target.write_text(reviewing.as_html(result), encoding="utf-8")
    if as_json:
        rules = {rule.name: {"level": rule.level, "rows": rule.count} for rule in result.rules}
        conditions = {condition.place: condition.rows for condition in result.conditions}
        print_json(
            {**counts, "notes": list(result.notes), "rules": rules, "conditions": conditions, "page": str(target)}
        )
        return
    click.echo(
        f"{plural(result.rows, 'mapped row')}: {result.valid:,} valid, {result.quarantined:,} would be quarantined"
        + (f", {result.excluded:,} excluded" if result.excluded else "")
        + (f", {result.merged:,} part of another" if result.merged else "")
    )
    for condition in result.conditions:
        click.echo(f"  excluded {condition.rows:9,}  {condition.place}: {condition.note or condition.expression}")
    for note in result.notes:
        click.echo(f"  note     {note}")
    for sentence in placeholders(loaded):
        click.echo(f"  error    {sentence}")
    for rule in result.rules:
        click.echo(f"  {rule.level:8} {rule.count:9,}  {rule.name}")
    click.echo(f"wrote {target}: open it in a browser")


@mapping.command()
@export_argument
@click.option("--mapping", "path", type=EXISTING, envvar="JWO_MAPPING", required=True, help="The field mapping.")
@stores_option
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File to write: .csv, .parquet or .xlsx.",
)
@json_option
def apply(export: str, path: Path, stores: str, output: Path, *, as_json: bool) -> None:
    """Write what becomes of every row of EXPORT: its status, why, and the item's fields."""
    from jwo_catalog_pipeline.catalog.mapping import row_results
    from jwo_catalog_pipeline.catalog.mapping.loaded import load_mapping
    from jwo_catalog_pipeline.catalog.mapping.placeholders import placeholders
    from jwo_catalog_pipeline.catalog.mapping.review import review_conditions
    from jwo_catalog_pipeline.catalog.mapping.transform import apply_mapping
    from jwo_catalog_pipeline.catalog.rules.validation import validate
    from jwo_catalog_pipeline.catalog.source.reading import NOTES, read_export
    from jwo_catalog_pipeline.console import show_table

    target = str(output.resolve())
    if target in (str(path.resolve()), str(Path(export).resolve())) or fnmatch(target, str(Path(export).resolve())):
        raise click.ClickException(f"{output} is what would be read; name another file to write")
    with with_status(f"mapping {export}"), local_export(export) as (files, _), work_folder() as folder:
        loaded = load_mapping(path)
        source = read_export(files, loaded.source, folder / "source.parquet")
        mapped = apply_mapping(loaded, source, folder)
        validation = validate(mapped.items, folder, _stores(stores), loaded.levels, with_warnings=True)
        rows = row_results.row_results(mapped, validation, folder)
        row_results.write_rows(rows, output)
        counts = row_results.status_counts(rows, folder)
        conditions = {condition.place: condition.rows for condition in review_conditions(mapped, folder)}
        notes = source.attrs[NOTES]
    rules = {rule.name: {"level": rule.level, "rows": rule.count} for rule in validation.rules if rule.count}
    if as_json:
        print_json({**counts, "notes": notes, "rules": rules, "conditions": conditions, "file": str(output)})
        return
    show_table("", [{"status": name, "rows": count} for name, count in counts.items() if name != "rows"])
    found = [{"rows": rule["rows"], "level": rule["level"], "rule": name} for name, rule in rules.items()]
    found += [{"rows": rows, "level": "excluded", "rule": place} for place, rows in conditions.items() if rows]
    show_table("Why, rows by rule (a row may break several)", sorted(found, key=lambda each: -each["rows"]))
    for note in notes:
        click.echo(f"note: {note}")
    for sentence in placeholders(loaded):
        click.echo(f"error: {sentence}")
    click.echo(f"wrote {output}: {plural(counts['rows'], 'row')}")


@mapping.command()
@click.argument("old", type=EXISTING)
@click.argument("new", type=EXISTING)
@export_argument
@stores_option
@click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice(["changed", "keys", "excluded", "invalid"]),
    help="Exit with code 1 if any field changes; if the store or SKU changes; if items become excluded; if valid "
    "items become invalid.",
)
@json_option
def diff(old: Path, new: Path, export: str, stores: str, fail_on: tuple[str, ...], *, as_json: bool) -> None:
    """Show as Markdown how the items of EXPORT differ under the mappings OLD and NEW."""
    from jwo_catalog_pipeline.catalog.mapping.diff import as_diff_markdown, diff_mappings
    from jwo_catalog_pipeline.catalog.mapping.loaded import load_mapping
    from jwo_catalog_pipeline.catalog.source.reading import read_export

    with with_status(f"mapping {export} twice"), local_export(export) as (files, name), work_folder() as folder:
        before, after = load_mapping(old), load_mapping(new)
        source = read_export(files, before.source, folder / "source.parquet")
        same = before.source == after.source
        source_as_new = source if same else read_export(files, after.source, folder / "source_as_new.parquet")
        difference = diff_mappings(before, after, source, source_as_new, folder, _stores(stores))
    if as_json:
        print_json(difference.summary())
    else:
        names = (str(old), str(new)) if old.name == new.name else (old.name, new.name)
        click.echo(as_diff_markdown(difference, *names, name))
    if failed := difference.findings() & set(fail_on):
        click.echo(f"fails on: {', '.join(sorted(failed))}", err=True)
        sys.exit(1)
