"""What AWS says is wrong, in its own sentence, and the remedy that fits it: the same for every service.

An error's code says what kind it is. Which permission is missing only the sentence says: an encrypted bucket, table or
queue needs its key as well.
"""

import re

from botocore.exceptions import BotoCoreError, ClientError

from jwo_catalog_pipeline.aws_errors import error_code
from jwo_catalog_pipeline.network import proxy_for
from jwo_catalog_pipeline.network_errors import explained
from jwo_catalog_pipeline.redaction import redacted

SHOWN_SENTENCE_CHARACTERS = 300
KEYS = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run under a role"
_NAMED_ACTION = re.compile(r"\b(?:kms|s3|dynamodb|sqs|sns|sts|cloudwatch):[A-Z][A-Za-z]+")
_DENIED = re.compile(
    r"AccessDenied|AccessDeniedException|Access(?:Denied)?Fault|NotAuthorized\w*|Authorization\w*|UnauthorizedOperation|403"
    r"|AWS\.SimpleQueueService\.AccessDenied|KMS\.?AccessDenied\w*",
    re.IGNORECASE,
)
_THROTTLED = re.compile(
    r"SlowDown|503|429|\w*Throttl\w*|(?:KMS\.?)Throttl\w*|RequestLimitExceeded|TooManyRequests\w*|OverLimit"
    r"|ProvisionedThroughputExceeded\w*|BandwidthLimitExceeded|LimitExceededException",
    re.IGNORECASE,
)
_KMS = re.compile(r"KMS\.?(?P<what>\w+)", re.IGNORECASE)
_EXPIRED = "log in again, or renew the keys that the environment or AWS_PROFILE holds"
_BY_CODE = {
    "InvalidObjectState": (
        "a lifecycle rule has moved it to an archive (Glacier)",
        "restore the object in S3, and keep the rule away from it",
    ),
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"),
        ("the session of the AWS credentials has expired", _EXPIRED),
    ),
    **dict.fromkeys(
        ("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "InvalidToken"),
        ("AWS does not know these keys", KEYS),
    ),
    **dict.fromkeys(
        ("SignatureDoesNotMatch", "InvalidSignatureException", "AuthFailure"),
        ("the secret key is wrong", "set the AWS keys again, without blanks"),
    ),
    **dict.fromkeys(("RequestTimeTooSkewed", "RequestTimeSkewed"), ("this machine's clock is wrong", "set it by NTP")),
    **dict.fromkeys(
        ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"),
        ("no AWS credentials found", KEYS),
    ),
    **dict.fromkeys(
        ("UnauthorizedSSOTokenError", "SSOTokenLoadError", "TokenRetrievalError"),
        ("the login has expired", "log in again: aws sso login"),
    ),
    "NoRegionError": ("no region is set", "set AWS_DEFAULT_REGION to the region of the stack"),
    "PermanentRedirect": ("the bucket is in another region", "set AWS_DEFAULT_REGION to the bucket's region"),
    "AuthorizationHeaderMalformed": (
        "the call is signed for another region",
        "set AWS_DEFAULT_REGION to the region of the stack",
    ),
}
_CHECKS = "check the network, AWS_DEFAULT_REGION and AWS_ENDPOINT_URL"


def aws_problem(error: ClientError | BotoCoreError, action: str, service: str) -> tuple[str, str]:
    """What is wrong, in AWS's own sentence, and the remedy that fits it.

    Args:
        error: of a call.
        action: what the call needs, such as `s3:GetObject`.
        service: such as `S3`.
    """
    code, said = error_code(error), aws_sentence(error)
    quoted = f" ({said})" if said else ""
    if _DENIED.fullmatch(code):
        named = _NAMED_ACTION.search(said)
        needed = named[0] if named else "kms:Decrypt and kms:GenerateDataKey" if _KMS.fullmatch(code) else action
        problem = "access denied" if said.lower() in ("", "access denied", "forbidden") else f"access denied{quoted}"
        return problem, f"the pipeline's role needs {needed} (deploy/cloudformation.yaml){_key(needed)}"
    if _THROTTLED.fullmatch(code):
        return (
            f"{service} asks for fewer requests ({code}{f': {said}' if said else ''})",
            "try again in a minute; other programs may use the same account",
        )
    if key := _KMS.fullmatch(code):
        return f"the KMS key cannot be used: {code}{quoted}", f"check the key's state and policy in KMS ({key['what']})"
    if code in _BY_CODE:
        problem, remedy = _BY_CODE[code]
        return f"{problem}{quoted}", remedy
    if isinstance(error, BotoCoreError):
        return _network_problem(error, code, service)
    return f"{code}{quoted}", ""


def aws_sentence(error: ClientError | BotoCoreError) -> str:
    """AWS's own sentence, without secrets and a full stop; "" where AWS did not answer or said nothing."""
    sentence = str(error.response["Error"].get("Message") or "") if isinstance(error, ClientError) else ""
    return redacted(" ".join(sentence.split()))[:SHOWN_SENTENCE_CHARACTERS].rstrip(".")


def _key(needed: str) -> str:
    return ", and the KMS key's policy must allow it" if needed.startswith("kms:") else ""


def _network_problem(error: BotoCoreError, code: str, service: str) -> tuple[str, str]:
    url = str(getattr(error, "kwargs", {}).get("endpoint_url") or "")
    host = url.partition("://")[2].partition("/")[0].partition("?")[0]
    proxy = proxy_for(url if host else "https://host.invalid/")
    trouble = explained(error, host or service, proxy, _CHECKS)
    if trouble is None:
        return f"{service} cannot be reached ({code})", _CHECKS
    return f"{service} cannot be reached: {trouble.problem} ({code})", trouble.remedy
