"""The folder in which a run's tables are while they are worked on.

https://docs.dagster.io/guides/build/external-resources/managing-resource-state
"""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import dagster as dg

from jwo_catalog_pipeline.work_folder import work_folder

# What an asset asks for, as `work: WorkFolder`. A path is all there is to it, so it is no ConfigurableResource.
WorkFolder = dg.ResourceParam[Path]


@dg.resource
def run_folder(_context: dg.InitResourceContext) -> Iterator[Path]:
    """A folder on this machine for each run; it is removed when the run ends, or by the next one after a kill."""
    with work_folder() as folder:
        yield folder


def step_folder(work: Path, step: str) -> Path:
    """A new folder for one step, which may be repeated within the run."""
    folder = work / f"{step}-{uuid4().hex[:8]}"
    folder.mkdir()
    return folder
