"""Who connects is whom the load balancer in front says: for the connections of those that are trusted.

mitmproxy knows no PROXY protocol. Each connection of its goes through ``ConnectionHandler.handle_client``, before any
hook; there the header is taken off, and the client gets its own address. From then on everything is as without a
load balancer: the address table, the pause after wrong keys, what is recorded. A connection of a trusted load
balancer without a header is closed, since nobody could say whose it is (specification, 5).
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from mitmproxy.utils import human

from aitap.access.grafts import Grafts
from aitap.access.proxy_protocol.header import HeaderError, read_header
from aitap.access.quiet import Quiet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aitap.access.startup import Startup

__all__ = ["Fronts"]

logger = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds that a header may take: it is the first that a load balancer sends."""

_QUIET = 60.0
_ADDRESSES = 100


class Fronts:
    """A part of the access control (see :class:`aitap.access.startup.Part`)."""

    def __init__(self) -> None:
        self._networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
        self._grafts = Grafts()
        self._counts: Counter[str] = Counter()
        self._quiet = Quiet(_QUIET, _ADDRESSES)

    @property
    def refusals(self) -> Mapping[str, int]:
        """How many connections were closed because they had no ``header``."""
        return self._counts

    def start(self, startup: Startup) -> None:
        """Begin, where load balancers are named."""
        self._networks = startup.settings.proxy_protocol
        if self._networks:
            self._grafts.put(ProxyConnectionHandler, "handle_client", self._told)

    def stop(self) -> None:
        """The proxy ends."""
        self._grafts.remove()

    def _told(self, original: Any) -> Any:
        async def handle_client(handler: Any) -> None:
            if self._is_front(handler.client.peername) and not await self._take_header(handler):
                return
            await original(handler)

        return handle_client

    def _is_front(self, peername: Any) -> bool:
        try:
            address = ipaddress.ip_address(str(peername[0]).partition("%")[0])
        except (ValueError, TypeError, IndexError):
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address.version == network.version and address in network for network in self._networks)

    async def _take_header(self, handler: Any) -> bool:
        """Whether the connection may go on; where it may not, it is closed."""
        client = handler.client
        connection = handler.transports[client]
        try:
            ends = await asyncio.wait_for(read_header(connection.reader), PATIENCE)
        except (HeaderError, TimeoutError) as error:
            self._counts["header"] += 1
            if self._quiet.may_speak(str(client.peername[0])):
                logger.warning(
                    "aitap: %s is in proxy_protocol, but sent no header of it (%s); closed: have it send one, or take "
                    "it out of there",
                    client.peername[0],
                    error or "nothing came",
                )
        except (asyncio.IncompleteReadError, OSError):
            pass  # somebody looked whether we are there
        else:
            if ends is not None:
                client.peername, client.sockname = ends
                handler.log_prefix = f"{human.format_address(client.peername)}: "
            return True
        with contextlib.suppress(OSError):
            connection.writer.close()
        return False
