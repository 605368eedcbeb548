"""Where connections may go: allowed ports, public addresses, and what the operator excepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aitap.access.peers import Peers
    from aitap.access.startup import Startup

__all__ = ["Egress"]


class Egress:
    """A part of the access control (see :class:`aitap.access.startup.Part`)."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    def start(self, startup: Startup) -> None:
        """Begin."""

    def stop(self) -> None:
        """The proxy ends."""
