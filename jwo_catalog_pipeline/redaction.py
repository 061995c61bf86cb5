r"""What keeps secrets out of every text that is kept or shown: credentials, session tokens, presigned URLs, SNS tokens.

By pattern, for most secrets are known only by where they stand; and by value, for those that the process holds itself.
`install` applies both to every log record of the process, whichever library or logger makes it. Not struck out: access
key ids, which are none, and what a logger is given as `extra`.
"""

import functools
import html
import json
import logging
import re
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import quote, quote_plus

STRUCK_OUT = "***"
MIN_CHARACTERS = 8  # of a secret that is known by value: a shorter one would strike out ordinary words
# Sessions are renewed hourly, and none lives for more than 12 hours (STS); some processes run for months.
MAX_HIDDEN = 100

# A character in JSON may be escaped, and JSON may stand in JSON, so that there are several backslashes. Every
# repetition below is bounded, or ends where the next match may begin, so that texts of megabytes are no trouble.
_SLASHES = r"\\{0,16}"
_ESCAPED = r"\\{1,16}(?:u[0-9a-fA-F]{4}|/)"
_QUOTE = rf"""{_SLASHES}(?:["']|&quot;|&\#3[49];)"""
# What stands in quotes ends with the next quote, which may be an escaped one.
_QUOTED = rf"(?:[^\"'\\&]|{_ESCAPED}|&(?!quot;|\#3[49];))+"
_BARE = rf"(?:[^\s\"'\\<>&,;(){{}}\[\]]|{_ESCAPED})+"
_GAP = r"\s{0,8}"

# Everything behind a URL's question mark may sign it.
_TO = rf":(?:{_SLASHES}/){{2}}"
_QUERY = re.compile(
    rf"(https?{_TO}(?:[^\s\"'\\?<>:]|:(?!(?:{_SLASHES}/){{2}})|{_ESCAPED})+\?)(?:[^\s\"'\\<>]|{_ESCAPED})+",
    re.IGNORECASE,
)
# User and password in front of a host, as in the address of a proxy; a careless password may hold an @.
_USER_INFO = re.compile(rf"(\b[a-z][a-z0-9+.-]{{0,15}}{_TO})[^\s/\\?#\"'<>]{{1,512}}(?=@)", re.IGNORECASE)
_NAMES = (
    r"(?<![a-z])(?:X-Amz-Security-Token|X-Amz-Signature|Security-?Token|(?:aws_?)?secret_?(?:access_?)?key"
    r"|(?:aws_?)?session_?token|SubscribeURL|UnsubscribeURL|Proxy-Authorization|Authorization)"
)
# A name and its value as a header, in JSON, as Python shows a dict, pair or argument, in a query or a form.
_NAMED = re.compile(
    rf"({_NAMES}(?:{_QUOTE})?{_GAP}(?:[:=,]|%3D){_GAP}b?{_QUOTE}){_QUOTED}"
    rf"|({_NAMES}{_GAP}(?:[:=]|%3D){_GAP}(?:(?:Basic|Bearer)\s+)?)(?!b?{_QUOTE}){_BARE}",
    re.IGNORECASE,
)
# Plain words, secret only in quotes as a name, or in a query or a form.
_TOKEN = re.compile(
    rf"({_QUOTE}Token{_QUOTE}{_GAP}[:,]{_GAP}b?{_QUOTE}){_QUOTED}"
    rf"|((?:[?&]|&amp;|\\u0026|\b)(?:Token|Signature)(?:=|%3D)){_BARE}"
)
_ELEMENT = re.compile(
    r"((?:<|&lt;)(SecretAccessKey|SessionToken|Token|SubscribeURL|UnsubscribeURL)(?:>|&gt;))[^<&]*", re.IGNORECASE
)
# The schemes of AWS are more than one word, and botocore shows a signature on a line of its own.
_SCHEME = re.compile(r"(\bAWS4-[A-Z0-9-]{1,32} Credential=)[^\"'\r\n\\]+|(\bAWS )\w{16,}:[\w+/=]+")
_SIGNATURE = re.compile(rf"(\bSignature:{_GAP})[0-9a-f]{{64}}\b")

_PATTERNS = (_USER_INFO, _QUERY, _SCHEME, _NAMED, _TOKEN, _ELEMENT, _SIGNATURE)

_hidden: deque[str] = deque(maxlen=MAX_HIDDEN)
_hidden_forms: tuple[str, ...] = ()  # of the hidden values, the longest first, for one may be a part of another
_lock = threading.Lock()


class Frozen(Protocol):
    """Credentials of a moment, as botocore freezes them."""

    @property
    def secret_key(self) -> str | None:
        """The secret access key."""

    @property
    def token(self) -> str | None:
        """The session token, if there is a session."""


def redacted(text: str) -> str:
    """The text with every secret struck out that is known by pattern or by value, fit to be kept for good."""
    for form in _hidden_forms:
        text = text.replace(form, STRUCK_OUT)
    for pattern in _PATTERNS:
        text = pattern.sub(_struck_out, text)
    return text


def _struck_out(match: re.Match[str]) -> str:
    return next((group for group in match.groups() if group is not None), "") + STRUCK_OUT


def hide(value: str | None) -> None:
    """Have a secret struck out from now on wherever it appears, also escaped or URL-encoded."""
    global _hidden_forms
    value = (value or "").strip()
    if len(value) < MIN_CHARACTERS or value in _hidden:
        return
    with _lock:
        if value not in _hidden:
            _hidden.append(value)
            # Not one pattern of them all: compiling that takes longer than many replacements.
            every = {form for hidden in _hidden for form in _forms(hidden)}
            _hidden_forms = tuple(sorted(every, key=len, reverse=True))


def hide_credentials(frozen: Frozen | None) -> None:
    """Hide what is secret in credentials (`get_frozen_credentials`); the access key id is not."""
    if frozen is not None:
        hide(frozen.secret_key)
        hide(frozen.token)


def _forms(value: str) -> Iterator[str]:
    yield from (value, quote(value), quote(value, safe=""), quote_plus(value), html.escape(value))
    # Percent signs in lower case, a slash that JSON escapes, and JSON in JSON.
    yield re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), quote(value, safe=""))
    escaped = json.dumps(value)[1:-1]
    yield from (escaped, escaped.replace("/", "\\/"), json.dumps(escaped)[1:-1])


def install() -> None:
    """Have every log record of the process redacted, once: message, arguments and exception.

    Where nothing is logged this costs nothing. It stands before all loggers and handlers, also those that are
    made later.
    """
    present = logging.getLogRecordFactory()
    if not hasattr(present, "redacts"):
        logging.setLogRecordFactory(_redacting(present))


def _redacting(make: Callable[..., logging.LogRecord]) -> Callable[..., logging.LogRecord]:
    @functools.wraps(make, updated=())
    def made(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        try:
            _redact(record)
        # Logging must not break what logs; and what cannot be formatted would be shown with all its arguments.
        except Exception as error:  # noqa: BLE001
            record.msg, record.args = f"a log message could not be formatted ({type(error).__name__})", ()
            record.exc_info = record.exc_text = record.stack_info = None
        return record

    made.redacts = True  # type: ignore[attr-defined]
    return made


def _redact(record: logging.LogRecord) -> None:
    message = record.getMessage()
    clean = redacted(message)
    # Arguments stay where they may, as some formatters want them.
    if clean != message or (record.args and redacted(shown := repr(record.args)) != shown):
        record.msg, record.args = clean, ()
    if record.exc_info and record.exc_info[0] is not None:
        trace = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        if (clean := redacted(trace)) != trace:
            record.exc_info, record.exc_text = None, clean
    if record.stack_info:
        record.stack_info = redacted(record.stack_info)


class UnexpectedError(Exception):
    """An unexpected error, as text, because its own text or that of a cause held a secret."""


class redact_exceptions(ContextDecorator):
    """Replaces an exception that holds a secret, in its text or its causes', by an `UnexpectedError` without it.

    The last resort: foreign exceptions are turned into our own where they are caught.
    """

    def __enter__(self) -> None:
        """Nothing to set up."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let through what is clean."""
        if isinstance(error, Exception):
            shown = "".join(traceback.format_exception(error))
            if (clean := redacted(shown)) != shown:
                raise UnexpectedError(clean) from None
