"""The command `jwo-catalog doctor`."""

import sys
from collections import Counter
from pathlib import Path

import click

from jwo_catalog_pipeline.cli.common import json_option, print_json

COLOURS = {"ok": "green", "warning": "yellow", "problem": "bold red", "skipped": "dim"}


@click.command()
@click.option(
    "--thorough", is_flag=True, help="Also run the checks that need more permissions than the pipeline's role has."
)
@json_option
def doctor(*, thorough: bool, as_json: bool) -> None:
    """Check this installation, and say how to fix each problem.

    The exit code is 1 if there is a problem, and 0 if there are only warnings. The doctor asks Amazon about one
    ingestion and sends nothing else. It writes one small object (doctor/check) to the bucket, and an item that
    expires to the ledger.
    """
    import logging
    import os

    from dotenv import load_dotenv
    from rich.console import Console

    console = Console(stderr=True)
    load_dotenv(Path(".env"))  # as `dagster dev` does
    logging.disable(logging.WARNING)
    try:
        with console.status("starting") as status:
            from jwo_catalog_pipeline.doctor.checks import Installation, examine
            from jwo_catalog_pipeline.doctor.configuration import CHECKS

            installation = Installation.of(os.environ, thorough=thorough)
            findings = examine(installation, CHECKS, lambda name: status.update(f"checking: {name}"))
            results = [finding.as_dict() for finding in findings]
    finally:
        logging.disable(logging.NOTSET)
    if as_json:
        print_json(results)
    else:
        _show(results)
    sys.exit(any(result["status"] == "problem" for result in results))


def _show(results: list[dict[str, str]]) -> None:
    from jwo_catalog_pipeline.console import show_table

    rows = [
        {
            "status": result["status"],
            "check": result["check"],
            "what was found": result["found"],
            "what to do": result["remedy"],
        }
        for result in results
    ]
    show_table("", rows, colours=COLOURS)
    counts = Counter(result["status"] for result in results)
    click.echo(", ".join(f"{counts[status]} {status}" for status in COLOURS if counts[status]))
