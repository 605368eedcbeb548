"""One client connection as the gate sees it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitmproxy.connection import Client

    from aitap.access.authentication.sources import Grant, Reason
    from aitap.access.peers import Peer

__all__ = ["Session"]


class Session:
    """What the gate knows of a connection beside its :class:`aitap.access.peers.Peer`."""

    __slots__ = (
        "address_grant",
        "admitted",
        "came",
        "client",
        "ended",
        "grant",
        "inner",
        "peer",
        "refusals",
        "required",
        "socket",
        "tunnel",
    )

    def __init__(self, client: Client, peer: Peer, *, required: bool) -> None:
        self.client = client
        self.came = time.monotonic()
        self.peer = peer
        self.required = required
        """Whether a key is needed here."""
        self.address_grant: Grant | None = None
        """What the address alone gives."""
        self.grant: Grant | None = None
        """By what the client was let in last; None as long as it was not, and where nothing is needed."""
        self.admitted = not required
        """Whether anything was ever let through; never taken back."""
        self.tunnel = False
        """Whether the whole connection is one person's: after CONNECT or SOCKS, or known by its address."""
        self.inner = False
        """Whether requests inside such a connection are seen, and can be refused one by one."""
        self.socket = False
        """Whether there was a WebSocket, which no request ends."""
        self.ended: Reason | None = None
        """Why the grant holds no longer."""
        self.refusals = 0

    def admit(self, grant: Grant) -> None:
        """Let in."""
        self.grant = grant
        self.peer.identity = grant.identity
        self.admitted = True
        self.ended = None

    def names(self, place: Sequence[Any] | None) -> None:
        """The client says where the whole connection leads: host and port, or nothing yet."""
        if place is not None:
            self.peer.target = self.asks(str(place[0]), int(place[1]))

    def asks(self, host: str, port: int) -> tuple[str, int]:
        """The client names a destination."""
        place = (host.lower(), port)
        self.peer.asked.add(place)
        return place
