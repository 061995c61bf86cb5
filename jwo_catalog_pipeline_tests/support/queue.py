"""The results queue, from the other side."""

import boto3

from jwo_catalog_pipeline_tests.support.parts import Parts


def send_to_queue(parts: Parts, body: str) -> None:
    boto3.client("sqs").send_message(QueueUrl=parts.sandbox.environment["JWO_QUEUE_URL"], MessageBody=body)


def queue_is_empty(parts: Parts) -> bool:
    url = parts.sandbox.environment["JWO_QUEUE_URL"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = boto3.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return set(found.values()) == {"0"}
