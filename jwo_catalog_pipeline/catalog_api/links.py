"""URLs taken apart: once, by one strict pattern, so that no second parser sees one that came in a message."""

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"https": 443, "http": 80}
# RFC 3986 with a name as host, in lower case, without user, fragment or empty path. Everything is ASCII, spelled out.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9](?:[a-z0-9._-]{0,252}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<target>/(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)"
)


class NotAllowed(Exception):
    """The URL, or the address that it leads to, is not one to connect to; the message holds no secret."""


@dataclass(frozen=True)
class Origin:
    """Scheme, host and port."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Host and port as clients write them, as a presigned link signs them: without the port that is usual."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS.get(self.scheme) else f"{host}:{self.port}"


@dataclass(frozen=True)
class Link:
    """A URL taken apart; the target (path and query) may be a secret."""

    origin: Origin
    target: str = field(repr=False)


def parse_link(url: str) -> Link:
    """Take a URL apart.

    Raises:
        NotAllowed: it is not written strictly.
    """
    match = _URL.fullmatch(url)
    if not match:
        raise NotAllowed("it is not a plain URL")
    port = int(match["port"] or _DEFAULT_PORTS[match["scheme"]])
    return Link(Origin(match["scheme"], match["host"].strip("[]"), port), match["target"])


def origin_of(endpoint: str) -> Origin | None:
    """The origin of an endpoint that an operator has set; None where it has none."""
    try:
        parts = urlsplit(endpoint)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    return Origin(parts.scheme, parts.hostname, port) if parts.hostname and port else None
