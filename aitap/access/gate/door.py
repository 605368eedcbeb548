"""The hooks of the gate: they come before those of every other addon and script, and end what is refused.

mitmproxy asks its addons one after the other, and an error in one script keeps the scripts after it from being
asked at all. So the door does not stand among the scripts but at the very front, and a refused request goes no
further than this: no other addon sees it, changes its answer or answers in its place. An exception in here
refuses.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import time
from typing import TYPE_CHECKING, Any, NoReturn

from mitmproxy import exceptions, http
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import mode_specs
from mitmproxy.proxy.layers import modes
from mitmproxy.proxy.layers.http import HTTPMode

from aitap.access.authentication.credentials import Credentials, read_header
from aitap.access.authentication.sources import Grant, Refusal
from aitap.access.gate import refusals
from aitap.access.gate.flows import answer, has_body, is_refused, strip
from aitap.access.gate.guard import PREFACE, Closed, Watch, guarded
from aitap.access.gate.listeners import carries_credentials, is_reverse_http
from aitap.access.gate.session import Session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from mitmproxy.connection import Client
    from mitmproxy.proxy.layer import NextLayer
    from mitmproxy.proxy.layers.modes import Socks5AuthData
    from mitmproxy.proxy.server_hooks import ServerConnectionHookData

    from aitap.access.authentication.sources import Answer
    from aitap.access.gate.gate import Gate

__all__ = ["NAME", "Door"]

logger = logging.getLogger(__name__)

NAME = "aitap_door"

STARTUP = 30.0
"""Seconds that a connection waits for the proxy to have started."""

_AFTER = ("http_connected", "http_connect_error", "request", "responseheaders", "response", "error")
"""Hooks in which a refused request ends."""

_MANY = 8
"""Refusals on one connection after which it is closed."""


class Door:
    """An addon of mitmproxy's; :class:`aitap.access.gate.gate.Gate` knows who may come in."""

    def __init__(self, gate: Gate) -> None:
        self.name = NAME
        self._gate = gate
        self._sessions: dict[str, Session] = {}

    @property
    def sessions(self) -> list[Session]:
        """The open connections."""
        return list(self._sessions.values())

    # Connections

    def client_connected(self, client: Client) -> Awaitable[None] | None:
        """Decide what is needed here; wait where the proxy has not started yet."""
        if self._gate.ready.is_set():
            self._connected(client)
            return None
        return self._connect_later(client)

    async def _connect_later(self, client: Client) -> None:
        try:
            await asyncio.wait_for(self._gate.ready.wait(), STARTUP)
        except TimeoutError:
            client.error = "aitap has not started"
            return
        self._gate.read_later(client)
        self._connected(client)

    def _connected(self, client: Client) -> None:
        try:
            self._begin(client)
        except Exception:
            logger.exception("aitap: a connection could not be judged, and is closed")
            client.error = "aitap: access could not be decided"

    def _begin(self, client: Client) -> None:
        gate = self._gate
        peer = gate.peers.of(client)
        session = Session(client, peer, required=gate.needs_key(client))
        self._sessions[client.id] = session
        explicit = carries_credentials(client)
        redirected = not explicit and not isinstance(client.proxy_mode, mode_specs.ReverseMode)
        session.tunnel = redirected
        if redirected:
            session.names(gate.destination(client))
        session.address_grant = gate.by_address(peer.address)
        if session.address_grant is not None:
            session.admit(session.address_grant)
            session.tunnel = not explicit
        elif not session.required:
            peer.identity = gate.peers.local
        elif not explicit and not is_reverse_http(client):
            gate.refused(session, refusals.MISSING, "a connection")
            client.error = "aitap: nobody is known at this address"
            return
        if not session.admitted:
            gate.watch()

    def client_disconnected(self, client: Client) -> None:
        """It is over."""
        self._sessions.pop(client.id, None)

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """Whatever way it took: nothing is dialled for somebody who was not let in."""
        try:
            refused = self._not_let_in(data)
        except Exception:
            logger.exception("aitap: a connection could not be judged, and is not opened")
            refused = True
        if refused:
            data.server.error = "aitap: this connection was not let in"

    def _not_let_in(self, data: ServerConnectionHookData) -> bool:
        session = self._sessions.get(data.client.id)
        if session is None:
            return self._gate.is_live(data.client)  # a replay has no client of its own
        if session.peer.target is None and isinstance(data.client.proxy_mode, mode_specs.Socks5Mode):
            session.names(data.server.address)
        if session.ended is not None and session.tunnel:
            return True
        return not session.admitted and not is_reverse_http(data.client)

    def next_layer(self, nextlayer: NextLayer) -> None:
        """Set a guard before the proxy's own HTTP; end what got here without having been let in."""
        try:
            self._layer(nextlayer)
        except exceptions.AddonHalt:
            raise
        except Exception:
            logger.exception("aitap: a connection could not be judged, and is closed")
            nextlayer.layer = Closed(nextlayer.context)
        if nextlayer.layer is not None:
            raise exceptions.AddonHalt  # no script puts another in its place

    def _layer(self, nextlayer: NextLayer) -> None:
        context = nextlayer.context
        session = self._sessions.get(context.client.id)
        if session is None:
            if self._gate.is_live(context.client):
                nextlayer.layer = Closed(context)
            return
        if isinstance(context.client.proxy_mode, mode_specs.Socks5Mode):
            session.tunnel = True
            if session.peer.target is None:
                session.names(context.server.address)
        if not session.required:
            return
        if len(context.layers) == 1 and isinstance(context.layers[0], (modes.HttpProxy, modes.HttpUpstreamProxy)):
            data = nextlayer.data_client()  # type: ignore[no-untyped-call]
            if data.startswith(PREFACE):
                # What TLS would have agreed on; mitmproxy asks nothing else to tell HTTP/2.
                context.client.alpn = b"h2"
            elif PREFACE.startswith(data):
                raise exceptions.AddonHalt  # too little to tell: one more byte, please
            upstream = isinstance(context.layers[0], modes.HttpUpstreamProxy)
            nextlayer.layer = guarded(
                context,
                HTTPMode.upstream if upstream else HTTPMode.regular,
                Watch(
                    lambda: session.admitted,
                    lambda: self._gate.refused(session, refusals.MISSING, "what is no request"),
                ),
                tls=starts_like_tls_record(data),
            )
        elif not session.admitted and not is_reverse_http(context.client):
            nextlayer.layer = Closed(context)

    def socks5_auth(self, data: Socks5AuthData) -> Awaitable[None] | None:
        """User and password of SOCKS5 (RFC 1929)."""
        data.valid = False
        session = self._sessions.get(data.client_conn.id)
        if session is None:
            return None

        def done(answer: Answer) -> None:
            if isinstance(answer, Grant):
                session.admit(answer)
                session.tunnel = data.valid = True
            elif session.address_grant is not None or not session.required:
                data.valid = True
            else:
                self._gate.refused(session, answer, "a SOCKS5 connection")

        return self._identified(session, Credentials(data.username, data.password), done)

    # Requests

    def http_connect(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """A tunnel is asked for: find out whose it is."""
        return self._judged(flow, self._connect)

    def _connect(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        session = self._sessions.get(flow.client_conn.id)
        values = self._taken(flow, session)
        if session is None:
            self._refuse(flow, None, refusals.MISSING)
        request = flow.request
        session.peer.user_agent = request.headers.get("user-agent", "")[:1024]

        def through(answer: Answer) -> None:
            self._decide(flow, session, answer)
            session.names((request.host, request.port))
            session.tunnel = True

        return self._asked(session, values, through)

    def requestheaders(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """A request: inside a connection that is known, or one that says itself whose it is."""
        return self._judged(flow, self._request)

    def _request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        session = self._sessions.get(flow.client_conn.id)
        values = self._taken(flow, session)
        if session is None:
            if flow.is_replay and not self._gate.is_live(flow.client_conn):
                return None
            self._refuse(flow, None, refusals.MISSING)
        if session.tunnel:
            session.inner = True
            grant = session.grant
            if session.ended is None and (grant is None or grant.until > time.time()):
                return None
            if session.required:
                self._refuse(flow, session, Refusal(session.ended or "expired"))
            return None
        if not isinstance(session.client.proxy_mode, mode_specs.ReverseMode):
            session.asks(flow.request.host, flow.request.port)
        if not carries_credentials(flow.client_conn):
            values = []
        return self._asked(session, values, functools.partial(self._decide, flow, session))

    def _end(self, flow: http.HTTPFlow) -> None:
        if is_refused(flow):
            raise exceptions.AddonHalt

    def websocket_start(self, flow: http.HTTPFlow) -> None:
        """A WebSocket has no further requests that could be refused."""
        session = self._sessions.get(flow.client_conn.id)
        if session is not None:
            session.socket = True

    # How it is decided

    def _taken(self, flow: http.HTTPFlow, session: Session | None) -> list[bytes]:
        """The credentials, which nobody further on gets to see; but mitmproxy's own check, where it is in force."""
        if session is not None and not session.required and self._gate.has_own_check():
            return []
        return strip(flow)

    def _judged(
        self, flow: http.HTTPFlow, judge: Callable[[http.HTTPFlow], Awaitable[None] | None]
    ) -> Awaitable[None] | None:
        """Run a judgement; where it fails, the request is refused."""
        try:
            later = judge(flow)
        except exceptions.AddonHalt:
            raise
        except Exception:  # noqa: BLE001 - logged there
            self._fault(flow)
        return None if later is None else self._judged_later(flow, later)

    async def _judged_later(self, flow: http.HTTPFlow, later: Awaitable[None]) -> None:
        try:
            await later
        except exceptions.AddonHalt:
            raise
        except Exception:  # noqa: BLE001 - logged there
            self._fault(flow)

    def _fault(self, flow: http.HTTPFlow) -> NoReturn:
        logger.exception("aitap: a request could not be judged, and is refused")
        self._refuse(flow, None, Refusal("unreachable", 5))

    def _asked(self, session: Session, values: list[bytes], then: Callable[[Answer], None]) -> Awaitable[None] | None:
        if not values:
            then(session.address_grant or refusals.MISSING)
            return None
        credentials = read_header(values)
        if credentials is None:
            then(Refusal("wrong"))
            return None
        return self._identified(session, credentials, then)

    def _identified(
        self, session: Session, credentials: Credentials, then: Callable[[Answer], None]
    ) -> Coroutine[Any, Any, None] | None:
        answer = self._gate.identify(credentials, session.peer.address)
        if not inspect.isawaitable(answer):
            then(answer)
            return None

        return _later(answer, then)

    def _decide(self, flow: http.HTTPFlow, session: Session, answer: Answer) -> None:
        if isinstance(answer, Grant):
            session.admit(answer)
            self._gate.watch()
        elif session.required:
            self._refuse(flow, session, answer)
        elif session.address_grant is not None:
            session.admit(session.address_grant)
        else:
            session.grant = session.ended = None
            session.peer.identity = self._gate.peers.local

    def _refuse(self, flow: http.HTTPFlow, session: Session | None, refusal: Refusal) -> NoReturn:
        """Answer 407 and let nobody else see it: raises ``AddonHalt``."""
        request = flow.request
        http1 = not (request.is_http2 or request.is_http3)
        close = refusal.reason != "missing" or "upgrade" in request.headers or has_body(request)
        if session is not None:
            session.refusals += 1
            close = close or session.refusals >= _MANY
            what = "CONNECT" if request.method == "CONNECT" else "a request"
            self._gate.refused(session, refusal, f"{what} to {request.host}:{request.port}")
            if session.ended is not None or (close and not http1):
                self._gate.close_soon(session)
        answer(flow, refusals.response(refusal, close=close, http1=http1, head=request.method == "HEAD"))
        for name in _AFTER:
            # Hooks only from now on: a proxy that refuses nobody need not ask at each step of each request.
            setattr(self, name, self._end)
        raise exceptions.AddonHalt


async def _later(answer: Awaitable[Answer], then: Callable[[Answer], None]) -> None:
    then(await answer)
