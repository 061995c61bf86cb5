"""The local AWS seen from outside: start moto, deploy the project's own template, and make Amazon's side of it.

Everything goes through boto3 with an explicit endpoint and made-up credentials. What Amazon *does* is in `service.py`.
"""

import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import WaiterError

from jwo_catalog_pipeline.sandbox.signatures import Credentials

TEMPLATE = Path(__file__).parents[2] / "deploy" / "cloudformation.yaml"
STACK = "jwo-sandbox"
REPORT_BUCKET = "jwo-reports-sandbox"
API_ROLE = "catalog-api-invoke"
AWS_REGION = "us-east-1"
API_REGION = "us-west-2"  # not AWS_REGION, so that mixing them up is noticed
ACCESS_KEY_ID = "AKIASANDBOXSANDBOX00"
SECRET_ACCESS_KEY = "sandbox-secret-access-key-of-no-value"  # noqa: S105 opens nothing but the sandbox
LINK_SECONDS = 3600  # documented: a report link is valid for 60 minutes


@dataclass(frozen=True)
class Resources:
    """What exists after provisioning: the stack's outputs, and Amazon's topic and role."""

    bucket: str
    ledger_table: str
    queue_url: str
    queue_arn: str
    topic_arn: str
    api_role_arn: str
    alert_topic_arn: str


class LocalAws:
    """A moto process of one's own and the clients to it, or to another emulator for all but STS."""

    def __init__(self, port: int = 0, emulator: str = ""):
        """Start moto and wait until it answers.

        Args:
            port: port on the loopback address; 0 takes a free one.
            emulator: endpoint of another emulator, which then has every resource; moto issues only the sessions.
        """
        # The child inherits a socket that listens already, so early connections wait instead of being refused. The
        # pipe on its standard input is its lifeline, and a session of its own keeps Ctrl-C from it.
        with socket.create_server(("127.0.0.1", port), backlog=128) as listener:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jwo_catalog_pipeline.sandbox.moto_server", str(listener.fileno())],
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )
            self._moto = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._emulator = emulator
        self.endpoint = emulator or self._moto
        session = boto3.session.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name=AWS_REGION)
        config = Config(signature_version="v4", proxies={}, retries={"total_max_attempts": 1})
        self._clients = {
            name: session.client(name, endpoint_url=self.endpoint, config=config)
            for name in ("cloudformation", "sns", "sqs")
        }
        self._clients["iam"] = session.client("iam", endpoint_url=self._moto, config=config)
        s3 = Config(signature_version="s3v4", proxies={}, s3={"addressing_style": "path"})
        self._clients["s3"] = session.client("s3", endpoint_url=self.endpoint, config=s3)
        self._topic_arn = ""
        self._request("GET", "/moto-api/data.json")

    @property
    def environment(self) -> dict[str, str]:
        """Where boto3 finds this AWS."""
        found = {"AWS_ENDPOINT_URL": self.endpoint}
        return found if self.endpoint == self._moto else {**found, "AWS_ENDPOINT_URL_STS": self._moto}

    def client(self, name: str) -> Any:
        """The boto3 client of `cloudformation`, `iam`, `s3`, `sns` or `sqs`."""
        return self._clients[name]

    def provision(self, raw_delivery: bool = False) -> Resources:
        """Deploy the template and play Amazon's part: topic, report bucket, role, and the queue's subscription.

        Args:
            raw_delivery: subscribe with raw message delivery instead of SNS envelopes.

        Returns:
            Names of all that the pipeline needs.
        """
        self._topic_arn = self.client("sns").create_topic(Name="jwo-catalog-ingestions")["TopicArn"]
        # Another emulator is not reset, so each provisioning makes a stack of its own there.
        stack = f"{STACK}-{uuid.uuid4().hex[:8]}" if self._emulator else STACK
        outputs = self.deploy(TEMPLATE.read_text(), stack, JwoTopicArn=self._topic_arn)
        self.client("s3").create_bucket(Bucket=REPORT_BUCKET)
        # moto issues sessions of any role to anyone; the trust policy is for the reader.
        trust = {"Effect": "Allow", "Principal": {"AWS": outputs["PipelineRoleArn"]}, "Action": "sts:AssumeRole"}
        role = self.client("iam").create_role(
            RoleName=API_ROLE,
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        )
        self.client("sns").subscribe(
            TopicArn=self._topic_arn,
            Protocol="sqs",
            Endpoint=outputs["QueueArn"],
            Attributes={"RawMessageDelivery": "true"} if raw_delivery else {},
        )
        # moto names the host of the real SQS here.
        queue_url = outputs["QueueUrl"].replace(f"https://sqs.{AWS_REGION}.amazonaws.com", self.endpoint)
        self._admit_only(self._topic_arn, queue_url, outputs["QueueArn"])
        return Resources(
            bucket=outputs["BucketName"],
            ledger_table=outputs["LedgerTableName"],
            queue_url=queue_url,
            queue_arn=outputs["QueueArn"],
            topic_arn=self._topic_arn,
            api_role_arn=role["Role"]["Arn"],
            alert_topic_arn=outputs["AlertTopicArn"],
        )

    def _admit_only(self, topic_arn: str, queue_url: str, queue_arn: str) -> None:
        """Give the queue the policy that the template has for it, which moto leaves out, and does not enforce."""
        allowed = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        self.client("sqs").set_queue_attributes(QueueUrl=queue_url, Attributes={"Policy": policy})

    def deploy(self, template: str, stack: str = STACK, **parameters: str) -> dict[str, str]:
        """Create a CloudFormation stack.

        Args:
            template: text of the template.
            stack: name of the stack.
            parameters: the template's parameters.

        Returns:
            The stack's outputs by key.

        Raises:
            RuntimeError: the stack did not come up.
        """
        client = self.client("cloudformation")
        client.create_stack(
            StackName=stack,
            TemplateBody=template,
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        with suppress(WaiterError):  # moto has made it already, and its status says more than the waiter
            client.get_waiter("stack_create_complete").wait(
                StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
            )
        made = client.describe_stacks(StackName=stack)["Stacks"][0]
        if made["StackStatus"] != "CREATE_COMPLETE":
            raise RuntimeError(f"stack {stack} is {made['StackStatus']}: {made.get('StackStatusReason')}")
        return {output["OutputKey"]: output["OutputValue"] for output in made["Outputs"]}

    def put_report(self, key: str, content: bytes) -> None:
        """Store a report where its links will point."""
        self.client("s3").put_object(Bucket=REPORT_BUCKET, Key=key, Body=content, ContentType="application/json")

    def report_link(self, key: str, *, expired: bool = False) -> str:
        """A presigned link to a report, valid for 60 minutes, or one whose time is over already."""
        return self.client("s3").generate_presigned_url(
            "get_object",
            Params={"Bucket": REPORT_BUCKET, "Key": key},
            ExpiresIn=0 if expired else LINK_SECONDS,
        )

    def publish(self, message: str) -> None:
        """Publish to Amazon's topic, and so to the queue."""
        self.client("sns").publish(TopicArn=self._topic_arn, Message=message)

    def session_credentials(self, access_key_id: str) -> Credentials | None:
        """The credentials of a session that STS has issued, or None if it has issued none of that name."""
        try:
            found = json.loads(self._request("GET", f"/sandbox/secret/{access_key_id}"))
        except urllib.error.HTTPError:
            return None
        return Credentials(
            found["secret_access_key"], found["session_token"], datetime.fromisoformat(found["expiration"])
        )

    def expire_sessions(self) -> None:
        """End every session that STS has issued so far."""
        self._request("POST", "/sandbox/expire_sessions")

    def break_sts(self, times: int) -> None:
        """Have STS answer so many calls of AssumeRole with 503."""
        self._request("POST", f"/sandbox/sts_down/{times}")

    def reset(self) -> None:
        """Forget every resource of moto."""
        self._request("POST", "/moto-api/reset")
        self.break_sts(0)

    def stop(self) -> None:
        """End the moto process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _request(self, method: str, path: str) -> bytes:
        request = urllib.request.Request(self._moto + path, method=method)  # noqa: S310 our own http endpoint
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            return bytes(answer.read())
