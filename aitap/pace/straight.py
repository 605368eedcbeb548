"""The events of a flow, one after the other without a turn of the event loop between them.

mitmproxy's layers give what they want done, commands, to whoever gave them an event: to the layer around them,
and at last to the server. An event of a flow is such a command. It goes up through ten layers, is
asked of the addons in a task, and its answer comes down again by the same ways, in the event loop's next turn. Here
the layer of the HTTP connection has the addons asked as the command comes by (:mod:`aitap.pace.asking`), and gives
the answer once the event that led to it is over: it is the connection's next event, as it would have been.
What cannot be answered at once (an addon waits, a flow is held by the user) goes its usual way.

And what one event wants sent to one peer is sent as one piece of up to 16 KB (a TLS record): a head and a
body, or several events of a stream that came together, eight at first and then ever more. It is sent before anybody
is asked anything further.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitmproxy.addonmanager import AddonManager
from mitmproxy.proxy import events
from mitmproxy.proxy.commands import Log, SendData
from mitmproxy.proxy.layer import Layer
from mitmproxy.proxy.layers.http import HttpLayer
from mitmproxy.proxy.layers.http._hooks import (
    HttpErrorHook,
    HttpRequestHeadersHook,
    HttpRequestHook,
    HttpResponseHeadersHook,
    HttpResponseHook,
)
from mitmproxy.proxy.layers.tls import ClientTLSLayer, TLSLayer
from mitmproxy.proxy.layers.websocket import WebsocketMessageHook
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from mitmproxy.proxy.server import ConnectionHandler
from OpenSSL import SSL

from aitap.pace.asking import RELIES_ON as ASKING
from aitap.pace.asking import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from mitmproxy.addons.proxyserver import Proxyserver
    from mitmproxy.hooks import Hook
    from mitmproxy.proxy.commands import Command

    from aitap.access.grafts import Grafts
    from aitap.pace.chains import Chains

__all__ = ["RELIES_ON", "Straight"]

RELIES_ON = (
    *ASKING,
    ConnectionHandler.hook_task,
    ConnectionHandler.server_event,
    HttpLayer._handle_event,
    HttpLayer.event_to_child,
    Layer.handle_event,
    ProxyConnectionHandler.handle_hook,
    TLSLayer.receive_data,
)

_RECORD = 16 * 1024
"""Bytes of a TLS record (RFC 8446, 5.1); what is longer goes as it comes."""

_JOINED = 8
"""How many sends are the first piece of what one event wants sent; each next may be twice as many. The start of a long
answer that came at once does not wait until a hundred of its events have gone through."""

_AT_ONCE = 8
"""Answers that follow each other without a turn of the event loop; a request needs four. Others want their turn."""

_ASKED = frozenset(
    (
        HttpRequestHeadersHook,
        HttpRequestHook,
        HttpResponseHeadersHook,
        HttpResponseHook,
        HttpErrorHook,
        WebsocketMessageHook,
    )
)

_REST = "aitap_rest"
"""Where an event has what is still to be done of it."""


class Straight:
    """Answers the events of the flows of one proxy server, from :meth:`begin` to :meth:`end`."""

    def __init__(self, chains: Chains) -> None:
        self._chains = chains
        self._server: Proxyserver | None = None

    def begin(self, grafts: Grafts, server: Proxyserver) -> None:
        """From now on."""
        self._server = server
        grafts.put(HttpLayer, "handle_event", self._handle_event)
        grafts.put(AddonManager, "handle_lifecycle", self._handle_lifecycle)

    def end(self) -> None:
        """Layers of open connections keep the method that they were made with: it does nothing more."""
        self._server = None

    def _handle_event(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def handle_event(layer: HttpLayer, first: events.Event) -> Generator[Command, Any, None]:
            if self._server is None:
                yield from original(layer, first)
                return
            due = [first]
            waiting: SendData | None = None
            joined, most = 1, _JOINED
            at_once = True
            for place, event in enumerate(due, 1):  # it grows
                try:
                    for command in original(layer, event):
                        kind = command.__class__
                        if kind is SendData:
                            if waiting is None:
                                waiting, joined = command, 1
                            elif joined < most and _are_one(waiting, command):
                                waiting = SendData(waiting.connection, waiting.data + command.data)
                                joined += 1
                            else:
                                yield waiting
                                waiting = command
                                joined, most = 1, 2 * most
                            continue
                        if waiting is not None and kind is not Log:
                            yield waiting
                            waiting = None
                        if kind in _ASKED:
                            # Answers keep their order: behind one that has to be waited for, none overtakes it.
                            at_once = at_once and len(due) <= _AT_ONCE and self._answered(layer, command)
                            if at_once:
                                due.append(events.HookCompleted(command))
                                continue
                        yield command
                except Exception:
                    # A mistake of mitmproxy's, which ends this event alone: what came before it stays.
                    if waiting is not None:
                        yield waiting
                    for left in due[place:]:
                        left.command.__dict__[_REST] = _nothing  # type: ignore[attr-defined]
                        yield left.command  # type: ignore[attr-defined]
                    raise
            if waiting is not None:
                yield waiting

        return handle_event

    def _answered(self, layer: HttpLayer, hook: Any) -> bool:
        """Whether the addons have been asked and have nothing to wait for; else the rest is noted in the command."""
        server = self._server
        if server is None or not hook.blocking or _REST in hook.__dict__ or _is_leaving(layer):
            return False
        handler = server.connections.get(layer.context.client.id)
        if handler.__class__ is not ProxyConnectionHandler:
            return False  # a replay, which does more at each event
        manager = handler.master.addons
        if manager.__class__ is not AddonManager:
            return False
        rest = ask(self._chains, manager, hook, hook.flow)
        if rest is None and not hook.flow.intercepted:
            return True
        hook.__dict__[_REST] = rest or _nothing
        return False

    def _handle_lifecycle(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def handle_lifecycle(manager: AddonManager, event: Hook) -> Coroutine[Any, Any, None]:
            rest = event.__dict__.pop(_REST, original)
            done: Coroutine[Any, Any, None] = rest(manager, event) if rest is original else rest()
            return done

        return handle_lifecycle


def _are_one(first: SendData, second: SendData) -> bool:
    return (
        first.connection is second.connection
        and first.data.__class__ is second.data.__class__ is bytes  # a script may stream other things
        and len(first.data) + len(second.data) <= _RECORD
        and first.connection.transport_protocol == "tcp"
    )


def _is_leaving(layer: HttpLayer) -> bool:
    """Whether the client has closed its side in the very bytes that are being read, which only TLS knows yet.

    mitmproxy hears of it before the answer of the addons, and does not go on with the request of a client that went.
    """
    for below in layer.context.layers:
        if below is layer:
            break
        if isinstance(below, ClientTLSLayer) and below.tls and below.tls.get_shutdown() & SSL.RECEIVED_SHUTDOWN:
            return True
    return False


async def _nothing() -> None:
    """Everybody has been asked; what remains is to wait for the user."""
