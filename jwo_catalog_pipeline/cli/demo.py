"""`jwo-catalog demo`."""

from pathlib import Path

import click

from jwo_catalog_pipeline.cli.common import EXISTING


@click.command()
@click.option("--source", type=EXISTING, help="Your own export, instead of the sample.")
@click.option("--mapping", type=EXISTING, help="The field mapping for it.")
@click.option(
    "--max-invalid-share",
    type=click.FloatRange(0, 1),
    default=0.05,
    show_default=True,
    help="Largest share of invalid rows to accept.",
)
@click.option("--ui/--no-ui", default=True, help="Keep Dagster's UI running afterwards.")
@click.option("--port", default=3000, show_default=True, help="Port of Dagster's UI.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON (no UI).")
def demo(
    source: Path | None, mapping: Path | None, max_invalid_share: float, ui: bool, port: int, as_json: bool
) -> None:
    """Send a catalog through the whole pipeline, against the sandbox, and show the outcome of every item.

    Without options it sends the project's sample. Nothing leaves this machine. The demo writes to .demo; the next demo
    empties it.
    """
    from jwo_catalog_pipeline.demo.run import run_demo
    from jwo_catalog_pipeline.errors import PipelineError

    if bool(source) != bool(mapping):
        raise click.UsageError("--source and --mapping go together: a mapping is written for one export")
    try:
        ui_port = port if ui and not as_json else None
        run_demo(source, mapping, ui_port, as_json=as_json, max_invalid_share=max_invalid_share)
    except PipelineError as error:
        raise click.ClickException(str(error)) from None
