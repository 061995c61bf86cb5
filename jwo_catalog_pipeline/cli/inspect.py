"""Commands that show what was sent and the outcome: status, item, fix-list."""

from pathlib import Path
from typing import Any

import click

from jwo_catalog_pipeline.cli.common import cli_errors, json_option, print_json
from jwo_catalog_pipeline.wording import plural


@click.command()
@click.option("--uploads", "limit", default=10, show_default=True, help="How many uploads to show, the newest first.")
@json_option
def status(limit: int, *, as_json: bool) -> None:
    """Show the newest uploads, open batches, items in doubt and waiting items."""
    with cli_errors("reading the ledger") as resources:
        from jwo_catalog_pipeline.console import counted, show_table
        from jwo_catalog_pipeline.upload.queries import overview

        summary = overview(resources["storage"].open_ledger(), resources["policy"].waits(), limit)
    if as_json:
        print_json(summary)
        return
    if pause := summary["paused"]:
        click.secho(
            f"All sending has been held since {pause['since']} by {pause['by']}: {pause['reason']}. "
            "To end this: jwo-catalog resume",
            bold=True,
        )
    for stop in summary["stopped"]:
        click.echo(f"Upload {stop['upload']} does not go on ({stop['kind']}) since {stop['since']}: {stop['reason']}.")
        helps = [stop["helps"]] if stop["helps"] else []
        helps += ["it goes on by itself once the cause is gone"] if stop["by_itself"] else []
        if helps:
            click.echo(f"  What helps: {'; '.join(helps)}.")
    if not summary["uploads"]:
        click.echo("Nothing has been sent yet.")
        return
    rows = [
        {**upload, "batches": counted(upload["batches"]), "outcomes": counted(upload["outcomes"])}
        for upload in summary["uploads"]
    ]
    show_table("Uploads, the newest first", rows)
    show_table("Closed by a person", summary["closed"])
    show_table("Open batches", summary["open_batches"], "No batch is open.")
    show_table("More attempts than responses: changes of these items wait", summary["in_doubt"])
    if summary["waiting"]["items"]:
        on = ", ".join(summary["waiting"]["for"]) or "the next upload"
        click.echo(f"Waiting for {on}: {plural(summary['waiting']['items'], 'item')}.")
    if summary["unreadable_messages"]:
        click.echo(
            f"Could not be read: {plural(summary['unreadable_messages'], 'message')}, kept in inbox/unreadable/."
        )
    if summary["unknown_ingestions"]:
        click.echo(
            f"Without a matching batch: {plural(summary['unknown_ingestions'], 'ingestion')} in Amazon's messages."
        )


@click.command()
@click.argument("sku")
@click.option("--store", help="Only in this store.")
@json_option
def item(sku: str, store: str | None, *, as_json: bool) -> None:
    """Show every version of an item that was sent, Amazon's response, and the item's current state."""
    with cli_errors("reading the item's history") as resources:
        from jwo_catalog_pipeline.console import brief, show_table
        from jwo_catalog_pipeline.upload.history import item_history

        storage = resources["storage"]
        ledger, bucket = storage.open_ledger(), storage.open_bucket()
        history = {"item_sku": sku, **item_history(ledger, bucket, sku, store)}
        history |= _latest(ledger, bucket, sku, store, history["published"])
    nothing = not any(history[name] for name in ("sent", "published", "planned", "quarantined"))
    if as_json:
        print_json(history)
    elif not nothing:
        show_table(
            f"Everything that was sent of {sku}",
            [{**version, "item": brief(version["item"])} for version in history["sent"]],
            "No version of it was ever sent.",
        )
        show_table("What Amazon is known to hold", history["published"], "Amazon is not known to hold it.")
        show_table("In the newest plan", history["planned"])
        show_table("Quarantined in the newest catalog", history["quarantined"])
    if nothing:
        raise click.ClickException(f"{sku} was never sent, and is not in the newest plan or quarantine")


def _latest(ledger: Any, bucket: Any, sku: str, store: str | None, published: list[dict[str, Any]]) -> dict[str, Any]:
    """The item in the newest applied plan and in the newest quarantine."""
    from jwo_catalog_pipeline.defs.io_manager import table_key
    from jwo_catalog_pipeline.storage import NoSuchObject
    from jwo_catalog_pipeline.upload.history import records, rows_of
    from jwo_catalog_pipeline.work_folder import new_path, work_folder

    entries: dict[str, Any] = {}
    for name, key, columns in (
        ("planned", table_key("catalog_changes", ledger.head().upload), ["store_id", "change", "reason"]),
        ("quarantined", table_key("quarantined_items"), ["source_row", "store_id", "reasons"]),
    ):
        with work_folder() as folder:
            try:
                table = bucket.fetch(key, new_path(folder, name))
            except NoSuchObject:
                entries[name] = []
                continue
            entries[name] = records(rows_of(table, sku, store)[columns])
    known = {row["store_id"] for rows in entries.values() for row in rows}
    # A plan has no row of what it leaves as it is (up to schema 3 it had).
    entries["planned"] += [
        {"store_id": row["store_id"], "change": "unchanged", "reason": None}
        for row in published
        if row["store_id"] not in known
    ]
    return entries


@click.command("fix-list")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Default: ./fix_list.*")
@json_option
def fix_list(output: Path | None, *, as_json: bool) -> None:
    """Write the quarantined and rejected rows, with reasons, in the export's own columns and format."""
    with cli_errors("fetching the fix list") as resources:
        from jwo_catalog_pipeline.catalog.source.fix_list import as_export
        from jwo_catalog_pipeline.defs.io_manager import table_key
        from jwo_catalog_pipeline.defs.provenance import SOURCE_FILE, read_as

        fixes = resources["storage"].open_bucket().get_table(table_key("fix_list"))
        source = resources["source"]
        options = read_as(fixes, source.mapping().source)
        name, content = as_export(fixes, options, fixes.attrs.get(SOURCE_FILE, source.uri))
    target = output or Path(name)
    target.write_bytes(content)
    if as_json:
        print_json({"rows": len(fixes), "file": str(target)})
    else:
        click.echo(f"wrote {target}: {plural(len(fixes), 'row')} to fix, with the reasons in the first column")
