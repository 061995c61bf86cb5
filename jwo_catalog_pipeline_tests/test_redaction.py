"""Secrets in every form that libraries show them in, and records of loggers that we know nothing of."""

import io
import json
import logging
import time
from urllib.parse import quote

import pytest
from botocore.credentials import Credentials

from jwo_catalog_pipeline import redaction
from jwo_catalog_pipeline.aws import aws_client
from jwo_catalog_pipeline.catalog_api.errors import NoCredentials
from jwo_catalog_pipeline.catalog_api.operations import UPLOAD
from jwo_catalog_pipeline.defs.failures import as_dagster_failure
from jwo_catalog_pipeline.redaction import UnexpectedError, hide, install, redact_exceptions, redacted
from jwo_catalog_pipeline_tests.support.parts import api_client
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

SECRET = "c4nary/S3cret+Value=="
LOWER = "c4nary%2fS3cret%2bValue%3d%3d"
HEX = "5c" * 32
LINK = f"https://b.s3.amazonaws.com/r.json?X-Amz-Credential=AK&X-Amz-Signature={HEX}&a=b"
IN_JSON = json.dumps({"reportDownloadLink": LINK, "Token": SECRET, "UnsubscribeURL": LINK})
# Each line is something that botocore, urllib3, http.client, Dagster or SNS have been seen to show.
SHOWN = {
    "a link": LINK,
    "a link of signature version 2": f"https://b.s3.amazonaws.com/r?AWSAccessKeyId=AK&Signature={quote(SECRET)}&Expires=1",
    "a link in JSON": IN_JSON,
    "a link in JSON in JSON": json.dumps({"Message": json.dumps({"Message": IN_JSON})}),
    "a link whose ampersands are escaped": f"https://h/r?x=1\\u0026Signature={quote(SECRET, safe='')}\\u0026y=2",
    "a link whose slashes are escaped": LINK.replace("/", "\\/"),
    "a link as a value in a query": f"/go?to={quote(LINK, safe='')}",
    "a link without its host": f'"GET /r.json?X-Amz-Date=1&X-Amz-Signature={HEX} HTTP/1.1" 200',
    "a link of version 2 without its host": f'"GET /r.json?AWSAccessKeyId=AK&Signature={quote(SECRET)} HTTP/1.1" 200',
    "a link in XML": f"<SubscribeURL>{LINK.replace('&', '&amp;')}</SubscribeURL>",
    "a header": f"X-Amz-Security-Token: {SECRET}",
    "a canonical header": f"host:h\nx-amz-security-token:{SECRET}\n",
    "a header as bytes": f"b'X-Amz-Security-Token: {SECRET}\\r\\n'",
    "headers as a dict": str({"X-Amz-Security-Token": SECRET, "Authorization": f"Basic {SECRET}"}),
    "headers as bytes": str({b"X-Amz-Security-Token": SECRET.encode()}),
    "headers as pairs": str([("X-Amz-Security-Token", SECRET)]),
    "a signed call": f"Authorization: AWS4-HMAC-SHA256 Credential=AK/1/s3, SignedHeaders=host, Signature={HEX}",
    "a bearer": f"authorization: Bearer {SECRET}",
    "a signed call in a dict": str({"Authorization": f"AWS4-HMAC-SHA256 Credential=AK, Signature={HEX}".encode()}),
    "a signature of its own": f"Signature:\n{HEX}",
    "an answer of STS": f"b'<SecretAccessKey>{SECRET}</SecretAccessKey>\\n<SessionToken>{SECRET}</SessionToken>'",
    "an answer of STS, parsed": str({"Credentials": {"SecretAccessKey": SECRET, "SessionToken": SECRET}}),
    "arguments": f"Session(aws_secret_access_key='{SECRET}', aws_session_token={SECRET!r})",
    "a profile": f"aws_secret_access_key = {SECRET}\naws_session_token={SECRET}",
    "an environment": f"AWS_SECRET_ACCESS_KEY={SECRET}\nAWS_SESSION_TOKEN={SECRET}",
    "a confirmation": str({"Action": "ConfirmSubscription", "Token": SECRET}),
    "a confirmation as sent": f"Action=ConfirmSubscription&Token={quote(SECRET, safe='')}&x=y",
    "a confirmation in quotes that are escaped": json.dumps(json.dumps({"Token": SECRET})),
}


@pytest.mark.parametrize("form", SHOWN)
def test_a_secret_is_struck_out_in_every_form_it_is_shown_in(form: str) -> None:
    kept = redacted(SHOWN[form])
    for each in (SECRET, quote(SECRET), quote(SECRET, safe=""), "S3cret", HEX, "Value"):
        assert each not in kept
    assert "***" in kept


def test_what_stands_beside_a_secret_stays() -> None:
    text = f'uploaded "a.json" to {LINK}, then asked; {{"status": "DONE", "Token": "{SECRET}", "next": 1}}'
    assert redacted(text) == (
        'uploaded "a.json" to https://b.s3.amazonaws.com/r.json?*** then asked; '
        '{"status": "DONE", "Token": "***", "next": 1}'
    )
    for harmless in (
        "a token was refused: check the role",
        "signature not valid: forged",
        'received 2 result, 1 unreadable messages; "TopicArn": "arn:aws:sns:us-east-1:1:t"',
        "https://host/path without a query, key AKIASANDBOXSANDBOX00",
    ):
        assert redacted(harmless) == harmless


@pytest.fixture
def fresh_redaction(monkeypatch: pytest.MonkeyPatch):
    """Nothing hidden and nothing installed; the process's own factory is put back."""
    present = logging.getLogRecordFactory()
    logging.setLogRecordFactory(logging.LogRecord)
    monkeypatch.setattr(redaction, "_hidden", redaction.deque(maxlen=redaction.MAX_HIDDEN))
    monkeypatch.setattr(redaction, "_hidden_forms", ())
    yield
    logging.setLogRecordFactory(present)


@pytest.mark.usefixtures("fresh_redaction")
def test_a_known_value_is_struck_out_wherever_it_stands() -> None:
    plain = f"row 7: {SECRET}; {quote(SECRET)}; {LOWER}; {json.dumps(SECRET)}"
    assert SECRET in redacted(plain)
    hide(f"{SECRET}\n")  # as from a file
    hide(None)
    hide("short")
    assert "c4nary" not in redacted(plain)
    assert redacted("short") == "short"


@pytest.mark.usefixtures("fresh_redaction")
def test_only_the_newest_values_are_kept() -> None:
    for number in range(redaction.MAX_HIDDEN + 1):
        hide(f"secret value {number:05}")
    assert redacted("secret value 00000") == "secret value 00000"
    assert redacted(f"secret value {redaction.MAX_HIDDEN:05}") == "***"


@pytest.fixture
def written(fresh_redaction: None):
    """A logger with a handler of its own, which hands nothing on, as Dagster's do."""
    install()
    stream = io.StringIO()
    logger = logging.getLogger("foreign")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s %(args)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield logger, stream
    logger.removeHandler(handler)


def test_message_arguments_and_exception_of_every_record_are_redacted(written) -> None:
    logger, stream = written
    logger.debug("%s %r", {"X-Amz-Security-Token": SECRET}, LINK)
    logger.debug("%(shown)s", {"not shown": LINK, "shown": 1})
    try:
        try:
            raise ValueError(f"in a cause: {LINK}")
        except ValueError as error:
            raise RuntimeError("outside") from error
    except RuntimeError:
        logger.exception("failed", stack_info=True)
    logger.info("%d of %d", 1, 2)
    text = stream.getvalue()
    assert SECRET not in text
    assert HEX not in text
    assert "in a cause: https://b.s3.amazonaws.com/r.json?***" in text
    assert "1 of 2 (1, 2)" in text, "arguments without secrets stay for formatters that want them"


def test_a_message_that_cannot_be_formatted_breaks_nothing_and_shows_nothing(written, capsys) -> None:
    logger, stream = written
    logger.info("%d", LINK)
    assert "could not be formatted (TypeError)" in stream.getvalue()
    assert HEX not in stream.getvalue() + capsys.readouterr().err


@pytest.mark.usefixtures("written")
def test_installing_again_changes_nothing_and_what_is_not_logged_costs_nothing() -> None:
    factory = logging.getLogRecordFactory()
    install()
    assert logging.getLogRecordFactory() is factory
    quiet = logging.getLogger("quiet")
    quiet.setLevel(logging.ERROR)
    begin = time.perf_counter()
    for _ in range(10_000):
        quiet.debug("%s", LINK)
    assert time.perf_counter() - begin < 0.5


def test_an_error_that_nobody_foresaw_is_replaced_only_where_it_holds_a_secret() -> None:
    with pytest.raises(UnexpectedError, match="ValueError: cannot parse") as caught, redact_exceptions():
        raise ValueError(f"cannot parse {LINK}")
    assert caught.value.__suppress_context__
    assert HEX not in str(caught.value)
    with pytest.raises(KeyError, match="plain"), redact_exceptions():
        raise KeyError("plain")


def seconds_for(text: str) -> float:
    """The best of three, for another process may have had the core."""
    best = float("inf")
    for _ in range(3):
        begin = time.perf_counter()
        redacted(text)
        best = min(best, time.perf_counter() - begin)
    return best


@pytest.mark.parametrize(
    "unit",
    [
        '{"item_sku": "S", "item_name": "a \\" b"},',
        "\\",
        '\\"Token\\":\\"',
        "Token=",
        "http://",
        "http:\\/\\/a:",
        "https://a?",
        "AWS4-",
        "Authorization: ",
        "X-Amz-Security-Token:",
        "&quot;",
        "\\u0026",
        "<Token>",
        "%3D",
        " ",
        "A",
    ],
)
def test_a_text_eight_times_as_long_takes_about_eight_times_as_long(unit: str) -> None:
    """A batch of 9.5 MB is logged at DEBUG as one message, and anybody may fill a message of 1 MiB for the inbox."""
    short, long = (unit * (size // len(unit)) for size in (2**15, 2**18))
    short_seconds = max(seconds_for(short), 0.05)  # what takes less is measured badly on a busy machine
    assert seconds_for(long) < 25 * short_seconds, "a quadratic pattern takes 64 times as long"


def test_a_run_fails_without_the_secret_that_an_unforeseen_error_holds() -> None:
    with pytest.raises(UnexpectedError) as caught, as_dagster_failure():
        raise ValueError(f"cannot parse {LINK}")
    assert HEX not in str(caught.value)


@pytest.mark.usefixtures("fresh_redaction")
def test_the_ambient_secret_is_known_as_soon_as_it_signs(fresh: RunningSandbox) -> None:
    secret = fresh.environment["AWS_SECRET_ACCESS_KEY"]
    assert redacted(f"row {secret}") == f"row {secret}"
    aws_client("s3").list_buckets()
    assert redacted(f"row {secret}") == "row ***"


@pytest.mark.usefixtures("fresh_redaction")
def test_a_token_that_no_header_can_carry_is_not_quoted(fresh: RunningSandbox) -> None:
    """http.client quotes the header that it refuses; a line break comes with a token pasted into .env."""
    api = api_client(fresh, credentials=lambda: Credentials("AK", SECRET, f"{SECRET}\n{SECRET}"))
    with pytest.raises(NoCredentials, match="a character that no header can carry") as caught:
        api.status("an id")
    assert "c4nary" not in str(caught.value)
    assert redacted(f"row {SECRET}") == "row ***"


@pytest.mark.usefixtures("fresh_redaction")
def test_a_session_is_known_as_soon_as_a_call_is_signed_with_it(fresh: RunningSandbox) -> None:
    api = api_client(fresh)
    api.sign(UPLOAD, b"{}")
    frozen = api.credentials().get_frozen_credentials()
    assert redacted(f"row {frozen.secret_key} {frozen.token}") == "row *** ***"
