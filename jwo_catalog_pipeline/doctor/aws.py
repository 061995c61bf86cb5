"""Checks of what is in AWS: clock, identity, role, bucket, table, queues, notifications."""

from __future__ import annotations

import json
from datetime import UTC
from email.utils import parsedate_to_datetime
from fnmatch import fnmatchcase
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from jwo_catalog_pipeline.aws import aws_client
from jwo_catalog_pipeline.aws_errors import error_code
from jwo_catalog_pipeline.aws_words import aws_sentence
from jwo_catalog_pipeline.doctor.checks import FROM_STACK, Check, Finding, Installation, ok, problem, warning
from jwo_catalog_pipeline.network import ca_file
from jwo_catalog_pipeline.redaction import hide_credentials
from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger
from jwo_catalog_pipeline.upload.model import utc
from jwo_catalog_pipeline.upload.results.unverified import unverified_sentence
from jwo_catalog_pipeline.wording import plural

CLOCK_WARNING, CLOCK_PROBLEM = 60, 300  # seconds; AWS and Amazon's API take a signature for 5 minutes
OBJECT = "doctor/check"  # always the same one, so nothing is left behind
ITEM_SECONDS = 86_400  # how long the item that is written into the ledger stays
EXPIRES = "expires_at"
BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
AGAIN = "deploy deploy/cloudformation.yaml again"
# Conditions that hold for these values and no others.
_EQUAL = ("ArnEquals", "ArnLike", "StringEquals", "StringLike")
# Invalid keys: AWS rejects the call, and its response still has AWS's time, whatever is wrong with the real keys.
_NOBODY = {"aws_access_key_id": "AKIADOCTORDOCTOR0000", "aws_secret_access_key": "of-no-account"}
_QUICK = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 2})


def clock(installation: Installation) -> Finding:
    """Whether this machine's clock is AWS's, by the `Date` of an answer; needs no credentials, which it may spoil."""
    try:
        answer = boto3.client("sts", config=_QUICK, verify=ca_file() or True, **_NOBODY).get_caller_identity()
    except ClientError as error:
        answer = error.response
    date = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date", "")
    try:
        off = (installation.now() - parsedate_to_datetime(date).astimezone(UTC)).total_seconds()
    except ValueError:
        return warning("AWS's answer does not say what time it is", "check AWS_ENDPOINT_URL and the proxy")
    message = f"this machine's clock is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} AWS's"
    if abs(off) > CLOCK_PROBLEM:
        return problem(message, "set it by NTP: signatures are taken for 5 minutes only")
    if abs(off) > CLOCK_WARNING:
        return warning(message, "set it by NTP before it is off by 5 minutes, for then no signature is taken")
    return ok(message)


def identity(_: Installation) -> Finding:
    """Who calls AWS."""
    caller = aws_client("sts").get_caller_identity()
    return ok(f"account {caller['Account']}, {caller['Arn']}")


def role(installation: Installation) -> Finding:
    """Whether there are credentials to sign the Catalog API's calls with: the role's, where there is one."""
    resource = installation.resources["catalog_api"]
    arn = resource.role_arn
    try:
        credentials = resource.credentials()()
        hide_credentials(credentials.get_frozen_credentials() if credentials else None)
    except ClientError as error:
        return problem(
            f"sts:AssumeRole of {arn} is answered with {error_code(error)} ({aws_sentence(error)})",
            "check JWO_API_ROLE_ARN; that role's trust policy must name the identity found above, and the stack must "
            "have been deployed with JwoApiRoleArn, which allows sts:AssumeRole on it",
        )
    return ok(f"{arn} can be assumed" if arn else "JWO_API_ROLE_ARN is not set, so the pipeline's own identity signs")


def bucket(installation: Installation) -> Finding:
    """Whether the bucket can be written, read and listed."""
    store = installation.resources["storage"].open_bucket()
    written = installation.now().isoformat().encode()
    store.put(OBJECT, written, "text/plain")
    content = store.get(OBJECT)
    if OBJECT not in [key for key, _ in store.list(OBJECT)]:
        return problem(f"{store.uri(OBJECT)} was written and is not listed", FROM_STACK)
    if content != written:
        return warning(f"{store.uri(OBJECT)} holds something else than was just written", "run only one doctor at once")
    return ok(f"s3://{store.name} can be written, read and listed")


def versioning(installation: Installation) -> Finding:
    """Whether a table that was overwritten can be had back."""
    name = installation.resources["storage"].open_bucket().name
    if aws_client("s3").get_bucket_versioning(Bucket=name).get("Status") != "Enabled":
        return warning(f"s3://{name} keeps no versions: overwritten objects cannot be recovered", AGAIN)
    return ok(f"s3://{name} keeps overwritten objects")


def public_access(installation: Installation) -> Finding:
    """Whether the bucket cannot be opened to the public by mistake."""
    name = installation.resources["storage"].open_bucket().name
    try:
        blocks = aws_client("s3").get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    except ClientError as error:
        if error_code(error) != "NoSuchPublicAccessBlockConfiguration":
            raise
        blocks = {}
    if missing := [block for block in BLOCKS if not blocks.get(block)]:
        return warning(f"s3://{name} does not block public access ({', '.join(missing)})", AGAIN)
    return ok(f"s3://{name} blocks public access")


def ledger(installation: Installation) -> Finding:
    """Whether the table has the ledger's keys, and can be read and written."""
    book = installation.resources["storage"].open_ledger()
    table = aws_client("dynamodb").describe_table(TableName=book.table_name)["Table"]
    types = {attribute["AttributeName"]: attribute["AttributeType"] for attribute in table["AttributeDefinitions"]}
    schema = {key["AttributeName"]: (key["KeyType"], types[key["AttributeName"]]) for key in table["KeySchema"]}
    if schema != keys.KEY_TYPES:
        return problem(
            f"the keys of table {book.table_name} are {_named(schema)}; the ledger's are {_named(keys.KEY_TYPES)}",
            "set JWO_LEDGER_TABLE to LedgerTableName of the stack's outputs: this is another table",
        )
    newest = book.head().upload or "none yet"
    if not _writes_on_condition(book, int(installation.now().timestamp())):
        return problem(
            f"table {book.table_name} takes a write whose condition does not hold: two uploads could "
            "interfere with each other",
            "check AWS_ENDPOINT_URL: this is not DynamoDB, or a proxy changes the request",
        )
    return ok(f"table {book.table_name} can be read and written; newest upload: {newest}")


def _writes_on_condition(book: Ledger, now: int) -> bool:
    """Whether an item is written, and not written again on the condition that it is not there."""
    book.write_check(now + ITEM_SECONDS)
    try:
        aws_client("dynamodb").put_item(
            TableName=book.table_name,
            Item={name: {"S": value} for name, value in keys.doctor().items()},
            ConditionExpression=keys.IS_NEW,
        )
    except ClientError as error:
        if error_code(error) != "ConditionalCheckFailedException":
            raise
        return True
    return False


def expiry(installation: Installation) -> Finding:
    """Whether presigned links, which are secrets, leave the ledger by themselves."""
    name = installation.resources["storage"].open_ledger().table_name
    setting = aws_client("dynamodb").describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if setting["TimeToLiveStatus"] not in ("ENABLED", "ENABLING") or setting.get("AttributeName") != EXPIRES:
        return warning(
            f"table {name} does not delete by {EXPIRES}: expired links to reports stay in it",
            f"{AGAIN}; or, for a restored table: aws dynamodb update-time-to-live --table-name {name} "
            f"--time-to-live-specification Enabled=true,AttributeName={EXPIRES}",
        )
    return ok(f"table {name} deletes expired items")


def recovery(installation: Installation) -> Finding:
    """Whether the ledger can be restored to any moment; a table that was restored itself cannot, at first."""
    name = installation.resources["storage"].open_ledger().table_name
    backups = aws_client("dynamodb").describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    if backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus") != "ENABLED":
        return warning(
            f"table {name} has no point-in-time recovery: if it is lost, it cannot be restored",
            f"{AGAIN}; or, for a restored table: aws dynamodb update-continuous-backups --table-name {name} "
            "--point-in-time-recovery-specification PointInTimeRecoveryEnabled=true",
        )
    return ok(f"table {name} has point-in-time recovery")


def _named(keys: dict[str, tuple[str, str]]) -> str:
    return ", ".join(f"{name} ({type_}, {kind})" for name, (kind, type_) in keys.items())


def queue(installation: Installation) -> Finding:
    """Whether the queue can be looked at, and how much waits there."""
    waiting = int(installation.resources["queue"].attributes()["ApproximateNumberOfMessages"])
    return ok(f"the queue exists; it holds about {plural(waiting, 'message')}")


def queue_policy(installation: Installation) -> Finding:
    """Whether the queue admits Amazon's topic and no other sender; any sender it admits could forge results."""
    resource = installation.resources["queue"]
    topic, value = resource.topic(), json.loads(resource.attributes().get("Policy") or "{}").get("Statement", [])
    statements = value if isinstance(value, list) else [value]
    admitted = [
        _is_for(statement, topic)
        for statement in statements
        if statement["Effect"] == "Allow" and _lets_send(statement)
    ]
    remedy = f"{AGAIN} with JwoTopicArn={topic}"
    if not all(admitted):
        return problem(
            "the queue's policy admits others than Amazon's topic",
            f"{remedy}; no other sender must be able to write to it",
        )
    if not admitted:
        return problem("the queue's policy admits no sender, so no notification can arrive", remedy)
    return ok(f"the queue admits {topic} only")


def _lets_send(statement: dict[str, Any]) -> bool:
    actions = statement.get("Action", "*")  # NotAction: all but a few
    patterns = [actions] if isinstance(actions, str) else actions
    return any(fnmatchcase("sqs:sendmessage", pattern.lower()) for pattern in patterns)


def _is_for(statement: dict[str, Any], topic: str) -> bool:
    """Whether a statement lets in this topic only."""
    sources = [
        value
        for operator, conditions in statement.get("Condition", {}).items()
        for name, value in conditions.items()
        if operator in _EQUAL and name.lower() == "aws:sourcearn"
    ]
    return any(source in (topic, [topic]) for source in sources)


def dead_letters(installation: Installation) -> Finding:
    """Whether messages that cannot be taken are set aside, and whether any were."""
    resource = installation.resources["queue"]
    if "RedrivePolicy" not in resource.attributes():
        return problem(
            "the queue has no dead-letter queue: messages that cannot be processed are lost when they expire",
            f"{AGAIN}: it gives the queue one",
        )
    if alerts := resource.dead_letters():
        return problem(alerts[0].problem, alerts[0].remedy)
    return ok("nothing waits in the dead-letter queue")


def notifications(installation: Installation) -> Finding:
    """Whether notifications arrive; Amazon's subscription itself cannot be seen from the retailer's account."""
    book = installation.resources["storage"].open_ledger()
    unreadable, newest = book.unreadable_messages(), book.newest_result_at()
    if waits := unverified_sentence(book):
        return warning(waits, 'see the check "network"; docs/runbook.md, "Messages that cannot be verified"')
    arrived = f"the last notification arrived on {utc(newest)}" if newest else ""
    if unreadable:
        last = max(unreadable, key=lambda message: message.received_at)
        return warning(
            f"{plural(len(unreadable), 'message')} could not be read, the newest: {last.reason}; "
            f"{arrived or 'no notification that could be read has arrived yet'}",
            f'check {last.kept_at}; docs/runbook.md, "A message that cannot be read"',
        )
    if not newest:
        return warning(
            "no notification has arrived yet; whether Amazon's topic is subscribed cannot be seen from this account",
            "this is normal before the first upload; after it, ask your Amazon contact whether QueueArn of "
            "the stack's outputs is subscribed. Until then the pipeline asks the API for results, which takes longer",
        )
    return ok(arrived)


CHECKS = (
    Check("clock", clock, "check the network and AWS_ENDPOINT_URL"),
    Check("identity", identity, "check the credentials and AWS_ENDPOINT_URL"),
    Check("role", role, "check JWO_API_ROLE_ARN", ("identity",)),
    Check("bucket", bucket, FROM_STACK, ("identity",)),
    Check("versioning", versioning, FROM_STACK, ("bucket",), beyond="s3:GetBucketVersioning"),
    Check("public access", public_access, FROM_STACK, ("bucket",), beyond="s3:GetBucketPublicAccessBlock"),
    Check("ledger", ledger, FROM_STACK, ("identity",)),
    Check("ledger expiry", expiry, FROM_STACK, ("ledger",), beyond="dynamodb:DescribeTimeToLive"),
    Check("ledger recovery", recovery, FROM_STACK, ("ledger",), beyond="dynamodb:DescribeContinuousBackups"),
    Check("queue", queue, FROM_STACK, ("identity",)),
    Check("queue policy", queue_policy, FROM_STACK, ("queue",)),
    Check(
        "dead-letter queue",
        dead_letters,
        "allow sqs:GetQueueUrl and sqs:GetQueueAttributes on the dead-letter queue, as deploy/cloudformation.yaml does",
        ("queue",),
    ),
    Check("notifications", notifications, FROM_STACK, ("ledger",)),
)
