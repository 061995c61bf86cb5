"""What a check of an installation says, and running checks that depend on each other.

An expected error of the project or of AWS's libraries becomes a finding; any other error is a bug and is raised.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from jwo_catalog_pipeline.aws_errors import error_code
from jwo_catalog_pipeline.aws_words import aws_problem, aws_sentence
from jwo_catalog_pipeline.defs.resources import build_resources
from jwo_catalog_pipeline.errors import ConfigurationError, PipelineError
from jwo_catalog_pipeline.redaction import redacted
from jwo_catalog_pipeline.settings import readable_settings

Status = Literal["ok", "warning", "problem", "skipped"]

FROM_STACK = (
    "deploy deploy/cloudformation.yaml and take the name from its outputs, or check whether AWS_DEFAULT_REGION \
and the account are those of the stack"
)
_CREDENTIALS = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run under a role"
# What AWS answers, and what helps; any other code is shown with the check's own remedy.
_BY_CODE = {
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "RequestExpired"),
        "the session has expired: log in again, or renew the keys that the environment or AWS_PROFILE holds",
    ),
    **dict.fromkeys(
        ("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId"),
        f"AWS does not know these keys: {_CREDENTIALS}",
    ),
    **dict.fromkeys(
        ("SignatureDoesNotMatch", "InvalidSignatureException", "AuthFailure"),
        "the secret key is wrong, or this machine's clock: see the clock check, then set the keys again",
    ),
    **dict.fromkeys(
        ("ResourceNotFoundException", "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"), FROM_STACK
    ),
}
_BY_ERROR = {
    **dict.fromkeys(
        ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"), _CREDENTIALS
    ),
    **dict.fromkeys(
        ("UnauthorizedSSOTokenError", "SSOTokenLoadError", "TokenRetrievalError"), "log in again: aws sso login"
    ),
    "NoRegionError": "set AWS_DEFAULT_REGION to the region of the stack",
    "ConfigParseError": "fix that file, or name another one in AWS_CONFIG_FILE or AWS_SHARED_CREDENTIALS_FILE",
}
_DENIED = re.compile("AccessDenied|NotAuthorized|AuthorizationError|^403$")
_ACTION = re.compile(r"perform: ([\w-]+:\w+)")


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        status: a problem stops uploads or their results; a warning does not; a skipped check depends on a failed one.
        found: a sentence.
        remedy: what to do about it; "" where all is well.
        check: the check's name.
    """

    status: Status
    found: str
    remedy: str = ""
    check: str = ""

    def as_dict(self) -> dict[str, str]:
        """For people and JSON, without secrets."""
        texts = {name: redacted(value) for name, value in asdict(self).items()}
        return {name: texts[name] for name in ("check", "status", "found", "remedy")}


def ok(found: str) -> Finding:
    """All is well."""
    return Finding("ok", found)


def warning(found: str, remedy: str) -> Finding:
    """Uploads go on, and something should be looked at."""
    return Finding("warning", found, remedy)


def problem(found: str, remedy: str) -> Finding:
    """Uploads, or their results, do not work like this."""
    return Finding("problem", found, remedy)


@dataclass(frozen=True)
class Installation:
    """What is examined.

    Attributes:
        environment: the variables that configure it.
        resources: as `build_resources` gives them, without what cannot be read.
        thorough: whether to run also the checks that need more permissions than the pipeline's role has.
        now: this machine's clock.
    """

    environment: Mapping[str, str]
    resources: Mapping[str, Any]
    thorough: bool = False
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    @classmethod
    def of(cls, environment: Mapping[str, str], **more: Any) -> Installation:
        """The installation that these variables configure; what is wrong with them is for a check to say."""
        return cls(environment, build_resources(readable_settings(environment)[0]), **more)


@dataclass(frozen=True)
class Check:
    """A check.

    Attributes:
        name: its name.
        examine: finds something, or fails as the project and AWS's libraries do.
        remedy: what to do where it fails and the error does not say.
        depends_on: the checks without which it would say nothing new.
        beyond: the AWS action that it needs and the pipeline's role does not have; "" for none.
    """

    name: str
    examine: Callable[[Installation], Finding]
    remedy: str
    depends_on: tuple[str, ...] = ()
    beyond: str = ""


def examine(
    installation: Installation, checks: Sequence[Check], on_check: Callable[[str], None] = lambda _: None
) -> Iterator[Finding]:
    """Run the checks in their order; one that fails stops only those that depend on it.

    Args:
        installation: what is examined.
        checks: none before one that depends on.
        on_check: called with the name of each check before it runs.
    """
    failed: set[str] = set()
    for check in checks:
        on_check(check.name)
        missing = [name for name in check.depends_on if name in failed]
        finding = _skipped(" and ".join(missing)) if missing else _run(check, installation)
        if finding.status in ("problem", "skipped"):
            failed.add(check.name)
        yield replace(finding, check=check.name)


def _skipped(on: str) -> Finding:
    return Finding("skipped", f"depends on {on}", "fix that first")


def _run(check: Check, installation: Installation) -> Finding:
    if check.beyond and not installation.thorough:
        return _beyond(f"not checked: the pipeline's role does not have {check.beyond}")
    try:
        return check.examine(installation)
    except ConfigurationError as error:
        return _skipped(f"settings: {error.problem}")
    except PipelineError as error:
        return problem(error.problem, error.remedy or check.remedy)
    except ClientError as error:
        return _refused(error, check)
    except BotoCoreError as error:
        if isinstance(error, ParamValidationError):  # a setting that cannot be what it should
            return problem(" ".join(str(error).split()), check.remedy)
        return _unreachable(error)
    except ValueError as error:  # botocore's own for an endpoint that is no URL
        if not str(error).startswith("Invalid endpoint"):
            raise
        return problem(f"AWS cannot be reached: {error}", "AWS_ENDPOINT_URL must be a URL, or not set for AWS itself")


def _unreachable(error: BotoCoreError) -> Finding:
    """No answer of AWS: by an error of the network, or because botocore did not even ask."""
    said, remedy = aws_problem(error, "", "AWS")
    own = _BY_ERROR.get(type(error).__name__)
    return problem(f"AWS cannot be reached: {error}", own) if own else problem(said, remedy)


def _beyond(found: str) -> Finding:
    return Finding(
        "skipped",
        found,
        "run jwo-catalog doctor --thorough with an identity that has this permission; uploads do not need it",
    )


def _refused(error: ClientError, check: Check) -> Finding:
    code, text = error_code(error), error.response["Error"].get("Message", "")
    if _DENIED.search(code) and check.beyond:
        return _beyond(f"could not be checked: this identity has no permission for {check.beyond}")
    if _DENIED.search(code):
        named = _ACTION.search(text)
        action = named[1] if named else error.operation_name
        return problem(
            f"this identity has no permission for {action}",
            f"allow {action} to it, or run as the role of deploy/cloudformation.yaml (its output PipelineRoleArn)",
        )
    if code in _BY_CODE:
        return problem(f"AWS answers {error.operation_name} with {code}", _BY_CODE[code])
    said, remedy = aws_sentence(error), aws_problem(error, error.operation_name, "AWS")[1]
    shown = f"{code} ({said})" if said else code
    return problem(f"AWS answers {error.operation_name} with {shown}", remedy or check.remedy)
