"""An emulator of AWS that is not moto: MiniStack, installed for the test run alone and started as a process.

It stands in no requirements: it needs one exact version of botocore, which is not the project's.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import urllib3

from jwo_catalog_pipeline.sandbox.aws import ACCESS_KEY_ID, SECRET_ACCESS_KEY

EMULATOR = "ministack==1.5.33"  # MIT licence
START_SECONDS = 30


@contextmanager
def running(installed: Path, folder: Path) -> Iterator[str]:
    """Run the emulator on a free port of the loopback address; gives its endpoint."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(installed),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LOG_LEVEL": "WARNING",
    }
    environ |= {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "MINISTACK_HOST": "127.0.0.1"}
    # Of these it verifies the signature and the expiry of presigned links, as S3 does and moto does not.
    environ |= {"AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            env=environ,
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        endpoint = f"http://127.0.0.1:{port}"
        _wait(endpoint, process, folder / "log")
        yield endpoint
    finally:
        process.terminate()
        process.wait(30)


def _wait(endpoint: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib3.request("GET", f"{endpoint}/_ministack/health", timeout=5, retries=False)
            return
        except urllib3.exceptions.HTTPError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the emulator did not start: {log.read_text()[-1000:]}") from None
            time.sleep(0.05)
