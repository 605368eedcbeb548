"""Where connections may go: allowed ports, public addresses, and what the operator excepted.

What a client names is checked twice: when it names it, for an answer that it can show (403), and when it is
dialled, on the addresses dialled. What it did not name, a script or an option chose, and that is the operator's.
A fault in a check refuses.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from mitmproxy import ctx

from aitap.access.answers import Refusals, refuse
from aitap.access.decryption.choice import Choices, plain_name
from aitap.access.egress.asking import Asked, note_destinations
from aitap.access.egress.destinations import Destination, Destinations, Refused
from aitap.access.egress.lengths import tell_lengths
from aitap.access.egress.networks import canonical, is_loopback, literal
from aitap.access.egress.opening_first import answer_when_open
from aitap.access.egress.resolver import Resolver, address_of
from aitap.access.egress.roots import write_roots
from aitap.access.egress.upstream import Upstream, chain, upstream_of
from aitap.access.grafts import Grafts
from aitap.access.quiet import Quiet
from aitap.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from mitmproxy.connection import Client, Server
    from mitmproxy.http import HTTPFlow
    from mitmproxy.proxy.server_hooks import ServerConnectionHookData
    from mitmproxy.tls import TlsData

    from aitap.access.peers import Peer, Peers
    from aitap.access.startup import Startup

__all__ = ["Egress"]

logger = logging.getLogger(__name__)

_SOON = 1.0
"""Seconds to wait for a name that the upstream proxy will look up anyway."""

_NOT_TRUSTED = "Certificate verify failed"
"""As mitmproxy words it."""

_FAULT = Refused("fault", "aitap: this destination could not be checked, so nobody may go there; see the proxy's log")
_NOT_THROUGH = Refused("upstream", "aitap: this kind of connection cannot go through the upstream proxy")
_EARLY = Refused("fault", "aitap: the proxy is still starting; try again in a moment")


class Egress:
    """A part of the access control (see :class:`aitap.access.startup.Part`)."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._refusals = Refusals()
        self._destinations: Destinations | None = None
        self._resolver: Resolver | None = None
        self._upstream: Upstream | None = None
        self._choices: Choices | None = None
        self._grafts = Grafts()
        self._untrusted = Quiet(3600.0, 256)

    @property
    def refusals(self) -> Mapping[str, int]:
        """How many connections were refused, by reason: ``port``, ``address``, ``upstream`` or ``fault``."""
        return self._refusals.counts

    def start(self, startup: Startup) -> None:
        """Begin. Raises :class:`aitap.settings.SettingsError`."""
        settings = startup.settings
        self._destinations = Destinations(settings.allow_ports, settings.allow_private, settings.providers)
        self._choices = startup.choices
        self._upstream = upstream_of(settings.upstream)
        answer_when_open(self._grafts, self._is_unread)
        if self._upstream is not None:
            self._go_through(self._upstream)
        note_destinations(self._grafts, self._named)
        tell_lengths(self._grafts)
        if not ctx.options.ssl_insecure:
            own = ctx.options.ssl_verify_upstream_trusted_ca
            roots = write_roots(Path(ctx.options.confdir), settings.upstream_ca, own)
            ctx.options.update(ssl_verify_upstream_trusted_ca=str(roots))  # type: ignore[no-untyped-call]
        self._resolver = Resolver(startup.loop)
        self._resolver.install()

    def _go_through(self, upstream: Upstream) -> None:
        if any(mode.startswith("upstream:") for mode in ctx.options.mode):
            raise SettingsError("upstream: the mode of mitmproxy names a proxy to go through, too; give only one")
        # The way to the destination is not open before the proxy has been asked for it.
        ctx.options.update(connection_strategy="lazy")  # type: ignore[no-untyped-call]
        chain(self._grafts, upstream, self._is_unread)

    def _is_unread(self, host: str, port: int) -> bool:
        """Whether a tunnel to this host will pass unread: of an address, a name in TLS may still say otherwise."""
        return literal(host) is None and not self._is_read(host, port)

    def _is_read(self, host: str, port: int) -> bool:
        """Whether what a client says to this host will be decrypted."""
        return self._choices is not None and self._choices.of(((plain_name(host), port),)).decrypt

    def stop(self) -> None:
        """The proxy ends."""
        self._grafts.remove()
        if self._resolver is not None:
            self._resolver.remove()

    def http_connect_upstream(self, flow: HTTPFlow) -> None:
        """The one place where the upstream proxy's credentials are shown in a tunnel."""
        if self._upstream is not None:
            self._upstream.authorize(flow)

    # When a destination is named

    def _named(self, client: Client, host: str, port: int) -> None:
        self._peers.of(client).asked.add((canonical(host), port))

    async def aitap_destination(self, asked: Asked) -> None:
        """Refuse a connection of SOCKS or one that was redirected to us."""
        if asked.refused is None and (refused := await self.refused(asked.client, asked.host, asked.port)) is not None:
            asked.refused = refused.text

    def http_connect(self, flow: HTTPFlow) -> Awaitable[None] | None:
        """Refuse a tunnel before it is opened."""
        return self._check(flow) if flow.response is None else None

    def requestheaders(self, flow: HTTPFlow) -> Awaitable[None] | None:
        """Refuse a request that names its destination itself, as plain ones to a proxy do."""
        if flow.response is not None or flow.error is not None:
            return None
        peer = self._peers.of(flow.client_conn)
        where = (flow.request.data.host, flow.request.data.port)
        # In a tunnel all requests go where CONNECT said, which was looked at then.
        if where != peer.target and not _same(peer.target, where) and _asked(peer, where):
            return self._check(flow)
        return None

    async def _check(self, flow: HTTPFlow) -> None:
        refused = await self.refused(flow.client_conn, flow.request.host, flow.request.port)
        if refused is not None:
            refuse(flow, 403, refused.text)

    async def refused(self, client: Client, host: str, port: int) -> Refused | None:
        """Why a client may not go where it asks to (and counts that); None where it may, or where nobody knows yet."""
        try:
            refused = await self._judge(client, host, port)
        except Exception:
            logger.exception("aitap: the check of a destination failed")
            refused = _FAULT
        if refused is not None:
            self._refusals.note(refused.reason, self._peers.of(client).address, f"{host}:{port}: {refused.text}")
        return refused

    async def _judge(self, client: Client, host: str, port: int) -> Refused | None:
        if self._resolver is None:
            return _EARLY
        destination = self._destination(client, host, port)
        refused = destination.unreachable
        if refused is not None or destination.vouched or literal(host) is not None:
            return refused
        if self._is_read(host, port):
            # Its requests get an answer of their own, and a script may still send them elsewhere: the dial decides.
            return None
        try:
            if self._upstream is not None and self._upstream.serves(host):
                addresses = await self._resolver.addresses_soon(host, port, _SOON)
            else:
                addresses = await self._resolver.addresses(host, port)
        except OSError:
            return None  # the dial will say so, or the next proxy knows more
        every = [destination.refused(address) for address in addresses]
        return next((why for why in every if why is not None), None) if all(every) else None

    # When it is dialled

    async def server_connect(self, data: ServerConnectionHookData) -> None:
        """The rules of this dial, for literals and UDP at once, else for the resolver that the dial asks."""
        server = data.server
        if server.error or server.address is None:
            return
        try:
            refused = await self._dial(data.client, server)
        except Exception:
            logger.exception("aitap: the check of a connection failed")
            refused = _FAULT
        if refused is not None:
            self._refusals.note(refused.reason, self._peers.of(data.client).address, refused.text)
            server.error = refused.text

    async def _dial(self, client: Client, server: Server) -> Refused | None:
        if self._resolver is None or server.address is None:
            return _EARLY
        host, port = server.address[0], server.address[1]
        self._resolver.judge(None)
        if self._upstream is not None and self._upstream.is_at(server.address):
            return None
        if not _asked(self._peers.of(client), (host, port)):
            return None
        if self._upstream is not None and self._upstream.serves(host):
            return _NOT_THROUGH
        destination = self._destination(client, host, port)
        if (address := literal(host)) is not None:
            return destination.refused(address)
        if server.transport_protocol == "tcp":
            self._resolver.judge(destination.refused)
            return destination.unreachable
        # UDP is dialled without asyncio, which would ask again: what is checked is what is dialled.
        addresses = await self._resolver.addresses(host, port)
        every = [(address, destination.refused(address)) for address in addresses]
        chosen = next((address for address, why in every if why is None), None)
        if chosen is None:
            return every[0][1]
        server.address = (str(chosen), port)
        return None

    def server_connected(self, data: ServerConnectionHookData) -> None:
        """The address that was dialled in the end, whoever chose it."""
        server = data.server
        if server.address is None or (self._upstream is not None and self._upstream.is_at(server.address)):
            return
        peer = self._peers.of(data.client)
        try:
            if not _asked(peer, (server.address[0], server.address[1])):
                return
            destination = self._destination(data.client, server.address[0], server.address[1])
            refused = destination.refused(address_of(server.peername))
        except Exception:
            logger.exception("aitap: the check of a connection failed")
            refused = _FAULT
        if refused is not None:
            self._refusals.note(refused.reason, peer.address, refused.text)
            _hang_up(data.client, server)

    def tls_failed_server(self, data: TlsData) -> None:
        """What mitmproxy logs says what failed; once an hour for a host this says what to do."""
        server = data.context.server
        host = server.sni or (server.address[0] if server.address else "")
        if _NOT_TRUSTED in (data.conn.error or "") and self._untrusted.may_speak(host):
            logger.warning(
                "aitap: the certificate shown for %s is not from a CA this machine trusts, so no call gets there: "
                "where the network inspects TLS, set upstream_ca to the file of its CA",
                host,
            )

    def _destination(self, client: Client, host: str, port: int) -> Destination:
        if self._destinations is None:
            raise RuntimeError("not started")  # the callers take any exception for a refusal
        address = literal(self._peers.of(client).address)
        return self._destinations.to(host, port, local=address is not None and is_loopback(address))


def _asked(peer: Peer, where: tuple[str, int]) -> bool:
    return where in peer.asked or any(_same(asked, where) for asked in peer.asked)


def _same(one: tuple[str, int] | None, other: tuple[str, int]) -> bool:
    if one is None or one == other:
        return one is not None
    return one[1] == other[1] and canonical(one[0]) == canonical(other[0])


def _hang_up(client: Client, server: Server) -> None:
    """Close a connection that is open already: mitmproxy asks nobody any more, but sends nothing into a closed one."""
    handler = ctx.master.addons.get("proxyserver").connections[client.id]  # type: ignore[no-untyped-call]
    handler.transports[server].writer.close()
