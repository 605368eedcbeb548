"""The last line before a stranger's socket: mitmproxy's HTTP/1 server, which says 407 to them and nothing else.

Hooks see requests. What mitmproxy answers by itself before there is one (400 to a head that it cannot read or
that names no host, 431, an error that another script caused) goes past them; here it cannot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers import ClientTLSLayer
from mitmproxy.proxy.layers.http import HttpLayer, HTTPMode
from mitmproxy.proxy.layers.http._events import ResponseHeaders, ResponseProtocolError
from mitmproxy.proxy.layers.http._http1 import Http1Server
from mitmproxy.proxy.layers.http._http2 import Http2Server

from aitap.access.gate import refusals

if TYPE_CHECKING:
    from collections.abc import Callable

    from mitmproxy.proxy.context import Context

__all__ = ["PREFACE", "Closed", "GuardedHttp", "Watch", "guarded"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""How HTTP/2 begins with prior knowledge (RFC 9113, 3.4)."""


class Watch(NamedTuple):
    """Whom the guard asks, and whom it tells."""

    admitted: Callable[[], bool]
    """Whether anything but a refusal may go out on this connection."""
    refused: Callable[[], None]
    """Called when the guard had to refuse."""


def guarded(context: Context, mode: HTTPMode, watch: Watch, *, tls: bool) -> layer.Layer:
    """The layers for a client that speaks HTTP to the proxy itself, within TLS where it begins so."""
    if not tls:
        return GuardedHttp(context, mode, watch)
    outer = ClientTLSLayer(context)
    outer.child_layer = GuardedHttp(context, mode, watch)
    return outer


class GuardedHttp(HttpLayer):
    """mitmproxy's HTTP, with servers for HTTP/1 and HTTP/2 that ask before they let anything out."""

    def __init__(self, context: Context, mode: HTTPMode, watch: Watch) -> None:
        super().__init__(context, mode)
        self._watch = watch

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start):
            server = _Server2 if self.context.client.alpn == b"h2" else _Server1
            self.connections[self.context.client] = server(self.context.fork(), self._watch)
        yield from super()._handle_event(event)


class _Server1(Http1Server):
    def __init__(self, context: Context, watch: Watch) -> None:
        super().__init__(context)
        self._watch = watch
        self._refused = False

    def send(self, event: Any) -> layer.CommandGenerator[None]:
        if self._refused:
            return
        wrong = isinstance(event, ResponseProtocolError) or (
            isinstance(event, ResponseHeaders) and event.response.status_code != 407
        )
        if wrong and not self._watch.admitted():
            yield from self._refuse()
        else:
            yield from super().send(event)

    def read_headers(self, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        for command in super().read_headers(event):
            if isinstance(command, commands.Log):
                continue  # it quotes what came, credentials included
            if isinstance(command, commands.SendData) and not self._watch.admitted():
                yield from self._refuse()
            elif not (self._refused and isinstance(command, commands.SendData)):
                yield command

    def _refuse(self) -> layer.CommandGenerator[None]:
        if not self._refused and self.conn.state & ConnectionState.CAN_WRITE:
            self._watch.refused()
            yield commands.SendData(self.conn, refusals.wire())
            yield commands.CloseConnection(self.conn)
        self._refused = True


class _Server2(Http2Server):
    def __init__(self, context: Context, watch: Watch) -> None:
        super().__init__(context)
        self._watch = watch

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if (
            isinstance(event, ResponseProtocolError)
            and not self._watch.admitted()
            and not self.is_closed(event.stream_id)
        ):
            self._watch.refused()
            answer = refusals.response(refusals.MISSING, close=True, http1=False, head=True)
            event = ResponseHeaders(event.stream_id, answer, end_stream=True)
        yield from super()._handle_event(event)


class Closed(layer.Layer):
    """Ends a connection that nobody may use."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start):
            # Not yet: mitmproxy knows the connection's reader only when this event is over.
            yield commands.RequestWakeup(0)
        elif isinstance(event, events.Wakeup):
            yield commands.CloseConnection(self.context.client)
