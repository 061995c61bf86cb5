"""Shared by the commands: options, error output and JSON."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from jwo_catalog_pipeline.catalog.source.options import ExportFile

INTERRUPTED = 130  # the exit code after Ctrl-C, as shells have it
EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Stopped(click.ClickException):
    """A person stopped the command."""

    exit_code = INTERRUPTED


@contextmanager
def cli_errors(doing: str = "") -> Iterator[dict[str, Any]]:
    """Give the resources that `.env` and the environment configure; print a `PipelineError` as one message."""
    import logging
    import os
    from contextlib import nullcontext

    from dotenv import load_dotenv
    from rich.console import Console

    from jwo_catalog_pipeline.defs.failures import Interrupted
    from jwo_catalog_pipeline.defs.resources import resources_from
    from jwo_catalog_pipeline.errors import PipelineError

    load_dotenv(Path(".env"))  # as `dagster dev` does
    logging.disable(logging.INFO)
    try:
        with Console(stderr=True).status(doing) if doing else nullcontext():
            yield resources_from(os.environ)
    except Interrupted as error:
        raise Stopped(str(error)) from None
    except PipelineError as error:
        raise click.ClickException(str(error)) from None
    finally:
        logging.disable(logging.NOTSET)


@contextmanager
def with_status(what: str) -> Iterator[None]:
    """Show what is in progress; print a `PipelineError` as one message."""
    from rich.console import Console

    from jwo_catalog_pipeline.errors import PipelineError

    try:
        with Console(stderr=True).status(what):
            yield
    except PipelineError as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def local_export(where: str) -> Iterator[tuple[list["ExportFile"], str]]:
    """Local copies of the export's files, and its name; `where` is anything that JWO_SOURCE_URI may be.

    Raises:
        click.BadParameter: there is none, or it cannot be read.
    """
    import tempfile

    from dotenv import load_dotenv

    from jwo_catalog_pipeline.aws import aws_client
    from jwo_catalog_pipeline.catalog.errors import SourceFileError
    from jwo_catalog_pipeline.source_file import fetch_export, find_source

    load_dotenv(Path(".env"))
    with tempfile.TemporaryDirectory() as folder:
        try:
            s3 = aws_client("s3") if where.startswith("s3://") else None
            file = find_source(where, s3)
            files, _ = fetch_export(file, Path(folder), s3)
        except SourceFileError as error:
            raise click.BadParameter(error.problem, param_hint="EXPORT") from None
        yield files, file.uri.rpartition("/")[2]


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def who() -> str:
    """Who runs this command: the user of this machine, and who AWS takes them for."""
    import getpass

    from jwo_catalog_pipeline.aws import caller

    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        user = ""
    return ", ".join(filter(None, (user, caller().arn))) or "an unknown user"
