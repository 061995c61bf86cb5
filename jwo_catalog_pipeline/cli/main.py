"""The command line `jwo-catalog`. Commands import what they need when they run, so that --help is fast."""

import os
import sys

import click

from jwo_catalog_pipeline.cli.close import close
from jwo_catalog_pipeline.cli.demo import demo
from jwo_catalog_pipeline.cli.doctor import doctor
from jwo_catalog_pipeline.cli.inspect import fix_list, item, status
from jwo_catalog_pipeline.cli.mapping import mapping
from jwo_catalog_pipeline.cli.sending import pause, resume
from jwo_catalog_pipeline.cli.state import state
from jwo_catalog_pipeline.cli.upload import upload
from jwo_catalog_pipeline.redaction import install


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Keep Amazon's copy of a Just Walk Out store's catalog up to date."""
    install()


@main.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sandbox(arguments: tuple[str, ...]) -> None:
    """Run a local AWS and a local JWO service until Ctrl-C (sandbox --help for its options)."""
    os.execv(sys.executable, [sys.executable, "-m", "jwo_catalog_pipeline.sandbox", *arguments])  # noqa: S606


for command in (demo, mapping, upload, pause, resume, close, status, item, state, fix_list, doctor):
    main.add_command(command)
