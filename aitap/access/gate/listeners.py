"""Whether only this machine can reach the proxy: ``auth = auto`` asks for no key then.

What the options say is not enough, for mitmproxy goes on listening where it did when an option changes; what
is bound is not enough, for a mode may not have been bound yet. Both must be loopback, and so must be where
the connection at hand came in. Whatever cannot be told counts as reachable.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from mitmproxy.proxy import mode_specs

from aitap.access.egress.networks import is_loopback as is_loopback_address
from aitap.access.egress.networks import literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mitmproxy.connection import Client

__all__ = [
    "all_loopback",
    "arrived_by_loopback",
    "carries_credentials",
    "is_loopback",
    "is_reverse_http",
    "options_say_loopback",
]

_EXPLICIT = (mode_specs.RegularMode, mode_specs.UpstreamMode, mode_specs.Socks5Mode)
_BOUND = (*_EXPLICIT, mode_specs.ReverseMode, mode_specs.TransparentMode, mode_specs.DnsMode, mode_specs.WireGuardMode)


def is_loopback(host: str) -> bool:
    """Whether listening on this address, or on ``localhost``, is for this machine alone. No other name is trusted."""
    if host.lower() == "localhost":
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError:
            return False
        return bool(found) and all(is_loopback(str(place[4][0])) for place in found)
    address = literal(host)
    return address is not None and is_loopback_address(address)


def options_say_loopback(modes: Sequence[str], listen_host: str | None) -> bool:
    """Whether with these options of mitmproxy's (``mode``, ``listen_host``) every listener is on loopback."""
    return all(_mode_is_loopback(mode, listen_host) for mode in modes)


def _mode_is_loopback(spec: str, listen_host: str | None) -> bool:
    try:
        mode = mode_specs.ProxyMode.parse(spec)
    except ValueError:
        return False
    if isinstance(mode, mode_specs.LocalMode):
        return True  # it takes the traffic of this machine's own programs
    return isinstance(mode, _BOUND) and is_loopback(mode.listen_host(listen_host))


def all_loopback(bound: Iterable[Any]) -> bool:
    """Whether all these addresses, as sockets name them, are loopback."""
    return all(is_loopback(str(address[0])) for address in bound)


def arrived_by_loopback(client: Client) -> bool:
    """Whether this connection came in over loopback, as far as its own end tells that."""
    if not isinstance(client.proxy_mode, _EXPLICIT):
        return True  # where such a connection arrived is where it was meant for
    return bool(client.sockname) and is_loopback(str(client.sockname[0]))


def carries_credentials(client: Client) -> bool:
    """Whether a client has a place for credentials in this mode."""
    return isinstance(client.proxy_mode, _EXPLICIT)


def is_reverse_http(client: Client) -> bool:
    """Whether what is behind this reverse proxy speaks HTTP, so that a refusal can be an answer."""
    mode = client.proxy_mode
    return (
        isinstance(mode, mode_specs.ReverseMode)
        and mode.scheme in {"http", "https"}
        and client.transport_protocol == "tcp"
    )
