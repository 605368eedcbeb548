"""Where the server listens, and whether a key is needed there.

The rule is the proxy's (``auth``): with ``auto`` none while only this machine can reach it. It goes further where
records are shown: ``none`` on another address is refused, for everybody who reaches it could read everything.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from aitap.access.egress.networks import is_loopback, literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aitap.settings import Auth

__all__ = ["ListenError", "is_local", "keys_needed", "listen"]

_BACKLOG = 256


class ListenError(Exception):
    """The server cannot listen there. One line says why and what to do."""


def listen(host: str, port: int) -> list[socket.socket]:
    """Bound sockets, one for each address that ``host`` means. Raises :class:`ListenError`."""
    try:
        places = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ListenError(f"--host {host!r}: {error.strerror or error}") from None
    found: list[socket.socket] = []
    for family, kind, protocol, _, address in dict.fromkeys(places):
        bound = socket.socket(family, kind, protocol)
        found.append(bound)
        try:
            if os.name == "posix":
                # As asyncio does: connections that linger from the last run do not count.
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # With port 0 the system chooses one; the second address gets the same.
            bound.bind((address[0], port or _port(found[0]), *address[2:]))
            bound.listen(_BACKLOG)
        except OSError as error:
            for one in found:
                one.close()
            raise ListenError(
                f"cannot listen on {host}:{port}: {error.strerror or error}; choose another with --port"
            ) from None
    return found


def is_local(sockets: Sequence[socket.socket]) -> bool:
    """Whether all of them are for this machine alone."""
    addresses = [literal(str(one.getsockname()[0])) for one in sockets]
    return all(address is not None and is_loopback(address) for address in addresses)


def keys_needed(auth: Auth, *, local: bool) -> bool:
    """Whether every request needs a key. Raises :class:`ListenError` for ``none`` where others can reach it."""
    if auth == "none" and not local:
        raise ListenError(
            "auth = none would show all records to everybody who reaches this address: "
            "leave it at auto, or listen on 127.0.0.1"
        )
    return auth == "required" or not local


def _port(bound: socket.socket) -> int:
    return int(bound.getsockname()[1])
