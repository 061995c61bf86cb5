"""Packages that a test installs for itself, because they need other versions than the project's."""

import subprocess
import sys
from pathlib import Path

import pytest

INSTALL_SECONDS = 180


class PackageNotAvailable(Exception):
    """The package could not be installed; the text says why."""


def install(requirement: str, folder: Path) -> None:
    """Install a package and what it needs into a folder of its own.

    Raises:
        PackageNotAvailable: the package index does not have it, or cannot be reached.
    """
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1"]
    command = [*pip, "--target", folder, requirement]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        raise PackageNotAvailable(f"{requirement} was not installed within {INSTALL_SECONDS} s") from None
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip().splitlines()[-1:] or ["pip gave no reason"]
        raise PackageNotAvailable(f"{requirement} cannot be installed: {reason[0]}") from None


def install_or_skip(requirement: str, folder: Path) -> None:
    """Install a package, or skip the test with the reason."""
    try:
        install(requirement, folder)
    except PackageNotAvailable as error:
        pytest.skip(str(error))
