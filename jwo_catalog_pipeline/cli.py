"""The command line `jwo-catalog`. Commands import what they need when they run, so that --help answers at once."""

import os
import sys
from pathlib import Path

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Keep Amazon's copy of a Just Walk Out store's catalog right."""


@main.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sandbox(arguments: tuple[str, ...]) -> None:
    """Run a local AWS and a local JWO service until Ctrl-C (sandbox --help for its options)."""
    os.execv(sys.executable, [sys.executable, "-m", "jwo_catalog_pipeline.sandbox", *arguments])  # noqa: S606


@main.command()
@click.option("--source", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Another export file.")
@click.option("--mapping", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its field mapping.")
@click.option("--ui/--no-ui", default=True, help="Leave Dagster's UI running afterwards, or end.")
@click.option("--port", default=3000, show_default=True, help="Port of Dagster's UI.")
@click.option("--json", "as_json", is_flag=True, help="Print what happened as JSON (no UI).")
def demo(source: Path | None, mapping: Path | None, ui: bool, port: int, as_json: bool) -> None:
    """Send a catalog through the whole pipeline, against the sandbox, and show what became of every item.

    Without options it takes the sample that the project ships. Everything stays on this machine; what it writes is
    under .demo, which the next demo empties.
    """
    from jwo_catalog_pipeline.demo import DemoError, run_demo

    if bool(source) != bool(mapping):
        raise click.UsageError("--source and --mapping go together: a mapping is written for one export")
    try:
        run_demo(source, mapping, ui_port=port if ui and not as_json else None, as_json=as_json)
    except DemoError as error:
        raise click.ClickException(str(error)) from None
