"""`jwo-catalog close`: a person's word that nothing more is waited for of an upload."""

import sys
from typing import Any

import click

from jwo_catalog_pipeline.cli.common import cli_errors, json_option, print_json, who
from jwo_catalog_pipeline.wording import plural


@click.command()
@click.argument("upload")
@click.option("--reason", required=True, help="Why, for everybody who looks at this upload later.")
@click.option("--yes", is_flag=True, help="Close without asking.")
@json_option
def close(upload: str, reason: str, *, yes: bool, as_json: bool) -> None:
    """End the waiting for an upload that Amazon never ends, or whose report can never be had.

    The outcome of its open items is then not known, so the next upload sends them once more. What was not sent of it
    is never sent. First ask Amazon whether its ingestions have ended: one that ends later can undo newer content.
    """
    if not reason.strip():
        raise click.UsageError("--reason is empty: say why, for everybody who looks at this upload later")
    if as_json and not yes:
        raise click.UsageError("--json cannot ask for confirmation: add --yes")
    with cli_errors() as resources:
        from jwo_catalog_pipeline.console import show_table
        from jwo_catalog_pipeline.upload.closing import closable, close_upload
        from jwo_catalog_pipeline.upload.queries import closing_of, open_batch

        ledger, bucket = resources["storage"].open_ledger(), resources["storage"].open_bucket()
        batches = closable(ledger, upload)
        if not as_json:
            show_table(f"Upload {upload}: what is waited for", [open_batch(batch) for batch in batches])
        if batches and not yes:
            _confirm(upload, sum(batch.items for batch in batches))
        closed = [open_batch(batch) for batch in close_upload(ledger, bucket, upload, who(), reason.strip())]
        closing = closing_of(ledger, upload)
    if as_json:
        print_json({"upload": upload, "closed": closing, "batches": closed})
    else:
        click.echo(_summary(upload, closed, closing))


def _confirm(upload: str, items: int) -> None:
    try:
        click.confirm(f"End the waiting for {plural(items, 'item')} of upload {upload}?", abort=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise click.ClickException("Nothing was closed. Without a terminal, add --yes to close it.") from None


def _summary(upload: str, closed: list[dict[str, Any]], closing: dict[str, Any] | None) -> str:
    if closed:
        items = plural(sum(batch["items"] for batch in closed), "item")
        return f"Closed {plural(len(closed), 'batch')} of upload {upload}. The next upload sends {items} as needed."
    if closing:
        return f"Upload {upload} was closed on {closing['closed_at']} by {closing['closed_by']}: {closing['reason']}"
    return f"Nothing is waited for of upload {upload}."
