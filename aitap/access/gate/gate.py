"""Who speaks: asks for a proxy key where one is needed, and answers 407 to whoever has none.

The gate knows who may come in and what happened to them since; the hooks are in :mod:`aitap.access.gate.door`.
Grants are looked at once a second as long as connections live by them: a key that was revoked or has expired,
or a user who was removed, gets no further answer, and tunnels of theirs are closed. So are connections of
strangers who hold them open and show no key.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitmproxy import ctx
from mitmproxy.proxy import mode_specs

from aitap.access.authentication.address_table import AddressTable
from aitap.access.authentication.backoff import ADDRESSES, Backoff, place_of
from aitap.access.authentication.by_address import ByAddress
from aitap.access.authentication.coder import Coder
from aitap.access.authentication.htpasswd import Htpasswd
from aitap.access.authentication.identification import Identification
from aitap.access.authentication.proxy_keys import ProxyKeys
from aitap.access.authentication.sources import REASONS, Refusal
from aitap.access.gate.door import NAME, Door
from aitap.access.gate.flows import strip
from aitap.access.gate.listeners import all_loopback, arrived_by_loopback, options_say_loopback
from aitap.access.gate.quiet_log import unquote_clients
from aitap.access.quiet import Quiet
from aitap.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from mitmproxy import http
    from mitmproxy.addonmanager import Loader
    from mitmproxy.connection import Client

    from aitap.access.authentication.credentials import Credentials
    from aitap.access.authentication.sources import Answer, Grant, Source
    from aitap.access.gate.session import Session
    from aitap.access.peers import Peers
    from aitap.access.startup import Startup
    from aitap.settings import Auth

__all__ = ["Gate"]

logger = logging.getLogger(__name__)

_OURS = "aitap-door:"
"""What ``proxyauth`` begins with where the gate set it itself."""

WATCH = 1.0
"""Seconds between two looks at the grants in use."""

PATIENCE = 60.0
"""Seconds that a connection may take to show credentials that are good; then it is closed."""

LINGER = 10.0
"""Seconds that a connection whose key was revoked may go on with the request it is at."""


class Gate:
    """A part of the access control (see :class:`aitap.access.startup.Part`)."""

    def __init__(self, peers: Peers) -> None:
        self.peers = peers
        self.ready = asyncio.Event()
        """Set once it is known who may come in."""
        self.refusals: dict[str, int] = dict.fromkeys(REASONS, 0)
        """How often somebody was refused, by reason."""
        self.door = Door(self)
        self._auth: Auth = "required"
        self._own_check = False
        self._backoff = Backoff()
        self._quiet = Quiet(1.0, ADDRESSES)
        self._identification: Identification | None = None
        self._by_address: ByAddress | None = None
        self._closing: list[Htpasswd | Coder] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watching = False

    # Life of the proxy

    def load(self, loader: Loader) -> None:
        """Set the door at the front of all addons, in the place of one that an earlier load of this script left."""
        unquote_clients()
        addons = loader.master.addons
        old = addons.get(NAME)
        if old is not None:
            addons.remove(old)
        addons.chain = [addons.register(self.door), *addons.chain]

    def start(self, startup: Startup) -> None:
        """Begin. Raises :class:`aitap.settings.SettingsError` where a source of identities cannot be used."""
        settings, loop, directory = startup.settings, startup.loop, startup.directory
        # Behind a load balancer nobody can tell from where a connection arrived whether only this machine sends it.
        self._auth = "required" if settings.auth == "auto" and settings.proxy_protocol else settings.auth
        self._loop = loop
        keys = ProxyKeys(directory)
        sources: list[Source] = [keys]
        if settings.htpasswd:
            htpasswd = Htpasswd(Path(settings.htpasswd), directory, loop)
            sources.append(htpasswd)
            self._closing.append(htpasswd)
        if settings.coder_url:
            coder = Coder(settings.coder_url, directory, loop, settings.upstream_ca)
            sources.append(coder)
            self._closing.append(coder)
        self._identification = Identification(sources, self._backoff)
        self._by_address = ByAddress(AddressTable(settings.addresses), directory, loop)
        directory.on_change.append(self._changed)
        if self._auth == "required" or (self._auth == "auto" and not self._only_loopback(())):
            if self.has_own_check():
                raise SettingsError(
                    "mitmproxy's proxyauth and aitap's auth exclude each other: leave out --proxyauth and make keys "
                    "with `aitap keys create`, or set aitap_auth=none"
                )
            self._take_over()
            why = "" if self._auth == "required" else " (or listen on this machine alone: --listen-host 127.0.0.1)"
            logger.info("aitap: everyone needs a key here: aitap keys create --user NAME --create-user%s", why)
        self.ready.set()

    def stop(self) -> None:
        """The proxy ends; or the script is loaded anew, and until then nobody comes in."""
        self.ready.clear()
        for source in self._closing:
            source.close()
        self._closing.clear()

    # What mitmproxy's own check leaves

    def configure(self, updated: set[str]) -> None:
        """Whether mitmproxy was told to check credentials itself; options are dear to ask at each request."""
        if "proxyauth" in updated:
            told = ctx.options.proxyauth
            self._own_check = bool(told) and not told.startswith(_OURS)

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """Where mitmproxy's own check is in force it had the credentials; nobody after it has."""
        if self._own_check:
            strip(flow)

    requestheaders = http_connect

    def has_own_check(self) -> bool:
        """Whether mitmproxy was told to check credentials itself."""
        return self._own_check

    # Who may come in

    def needs_key(self, client: Client) -> bool:
        """Whether this connection needs a key."""
        if self._auth == "none":
            return False
        if self._auth == "auto":
            server = ctx.master.addons.get("proxyserver")  # type: ignore[no-untyped-call]
            bound = server.listen_addrs() if server is not None else ()
            if self._only_loopback(bound) and arrived_by_loopback(client):
                return False
        self._take_over()
        return True

    def identify(self, credentials: Credentials, address: str) -> Answer | Awaitable[Answer]:
        """Who shows these credentials; at once where it is known."""
        if self._identification is None:
            return Refusal("unreachable", 1)
        return self._identification(credentials, address)

    def by_address(self, address: str) -> Grant | None:
        """Who comes from this address."""
        grant = None if self._by_address is None else self._by_address.grant(address)
        if grant is not None:
            self.watch()
        return grant

    def refused(self, session: Session, refusal: Refusal, what: str) -> None:
        """Count a refusal, and tell of it once a second for each address."""
        self.refusals[refusal.reason] += 1
        address = session.peer.address
        if self._quiet.may_speak(place_of(address)):
            level = logging.INFO if refusal.reason == "missing" else logging.WARNING
            shown = "".join(char if char.isprintable() else "?" for char in what[:200])
            logger.log(level, "aitap: refused %s from %s: key %s", shown, address, refusal.reason)

    @staticmethod
    def _only_loopback(bound: Any) -> bool:
        return options_say_loopback(ctx.options.mode, ctx.options.listen_host) and all_loopback(bound)

    @staticmethod
    def _take_over() -> None:
        """Take mitmproxy's own authentication out, which would refuse our keys; have SOCKS5 ask for a password."""
        addons = ctx.master.addons
        own = addons.get("proxyauth")  # type: ignore[no-untyped-call]
        if own is not None:
            addons.remove(own)  # type: ignore[no-untyped-call]
        if not ctx.options.proxyauth and any(
            isinstance(mode_specs.ProxyMode.parse(mode), mode_specs.Socks5Mode) for mode in ctx.options.mode
        ):
            # The layer asks for one only where this option is set. Nobody knows it: whoever puts mitmproxy's check
            # back lets nobody in by that.
            ctx.options.update(proxyauth=_OURS + secrets.token_urlsafe())  # type: ignore[no-untyped-call]

    # Who is in

    def watch(self) -> None:
        """Look at the grants in use from now on, as long as there are any."""
        if not self._watching and self._loop is not None:
            self._watching = True
            self._loop.call_later(WATCH, self._tick)

    def _tick(self) -> None:
        self._watching = False
        if self._look():
            self.watch()

    def _changed(self) -> None:
        self._look()

    def _look(self) -> bool:
        """Whether any connection lives by a grant, or has none yet."""
        now = time.time()
        judged: dict[Grant, Any] = {}
        strangers = False
        for session in self.door.sessions:
            if not session.admitted:
                strangers = True
                if time.monotonic() - session.came > PATIENCE:
                    self.close(session)
                continue
            grant = session.grant
            if grant is None or session.ended is not None:
                continue
            if grant not in judged:
                judged[grant] = "expired" if grant.until <= now else self._withdrawn(grant)
            if judged[grant] is not None:
                self._end(session, judged[grant])
        return strangers or bool(judged)

    @staticmethod
    def _withdrawn(grant: Grant) -> Any:
        try:
            return grant.source.withdrawn(grant)
        except Exception:
            logger.exception("aitap: a key could not be looked at again, and is taken for revoked")
            return "revoked"

    def _end(self, session: Session, reason: Any) -> None:
        session.ended = reason
        if not session.required:
            session.grant = None
            session.peer.identity = self.peers.local
            session.ended = None
        elif session.socket or (session.tunnel and not session.inner):
            self.refused(session, Refusal(reason), "an open connection")
            self.close(session)
        else:
            self.close_soon(session, LINGER)

    def close_soon(self, session: Session, seconds: float = 1.0) -> None:
        """Close a connection when its last answer is out."""
        if self._loop is not None:
            self._loop.call_later(seconds, functools.partial(self._close_ended, session))

    def _close_ended(self, session: Session) -> None:
        if session.ended is not None or not session.admitted:
            self.close(session)

    # mitmproxy's side of a connection

    def close(self, session: Session) -> None:
        """Close a connection now."""
        handler = self._handler(session.client)
        if handler is not None:
            with contextlib.suppress(KeyError, AssertionError):  # it is closing already
                handler.close_connection(session.client)

    def read_later(self, client: Client) -> None:
        """Have mitmproxy read from a connection that was kept waiting only when it is ready to.

        It reads at once what came meanwhile; where that is the end already, it would close what it does not know yet,
        and take the fault for one of its own start.
        """
        handler = self._handler(client)
        if handler is not None:
            connection = handler.transports[client]
            connection.reader = _Unhurried(connection.reader)

    def is_live(self, client: Client) -> bool:
        """Whether this is a connection of a client, and no replay."""
        return self._handler(client) is not None

    def destination(self, client: Client) -> tuple[str, int] | None:
        """Where a redirected connection was meant to go."""
        handler = self._handler(client)
        address = handler.layer.context.server.address if handler is not None else None
        return None if address is None else (str(address[0]).lower(), int(address[1]))

    @staticmethod
    def _handler(client: Client) -> Any:
        server = ctx.master.addons.get("proxyserver")  # type: ignore[no-untyped-call]
        return None if server is None else server.connections.get(client.id)


class _Unhurried:
    """A stream's reader whose first read lets others go first."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self._first = True

    async def read(self, size: int) -> bytes:
        if self._first:
            self._first = False
            await asyncio.sleep(0)
        data: bytes = await self._reader.read(size)
        return data
