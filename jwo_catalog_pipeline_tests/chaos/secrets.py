"""The whole pipeline with everything logged at DEBUG, in a process of its own: does a secret get out anywhere?

python -m jwo_catalog_pipeline_tests.chaos.secrets
"""

import base64
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, quote_plus, urlsplit

import boto3
import urllib3

from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline_tests.chaos.figures import Figure, report
from jwo_catalog_pipeline_tests.support import ROOT
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

SECONDS = 120  # for the process; it takes about 15 where nothing else runs
ALLOW = {"ops": {"catalog_changes": {"config": {"allow": ["changed_share"]}}}}  # a third of three items
# Signatures and a token that were never anybody's: in a message that is no result, and in a link to a host that reports
# are not fetched from.
PLANTED = {"unreadable": "5eed" * 16, "elsewhere": "bad5" * 16, "token": "70ce" * 16}


def secret_figures() -> list[Figure]:
    """Run the pipeline against a sandbox of its own, and search everything that it leaves behind."""
    sandbox = RunningSandbox("--requests-per-second", "0")
    try:
        with tempfile.TemporaryDirectory() as folder:
            return search(sandbox, Path(folder))
    finally:
        sandbox.stop()


def search(sandbox: RunningSandbox, folder: Path) -> list[Figure]:
    """Run the pipeline, with failures, and search everything it leaves behind.

    Args:
        sandbox: any; it is reset.
        folder: empty, for Dagster's home and the logs.
    """
    sandbox.reset()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "JWO_", "DAGSTER_"))},
        **sandbox.environment,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "PYTHONPATH": str(ROOT),
        "DAGSTER_HOME": str(folder / "home"),
        "JWO_OVERDUE_MINUTES": "0",
    }
    (folder / "home").mkdir()
    (folder / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\nnux: {enabled: false}\n")
    command = [sys.executable, "-m", "jwo_catalog_pipeline_tests.chaos.secrets", str(folder), sandbox.control]
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        subprocess.run(command, env=environment, stdout=out, stderr=err, check=False, timeout=SECONDS)
    done = json.loads((folder / "done.json").read_text()) if (folder / "done.json").exists() else {}
    secrets = set(PLANTED.values()) | {sandbox.environment["AWS_SECRET_ACCESS_KEY"]} | set(_sessions(sandbox))
    secrets |= set(done.get("signatures", []))
    places = dict(_places(sandbox, folder))
    found = [f"{place} holds {form}" for place, text in places.items() for form in held(text, secrets)]
    control = held((folder / "control.log").read_bytes(), done.get("control", []))
    size = sum(map(len, places.values())) / 1e6
    return [
        Figure(
            "Secrets stay out of logs, errors, Dagster's storage, bucket and ledger",
            f"{len(secrets)} secrets, {len(done.get('did', []))} runs and ticks, {len(places)} places of {size:.1f} MB",
            f"{len(found)} found" + "".join(f": {each}" for each in found[:1]) + ("" if done else "; not finished"),
            bool(done) and not found and size > 1,
        ),
        Figure(
            "The search for secrets finds those that are there",
            f"{len(done.get('control', []))} secrets logged without redaction",
            f"{len(control)} found",
            bool(control) and len(control) == len(done.get("control", [])),
        ),
    ]


def held(text: bytes, secrets: Iterable[str]) -> list[str]:
    """Which of the secrets stand in the bytes, each named by its first characters and the form found."""
    found = []
    for secret in secrets:
        for form, needle in forms(secret).items():
            if needle in text:
                found.append(f"{secret[:6]}... as {form}")
                break
    return found


def forms(secret: str) -> dict[str, bytes]:
    """What a secret may look like; base64 at each of the three offsets, without the characters beside it."""
    encoded = {
        "it is": secret.encode(),
        "UTF-16": secret.encode("utf-16-le"),
        "URL": quote(secret, safe="").encode(),
        "form": quote_plus(secret).encode(),
        "JSON with slashes escaped": secret.replace("/", "\\/").encode(),
        "UTF-16, big end first": secret.encode("utf-16-be"),
        "hex": secret.encode().hex().encode(),
    }
    for offset in range(3):
        whole = base64.b64encode(b"\0" * offset + secret.encode())
        start = (0, 2, 3)[offset]
        encoded[f"base64 at {offset}"] = whole[start : len(whole) // 4 * 4 - 4]
    return encoded


def _sessions(sandbox: RunningSandbox) -> Iterator[str]:
    """The secret keys and tokens of every session that called the API."""
    endpoint = sandbox.environment["AWS_ENDPOINT_URL"]
    for key_id in {call["access_key_id"] for call in sandbox.get("requests")}:
        answer = sandbox.http.request("GET", f"{endpoint}/sandbox/secret/{key_id}")
        if answer.status == 200:
            yield from (answer.json()["secret_access_key"], answer.json()["session_token"])


def _signature(url: str) -> str:
    query = parse_qs(urlsplit(url).query)
    return (query.get("X-Amz-Signature") or query["Signature"])[0]


def _aws(sandbox: RunningSandbox, service: str) -> Any:
    env = sandbox.environment
    return boto3.client(
        service,
        endpoint_url=env["AWS_ENDPOINT_URL"],
        region_name=env["AWS_DEFAULT_REGION"],
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
    )


def _ledger(sandbox: RunningSandbox) -> list[dict[str, Any]]:
    pages = _aws(sandbox, "dynamodb").get_paginator("scan").paginate(TableName=sandbox.environment["JWO_LEDGER_TABLE"])
    return [
        {name: next(iter(value.values())) for name, value in row.items()} for page in pages for row in page["Items"]
    ]


def _places(sandbox: RunningSandbox, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Everything that the pipeline leaves behind, but for the LINK items."""
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in ("control.log", "done.json"):
            yield str(path.relative_to(folder)), path.read_bytes()
    s3, bucket = _aws(sandbox, "s3"), sandbox.environment["JWO_BUCKET"]
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for each in page.get("Contents", []):
            found = s3.get_object(Bucket=bucket, Key=each["Key"])
            yield f"s3: {each['Key']}", json.dumps(found["Metadata"]).encode() + found["Body"].read()
    for item in _ledger(sandbox):
        if keys.kind(item) != keys.LINK:
            yield f"ledger: {' '.join(keys.key_of(item).values())}", json.dumps(item, default=str).encode()
    yield "the sandbox's log", json.dumps(sandbox.get("requests")).encode()


# -- the process ---------------------------------------------------------------------------------------------------


def _log_everything(path: Path, *more: logging.Handler) -> list[logging.Handler]:
    handlers = [logging.FileHandler(path), *more]
    for name in ("", "botocore", "urllib3", "boto3"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    logging.getLogger().handlers += handlers
    return handlers


def _control(folder: Path) -> list[str]:
    """Without redaction: what a session is, and a link that is fetched, stand in the log."""
    (handler,) = _log_everything(folder / "control.log")
    role = os.environ["JWO_API_ROLE_ARN"]
    given = boto3.client("sts").assume_role(RoleArn=role, RoleSessionName="control")["Credentials"]
    secrets = [given["SecretAccessKey"], given["SessionToken"]]
    s3 = boto3.Session(given["AccessKeyId"], *secrets).client("s3")
    s3.list_objects_v2(Bucket=os.environ["JWO_BUCKET"])
    link = s3.generate_presigned_url("get_object", Params={"Bucket": os.environ["JWO_BUCKET"], "Key": "none"})
    urllib3.PoolManager().request("GET", link, timeout=10, retries=False)
    logging.getLogger().removeHandler(handler)
    return [*secrets, quote(_signature(link), safe="")]


class _Steps:
    """What a retailer's Dagster does, with failures; each step says what it was, so that none is passed over."""

    def __init__(self, folder: Path, control: str) -> None:
        import dagster as dg

        from jwo_catalog_pipeline.definitions import build_defs

        self.folder, self.control, self.dg = folder, control, dg
        self.instance = dg.DagsterInstance.get()
        self.defs = build_defs()
        self.did: list[str] = []
        self.signatures: set[str] = set()

    def post(self, what: str, **body: Any) -> None:
        answer = urllib3.request("POST", f"{self.control}/{what}", json=body, timeout=20, retries=False)
        assert answer.status == 200, answer.data

    def run(self, job: str, upload: str, success: bool) -> None:
        self.instance.add_dynamic_partitions("catalog_uploads", [upload])
        ran = self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            partition_key=upload,
            raise_on_error=False,
            run_config=ALLOW if "upload" in job else None,
        )
        assert ran.success is success, f"{job} of {upload}: {ran.success}"
        self.note_links()
        self.did.append(f"{job} {upload} {success}")

    def tick(self, name: str) -> None:
        sensor = self.defs.resolve_sensor_def(name)
        resources = {key: self.defs.resources[key] for key in sensor.required_resource_keys}
        with self.dg.build_sensor_context(instance=self.instance, resources=resources) as context:
            said = sensor(context)
        logging.getLogger("tick").info("%s: %r", name, said)
        self.note_links()
        self.did.append(name)

    def note_links(self) -> None:
        """Remember the signatures in the ledger now, for a newer link replaces an older one."""
        items = boto3.resource("dynamodb").Table(os.environ["JWO_LEDGER_TABLE"]).scan()["Items"]
        self.signatures |= {_signature(each["url"]) for each in items if keys.kind(each) == keys.LINK}

    def send(self, body: str) -> None:
        boto3.client("sqs").send_message(QueueUrl=os.environ["JWO_QUEUE_URL"], MessageBody=body)

    def all(self) -> None:
        elsewhere = f"https://evil.example/r.json?X-Amz-Signature={PLANTED['elsewhere']}"
        unreadable = f"https://b.s3.amazonaws.com/r.json?X-Amz-Signature={PLANTED['unreadable']}"
        self.post("misbehave", sts_down=9)
        self.run("catalog_upload_job", "u1", success=False)  # STS is down
        self.post("misbehave", sts_down=0)
        self.post("misbehave", forbid=9, operation="upload")
        self.run("catalog_upload_job", "u2", success=False)  # 403
        self.post("misbehave", forbid=0, operation="upload")
        self.post("misbehave", expire_links=1, operation="upload")
        self.run("catalog_upload_job", "u3", success=True)
        self.post("drain")
        self.send(json.dumps({"Message": f"no id, {unreadable}", "Token": PLANTED["token"]}))
        self.tick("ingestion_results_sensor")
        self.post("expire_sessions")
        self.run("ingestion_results_job", "u3", success=True)  # its link has expired, and so has the session
        known = self.ingestion_ids()
        self.post("misbehave", drop_notifications=1)
        export = self.folder / "export.csv"
        export.write_text(export.read_text().replace("1.99", "2.09"))
        self.run("catalog_upload_job", "u4", success=True)
        self.post("drain")
        (new,) = self.ingestion_ids() - known
        self.send(json.dumps({"ingestionId": new, "processingStatus": "DONE", "reportDownloadLink": elsewhere}))
        self.tick("ingestion_results_sensor")
        self.run("ingestion_results_job", "u4", success=True)  # its link leads elsewhere
        self.send(json.dumps({"ingestionId": "nobody", "processingStatus": "DONE", "reportDownloadLink": elsewhere}))
        self.tick("ingestion_results_sensor")
        self.tick("overdue_ingestions_sensor")
        self.tick("waiting_items_sensor")
        self.tick("source_catalog_sensor")

    def ingestion_ids(self) -> set[str]:
        items = boto3.resource("dynamodb").Table(os.environ["JWO_LEDGER_TABLE"]).scan()["Items"]
        return {keys.owner(each) for each in items if keys.is_ingestion(each)}


def _work(folder: Path, control: str) -> None:
    logged = _control(folder)
    # Only now, for it imports the definitions, which install the redaction.
    from jwo_catalog_pipeline_tests.support.project import HEADER, MAPPING, ROWS

    _log_everything(folder / "debug.log", logging.StreamHandler())
    (folder / "mapping.yaml").write_text(MAPPING)
    (folder / "export.csv").write_text("\n".join([HEADER, *ROWS]) + "\n")
    os.environ.update(JWO_MAPPING=str(folder / "mapping.yaml"), JWO_SOURCE_URI=str(folder / "export.csv"))
    steps = _Steps(folder, control)
    steps.all()
    (folder / "done.json").write_text(
        json.dumps({"control": logged, "did": steps.did, "signatures": sorted(steps.signatures)})
    )


def main() -> int:
    """Print the figures of a sandbox of our own; or be the process."""
    if len(sys.argv) > 2:
        _work(Path(sys.argv[1]), sys.argv[2])
        return 0
    return report(secret_figures())


if __name__ == "__main__":
    sys.exit(main())
