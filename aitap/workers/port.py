"""One port on which several processes accept.

Linux gives each connection to one of all sockets that are bound with SO_REUSEPORT, by a hash of both addresses
(socket(7)), so that long connections are spread evenly, however idle the proxy was when they came. Elsewhere that
option means other things (the last socket gets everything on macOS), so there all workers accept from one socket:
whoever is free comes first.

The sockets are the parent's. A worker that dies leaves its socket open, and the connections that wait in it
are its successor's.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys

__all__ = ["BALANCED", "Port"]

BALANCED = sys.platform == "linux"
"""Whether this system spreads connections over sockets that share a port."""

_BACKLOG = 512


class Port:
    """Listens at ``host`` (a name, an address, or empty for any) and ``port``. Raises ``OSError``."""

    def __init__(self, host: str, port: int, *, balanced: bool = BALANCED) -> None:
        self.port = port
        self._balanced = balanced
        self._places = list(
            dict.fromkeys(socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE))
        )
        self._shared = [] if balanced else self._bound()

    def open(self) -> list[socket.socket]:
        """Sockets for one worker, which listen, one for each address; the caller's to close. Raises ``OSError``."""
        return self._bound() if self._balanced else [shared.dup() for shared in self._shared]

    def close(self) -> None:
        """Listen no longer, as far as this object does."""
        for shared in self._shared:
            shared.close()
        self._shared = []

    def _bound(self) -> list[socket.socket]:
        found: list[socket.socket] = []
        with contextlib.ExitStack() as stack:
            for family, kind, protocol, _, address in self._places:
                try:
                    bound = socket.socket(family, kind, protocol)
                except OSError:
                    if len(self._places) > 1:
                        continue  # a system without IPv6 has names for it all the same
                    raise
                stack.callback(bound.close)
                if os.name == "posix":
                    # As asyncio does: connections that linger from the last run do not count.
                    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if self._balanced:
                    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                if family == socket.AF_INET6:
                    bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                bound.bind(address)
                bound.listen(_BACKLOG)
                found.append(bound)
            stack.pop_all()
        return found
