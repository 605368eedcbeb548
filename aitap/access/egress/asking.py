"""Where a client asks to go, in its own words: read before any script can have changed them.

mitmproxy has a hook for CONNECT and none for SOCKS or a redirected connection; :class:`DestinationHook` is that
one, asked of addons as ``aitap_destination``. A SOCKS client that is refused there gets reply 2, "connection not
allowed by ruleset" (RFC 1928, 6).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from mitmproxy.net.http import url
from mitmproxy.proxy import commands, layer
from mitmproxy.proxy.commands import StartHook
from mitmproxy.proxy.layers import modes
from mitmproxy.proxy.layers.http import HTTPMode, HttpStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from mitmproxy.connection import Client
    from mitmproxy.proxy.layers.http._events import RequestHeaders

    from aitap.access.grafts import Grafts

__all__ = ["Asked", "DestinationHook", "note_destinations"]


@dataclasses.dataclass(slots=True)
class Asked:
    """What the hook is given."""

    client: Client
    host: str
    port: int
    refused: str | None = None
    """Set by an addon: why the client may not go there, as one line."""


@dataclasses.dataclass
class DestinationHook(StartHook):  # type: ignore[no-untyped-call]
    """A connection that is not HTTP's says where it leads."""

    name = "aitap_destination"
    data: Asked


def note_destinations(grafts: Grafts, note: Callable[[Client, str, int], None]) -> None:
    """Call ``note`` with every destination that a client names, and ask addons about those of SOCKS and the like."""

    def wait_for_request_headers(original: Any) -> Any:
        def noted(self: HttpStream, event: RequestHeaders) -> layer.CommandGenerator[None]:
            if self.mode is not HTTPMode.transparent and not event.replay_flow:
                request = event.request
                host, port = request.data.host, request.data.port
                if not host:  # a request in origin form: as mitmproxy, by the Host header
                    host, named = url.parse_authority(request.host_header or "", check=False)
                    port = named or (443 if self.context.client.tls else 80)
                note(self.context.client, host, port)
            yield from original(self, event)

        return noted

    def finish_start(original: Any) -> Any:
        def noted(self: modes.DestinationKnown) -> layer.CommandGenerator[str | None]:
            address = self.context.server.address
            if address is not None and not isinstance(self, modes.ReverseProxy):
                note(self.context.client, address[0], address[1])
                asked = Asked(self.context.client, address[0], address[1])
                yield DestinationHook(asked)
                if asked.refused is not None:
                    self.aitap_refused = True  # type: ignore[attr-defined]
                    self._handle_event = self.done  # type: ignore[method-assign]
                    return asked.refused
            error: str | None = yield from original(self)
            return error

        return noted

    def state_connect(original: Any) -> Any:
        def noted(self: modes.Socks5Proxy) -> layer.CommandGenerator[None]:
            steps = original(self)
            reply = None
            while True:
                try:
                    command = steps.send(reply)
                except StopIteration:
                    return
                if getattr(self, "aitap_refused", False) and isinstance(command, commands.SendData):
                    command = commands.SendData(command.connection, b"\x05\x02" + command.data[2:])
                reply = yield command

        return noted

    grafts.put(HttpStream, "state_wait_for_request_headers", wait_for_request_headers)
    grafts.put(modes.DestinationKnown, "finish_start", finish_start)
    grafts.put(modes.Socks5Proxy, "state_connect", state_connect)
