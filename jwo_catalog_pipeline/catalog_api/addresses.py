"""Which addresses are hosts of the public internet, of a private network, or neither."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

# Written out from the IANA special-purpose registries: what `ipaddress` calls global differs between Python versions.
_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
_NEVER = (
    "0.0.0.0/8",  # this host
    "100.64.0.0/10",  # shared by a carrier's customers
    "127.0.0.0/8",  # loopback
    "169.254.0.0/16",  # link-local: instance metadata and container credentials
    "192.0.0.0/24",  # protocol assignments
    "192.0.2.0/24",  # documentation, and the two below
    "198.51.100.0/24",
    "203.0.113.0/24",
    "192.88.99.0/24",  # 6to4 relays
    "198.18.0.0/15",  # benchmarks
    "224.0.0.0/3",  # multicast, reserved, broadcast
    "fd00:ec2::/32",  # instance metadata over IPv6, which would pass for private
    "2001::/23",  # protocol assignments; Teredo, which wraps an IPv4 address
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4, which wraps an IPv4 address
    "3fff::/20",  # documentation
)
# Unicast space in use. Outside it: loopback, link-local, multicast, and what wraps IPv4: mapped, compatible, NAT64.
_UNICAST_6 = IPv6Network("2000::/3")


_PRIVATE_NETWORKS, _NEVER_NETWORKS = (tuple(map(ip_network, texts)) for texts in (_PRIVATE, _NEVER))


def is_private(address: str) -> bool:
    """Whether an address is one of a private network (RFC 1918, or unique local IPv6) and nothing more special."""
    ip = _parsed(address)
    return ip is not None and _within(ip, _PRIVATE_NETWORKS) and not _within(ip, _NEVER_NETWORKS)


def is_global(address: str) -> bool:
    """Whether an address is a host's on the public internet."""
    ip = _parsed(address)
    if ip is None or _within(ip, _NEVER_NETWORKS) or _within(ip, _PRIVATE_NETWORKS):
        return False
    return ip.version == 4 or ip in _UNICAST_6


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(address)
    except ValueError:
        return None


def _within(ip: IPv4Address | IPv6Address, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    return any(ip in network for network in networks)
