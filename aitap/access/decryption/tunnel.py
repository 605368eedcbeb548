"""The layer that passes a connection on unread, counts its bytes and does nothing else.

Theory of operation. mitmproxy's layers sit in one another, and each chunk of a tunnel would pass through
all of them: for CONNECT, down through those of HTTP, which make events of their own of it, and up again.
These also turn a half-close into a close, which cuts off the answer of whoever waits for the end of the
question. So a tunnel, once it is open, takes the place of the outermost layer, as mitmproxy's own modes
put their child layer in theirs; that needs the bare sockets on both sides, so with TLS towards the proxy
or towards an upstream proxy it stays inside and behaves as mitmproxy does.

A half-close is passed on and the other direction goes on until it ends, too (RFC 9293, 3.6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mitmproxy.connection import Connection, ConnectionState
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers import modes
from mitmproxy.proxy.layers.http import HttpLayer
from mitmproxy.proxy.layers.http._events import RequestProtocolError
from mitmproxy.proxy.layers.http._upstream_proxy import HttpUpstreamProxy

if TYPE_CHECKING:
    from mitmproxy.proxy.context import Context

    from aitap.access.decryption.tallies import Sight

__all__ = ["Tunnel"]

_EXPLICIT = (modes.HttpProxy, modes.HttpUpstreamProxy)


class _Tallies(Protocol):
    def opened(self, tunnel: Tunnel) -> None: ...

    def ended(self, tunnel: Tunnel) -> None: ...


class Tunnel(layer.Layer):
    """One connection that passes unread. ``sent`` and ``received`` are bytes not told of yet."""

    def __init__(self, context: Context, sight: Sight, tallies: _Tallies) -> None:
        super().__init__(context)
        self.sight = sight
        self.sent = 0
        """From the client to the server."""
        self.received = 0
        self._tallies = tallies
        self._client: Connection = context.client
        self._server: Connection = context.server
        self._client_ended = self._server_ended = False
        self._outermost: layer.Layer | None = None
        self._closings: list[events.ConnectionClosed] = []

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if not isinstance(event, events.Start):
            return
        server = self._server = self.context.server
        if server.timestamp_start is None and (yield commands.OpenConnection(server)):
            self._handle_event = self._nothing  # type: ignore[method-assign]
            yield commands.CloseConnection(self._client)
            return
        self._handle_event = self._relay  # type: ignore[method-assign]
        self._tallies.opened(self)
        self._step_out()

    def _step_out(self) -> None:
        """Take the place of the outermost layer, where nothing but plain bytes lies between it and this one."""
        outermost, *between = self.context.layers[:-1]
        innermost = between[-1] if between else None
        if isinstance(innermost, HttpUpstreamProxy):
            between.pop()
        if isinstance(outermost, _EXPLICIT):
            # Of HTTP/2 one stream is not the connection.
            if len(between) != 2 or not isinstance(between[0], HttpLayer) or self.context.client.alpn is not None:
                return
        elif between or not isinstance(outermost, modes.DestinationKnown):
            return
        if isinstance(innermost, HttpUpstreamProxy):
            self._server = innermost.tunnel_connection
        outermost._handle_event = self._relay  # type: ignore[method-assign]
        self._outermost = outermost
        self._handle_event = self._replayed  # type: ignore[method-assign]

    def _replayed(self, event: events.Event) -> layer.CommandGenerator[None]:
        """What happened while the tunnel opened still comes through the layers between, which know no half-close."""
        if self._outermost is None or not isinstance(event, events.ConnectionClosed):
            yield from self._relay(event)
            return
        self._closings.append(event)
        self._outermost._handle_event = self._resume  # type: ignore[method-assign]
        yield commands.RequestWakeup(0)

    def _resume(self, event: events.Event) -> layer.CommandGenerator[None]:
        """The first event that comes from outside after a replayed close, if only the wake-up."""
        if self._outermost is not None:
            self._outermost._handle_event = self._relay  # type: ignore[method-assign]
        closings, self._closings = self._closings, []
        for closing in closings:
            yield from self._relay(closing)
        yield from self._relay(event)

    def _relay(self, event: events.Event) -> layer.CommandGenerator[None]:
        # Runs for every chunk: no call that can be spared.
        if type(event) is events.DataReceived:
            data = event.data
            if event.connection is self._client:
                self.sent += len(data)
                yield commands.SendData(self._server, data)
            else:
                self.received += len(data)
                yield commands.SendData(self._client, data)
        elif isinstance(event, events.ConnectionClosed):
            yield from self._closed(by_client=event.connection is self._client)
        elif isinstance(event, RequestProtocolError):
            # A stream of HTTP/2 is reset; its connection goes on.
            self._client_ended = True
            yield commands.CloseConnection(self._server)

    def _closed(self, *, by_client: bool) -> layer.CommandGenerator[None]:
        # Not the states of the connections: the client's may carry other streams.
        self._client_ended |= by_client
        self._server_ended |= not by_client
        if not (self._client_ended and self._server_ended):
            yield commands.CloseTcpConnection(self._server if by_client else self._client, half_close=True)
            return
        self._tallies.ended(self)
        for connection in (self._server, self._client):
            if connection.state is not ConnectionState.CLOSED:
                yield commands.CloseConnection(connection)

    def _nothing(self, event: events.Event) -> layer.CommandGenerator[None]:  # noqa: ARG002 - as in Layer
        yield from ()
