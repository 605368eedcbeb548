"""The mitmproxy addon: hooks of a few lines each, in which nothing can go wrong for the traffic.

A response of a model is streamed through a tap, never held back and never changed. The original host
and path are read before any other script may redirect the request. Whatever fails in here is logged
and counted, and the flow goes on.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import time
from typing import TYPE_CHECKING, Any, Optional

from mitmproxy import ctx, exceptions, http
from peewee import PeeweeException

from aitap.access.authentication.directory import Directory
from aitap.access.decryption.choice import Choices
from aitap.access.peers import Peers
from aitap.access.policy.decisions import POLICY
from aitap.access.startup import Startup
from aitap.capture.called import called, fetched
from aitap.capture.endings import gone_by_client
from aitap.capture.line import RecorderLine
from aitap.capture.relay import TICK, Head, Relay, RelayedExchange, RelayedSocket
from aitap.capture.routes import Route, Router
from aitap.capture.starting import reach_database, recorder_settings, spool_folder
from aitap.free_memory import GivingBack
from aitap.observe.proxy_stats import ProxyStats
from aitap.observe.settings import observe_settings
from aitap.settings import SETTINGS, Settings, SettingsError, check_options, load
from aitap.storage.database import StorageError
from aitap.storage.evidence.keys import EvidenceKeyError
from aitap.storage.homes import shown
from aitap.storage.spool.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mitmproxy.addonmanager import Loader

    from aitap.access.identity import Identity
    from aitap.access.startup import Part
    from aitap.storage.spool.folders import Folder

__all__ = ["Recorder"]

logger = logging.getLogger(__name__)

_LARGE = 1024 * 1024
_LONGEST_HEAD = 60.0
"""Seconds that the head of a request takes at most, from its first byte."""


def _harmless(hook: Callable[..., None]) -> Callable[..., None]:
    """No exception of ours leaves a hook: mitmproxy would log it, but later hooks of this flow count on us too."""

    @functools.wraps(hook)
    def guarded(self: Recorder, subject: Any) -> None:
        try:
            hook(self, subject)
        except Exception:
            self.hook_errors += 1
            logger.exception("aitap: %s failed; the traffic is not affected", hook.__name__)

    return guarded


class Recorder:
    """Records what AI clients say to AI providers."""

    def __init__(self, peers: Peers | None = None, parts: Sequence[Part] = ()) -> None:
        """``parts`` are addons that start and stop with this one."""
        self.hook_errors = 0
        self.peers = Peers() if peers is None else peers
        self._parts = parts
        self._directory: Directory | None = None
        self.line: RecorderLine | None = None
        self._stats: ProxyStats | None = None
        self._memory = GivingBack()
        self._traced = False
        self.relay: Relay | None = None
        self._spool: Folder | None = None
        self._started = False
        self._router = Router()
        self._exchanges: dict[str, RelayedExchange] = {}
        self._sockets: dict[str, RelayedSocket] = {}

    # Life of the proxy

    def load(self, loader: Loader) -> None:
        """Every setting is an option of mitmproxy's, too."""
        for name, field in SETTINGS.items():
            loader.add_option(f"aitap_{name}", Optional[str], None, field.metadata["help"])  # type: ignore[arg-type]  # noqa: UP045

    def running(self) -> None:
        """Open the database and start recording; a proxy that could not record does not come up."""
        if self._started:
            return
        self._started = True
        if "flow_detail" in ctx.options and not ctx.options.has_changed("flow_detail"):  # type: ignore[no-untyped-call]
            # mitmdump's lines show whole URLs, and some clients put their key there.
            ctx.options.update(flow_detail=0)  # type: ignore[no-untyped-call]
        try:
            check_options(ctx.options.deferred)
            self._start(_settings())
        except (SettingsError, StorageError, EvidenceKeyError, PeeweeException, OSError) as error:
            # Logged as an error before startup is over, it makes mitmproxy exit.
            logger.error("aitap: %s", error)  # noqa: TRY400 - one line for a person, no traceback

    def configure(self, updated: set[str]) -> None:
        """Refuse a bad option right where it is given; at startup :meth:`running` does, in one line."""
        if self.relay is None or not any(f"aitap_{name}" in updated for name in SETTINGS):
            return
        try:
            _settings()
        except SettingsError as error:
            raise exceptions.OptionsError(f"aitap: {error}") from None  # type: ignore[no-untyped-call]

    def _start(self, settings: Settings) -> None:
        # mitmproxy turns every logger to DEBUG; Peewee would tell each statement, with its parameters.
        logging.getLogger("peewee").setLevel(logging.WARNING)
        self._spool = spool_folder(settings)
        reach_database(settings, self.peers.local, self._spool)
        self._router = Router(settings.providers)
        observed = observe_settings(settings)
        loop = asyncio.get_running_loop()
        ledger = Ledger(None if self._spool is None else self._spool.ledger)
        self.line = RecorderLine(
            recorder_settings(settings, self.peers.local, observed, self._spool),
            loop,
            ledger,
            self._spool,
        )
        self.relay = Relay(self.line, loop.call_later, min(TICK, settings.flush_interval / 2), ledger.begun)
        self.line.unsent = self.relay.unsent
        self.relay.on_opened, self.relay.on_closed = self.line.held.opened, self.line.held.closed
        self._directory = Directory(settings.database_url)
        self._directory.start()
        directory = self._directory
        choices = Choices(settings.decrypt, self._router, lambda: directory.host_modes)
        directory.on_change.append(choices.forget)
        startup = Startup(settings, self._router, self.relay, directory, choices, loop)
        for part in self._parts:
            part.start(startup)
        self._traced = observed.trace_enable
        if observed.metrics:
            self._stats = ProxyStats(self.relay.stats, loop.call_later, self._counters, self._parts)
            self._stats.start(self)
        # What is there by now lives as long as the proxy: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        self._memory.start()
        logger.info("aitap: recording to %s", shown(settings.database_url))

    def exchange_of(self, flow: http.HTTPFlow) -> RelayedExchange | None:
        """What notes this exchange; None where it is not recorded."""
        return self._exchanges.get(flow.id)

    def done(self) -> None:
        """Have everything that is left decoded and written, also of exchanges still open."""
        relay, line = self.relay, self.line
        if relay is None or line is None:
            return
        for part in self._parts:
            part.stop()
        if self._directory is not None:
            self._directory.stop()
        if self._stats is not None:
            self._stats.stop()
        self._memory.stop()
        self.relay = self.line = None
        relay.flush()
        if not line.close(15) or relay.refused:
            lost = relay.refused + line.lost + line.report.get("lost", 0) + line.report.get("queued", 0)
            logger.error("aitap: records were lost: %s", lost or "an unknown number")
        if self._spool is not None:
            # A recorder that still writes needs its folder; the next proxy clears up behind it.
            if line.ended and not self._spool.segments():
                self._spool.remove()
            else:
                self._spool.release()

    def _counters(self) -> dict[str, int]:
        """What this process counts, for the metrics."""
        relay, line = self.relay, self.line
        if relay is None or line is None:
            return {}
        return {
            "hook_errors": self.hook_errors + relay.faults,
            "unrecorded": relay.refused,
            "restarts": line.deaths,
            "died": line.lost,
            "dropped": line.dropped,
            "waiting": line.waiting,
        }

    # Life of an exchange

    @_harmless
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Is this a call of a model? The answer must come before other scripts change where it goes."""
        if not self._started:
            self.running()  # a replay may be on its way before mitmproxy says that it runs
        if self.relay is None:
            return
        call = called(self._router, flow) or fetched(self._router, flow)
        if call is None:
            return
        identity = self.peers.speaker(flow.client_conn)
        where, began = (call.host, call.path, call.query), _began(flow.request.timestamp_start)
        head = functools.partial(_head, call.route, flow.request.data, where, identity, began)
        if call.post:
            if exchange := self.relay.exchange(head):
                self._exchanges[flow.id] = exchange
        elif socket := self.relay.socket(head):
            self._sockets[flow.id] = socket

    @_harmless
    def request(self, flow: http.HTTPFlow) -> None:
        """The body is whole (mitmproxy holds it); it is taken by reference."""
        exchange = self._exchanges.get(flow.id)
        if exchange is not None:
            at = exchange.now()
            exchange.begin(flow.request.data.content or b"", at)
            if decision := flow.metadata.get(POLICY):
                exchange.note({"policy": decision}, at)

    @_harmless
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Stream the answer, and what is long or endless from other hosts too."""
        response = flow.response
        if response is None:
            return
        exchange = self._exchanges.get(flow.id)
        if exchange is None:
            if response.stream is False and response.status_code != 101 and _is_long(response):
                response.stream = True
            return
        exchange.respond(response.status_code, response.headers.fields, exchange.now())
        if self._traced:
            _tell_connection(exchange, flow)
        earlier = response.stream
        response.stream = _after(earlier, exchange.tap()) if callable(earlier) else exchange.tap()

    @_harmless
    def response(self, flow: http.HTTPFlow) -> None:
        """The last byte has come."""
        if not flow.websocket:
            self._sockets.pop(flow.id, None)  # the upgrade was refused: nothing was asked
        exchange = self._exchanges.pop(flow.id, None)
        if exchange is None or flow.response is None:
            return
        if flow.response.raw_content:  # set by another script or a replay: it never went through the tap
            exchange.tap()(flow.response.raw_content)
        exchange.end(exchange.now())

    @_harmless
    def websocket_message(self, flow: http.HTTPFlow) -> None:
        """One message, either way. mitmproxy would keep them all; a socket that is open for hours must not grow."""
        socket = self._sockets.get(flow.id)
        if socket is None or flow.websocket is None:
            return
        message = flow.websocket.messages[-1]
        if message.is_text or message.content.startswith(b"{"):  # Google writes its JSON into binary frames
            socket.message(message.content, message.timestamp, from_client=message.from_client)
            if decision := flow.metadata.pop(POLICY, None):
                socket.note({"policy": decision}, message.timestamp)
        del flow.websocket.messages[:-1]

    @_harmless
    def websocket_end(self, flow: http.HTTPFlow) -> None:
        """The socket is closed, politely or not."""
        socket = self._sockets.pop(flow.id, None)
        if socket is not None and flow.websocket is not None:
            socket.close(time.time(), by_client=flow.websocket.closed_by_client is not False)

    @_harmless
    def error(self, flow: http.HTTPFlow) -> None:
        """The exchange broke off: by the client, the provider or the network."""
        if socket := self._sockets.pop(flow.id, None):
            socket.close(time.time(), by_client=False)
        exchange = self._exchanges.pop(flow.id, None)
        if exchange is None:
            return
        message = flow.error.msg if flow.error else "the connection broke"
        exchange.end(exchange.now(), failure=message, cancelled=gone_by_client(flow, message))


def _settings() -> Settings:
    return load({name: getattr(ctx.options, f"aitap_{name}") for name in SETTINGS})


def _tell_connection(exchange: RelayedExchange, flow: http.HTTPFlow) -> None:
    """When the connection to the provider was begun and could be used, for the trace."""
    server = flow.server_conn
    begun, ready = server.timestamp_start, server.timestamp_tls_setup or server.timestamp_tcp_setup
    if begun is not None and ready is not None:
        exchange.connected(begun, ready, exchange.now(), reused=ready <= flow.request.timestamp_start)


def _is_long(response: http.Response) -> bool:
    length = response.headers.get("content-length", "")
    return not length.isdecimal() or int(length) > _LARGE


def _after(earlier: Any, tap: Callable[[bytes], bytes]) -> Callable[[bytes], Any]:
    """Another script streams already: its output is what the client gets, so that is what is tapped."""

    def stream(data: bytes) -> Any:
        chunks = earlier(data)
        if isinstance(chunks, bytes):
            return tap(chunks)
        return [tap(chunk) for chunk in chunks]

    return stream


def _began(told: float) -> float:
    """When a request began whose head has just come: as mitmproxy told, unless the clock was set since."""
    at = time.time()
    return told if 0 <= at - told < _LONGEST_HEAD else at


def _head(route: Route, data: http.RequestData, where: tuple[str, str, str], identity: Identity, began: float) -> Head:
    host, path, query = where
    return (
        route,
        "GET" if data.method == b"GET" else "POST",
        host if host.isascii() else host.encode("utf-8", "replace").decode(),
        path,
        query,
        data.http_version.decode("ascii", "replace"),
        data.headers.fields,
        began,
        identity.user_id,
        identity.api_key_id,
    )
