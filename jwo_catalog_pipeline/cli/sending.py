"""`jwo-catalog pause` and `resume`: hold all sending, and let it go on."""

import click

from jwo_catalog_pipeline.cli.common import cli_errors, json_option, print_json, who


@click.command()
@click.option("--reason", required=True, help="Why; status, runs and alerts show it.")
@json_option
def pause(reason: str, *, as_json: bool) -> None:
    """Hold all sending to Amazon now: no batch is begun any more, by any process. Results are still taken in."""
    with cli_errors("pausing") as resources:
        from jwo_catalog_pipeline.upload.model import utc

        held = resources["storage"].open_ledger().pause(who(), reason)
    if as_json:
        print_json({"by": held.by, "since": utc(held.since), "reason": held.reason})
        return
    click.echo(f"All sending is held since {utc(held.since)} by {held.by}: {held.reason}.")
    click.echo("Batches that are under way end within seconds: jwo-catalog status. To go on: jwo-catalog resume")


@click.command()
@json_option
def resume(*, as_json: bool) -> None:
    """End a pause: what it stopped goes on by itself."""
    with cli_errors("resuming") as resources:
        ledger = resources["storage"].open_ledger()
        held = ledger.paused()
        ledger.end_pause()
    if as_json:
        print_json({"was_paused": held is not None})
    else:
        click.echo("Sending goes on." if held else "Sending was not held.")
