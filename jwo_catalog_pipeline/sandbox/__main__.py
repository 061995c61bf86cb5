"""Start the local AWS and the JWO service, and serve until told to stop.

When all is ready, one line of JSON goes to standard output: the environment variables to run the pipeline with, and the
address of the control API.
"""

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from jwo_catalog_pipeline.sandbox import aws as local_aws
from jwo_catalog_pipeline.sandbox.control import Control
from jwo_catalog_pipeline.sandbox.faults import Faults, Settings
from jwo_catalog_pipeline.sandbox.reports import SHAPES
from jwo_catalog_pipeline.sandbox.server import CredentialStore, JwoServer, RequestLog
from jwo_catalog_pipeline.sandbox.service import JwoService

STORES = "JWO-STORE-01,JWO-STORE-02,JWO-STORE-03"


class Sandbox:
    """The whole sandbox, wired up."""

    def __init__(
        self,
        settings: Settings,
        stores: list[str],
        *,
        port: int = 0,
        aws_port: int = 0,
        raw_delivery: bool = False,
        emulator: str = "",
    ):
        """Start both servers.

        Args:
            settings: how the JWO service behaves at first.
            stores: ids of the retailer's stores.
            port: port of the JWO service; 0 takes a free one.
            aws_port: port of moto; 0 takes a free one.
            raw_delivery: subscribe the queue with raw message delivery.
            emulator: endpoint of another emulator of AWS, instead of moto.
        """
        self._aws = local_aws.LocalAws(aws_port, emulator)
        self._raw_delivery = raw_delivery
        self._resources = self._aws.provision(raw_delivery)
        self._service = JwoService(self._aws, Faults(settings), stores)
        self._log = RequestLog(self._service.next_event)
        self._credentials = CredentialStore(local_aws.ACCESS_KEY_ID, local_aws.SECRET_ACCESS_KEY, self._aws)
        self._server = JwoServer(port, self._service, self._credentials, self._log, region=local_aws.API_REGION)
        self._server.control = Control(
            self._service, self._log.entries, self.reset, self._expire_sessions, self._aws.break_sts
        )
        threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True).start()

    def describe(self) -> dict[str, Any]:
        """What to tell whoever wants to use it: `environment` and `control`."""
        url = f"http://127.0.0.1:{self._server.server_port}"
        environment = {
            **self._aws.environment,
            "AWS_DEFAULT_REGION": local_aws.AWS_REGION,
            "AWS_ACCESS_KEY_ID": local_aws.ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": local_aws.SECRET_ACCESS_KEY,
            "JWO_BUCKET": self._resources.bucket,
            "JWO_LEDGER_TABLE": self._resources.ledger_table,
            "JWO_QUEUE_URL": self._resources.queue_url,
            "JWO_ALERT_TOPIC_ARN": self._resources.alert_topic_arn,
            "JWO_TOPIC_ARN": self._resources.topic_arn,
            "JWO_VERIFY_SIGNATURES": "off",
            "JWO_API_URL": url,
            "JWO_API_REGION": local_aws.API_REGION,
            "JWO_API_ROLE_ARN": self._resources.api_role_arn,
            "JWO_STORE_IDS": ",".join(self._service.stores),
        }
        return {"environment": environment, "control": f"{url}/sandbox"}

    def reset(self) -> dict[str, Any]:
        """Forget everything, in AWS too, and deploy again.

        Returns:
            The new description: names of resources differ from before.
        """
        self._service.reset(meanwhile=self._reset_aws)
        self._log.forget()
        return self.describe()

    def _reset_aws(self) -> None:
        self._aws.reset()
        self._resources = self._aws.provision(self._raw_delivery)
        self._credentials.forget()

    def _expire_sessions(self) -> None:
        self._aws.expire_sessions()
        self._credentials.forget()

    def stop(self) -> None:
        """Stop both servers."""
        self._server.shutdown()
        self._server.server_close()
        self._service.stop()
        self._aws.stop()


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="jwo-catalog sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port of the JWO service (default: a free one)")
    parser.add_argument("--aws-port", type=int, default=0, help="port of the local AWS (default: a free one)")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds until an upload is processed")
    parser.add_argument("--report-shape", choices=SHAPES, default="1", help="shape of the result reports")
    parser.add_argument("--stores", default=STORES, help="comma-separated ids of the retailer's stores")
    parser.add_argument(
        "--requests-per-second", type=int, default=10, help="rate limit of the API; 0: none (default: 10)"
    )
    parser.add_argument("--read-late", action="store_true", help="take uploads unread, for benchmarks")
    parser.add_argument("--raw-delivery", action="store_true", help="SNS delivers without its envelope")
    parser.add_argument("--emulator", default="", help="endpoint of another emulator of AWS, for all but STS")
    parser.add_argument("--env-file", type=Path, help="also write the environment to this file")
    return parser.parse_args(arguments)


def _leave_the_callers_aws_alone() -> None:
    """No profile, credentials, endpoint or proxy of the caller may reach a client in here."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


def _write_env_file(path: Path, environment: dict[str, str]) -> None:
    """Write the environment, and keep the lines of the file that are about something else."""
    before = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in before if line.partition("=")[0].strip() not in environment]
    lines = [*kept, *(f"{name}={value}" for name, value in environment.items())]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run the sandbox until SIGTERM or SIGINT.

    Args:
        arguments: the command line.

    Returns:
        The exit code.
    """
    options = _parse(arguments)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    _leave_the_callers_aws_alone()
    settings = Settings(
        delay=options.delay,
        report_shape=options.report_shape,
        requests_per_second=options.requests_per_second,
        read_late=options.read_late,
    )
    stores = [store.strip() for store in options.stores.split(",") if store.strip()]
    sandbox = Sandbox(
        settings,
        stores,
        port=options.port,
        aws_port=options.aws_port,
        raw_delivery=options.raw_delivery,
        emulator=options.emulator,
    )
    description = sandbox.describe()
    if options.env_file:
        _write_env_file(options.env_file, description["environment"])
    sys.stdout.write(json.dumps(description) + "\n")
    sys.stdout.flush()
    stopping.wait()
    sandbox.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
