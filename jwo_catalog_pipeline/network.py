"""How this process reaches the network: as boto3 does, with the proxy and the CA certificates of the environment.

The proxy of a URL is what botocore finds: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in either case; `NO_PROXY` takes
hosts, suffixes and `*`, and no ranges of addresses. CA certificates come from the first of `AWS_CA_BUNDLE` (or the AWS
profile's `ca_bundle`), `REQUESTS_CA_BUNDLE` and `SSL_CERT_FILE`; boto3 itself does not know the last. What went wrong
with a connection is explained in `network_errors`.
"""

import functools
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

import urllib3
from botocore.exceptions import BotoCoreError
from botocore.httpsession import ProxyConfiguration
from botocore.session import Session
from botocore.utils import get_environ_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection, ProxyConfig

from jwo_catalog_pipeline.errors import ConfigurationError
from jwo_catalog_pipeline.redaction import hide

# By the name of botocore's setting; the first is its own, and may stand in the AWS profile too.
_CA_VARIABLES = {
    "ca_bundle": "AWS_CA_BUNDLE",
    "requests_ca_bundle": "REQUESTS_CA_BUNDLE",
    "ssl_cert_file": "SSL_CERT_FILE",
}
_DEFAULT_PORTS = {"http": 80, "https": 443}
KEPT_CONNECTIONS = 10  # as many as there may be calls of the Catalog API in a second


# -- certificates ------------------------------------------------------------------------------------------------------


def ca_setting() -> tuple[str, str] | None:
    """Which variable names the CA certificates to trust, and their file; None for those of the system."""
    for name, variable in _CA_VARIABLES.items():
        try:
            path = str(_session().get_config_variable(name) or "").strip()
        except BotoCoreError:  # AWS's own files cannot be read, and each call of AWS says so
            continue
        if path:
            return variable, path
    return None


def ca_file() -> str | None:
    """The file of CA certificates to trust, which can be read; None for those of the system.

    Raises:
        ConfigurationError: the file that a variable names is missing, or holds no certificate.
    """
    setting = ca_setting()
    tls_context()
    return setting[1] if setting else None


def tls_context() -> ssl.SSLContext:
    """Verifies certificates and host names; made once for each file, and again when the file changes.

    Raises:
        ConfigurationError: as `ca_file`.
    """
    setting = ca_setting()
    if setting is None:
        return _context(None, 0)
    variable, path = setting
    try:
        return _context(path, Path(path).stat().st_mtime_ns)
    except OSError as error:  # ssl.SSLError is one
        reason = "holds no certificate in PEM" if isinstance(error, ssl.SSLError) else "cannot be read"
        why = "" if isinstance(error, ssl.SSLError) else f" ({error.strerror or type(error).__name__})"
        raise ConfigurationError(
            f"{variable} is {path!r}, which {reason}{why}",
            f"set {variable} to a file with the CA certificates to trust in PEM, or remove it",
            variable,
        ) from None


@functools.cache
def _session() -> Session:
    from_environment = {name: (None, name.upper(), None, None) for name in list(_CA_VARIABLES)[1:]}
    return Session(session_vars=from_environment)


@functools.lru_cache(maxsize=4)
def _context(path: str | None, changed: int) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=path)


# -- proxies -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Proxy:
    """A proxy to go through.

    Attributes:
        url: scheme, host and port: fit to be shown.
        variable: names it.
        user_info: of its URL, with a password, or "".
    """

    url: str
    variable: str
    user_info: str = field(default="", repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """What it wants to be asked with; a secret."""
        if not self.user_info:
            return {}
        user, _, password = self.user_info.partition(":")
        return urllib3.make_headers(proxy_basic_auth=f"{unquote(user)}:{unquote(password)}")


def proxy_for(url: str) -> Proxy | None:
    """The proxy for a URL; None where it is connected to directly.

    Raises:
        ConfigurationError: the variable holds no address of a proxy.
    """
    address = ProxyConfiguration(get_environ_proxies(url)).proxy_url_for(url)
    if not address:
        return None
    variable = f"{urlsplit(url).scheme.upper()}_PROXY"
    try:
        parts = urlsplit(address.strip())
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        host = parts.hostname or ""
        user_info = parts.netloc.rpartition("@")[0]
        proxy = Proxy(f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}", variable, user_info)
        _hide_password(proxy)
    except (ValueError, KeyError):
        host = ""
    if not host:
        # The value may hold a password.
        raise ConfigurationError(
            f"{variable} is no address of a proxy", f"set {variable} to http://HOST:PORT, or remove it", variable
        )
    return proxy


def _hide_password(proxy: Proxy) -> None:
    password = proxy.user_info.partition(":")[2]
    hide(password)
    hide(unquote(password))
    hide(proxy.headers.get("proxy-authorization", "").removeprefix("Basic "))


def network_settings() -> str:
    """Proxies and CA certificates in use, for people, without passwords."""
    proxies = [proxy for scheme in ("https", "http") if (proxy := _named_proxy(scheme))]
    exceptions = getproxies().get("no", "")
    shown = [f"{proxy.variable} {proxy.url}" for proxy in proxies] or ["no proxy"]
    if proxies and exceptions:
        shown.append(f"NO_PROXY {exceptions}")
    trusted = ca_setting()
    shown.append(f"certificates of {trusted[0]} {trusted[1]}" if trusted else "the system's CA certificates")
    return ", ".join(shown)


def _named_proxy(scheme: str) -> Proxy | None:
    return proxy_for(f"{scheme}://host.invalid/")


# -- connections -------------------------------------------------------------------------------------------------------


class NotConnected(urllib3.exceptions.HTTPError):
    """No connection was made, so that no byte of a request left.

    Attributes:
        cause: what the libraries say.
        at_proxy: the proxy itself could not be connected to.
    """

    def __init__(self, cause: Exception, *, at_proxy: bool) -> None:
        super().__init__(type(cause).__name__)
        self.cause, self.at_proxy = cause, at_proxy


class _Connecting:
    """A connection that says when it is not made: urllib3's errors do not distinguish that from a later break."""

    def connect(self: Any) -> None:
        try:
            super().connect()  # type: ignore[misc]
        except urllib3.exceptions.LocationValueError:  # it is no host name
            raise
        except (OSError, HTTPException, urllib3.exceptions.HTTPError) as error:
            at_proxy = bool(self.proxy) and not self.has_connected_to_proxy
            self.close()
            raise NotConnected(error, at_proxy=at_proxy) from None


class _Http(_Connecting, HTTPConnection):
    pass


class _Https(_Connecting, HTTPSConnection):
    pass


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Https


class NetworkPool(urllib3.PoolManager):
    """Kept connections, through the proxy that the environment names for a URL; see `NotConnected`.

    Args:
        timeout: of connecting and of reading.
    """

    def __init__(self, timeout: urllib3.Timeout) -> None:
        super().__init__(timeout=timeout)
        self._timeout = timeout
        self._managers: dict[tuple[Proxy | None, ssl.SSLContext], urllib3.PoolManager] = {}

    def urlopen(self, method: str, url: str, redirect: bool = True, **kw: Any) -> Any:  # type: ignore[override]
        """Send a request.

        Raises:
            ConfigurationError: a variable names a proxy or a file that cannot be used.
        """
        return self._manager(proxy_for(url), tls_context()).urlopen(method, url, redirect=redirect, **kw)

    def _manager(self, proxy: Proxy | None, tls: ssl.SSLContext) -> urllib3.PoolManager:
        if (proxy, tls) not in self._managers:
            given: Mapping[str, Any] = {"timeout": self._timeout, "maxsize": KEPT_CONNECTIONS, "ssl_context": tls}
            manager = (
                urllib3.ProxyManager(proxy.url, proxy_headers=proxy.headers, proxy_ssl_context=tls, **given)
                if proxy
                else urllib3.PoolManager(**given)
            )
            manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
            self._managers[(proxy, tls)] = manager
        return self._managers[(proxy, tls)]


def proxied_connection(
    proxy: Proxy, scheme: str, host: str, port: int, tls: ssl.SSLContext, seconds: float
) -> HTTPConnection:
    """A connection through a proxy, not made yet: to a host over TLS, else to the proxy itself, for absolute URLs."""
    parts = urlsplit(proxy.url)
    given: dict[str, Any] = {"timeout": seconds, "proxy": urllib3.util.parse_url(proxy.url)}
    address = (parts.hostname or "", parts.port)
    if scheme == "http" and parts.scheme == "http":
        return _Http(*address, **given)
    config = ProxyConfig(tls, use_forwarding_for_https=scheme == "http", assert_hostname=None, assert_fingerprint=None)
    connection = _Https(*address, ssl_context=tls, proxy_config=config, **given)
    if scheme == "https":
        connection.set_tunnel(host, port, proxy.headers, scheme=parts.scheme)
    return connection
