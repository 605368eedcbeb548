"""How much one client may ask of the proxy: body size, head size, connections of a user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitmproxy import ctx, http

from aitap.access.answers import Refusals, error_body, refuse
from aitap.access.grafts import Grafts
from aitap.access.limits.bodies import limit_bodies
from aitap.access.limits.heads import limit_heads
from aitap.capture.called import called

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mitmproxy.connection import Client
    from mitmproxy.proxy.server_hooks import ServerConnectionHookData

    from aitap.access.egress.asking import Asked
    from aitap.access.peers import Peers
    from aitap.access.startup import Startup
    from aitap.capture.routes import Router

__all__ = ["Limits"]

_LARGE = 1024 * 1024
"""Bytes from which a body that nobody records is passed on as it comes."""

_RETRY_AFTER = "5"


class Limits:
    """A part of the access control (see :class:`aitap.access.startup.Part`)."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._refusals = Refusals()
        self._grafts = Grafts()
        self._router: Router | None = None
        self._body_limit = 0
        self._connection_limit = 0
        self._open: dict[str, set[str]] = {}
        """Ids of the open client connections by user."""
        self._user_of: dict[str, str] = {}

    @property
    def refusals(self) -> Mapping[str, int]:
        """How often a limit was met, by reason: ``head``, ``body`` or ``connections``."""
        return self._refusals.counts

    def start(self, startup: Startup) -> None:
        """Begin."""
        settings = startup.settings
        self._router = startup.router
        self._body_limit = settings.body_limit
        self._connection_limit = settings.connection_limit
        limit_bodies(self._grafts, settings.body_limit, self._too_long)
        if settings.header_limit:
            limit_heads(self._grafts, settings.header_limit, self._head_too_long)

    def stop(self) -> None:
        """The proxy ends."""
        self._grafts.remove()

    # Connections

    def crowded(self, client: Client) -> str | None:
        """Why this connection is one too many of its user's, as one line; None where it counts from now on."""
        if not self._connection_limit or client.id in self._user_of or client.timestamp_end is not None:
            return None  # one that ended while others were asked about it would never be taken off
        peer = self._peers.of(client)
        user = peer.identity.user_id if peer.identity is not None else peer.address
        clients = self._open.setdefault(user, set())
        if len(clients) < self._connection_limit:
            clients.add(client.id)
            self._user_of[client.id] = user
            return None
        text = (
            f"aitap: you have {len(clients)} connections open and may have no more; close one and try again, "
            "or whoever runs the proxy can allow more with AITAP_CONNECTION_LIMIT"
        )
        self._refusals.note("connections", peer.address, text)
        return text

    def client_disconnected(self, client: Client) -> None:
        """One less."""
        user = self._user_of.pop(client.id, None)
        if user is not None:
            clients = self._open[user]
            clients.discard(client.id)
            if not clients:
                del self._open[user]

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """A tunnel is a connection of its user's."""
        if flow.response is None and (text := self.crowded(flow.client_conn)) is not None:
            refuse(flow, 429, text, {"retry-after": _RETRY_AFTER})

    def aitap_destination(self, asked: Asked) -> None:
        """So is a connection of SOCKS, or one that was redirected to us."""
        if asked.refused is None:
            asked.refused = self.crowded(asked.client)

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """Where no request and no CONNECT came before, a connection counts when it leads somewhere."""
        if data.server.error is None and (text := self.crowded(data.client)) is not None:
            data.server.error = text

    # Bodies

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Refuse what is one too many or too long; let pass as it comes what is long and nobody records."""
        if flow.response is not None or flow.error is not None:
            return
        if (text := self.crowded(flow.client_conn)) is not None:
            refuse(flow, 429, text, {"retry-after": _RETRY_AFTER})
            return
        if not self._body_limit and self._router is not None and called(self._router, flow) is not None:
            return  # nearly all there is; headers take longer to look through
        length = _length(flow.request)
        if length is not None and length <= _LARGE and not self._body_limit:
            return
        if self._body_limit and length is not None and length > self._body_limit:
            self._too_long(flow)
        elif (length is None or length > _LARGE) and self._may_stream(flow):
            flow.request.stream = True

    def _may_stream(self, flow: http.HTTPFlow) -> bool:
        request = flow.request
        if request.stream or self._router is None or flow.is_replay or ctx.options.modify_body:
            return False
        return called(self._router, flow) is None

    def _too_long(self, flow: http.HTTPFlow) -> http.Response:
        text = (
            f"aitap: the body of a request may have {self._body_limit} bytes; "
            "whoever runs the proxy can allow more with AITAP_BODY_LIMIT"
        )
        self._refusals.note("body", self._peers.of(flow.client_conn).address, f"{flow.request.host}: {text}")
        return refuse(flow, 413, error_body("request_too_large", text), {"content-type": "application/json"})

    def _head_too_long(self, client: Any, reason: str) -> None:
        self._refusals.note(reason, self._peers.of(client).address, "the head of a request has too many bytes")


def _length(request: http.Request) -> int | None:
    """How long the body will be; None where only its end will tell."""
    # The bare fields: mitmproxy's view of them decodes each one, and this runs for every request.
    coded = False
    for name, value in request.data.headers.fields:
        size = len(name)
        if size == 14 and name.lower() == b"content-length":
            return int(value) if value.isdigit() and len(value) < 20 else None
        coded = coded or (size == 17 and name.lower() == b"transfer-encoding")
    # HTTP/1 says so where there is a body (RFC 9112, 6.3); HTTP/2 need not.
    return None if coded or request.data.http_version not in (b"HTTP/1.1", b"HTTP/1.0") else 0
