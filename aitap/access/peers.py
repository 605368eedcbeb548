"""What is known of each client connection, for as long as it is open: who speaks and where they asked to go.

mitmproxy gives every hook the same ``Client`` object for one connection; all parts of the access control
share one :class:`Peers` and find there what an earlier hook of the connection learnt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitap.access.identity import local_identity

if TYPE_CHECKING:
    from mitmproxy.connection import Client

    from aitap.access.identity import Identity

__all__ = ["Peer", "Peers"]


class Peer:
    """One client connection."""

    __slots__ = ("address", "asked", "identity", "target", "user_agent")

    def __init__(self, address: str) -> None:
        self.address = address
        """IP address of the client, without port or scope; IPv4-mapped IPv6 as IPv4."""
        self.identity: Identity | None = None
        """Who speaks; None as long as nobody has said so."""
        self.target: tuple[str, int] | None = None
        """Where CONNECT, SOCKS or the redirected connection leads: lower-case host or address, and port."""
        self.asked: set[tuple[str, int]] = set()
        """Every destination that the client itself named. What is dialled beside these, a script or an option chose."""
        self.user_agent = ""
        """Of CONNECT, where the client sent one there."""


class Peers:
    """The open client connections."""

    def __init__(self) -> None:
        # Kept on the client itself, where it costs least to find: several parts ask for it at each request.
        self._name = f"aitap_peer_{id(self)}"
        self.local = local_identity()
        """The person this process runs for."""

    def of(self, client: Client) -> Peer:
        """What is known of this connection; made on first sight."""
        peer: Peer | None = client.__dict__.get(self._name)
        if peer is None:
            peer = client.__dict__[self._name] = Peer(_address(client))
        return peer

    def find(self, client: Client) -> Peer | None:
        """What is known of this connection, None where no hook has seen it."""
        return client.__dict__.get(self._name)

    def speaker(self, client: Client) -> Identity:
        """Who speaks on this connection; the local user where nobody else is known."""
        peer = self.find(client)
        return self.local if peer is None or peer.identity is None else peer.identity


def _address(client: Client) -> str:
    address = str(client.peername[0]).partition("%")[0] if client.peername else ""
    return address.removeprefix("::ffff:") if "." in address else address
