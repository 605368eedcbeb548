"""CONNECT is answered when the way is open, and with 502 where it is not.

mitmproxy says 200 first, where it connects lazily or in upstream mode: whoever wanted a tunnel then sees it close, and
nobody tells why. Here the connection is made first, or the proxy behind us asked. Not for what will be decrypted:
there the request is answered, and recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitmproxy import http
from mitmproxy.addons.tlsconfig import TlsConfig
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import HttpStream
from mitmproxy.proxy.layers.http._events import RequestProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mitmproxy.proxy.context import Context
    from mitmproxy.tls import ClientHelloData

    from aitap.access.grafts import Grafts

__all__ = ["answer_when_open", "open_first"]


def answer_when_open(grafts: Grafts, unread: Callable[[str, int], bool]) -> None:
    """Answer CONNECT when the connection is made, for each host and port to which a tunnel will pass ``unread``."""

    def handle_connect(original: Any) -> Any:
        def opening(self: HttpStream) -> layer.CommandGenerator[None]:
            server = self.context.server
            if self.flow.response is None and server.address is not None and unread(*server.address[:2]):
                return open_first(self, ())
            found: layer.CommandGenerator[None] = original(self)
            return found

        return opening

    def tls_clienthello(original: Any) -> Any:
        def known(self: TlsConfig, data: ClientHelloData) -> None:
            original(self, data)
            server = data.context.server
            if server.connected and server.tls and not server.tls_established:
                # The name told only now that it will be read. mitmproxy begins TLS on a connection that is open
                # where it connects eagerly, and elsewhere would wait for it for ever.
                data.establish_server_tls_first = True

        return known

    grafts.put(HttpStream, "handle_connect_regular", handle_connect)
    grafts.put(TlsConfig, "tls_clienthello", tls_clienthello)


def open_first(stream: HttpStream, way: Any) -> layer.CommandGenerator[None]:
    """Open the stream's connection, through ``way`` (mitmproxy's layers to an upstream proxy) if any, then answer."""

    def opened(error: str | None) -> layer.CommandGenerator[None]:
        if error:
            stream.flow.response = http.Response.make(
                502,
                f"aitap: there is no way to {stream.flow.request.host}: {error}\n",
                {"content-type": "text/plain; charset=utf-8", "connection": "close"},
            )
        stream.child_layer = _Begun(stream, first)  # type: ignore[assignment]
        yield from stream.handle_connect_finish()  # type: ignore[no-untyped-call]

    def forward(event: events.Event) -> layer.CommandGenerator[None]:
        # A client that is gone ends all its connections; there is nobody left to answer.
        if stream.child_layer is not None and not isinstance(event, RequestProtocolError):
            yield from stream.child_layer.handle_event(event)

    last = _Opening(stream.context, opened)
    first: layer.Layer = way[0] if way else last
    if way:
        way[-1].child_layer = last
    stream.child_layer = first
    stream._handle_event = forward
    yield from first.handle_event(events.Start())


class _Opening(layer.Layer):
    """Opens the connection, says so, and is what mitmproxy decides on the first bytes from then on."""

    def __init__(self, context: Context, opened: Callable[[str | None], layer.CommandGenerator[None]]) -> None:
        super().__init__(context)
        self.context.layers.remove(self)  # as mitmproxy's NextLayer: others look at what is there
        self._opened = opened

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if not isinstance(event, events.Start):
            return
        error = yield commands.OpenConnection(self.context.server)
        following = layer.NextLayer(self.context)
        self._handle_event = following.handle_event  # type: ignore[method-assign]
        yield from following.handle_event(events.Start())
        yield from self._opened(error)


class _Begun:
    """Stands for a layer that mitmproxy would begin with the answer, and which runs already."""

    def __init__(self, stream: HttpStream, running: layer.Layer) -> None:
        self._stream = stream
        self._running = running

    def handle_event(self, event: events.Event) -> Iterator[commands.Command]:
        if isinstance(event, events.Start):
            self._stream.child_layer = self._running
            return iter(())
        return self._running.handle_event(event)
