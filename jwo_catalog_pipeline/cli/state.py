"""`jwo-catalog state`: rebuild the published state, salvage the ledger, and remove what is old."""

import os
import sys

import click

from jwo_catalog_pipeline.cli.common import cli_errors, json_option, print_json
from jwo_catalog_pipeline.wording import plural


@click.group()
def state() -> None:
    """The published state: what Amazon is known to hold."""


@state.command()
@click.option("--restore", is_flag=True, help="Also replace the snapshot from which the running state is computed.")
@json_option
def rebuild(*, restore: bool, as_json: bool) -> None:
    """Recompute the published state from every batch and report, and compare it with the running state."""
    with cli_errors() as resources:
        from rich.console import Console
        from rich.progress import Progress

        from jwo_catalog_pipeline.storage import NoSuchObject
        from jwo_catalog_pipeline.upload.published_state import published_state
        from jwo_catalog_pipeline.upload.recovery import rebuild_state, restore_snapshot, same_items
        from jwo_catalog_pipeline.work_folder import work_folder

        ledger, bucket = resources["storage"].open_ledger(), resources["storage"].open_bucket()
        with work_folder() as folder:
            with Progress(console=Console(stderr=True)) as progress:
                task = progress.add_task("uploads read", total=None)

                def show(done: int, of: int) -> None:
                    progress.update(task, total=of, completed=done)

                rebuilt = rebuild_state(ledger, bucket, folder, show)
            restored = bucket.uri(restore_snapshot(ledger, bucket, rebuilt)) if restore else None
            items = rebuilt.now.rows
            try:
                same = same_items(rebuilt.now, published_state(ledger, bucket, folder))
            except NoSuchObject:
                same = False
    if as_json:
        print_json({"items": items, "same_bytes": same, "restored": restored})
    else:
        relation = "the same bytes as" if same else "NOT the same as"
        click.echo(f"{plural(items, 'item')}; {relation} the running state")
        if restored:
            click.echo(f"wrote {restored}")
        elif not same:
            click.echo(
                "jwo-catalog state rebuild --restore makes the running state start from the rebuilt one", err=True
            )
    sys.exit(0 if same else 1)


@state.command()
@click.option("--write", is_flag=True, help="Write to the ledger; stop everything else first.")
@json_option
def salvage(*, write: bool, as_json: bool) -> None:
    """Restore from the bucket what a lost ledger, or one restored to an earlier time, lacks."""
    with cli_errors() as resources:
        from rich.console import Console
        from rich.progress import Progress

        from jwo_catalog_pipeline.console import show_table
        from jwo_catalog_pipeline.upload.recovery import salvage

        ledger, bucket = resources["storage"].open_ledger(), resources["storage"].open_bucket()
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task("batches looked at", total=None)
            batches = salvage(
                ledger, bucket, write=write, on_batch=lambda done, of: progress.update(task, total=of, completed=done)
            )
    if as_json:
        print_json({"written": write, "batches": batches})
        return
    show_table("What the ledger lacked" if write else "What the ledger lacks", batches, "The ledger lacks nothing.")
    if batches and not write:
        click.echo("Nothing was written. Stop the daemon and every run, then: jwo-catalog state salvage --write")
    if batches and write:
        click.echo("Next: jwo-catalog state prune, then jwo-catalog state rebuild --restore")


@state.command()
@click.option("--yes", is_flag=True, help="Remove without asking.")
@json_option
def prune(*, yes: bool, as_json: bool) -> None:
    """Remove what is older than JWO_KEEP_DAYS and no longer needed; with --json alone, only show it."""
    with cli_errors() as resources:
        from rich.console import Console
        from rich.progress import Progress

        from jwo_catalog_pipeline.console import show_table
        from jwo_catalog_pipeline.defs.pruning import instance_of, stored_tables
        from jwo_catalog_pipeline.upload.prune import find_prunable, remove

        console = Console(stderr=True)
        ledger, bucket = resources["storage"].open_ledger(), resources["storage"].open_bucket()
        days = resources["policy"].keep_days
        with instance_of(os.environ.get("DAGSTER_HOME")) as instance:
            tables = stored_tables(instance, resources["storage"].merchant)
            with console.status("looking for what is old"):
                prunable = find_prunable(ledger, bucket, tables, days)
            found = prunable.found
            if not as_json:
                show_table(f"Older than {days:g} days and not needed", found, "Nothing is old.")
            if found and not (yes or as_json):
                _confirm(f"Remove {plural(len(prunable.uploads), 'upload')}, and the rest of this?")
            if found and (yes or not as_json):
                with Progress(console=console) as progress:
                    task = progress.add_task("removed", total=None)
                    remove(
                        ledger,
                        bucket,
                        tables,
                        prunable,
                        lambda done, of: progress.update(task, total=of, completed=done),
                    )
    if as_json:
        print_json({"removed": yes, "keep_days": days, "uploads": len(prunable.uploads), "found": found})
    elif found:
        click.echo("Removed." + ("" if instance else " Dagster's partitions stay: DAGSTER_HOME is not set."))


def _confirm(question: str) -> None:
    try:
        agreed = click.confirm(question)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise click.UsageError("there is no terminal for a confirmation: add --yes") from None
    if not agreed:
        raise click.Abort
