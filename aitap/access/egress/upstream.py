"""The proxy behind this one, for a network whose only way out it is.

mitmproxy's own ``upstream`` mode is one of the listener; here it is one of the connection, so that SOCKS and
transparent listeners have it too, and this machine is reached without it. Tunnels and all TLS go through CONNECT
(RFC 9110, 9.3.6); plain requests go to the proxy in absolute form (RFC 9112, 3.2.2), since many a proxy refuses a
tunnel to port 80. Its credentials are put in where a request leaves, into no flow that is kept.
"""

from __future__ import annotations

import base64
import dataclasses
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

from mitmproxy.net.http import url
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers import modes
from mitmproxy.proxy.layers.http import GetHttpConnection, HTTPMode, HttpStream
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import RequestHeaders, ResponseHeaders, ResponseProtocolError
from mitmproxy.proxy.layers.http._http1 import Http1Client
from mitmproxy.proxy.layers.http._upstream_proxy import HttpUpstreamProxy

from aitap.access.egress.destinations import names_loopback
from aitap.access.egress.networks import canonical
from aitap.access.egress.opening_first import open_first
from aitap.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mitmproxy.http import HTTPFlow, Request

    from aitap.access.grafts import Grafts

__all__ = ["Upstream", "chain", "upstream_of"]

_WRITE = "write http://host:port or https://user:password@host:port, with % codes for special characters"


@dataclasses.dataclass(frozen=True, slots=True)
class Upstream:
    """A proxy to go through."""

    scheme: Literal["http", "https"]
    address: tuple[str, int]
    authorization: str | None = dataclasses.field(default=None, repr=False)
    """The value of ``Proxy-Authorization`` (RFC 7617)."""

    @property
    def via(self) -> tuple[Literal["http", "https"], tuple[str, int]]:
        """As mitmproxy says it."""
        return self.scheme, self.address

    def is_at(self, address: Any) -> bool:
        """Whether this is the proxy's own address."""
        return address is not None and tuple(address[:2]) == self.address

    def serves(self, host: str) -> bool:
        """Whether what is meant for this host goes through the proxy: all but this machine."""
        return not names_loopback(host)

    def authorize(self, flow: HTTPFlow) -> None:
        """Put the credentials into a CONNECT of ours."""
        if self.authorization is not None:
            flow.request.headers["Proxy-Authorization"] = self.authorization


def upstream_of(text: str) -> Upstream | None:
    """The proxy that a setting names, None for none.

    Raises :class:`SettingsError`, which does not repeat the text: there may be a password in it.
    """
    if not text:
        return None
    try:
        parts = urlsplit(text)
        scheme, host, port = parts.scheme, canonical(parts.hostname or ""), parts.port
    except ValueError:
        raise SettingsError(f"upstream is no address of a proxy: {_WRITE}") from None
    if scheme not in ("http", "https"):
        raise SettingsError(f"upstream is neither http:// nor https://: {_WRITE}")
    if not host or parts.path not in ("", "/") or parts.query or parts.fragment or any(c.isspace() for c in text):
        raise SettingsError(f"upstream is no address of a proxy: {_WRITE}")
    authorization = None
    if "@" in parts.netloc:
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if not user and not password:
            raise SettingsError(f"upstream has an @, but neither user nor password before it: {_WRITE}")
        authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    return Upstream("https" if scheme == "https" else "http", (host, port or _port(scheme)), authorization)


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def chain(grafts: Grafts, upstream: Upstream, unread: Callable[[str, int], bool]) -> None:
    """Send everything through this proxy that is not for this machine. Connections must be made lazily.

    ``unread`` tells of a host and port whether a tunnel to it will pass unread.
    """
    _chain_tunnels(grafts, upstream, unread)
    _chain_requests(grafts, upstream)
    _speak_to(grafts, upstream)


def _chain_tunnels(grafts: Grafts, upstream: Upstream, unread: Callable[[str, int], bool]) -> None:
    def handle_connect(original: Any) -> Any:
        def chained(self: HttpStream) -> layer.CommandGenerator[None]:
            server = self.context.server
            if self.flow.response is None and server.address is not None and upstream.serves(server.address[0]):
                server.via = upstream.via
                if unread(server.address[0], server.address[1]):
                    way = HttpUpstreamProxy.make(self.context, send_connect=True)
                    # Should it turn out to be a call after all, then TLS was not begun as mitmproxy expects it on an
                    # open connection: as it is marked now, it is not taken for one that goes through the proxy.
                    server.via = None
                    yield from open_first(self, way)
                else:
                    yield from self.handle_connect_upstream()  # type: ignore[no-untyped-call]
            else:
                yield from original(self)

        return chained

    def finish_start(original: Any) -> Any:
        def chained(self: modes.DestinationKnown) -> layer.CommandGenerator[str | None]:
            server = self.context.server
            if server.address is not None and server.transport_protocol == "tcp" and upstream.serves(server.address[0]):
                server.via = upstream.via
                # The layers of reverse mode are made for the bottom of the stack; HTTP in there heeds `via`.
                if not isinstance(self, modes.ReverseProxy):
                    self.child_layer = HttpUpstreamProxy.make(self.context, send_connect=True)[0]
            error: str | None = yield from original(self)
            return error

        return chained

    grafts.put(HttpStream, "handle_connect_regular", handle_connect)
    grafts.put(modes.DestinationKnown, "finish_start", finish_start)


def _chain_requests(grafts: Grafts, upstream: Upstream) -> None:
    def make_server_connection(_: Any) -> Any:
        def chained(self: HttpStream) -> layer.CommandGenerator[bool]:
            request = self.flow.request
            through = upstream.serves(request.host)
            if through and self.mode is HTTPMode.regular and request.scheme == "http" and not _upgrades(request):
                wanted = GetHttpConnection(upstream.address, upstream.scheme == "https", None, "tcp")
            else:
                protocol = self.flow.server_conn.transport_protocol
                via = upstream.via if through else None
                wanted = GetHttpConnection((request.host, request.port), request.scheme == "https", via, protocol)
            connection, error = yield wanted
            if error:
                message = ResponseProtocolError(self.stream_id, error, ResponseProtocolError.code)
                yield from self.handle_protocol_error(message)
                return False
            self.context.server = self.flow.server_conn = connection
            return True

        return chained

    grafts.put(HttpStream, "make_server_connection", make_server_connection)


def _speak_to(grafts: Grafts, upstream: Upstream) -> None:
    """Plain requests as a proxy wants them."""

    def send(original: Any) -> Any:
        def chained(self: Http1Client, event: Any) -> layer.CommandGenerator[None]:
            if isinstance(event, RequestHeaders) and upstream.is_at(self.context.server.address):
                request = _absolute(event.request, upstream)
                event = RequestHeaders(event.stream_id, request, event.end_stream, event.replay_flow)
            yield from original(self, event)

        return chained

    def read_headers(original: Any) -> Any:
        def chained(self: Http1Client, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
            for command in original(self, event):
                if (
                    isinstance(command, ReceiveHttp)
                    and isinstance(command.event, ResponseHeaders)
                    and command.event.response.status_code == 407
                    and upstream.is_at(self.context.server.address)
                ):
                    # For us, not for the client, which would take its own key for wrong.
                    self.state = self.done
                    yield commands.CloseConnection(self.conn)
                    text = "the upstream proxy wants other credentials (407): see AITAP_UPSTREAM"
                    stream = command.event.stream_id
                    yield ReceiveHttp(ResponseProtocolError(stream, text, ResponseProtocolError.code))
                    return
                yield command

        return chained

    grafts.put(Http1Client, "send", send)
    grafts.put(Http1Client, "read_headers", read_headers)


def _upgrades(request: Request) -> bool:
    return "upgrade" in request.headers


def _absolute(request: Request, upstream: Upstream) -> Request:
    """As it goes to a proxy; a copy, so that what is only the proxy's to know is in no flow."""
    request = request.copy()
    host = f"[{request.host}]" if ":" in request.host else request.host
    request.authority = url.hostport("http", host, request.port)
    if upstream.authorization is not None:
        request.headers["Proxy-Authorization"] = upstream.authorization
    return request
