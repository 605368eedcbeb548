"""The recorder: turns what the hooks noted into records, in a process of its own (:mod:`aitap.capture.serving`).

It is given frames, each a list of the tuples of :mod:`aitap.capture.relay`, and knows of each what is safe by then.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.capture.accounts import Accounts
from aitap.capture.environment import Environment
from aitap.capture.exchange import Exchange
from aitap.capture.fetched import Fetched
from aitap.capture.headers import Headers
from aitap.capture.own_ids import id_of
from aitap.capture.pipeline import Pipeline
from aitap.capture.recording import RequestHead
from aitap.capture.relay import (
    AGAIN,
    BEGIN,
    CLOSE,
    CONNECTED,
    DATA,
    END,
    MESSAGE,
    NOTE,
    OPEN,
    PASSED,
    PIECES,
    RESPOND,
    SEEN,
    STATS,
)
from aitap.capture.routes import Route
from aitap.capture.sockets import socket_type
from aitap.observe.observation import Observation
from aitap.observe.settings import ObserveSettings
from aitap.prices.own_prices import OwnPrice
from aitap.prices.pricing import Prices
from aitap.record import CaptureMode, HostSeen, Passed
from aitap.redaction.redactor import redactor_of
from aitap.redaction.rows import OwnRule
from aitap.storage.database import closed_database, reach
from aitap.storage.evidence.chain import keep_evidence
from aitap.storage.evidence.keys import signing_key
from aitap.storage.losses import KILLED
from aitap.storage.spool.own import OpenSpool, SpoolSettings
from aitap.storage.users import ensure_user
from aitap.storage.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from peewee import Database

    from aitap.capture.web_socket import WebSocket

__all__ = ["Recorder", "RecorderSettings", "unpack_head"]

logger = logging.getLogger(__name__)

_LAST_WORDS = 3.0
"""Seconds for logs and collectors at the end; the proxy waits for it."""

_LAST_RECORDS = (8.0, 20.0)
"""Seconds for the last records: where the rest stays in a spool, and where there is none."""


class RecorderSettings(msgspec.Struct, frozen=True, array_like=True):
    """What the recorder has to know; comes as the first frame, since a command line can be read by anyone."""

    database_url: str
    initiator_id: str
    capture: CaptureMode
    retention: float
    content_retention: float
    flush_interval: float
    observe: ObserveSettings = ObserveSettings()
    prices: tuple[OwnPrice, ...] = ()
    audit_retention: float = 0.0
    redact: tuple[str, ...] = ()
    redactions: tuple[OwnRule, ...] = ()
    evidence_key: str = ""
    """The file of the key that signs tamper evidence; empty where there is to be none."""
    initiator_name: str = ""
    """The username of that user, who is made where the database does not know him."""
    spool: SpoolSettings | None = None
    strict: bool = False
    """Nobody waits longer than needed for a record to be safe, and the proxy hears when the start of each is."""
    run: bytes = b""
    """What tells this run of the proxy from all others; the line makes it."""


class Recorder:
    """Decodes what it is given, frame by frame, and has it written on a thread of its own.

    ``tell`` takes numbers of exchanges whose beginnings are kept, or are not: only where the settings are strict.
    """

    _run = b""
    _fresh = 0
    """The first frame that no recorder before this one can have had."""

    def __init__(
        self,
        settings: RecorderSettings,
        tell: Callable[[list[int], bool], None] = lambda numbers, kept: None,  # noqa: ARG005
    ) -> None:
        self._run = settings.run
        database = closed_database(settings.database_url)
        held = self._spool = OpenSpool(settings.spool, settings.database_url)
        self._ledger = held.ledger
        self.accounts = Accounts(held.ledger, tell)
        self._strict, self._tell = settings.strict, tell
        if settings.evidence_key:
            keep_evidence(database, signing_key(Path(settings.evidence_key), make=False))
        self.writer = Writer(
            database,
            flush_interval=0.0 if settings.strict else settings.flush_interval / 2,
            retention=settings.retention,
            content_retention=settings.content_retention,
            audit_retention=settings.audit_retention,
            prices=Prices(settings.prices),
            spool=held.spool,
            opening=partial(_open, database, settings),
            adopting=held.adopt,
        )
        self.writer.on_settled = self.accounts.settled
        redactor = redactor_of(settings.redact, settings.redactions)
        self.observation = Observation(settings.observe, self.writer, settings.database_url, redactor)
        self.pipeline = Pipeline(
            Environment(settings.initiator_id, settings.capture, redactor),
            self.observation.sink,
            announce_after=settings.flush_interval,
        )
        self.pipeline.on_opened = self.accounts.opened
        self.pipeline.on_awaited, self.pipeline.on_decided = self.accounts.awaits, self.accounts.decided
        self.observation.start(self.pipeline)
        self._exchanges: dict[int, Exchange] = {}
        self._sockets: dict[int, WebSocket] = {}
        self.writer.start()

    def take(self, items: list[Any]) -> None:
        """What the hooks noted, in order: a frame. Sources of which this recorder has no beginning are let go."""
        begun: list[int] = []
        left, had = iter(items), self.accounts.frame < self._fresh
        # What cannot be read costs only itself; the next recorder would be given the same.
        while self._unread(self._take, left, begun, had):
            pass
        self._unread(self._taken, begun)
        self.accounts.frame += 1

    def _unread(self, step: Callable[..., None], *arguments: Any) -> bool:
        """Do it; True where that failed, which is told."""
        try:
            step(*arguments)
        except Exception:
            logger.exception("aitap: some of what passed could not be read; the traffic is not affected")
            return True
        return False

    def _take(self, items: Iterator[Any], begun: list[int], had: bool) -> None:  # noqa: FBT001 - as it is called
        """The items that are left; ``begun`` takes the exchanges that begin. ``had``: a recorder before had them."""
        for kind, number, at, *rest in items:
            if kind == DATA:
                # mitmproxy ends a stream with an empty chunk.
                if rest[0] and (exchange := self._exchanges.get(number)):
                    exchange.feed(rest[0], at)
            elif kind == PIECES:
                if (exchange := self._exchanges.get(number)) and (data := b"".join(rest[0])):
                    exchange.feed(data, at)
            elif kind == BEGIN:
                head_of = partial(unpack_head, rest[0], id_of(self._run, number, at))
                made = Fetched if rest[0][0].get("fetched") else Exchange
                exchange = self._exchanges[number] = made(self.pipeline, head_of)
                exchange.begin(rest[1], at)
                begun.append(number)
            elif kind == RESPOND:
                if exchange := self._exchanges.get(number):
                    exchange.respond(rest[0], rest[1], at)
            elif kind == END:
                if exchange := self._exchanges.pop(number, None):
                    exchange.end(at, failure=rest[0], cancelled=rest[1])
            elif kind == OPEN:
                if number not in self._sockets:
                    head = unpack_head(rest[0])
                    opened = socket_type(head.route.api)(self.pipeline, partial(unpack_head, rest[0]))
                    opened.own_id = partial(id_of, self._run, number)
                    self._sockets[number] = opened
            elif kind == MESSAGE:
                if spoken := self._sockets.get(number):
                    spoken.message(rest[0], at, from_client=rest[1])
            elif kind == CLOSE:
                if closing := self._sockets.pop(number, None):
                    closing.close(at, by_client=rest[0])
            elif kind == NOTE:
                if noted := self._exchanges.get(number) or self._sockets.get(number):
                    noted.note(rest[0], at)
            elif kind == CONNECTED:
                if exchange := self._exchanges.get(number):
                    exchange.connected(rest[0], rest[1], at, reused=rest[2])
            elif kind == AGAIN:
                # One less: this frame is counted, too.
                self.accounts.frame, self._fresh = rest[0] - 1, rest[1]
            elif not had:
                # These add up: the recorder before this one may have counted them.
                self._count(kind, rest[0])

    def _taken(self, begun: list[int]) -> None:
        """All of a frame is in the pipeline."""
        self.pipeline.drain()
        if begun:
            self.accounts.received(len(begun))
        if begun and self._strict:
            self._announce(begun)

    def _count(self, kind: int, told: Any) -> None:
        """What is no part of an exchange."""
        if kind == SEEN:
            seen = msgspec.convert(told, HostSeen)
            self.observation.host_seen(seen)
            self.writer.seen(seen)
        elif kind == PASSED:
            self.observation.passed(msgspec.convert(told, Passed))
        elif kind == STATS:
            self.observation.proxy_said(told)

    def _announce(self, begun: list[int]) -> None:
        """Have the beginnings of these stored at once."""
        nothing: list[int] = []
        for number in begun:
            exchange = self._exchanges.get(number)
            if exchange is not None and exchange.record_id is not None:
                self.accounts.wait_for(exchange.record_id, number)
            else:
                nothing.append(number)
        if nothing:
            self._tell(nothing, True)  # noqa: FBT003 - there is nothing to be recorded of it
        self.pipeline.announce(all_open=True)

    def close(self) -> bool:
        """Decode and write everything that is left; what is open is interrupted. False where something was lost."""
        if unsent := self._ledger.unsent:
            self.writer.lost(unsent, KILLED)
            self.accounts.received(unsent)
        self.pipeline.close()
        written = self.writer.close(_LAST_RECORDS[not self.writer.spool_limit])
        self.observation.close(_LAST_WORDS)
        return written and not self.writer.stats.lost

    def report(self) -> dict[str, Any]:
        """Counters for the proxy, and why nothing can be kept, where that is so."""
        self._spool.hold()
        stats = self.writer.stats
        needed, wanted = self.accounts.marks()
        return {
            "needed": needed,
            "wanted": wanted,
            "written": stats.written,
            "lost": stats.lost,
            "queued": stats.queued,
            "spooled": stats.spooled,
            "decode_errors": self.pipeline.decode_errors,
            "keeps_nothing": self.writer.keeps_nothing,
        }


def unpack_head(head: Any, record_id: str = "") -> RequestHead:
    """The request head of what the hooks noted (see :data:`aitap.capture.relay.Head`), of a record with this id."""
    route, method, host, path, query, http_version, fields, *rest = head
    found = RequestHead(Route(**route), method, host, path, query, http_version, Headers(fields), *rest)
    return msgspec.structs.replace(found, record_id=record_id) if record_id else found


def _open(database: Database, settings: RecorderSettings) -> None:
    """Reach the database, which may have been away when the proxy started."""
    reach(database)
    if settings.initiator_name:
        ensure_user(database, settings.initiator_id, settings.initiator_name)
