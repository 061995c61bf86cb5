"""How many calls of AWS some work makes, counted as they leave for the service."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import botocore.httpsession


@contextmanager
def counted_calls() -> Iterator[Counter[str]]:
    """Calls meanwhile, by service and operation: `dynamodb Query`, `s3 GET`, `sqs ReceiveMessage`."""
    counts: Counter[str] = Counter()
    send = botocore.httpsession.URLLib3Session.send

    def count(session: Any, request: Any) -> Any:
        target = request.headers.get("X-Amz-Target", b"")
        target = target.decode() if isinstance(target, bytes) else target
        service, _, operation = target.partition(".")
        name = {"DynamoDB_20120810": "dynamodb", "AmazonSQS": "sqs"}.get(service, "s3")
        counts[f"{name} {operation or request.method}"] += 1
        return send(session, request)

    botocore.httpsession.URLLib3Session.send = count
    try:
        yield counts
    finally:
        botocore.httpsession.URLLib3Session.send = send
