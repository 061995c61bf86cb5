"""The command `jwo-catalog doctor`."""

import sys
from collections import Counter
from pathlib import Path

import click

from jwo_catalog_pipeline.cli.upload import json_option, print_json

COLOURS = {"ok": "green", "warning": "yellow", "problem": "bold red", "skipped": "dim"}


@click.command()
@click.option("--thorough", is_flag=True, help="Look also at what the pipeline's own role may not.")
@json_option
def doctor(*, thorough: bool, as_json: bool) -> None:
    """Check this installation, and say what to do about what is wrong.

    Ends with exit code 1 where there is a problem; warnings alone are none. It sends nothing to Amazon but one question
    about an ingestion, and writes one small object, doctor/check, into the bucket, and one item into the ledger, which
    expires.
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
            findings = examine(installation, CHECKS, lambda name: status.update(f"looking at: {name}"))
            found = [finding.as_dict() for finding in findings]
    finally:
        logging.disable(logging.NOTSET)
    if as_json:
        print_json(found)
    else:
        _show(found)
    sys.exit(any(each["status"] == "problem" for each in found))


def _show(found: list[dict[str, str]]) -> None:
    from jwo_catalog_pipeline.console import show_table

    rows = [
        {
            "status": each["status"],
            "check": each["check"],
            "what was found": each["found"],
            "what to do": each["remedy"],
        }
        for each in found
    ]
    show_table("", rows, colours=COLOURS)
    counts = Counter(each["status"] for each in found)
    click.echo(", ".join(f"{counts[status]} {status}" for status in COLOURS if counts[status]))
