"""The code of an AWS error: the one place that reads it. Needs botocore alone, so that every room may use it."""

from botocore.exceptions import BotoCoreError, ClientError


def error_code(error: ClientError | BotoCoreError) -> str:
    """AWS's code for an error, or botocore's name for it where AWS did not answer; never the text, which may quote."""
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else type(error).__name__
