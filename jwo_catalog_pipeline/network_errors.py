"""Why a host cannot be reached, and what helps: the same words for the Catalog API, reports, certificates and AWS."""

import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import urllib3

from jwo_catalog_pipeline.network import NotConnected, Proxy, ca_setting

_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
_TIMEOUTS = (TimeoutError, urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.ReadTimeoutError)


class Kind(StrEnum):
    """What stands in the way."""

    CERTIFICATE = "certificate"  # the host's is not trusted
    NOT_TLS = "no TLS"  # something answers that speaks no TLS
    PROXY_REFUSES = "proxy refuses"
    PROXY_FAILS = "proxy fails"  # it cannot be reached, or cannot reach the host
    UNREACHABLE = "unreachable"  # no such name, nothing listens, no answer


@dataclass(frozen=True)
class Trouble:
    """Why there is no connection; `problem` and `remedy` are for people, and hold no secret."""

    kind: Kind
    problem: str
    remedy: str


def explained(error: BaseException, host: str, proxy: Proxy | None, checks: str) -> Trouble | None:
    """Why a host could not be connected to; None where the connection was made, or nothing is known.

    Args:
        error: of urllib3, botocore, ssl or a socket.
        host: that was wanted, with its port where that is not the usual one.
        proxy: that was gone through, if any.
        checks: what to check about the host, as `check JWO_API_URL and the network`.
    """
    chain = list(_chain(error))
    if proxy and (status := next((found[1] for each in chain if (found := _TUNNEL.search(str(each)))), "")):
        return _of_proxy(status, host, proxy)
    at_proxy = proxy and any(
        each.at_proxy if isinstance(each, NotConnected) else isinstance(each, urllib3.exceptions.ProxyError)
        for each in chain
    )
    if proxy and at_proxy:
        return _to_proxy(chain, proxy)
    if untrusted := next((each for each in chain if isinstance(each, ssl.SSLCertVerificationError)), None):
        return _certificate(untrusted, host, checks)
    if secured := next((each for each in chain if isinstance(each, ssl.SSLError)), None):
        return Trouble(
            Kind.NOT_TLS,
            f"what answers at {host} does not speak TLS ({secured.reason or type(secured).__name__})",
            f"{checks}: scheme, host and port",
        )
    unreachable = next((words for each in chain if (words := _unreachable(each))), None)
    if unreachable is None:
        return None
    out = "" if proxy else "; where only a proxy leads out, set HTTPS_PROXY"
    return Trouble(Kind.UNREACHABLE, f"{host} {unreachable}", f"{checks}{out}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and all that it wraps, whatever library wrapped it."""
    queue, seen = [error], set[int]()
    while queue:
        each = queue.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        named = [getattr(each, name, None) for name in ("cause", "original_error", "reason", "__cause__")]
        parts = [*each.args, *getattr(each, "kwargs", {}).values(), *named]
        queue += [part for part in parts if isinstance(part, BaseException)]


def _of_proxy(status: str, host: str, proxy: Proxy) -> Trouble:
    name = f"the proxy {proxy.url} ({proxy.variable})"
    if status == "407":
        if proxy.user_info:
            return Trouble(
                Kind.PROXY_REFUSES,
                f"{name} does not accept the user and password (407)",
                f"set them again in {proxy.variable}; special characters must be percent-encoded",
            )
        return Trouble(
            Kind.PROXY_REFUSES,
            f"{name} wants a user and password (407)",
            f"set {proxy.variable} to http://USER:PASSWORD@HOST:PORT",
        )
    if status.startswith("5"):
        return Trouble(
            Kind.PROXY_FAILS,
            f"{name} cannot reach {host} ({status})",
            "try again; if it stays, ask who runs the proxy",
        )
    return Trouble(
        Kind.PROXY_REFUSES,
        f"{name} does not let calls to {host} through ({status})",
        f"have {host} allowed at the proxy, or add it to NO_PROXY where it can be reached directly",
    )


def _to_proxy(chain: list[BaseException], proxy: Proxy) -> Trouble:
    if untrusted := next((each for each in chain if isinstance(each, ssl.SSLCertVerificationError)), None):
        return _certificate(untrusted, f"the proxy {proxy.url}", f"check {proxy.variable}")
    words = next((words for each in chain if (words := _unreachable(each))), "cannot be connected to")
    if any(isinstance(each, ssl.SSLError) for each in chain):
        words = "does not speak TLS"
    return Trouble(
        Kind.PROXY_FAILS,
        f"the proxy {proxy.url} {words}",
        f"check {proxy.variable}; a host that needs no proxy belongs into NO_PROXY",
    )


def _certificate(error: ssl.SSLCertVerificationError, host: str, checks: str) -> Trouble:
    said = getattr(error, "verify_message", "") or "not verified"
    problem = f"the certificate of {host} is not trusted ({type(error).__name__}: {said})"
    if "mismatch" in said:
        return Trouble(Kind.CERTIFICATE, problem, f"{checks}: another host answers")
    if "expired" in said or "not yet valid" in said:
        return Trouble(Kind.CERTIFICATE, problem, f"check this machine's clock; if it is right, {checks}")
    setting = ca_setting()
    trusted = f"now it is those of {setting[0]}, {setting[1]}" if setting else "now it is the system's"
    return Trouble(
        Kind.CERTIFICATE,
        problem,
        "where a proxy or firewall of your network opens TLS connections, set AWS_CA_BUNDLE to a file with the CA "
        f"certificates to trust ({trusted}); else {checks}",
    )


def _unreachable(error: BaseException) -> str:
    name = type(error).__name__
    match error:
        case socket.gaierror() | urllib3.exceptions.NameResolutionError():
            return f"has no address ({name})"
        case ConnectionRefusedError():
            return f"refuses connections ({name})"
        case urllib3.exceptions.NewConnectionError():  # urllib3 has it among its time-outs; what it wraps says more
            return ""
        case _ if isinstance(error, _TIMEOUTS):
            return f"does not answer in time ({name})"
        case OSError():
            return f"cannot be connected to ({error.strerror or name})"
    return ""
