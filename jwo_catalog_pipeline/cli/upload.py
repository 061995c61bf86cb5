"""The commands about uploads: upload, status, item, state rebuild, fix-list. All of them have --json."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _guards(_context: click.Context, _option: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    if names:
        from jwo_catalog_pipeline.upload.plan.guards import GUARDS

        if unknown := sorted(set(names) - set(GUARDS)):
            raise click.BadParameter(f"there is no guard {', '.join(unknown)}; there are {', '.join(GUARDS)}")
    return names


@contextmanager
def explained(doing: str = "") -> Iterator[dict[str, Any]]:
    """The resources as `.env` and the environment configure them; what the user can mend ends as a sentence."""
    import logging
    import os
    from contextlib import nullcontext

    from dotenv import load_dotenv
    from rich.console import Console

    from jwo_catalog_pipeline.defs.resources import resources_from
    from jwo_catalog_pipeline.errors import PipelineError

    load_dotenv(Path(".env"))  # as `dagster dev` does
    logging.disable(logging.INFO)
    try:
        with Console(stderr=True).status(doing) if doing else nullcontext():
            yield resources_from(os.environ)
    except PipelineError as error:
        raise click.ClickException(str(error)) from None
    finally:
        logging.disable(logging.NOTSET)


@click.command()
@click.option("--dry-run", is_flag=True, help="Plan and show; send nothing.")
@click.option("--yes", is_flag=True, help="Send without asking.")
@click.option("--retry-rejected", is_flag=True, help="Send rejected items again though they have not changed.")
@click.option("--allow", metavar="GUARD", multiple=True, callback=_guards, help="Override it for this upload.")
@click.option("--max-invalid-share", type=click.FloatRange(0, 1), default=0.05, show_default=True, help="See demo.")
@click.option("--resume", metavar="UPLOAD", help="Go on with an upload that stopped or is not settled.")
@click.option("--follow-minutes", type=click.FloatRange(0), default=120, show_default=True, help="Wait so long.")
@json_option
def upload(
    *, dry_run: bool, yes: bool, resume: str | None, follow_minutes: float, as_json: bool, **settings: Any
) -> None:
    """Plan an upload, show the plan, ask, send it, and follow it until Amazon has said what became of every item."""
    if as_json and not (dry_run or yes or resume):
        raise click.UsageError("--json asks nothing: add --dry-run or --yes")
    from datetime import UTC, datetime

    from rich.console import Console

    from jwo_catalog_pipeline.cli.uploading import Upload, open_pipeline
    from jwo_catalog_pipeline.console import show_done, show_plan
    from jwo_catalog_pipeline.upload.model import upload_key

    console = Console(stderr=as_json, highlight=False)
    with explained() as resources, open_pipeline() as pipeline:
        storage = resources["storage"]
        key = resume or upload_key(datetime.now(UTC))
        work = Upload(pipeline, storage.open_ledger(), storage.open_bucket(), key)
        plan: dict[str, Any] = {}
        if not resume:
            with console.status("reading, mapping, checking, planning"):
                plan = work.plan(**settings)
            if not as_json:
                show_plan(console, plan)
            if plan["stopped_by"] or dry_run:
                _end_of_plan(plan, as_json=as_json)
                return
            if plan["requests"] and not yes:
                click.confirm(f"Send {plan['requests']} requests to Amazon?", abort=True)
        done = work.apply(console, follow_minutes)
    if as_json:
        print_json({**plan, **done})
    else:
        show_done(console, done)


def _end_of_plan(plan: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(plan)
    if plan["stopped_by"]:
        raise click.ClickException("; ".join(plan["stopped_by"]))
    if not as_json:
        click.echo("Nothing was sent. To send it: jwo-catalog upload")


@click.command()
@click.option("--uploads", "limit", default=10, show_default=True, help="How many, the newest first.")
@json_option
def status(limit: int, *, as_json: bool) -> None:
    """Show the newest uploads, what is open and since when, and what waits."""
    with explained("reading the ledger") as resources:
        from jwo_catalog_pipeline.console import counted, show_table
        from jwo_catalog_pipeline.upload.queries import overview

        found = overview(resources["storage"].open_ledger(), resources["policy"].in_flight_hours, limit)
    if as_json:
        print_json(found)
        return
    if not found["uploads"]:
        click.echo("Nothing has been sent yet.")
        return
    rows = [
        {**each, "batches": counted(each["batches"]), "outcomes": counted(each["outcomes"])}
        for each in found["uploads"]
    ]
    show_table("Uploads, the newest first", rows)
    show_table("Open batches", found["open_batches"], "No batch is open.")
    show_table("Sent more often than was answered: changes of these items wait", found["in_doubt"])
    if found["waiting"]["items"]:
        on = ", ".join(found["waiting"]["for"]) or "the next upload"
        click.echo(f"{found['waiting']['items']:,} items wait for {on}.")
    if found["unreadable_messages"]:
        click.echo(f"{found['unreadable_messages']:,} messages could not be read; they are in inbox/unreadable/.")
    if found["unknown_ingestions"]:
        click.echo(f"{found['unknown_ingestions']:,} ingestions that Amazon told of are not known to be ours.")


@click.command()
@click.argument("sku")
@click.option("--store", help="Only in this store.")
@json_option
def item(sku: str, store: str | None, *, as_json: bool) -> None:
    """Show every version of an item that was sent, what Amazon said, and where the item is now."""
    with explained("reading the item's history") as resources:
        from jwo_catalog_pipeline.console import brief, show_table
        from jwo_catalog_pipeline.upload.queries import item_history

        storage = resources["storage"]
        ledger, bucket = storage.open_ledger(), storage.open_bucket()
        found = {"item_sku": sku, **item_history(ledger, bucket, sku, store), **_latest(ledger, bucket, sku, store)}
    nothing = not any(found[name] for name in ("sent", "published", "planned", "quarantined"))
    if as_json:
        print_json(found)
    elif not nothing:
        show_table(
            f"Everything that was sent of {sku}",
            [{**each, "item": brief(each["item"])} for each in found["sent"]],
            "Nothing of it was ever sent.",
        )
        show_table("What Amazon is known to hold", found["published"], "Amazon is not known to hold it.")
        show_table("In the newest plan", found["planned"])
        show_table("Quarantined in the newest catalog", found["quarantined"])
    if nothing:
        raise click.ClickException(f"{sku} was never sent, and is not in the newest plan or quarantine")


def _latest(ledger: Any, bucket: Any, sku: str, store: str | None) -> dict[str, Any]:
    """What the newest applied plan and the newest quarantine say of the item."""
    from jwo_catalog_pipeline.defs.io_manager import table_key
    from jwo_catalog_pipeline.storage import NoSuchObject
    from jwo_catalog_pipeline.upload.queries import records

    found: dict[str, Any] = {}
    for name, key, columns in (
        ("planned", table_key("catalog_changes", ledger.head().upload), ["store_id", "change", "reason"]),
        ("quarantined", table_key("quarantined_items"), ["source_row", "store_id", "reasons"]),
    ):
        try:
            table = bucket.get_table(key)
        except NoSuchObject:
            found[name] = []
            continue
        rows = table[(table["item_sku"] == sku) & ((table["store_id"] == store) if store else True)]
        found[name] = records(rows[columns])
    return found


@click.group()
def state() -> None:
    """The published state: what Amazon is known to hold."""


@state.command()
@click.option("--restore", is_flag=True, help="Put it in the place of the snapshot that the running state starts from.")
@json_option
def rebuild(*, restore: bool, as_json: bool) -> None:
    """Derive the published state again from every batch and report, and compare it with the running one."""
    with explained() as resources:
        from rich.console import Console
        from rich.progress import Progress

        from jwo_catalog_pipeline.storage import NoSuchObject, table_bytes
        from jwo_catalog_pipeline.upload.published_state import published_state
        from jwo_catalog_pipeline.upload.recovery import rebuild_state, restore_snapshot

        ledger, bucket = resources["storage"].open_ledger(), resources["storage"].open_bucket()
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task("uploads read", total=None)
            rebuilt = rebuild_state(ledger, bucket, lambda done, of: progress.update(task, total=of, completed=done))
        restored = bucket.uri(restore_snapshot(ledger, bucket, rebuilt)) if restore else None
        try:
            running = table_bytes(published_state(ledger, bucket))
        except NoSuchObject:
            running = b""
    same = running == table_bytes(rebuilt.now)
    if as_json:
        print_json({"items": len(rebuilt.now), "same_bytes": same, "restored": restored})
    else:
        said = "the same bytes as" if same else "NOT the same as"
        click.echo(f"{len(rebuilt.now):,} items; {said} the running state")
        if restored:
            click.echo(f"wrote {restored}")
        elif not same:
            click.echo(
                "jwo-catalog state rebuild --restore makes the running state start from the rebuilt one", err=True
            )
    sys.exit(0 if same else 1)


@state.command()
@click.option("--write", is_flag=True, help="Write it into the ledger; nothing else may be running.")
@json_option
def salvage(*, write: bool, as_json: bool) -> None:
    """Bring a ledger that was lost, or restored to an earlier moment, up to what the bucket shows was sent."""
    with explained() as resources:
        from rich.console import Console
        from rich.progress import Progress

        from jwo_catalog_pipeline.console import show_table
        from jwo_catalog_pipeline.upload import salvaging

        ledger, bucket = resources["storage"].open_ledger(), resources["storage"].open_bucket()
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task("batches looked at", total=None)
            found = salvaging.salvage(
                ledger, bucket, write=write, on_batch=lambda done, of: progress.update(task, total=of, completed=done)
            )
    if as_json:
        print_json({"written": write, "batches": found})
        return
    show_table("What the ledger lacked" if write else "What the ledger lacks", found, "The ledger lacks nothing.")
    if found and not write:
        click.echo("Nothing was written. Stop the daemon and every run, then: jwo-catalog state salvage --write")


@click.command("fix-list")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Default: fix_list.* here.")
@json_option
def fix_list(output: Path | None, *, as_json: bool) -> None:
    """Write what was quarantined or rejected, with reasons, in the export's own columns and format."""
    with explained("fetching the fix list") as resources:
        from jwo_catalog_pipeline.catalog.source.fix_list import as_export
        from jwo_catalog_pipeline.defs.io_manager import table_key
        from jwo_catalog_pipeline.defs.plan_metadata import SOURCE_FILE

        fixes = resources["storage"].open_bucket().get_table(table_key("fix_list"))
        source = resources["source"]
        name, content = as_export(fixes, source.mapping().source, fixes.attrs.get(SOURCE_FILE, source.uri))
    target = output or Path(name)
    target.write_bytes(content)
    if as_json:
        print_json({"rows": len(fixes), "file": str(target)})
    else:
        click.echo(f"wrote {target}: {len(fixes):,} rows to mend, the reasons in the first column")


def print_json(value: Any) -> None:
    """For machines."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


COMMANDS = [upload, status, item, state, fix_list]
