"""What is decrypted: providers of models. All else goes through a tunnel, unseen but counted.

The decision is made once for each connection, when the first bytes of the client say whether it speaks
TLS and whom it names: before mitmproxy decides which layers read it, since scripts are asked first. Where
that fails, the connection passes unread.

Not so where the policy is enforced. What should be read and cannot be is closed there: a provider's name beside
one that is never read, no TLS that we understand, a fault. So is a connection to a public address that names no host
at all, which could be anybody's (``aitap hosts observe ADDRESS`` lets it pass). What is spoken with a provider
inside TLS is HTTP, however it begins.

Plain HTTP that is proxied as such, or that a transparent or SOCKS client speaks, is no secret: it is left
to mitmproxy and the recorder. In a tunnel that the client asked for with CONNECT it is only read for a
host whose TLS would be.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from mitmproxy import ctx, exceptions
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy.layers import ClientTLSLayer, HttpLayer, TCPLayer, modes
from mitmproxy.proxy.layers.http import HTTPMode, HttpStream

from aitap.access.answers import Refusals
from aitap.access.decryption.choice import Choices, Name, Verdict, is_address, plain_name
from aitap.access.decryption.handshakes import Handshakes
from aitap.access.decryption.opening import Opening, opening
from aitap.access.decryption.tallies import Sight, Tallies
from aitap.access.decryption.tunnel import Tunnel
from aitap.access.egress.networks import literal, refusal
from aitap.access.gate.guard import Closed
from aitap.access.quiet import Quiet
from aitap.capture.clients import Clients
from aitap.capture.facts import RequestFacts
from aitap.short_questions import remembering

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mitmproxy.connection import Client
    from mitmproxy.proxy.context import Context
    from mitmproxy.proxy.layer import Layer, NextLayer
    from mitmproxy.tls import TlsData

    from aitap.access.peers import Peers
    from aitap.access.startup import Startup
    from aitap.record import HostMode

__all__ = ["Decryption"]

logger = logging.getLogger(__name__)

_DNS_PORTS = (53, 5353)
_HINT_EVERY = 60.0
_MOST_HINTS = 1000


class Decryption:
    """A part of the access control (see :class:`aitap.access.startup.Part`)."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._choices: Choices | None = None
        self._enforced = False
        self._closed = Refusals()
        self._tallies = Tallies()
        self._handshakes = Handshakes(self._refused)
        self._hints = Quiet(_HINT_EVERY, _MOST_HINTS)
        self._product = remembering(_Products(), entries=1024)
        self.read_connections = 0
        """How many connections were opened to hosts and are read, or would be if the client trusted us."""

    @property
    def refusals(self) -> Mapping[str, int]:
        """How many connections were closed because the policy could not be asked about them: ``unread``."""
        return self._closed.counts

    def start(self, startup: Startup) -> None:
        """Begin: until now nothing was decrypted."""
        self._enforced = startup.settings.policy == "enforce"
        self._choices = startup.choices
        self._tallies.start(startup.relay.seen, startup.loop.call_later)

    def stop(self) -> None:
        """The proxy ends: tell of what is still open."""
        self._tallies.stop()

    # mitmproxy's hooks

    def next_layer(self, nextlayer: NextLayer) -> None:
        """Put a tunnel where nothing is to be read, wait where too little has come to know, else leave it be."""
        context = nextlayer.context
        if nextlayer.layer is not None or not _leads_on(context):
            return
        started: Opening | None = None
        inside = isinstance(context.layers[-1], ClientTLSLayer)
        try:
            data: bytes = nextlayer.data_client()  # type: ignore[no-untyped-call]
            if inside:
                nextlayer.layer = self._inside(context, data)
            elif (started := opening(data)) is not None:
                nextlayer.layer = self._layer(context, started)
        except Exception:
            if self._enforced:
                logger.exception("aitap: cannot decide whether to decrypt; the connection is closed")
                nextlayer.layer = Closed(context)
                return
            logger.exception("aitap: cannot decide whether to decrypt; the connection passes unread")
            nextlayer.layer = TCPLayer(context, ignore=True)
        else:
            if started is None and not inside:
                # mitmproxy would decide on less than we need to know.
                raise exceptions.AddonHalt

    def tls_established_client(self, data: TlsData) -> None:
        """A client took our certificate, or did not look yet."""
        if data.context.server.address is not None:
            self._handshakes.established(data)

    def tls_failed_client(self, data: TlsData) -> None:
        """No TLS with a client."""
        if data.context.server.address is not None:
            self._handshakes.failed(data)

    def client_disconnected(self, client: Client) -> None:
        """A client is gone."""
        self._handshakes.disconnected(client)

    # What is done with a connection

    def _layer(self, context: Context, started: Opening) -> Layer | None:
        """The tunnel for a connection that is not to be read, None for one that mitmproxy is to read."""
        explicit = any(isinstance(layer, HttpStream) for layer in context.layers)
        names = self._names(context, started.sni)
        verdict = self._choices.of(names) if self._choices else Verdict(decrypt=False, host=names[0][0], provider=None)
        if started.kind == "other":
            read = _matches(ctx.options.tcp_hosts, names) or (not explicit and names[0][1] in _DNS_PORTS)
        elif started.kind == "http" and not explicit:
            read = True
        else:
            read = verdict.decrypt and not _ignored(names, context)
        if read:
            self.read_connections += explicit or started.kind == "tls"
            return None
        if self._enforced and (why := self._hides(names, context)):
            self._closed.note("unread", self._peers.of(context.client).address, why)
            return Closed(context)
        return Tunnel(context, self._sight(context.client, verdict, verdict.unread_mode), self._tallies)

    def _inside(self, context: Context, data: bytes) -> Layer | None:
        """HTTP within a provider's TLS, also where mitmproxy would see none: servers overlook an empty line before it.

        None where that is for mitmproxy to say.
        """
        if self._choices is None or starts_like_tls_record(data):
            return None
        names = self._names(context, context.client.sni or "")
        if self._choices.of(names).provider is None or _matches(ctx.options.tcp_hosts, names):
            return None
        return HttpLayer(context, HTTPMode.transparent)

    def _hides(self, names: tuple[Name, ...], context: Context) -> str | None:
        """Why a connection that is not to be read may hide calls from the policy, as one line."""
        if self._choices is None:
            return "aitap: the proxy is still starting"
        for name in names:
            alone = self._choices.of((name,))
            if alone.provider and alone.decrypt and not _ignored((name,), context):
                return f"aitap: this connection to {alone.host} cannot be read, and a policy is enforced"
        address = literal(names[0][0])
        if self._choices.reads and address is not None and all(is_address(host) for host, _ in names):
            mode = self._choices.mode_of(names)
            if mode != "observe" and refusal(address) is None and not _ignored(names, context):
                return (
                    f"aitap: this connection to {names[0][0]} names no host, and a policy is enforced; "
                    f"whoever runs the proxy can let it pass with `aitap hosts observe {names[0][0]}`"
                )
        return None

    def _names(self, context: Context, sni: str) -> tuple[Name, ...]:
        """Where the client asked to go, where it is dialled, if a script says otherwise, and what its TLS names."""
        peer = self._peers.find(context.client)
        places = (peer.target if peer is not None else None, context.server.address)
        names = [(plain_name(place[0]), place[1]) for place in places if place is not None]
        if sni:
            names.append((plain_name(sni), names[0][1]))
        return tuple(dict.fromkeys(names))

    def _sight(self, client: Client, verdict: Verdict, mode: HostMode) -> Sight:
        peer = self._peers.of(client)
        kind, name = verdict.provider or ("", "")
        identity = self._peers.speaker(client)
        product = self._product(peer.user_agent) if peer.user_agent else ""
        address, key = peer.address, identity.api_key_id
        return Sight(verdict.host, mode, kind, name, identity.user_id, product, address, key)

    def _refused(self, client: Client, context: Context, said: str) -> None:
        """A client does not trust our certificate: count it, and tell the operator what to do about it."""
        if self._choices is None:
            return
        verdict = self._choices.of(self._names(context, client.sni or ""))
        sight = self._sight(client, verdict, "decrypted")
        self._tallies.refused(sight, said)
        if not self._hints.may_speak(verdict.host):
            return
        logger.warning(
            "aitap: %s at %s does not trust the proxy's certificate for %s (%s): have it trust the proxy's CA "
            "(aitap env), or leave that host unread: aitap hosts observe %s",
            sight.client or "a client",
            sight.client_address,
            verdict.host,
            said,
            verdict.host,
        )


class _Products:
    """The product that a User-Agent of CONNECT names: as records name clients, else its first word."""

    def __init__(self) -> None:
        self._clients: Clients | None = None

    def __call__(self, user_agent: str) -> str:
        if self._clients is None:
            self._clients = Clients()  # most clients send no User-Agent there
        known = self._clients.identify({"user-agent": user_agent}, RequestFacts()).name
        return known or re.split(r"[/\s]", user_agent.strip(), maxsplit=1)[0][:64]


def _leads_on(context: Context) -> bool:
    """Whether this connection leads somewhere and it is not said yet what is spoken on it.

    Not while the client speaks with the proxy itself, and not where the operator says it: in reverse mode.
    """
    if context.client.transport_protocol != "tcp" or not context.server.address or not context.layers:
        return False
    return not isinstance(context.layers[0], modes.ReverseProxy)


def _ignored(names: Sequence[Name], context: Context) -> bool:
    """Whether mitmproxy's own options say that this passes unread. What they show of it is theirs to do."""
    options = ctx.options
    if options.show_ignored_hosts or not (options.ignore_hosts or options.allow_hosts):
        return False
    if context.server.peername:
        names = (*names, context.server.peername[:2])
    allowed = not options.allow_hosts or _matches(options.allow_hosts, names)
    return not allowed or _matches(options.ignore_hosts, names)


def _matches(patterns: Sequence[str], names: Sequence[Name]) -> bool:
    return any(re.search(pattern, f"{host}:{port}", re.IGNORECASE) for pattern in patterns for host, port in names)
