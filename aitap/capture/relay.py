"""The event loop's end of the line to the recorder.

Theory of operation. Hooks run on mitmproxy's event loop, where every microsecond delays every stream,
and Python runs one thread at a time: whatever decodes in this process takes time from the traffic. So a
hook appends one tuple to a list and is done. A timer of the loop, armed by the first append, packs what
has gathered into one frame a tick and hands it to the recorder process (:mod:`aitap.capture.recorder`),
which decodes and writes. An idle proxy does not wake at all.

The line never blocks: what the kernel does not take at once waits here, bounded by bytes. Above the bound
new exchanges are not begun, counted and told. If the recorder dies, a new one is started, and given what
was not safe yet (:mod:`aitap.capture.held`).

Every tuple is ``(kind, source, at, ...)``: one of the constants, the number of the exchange or socket, and
the time in epoch seconds. Of one exchange all times go by the clock as it was at the beginning: one that is set
meanwhile makes nothing last an hour, or end before it began.
"""

from __future__ import annotations

import logging
from itertools import count
from time import monotonic
from time import time as now
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from aitap.capture.routes import Route
    from aitap.record import HostSeen, Passed

__all__ = [
    "AGAIN",
    "BEGIN",
    "BODY",
    "CLOSE",
    "CONNECTED",
    "DATA",
    "END",
    "MESSAGE",
    "NOTE",
    "OPEN",
    "PASSED",
    "PIECES",
    "RESPOND",
    "SEEN",
    "STATS",
    "Relay",
    "RelayedExchange",
    "RelayedSocket",
]

logger = logging.getLogger(__name__)

BEGIN, RESPOND, DATA, END, OPEN, MESSAGE, CLOSE, NOTE, SEEN, PIECES, STATS, PASSED, CONNECTED, AGAIN = range(14)
"""NOTE adds to the metadata of an exchange or socket that has begun; SEEN is a :class:`aitap.record.HostSeen`;
PIECES is a list of what DATA is one of; STATS are counters of this process; PASSED is a :class:`aitap.record.Passed`;
CONNECTED is the connection of an exchange to its provider; AGAIN comes first where this is not the first recorder:
the number of the frame that comes next, and of the first that no recorder can have had."""

BODY = 1 << 63
"""Set in the length of a frame that is a long request body, raw."""

SINGLY = 64
"""So many chunks of a response are noted with their times, so that the first output's is exact. Of a longer stream
the rest is only gathered, and handed over as it is once a tick: that costs a fraction, in both processes."""

TICK = 0.05
"""Seconds from an append to its hand-over: long against a chunk, short against the flush interval."""

Item = tuple[Any, ...]

Head = tuple["Route", str, str, str, str, str, Any, float, str, "str | None"]
"""Route, method, host, path, query, HTTP version, raw header fields, start, the user's id and that of the proxy key:
what the recorder makes a :class:`aitap.capture.recording.RequestHead` of."""


class Line(Protocol):
    """Where the tuples go: a recorder in a process of its own, or in this one."""

    congested: bool
    """Too much waits already: begin nothing new."""

    def send(self, items: list[Item]) -> None:
        """Hand over; never blocks, never raises."""
        ...


class Relay:
    """Gathers what happens and hands it over once a tick, as long as anything is open or waits."""

    def __init__(
        self,
        line: Line,
        call_later: Callable[..., Any],
        tick: float = TICK,
        count_begun: Callable[[int], None] = lambda count: None,  # noqa: ARG005
    ) -> None:
        """``count_begun`` is told how many exchanges have begun, each time; see :mod:`aitap.storage.spool.ledger`."""
        self.items: list[Item] = []
        self.refused = 0
        self.faults = 0
        self._open = 0
        self._armed = False
        self._line = line
        self._call_later = call_later
        self._tick = tick
        self._numbers = count(1)
        self._gathering: dict[int, tuple[list[bytes], float]] = {}
        self._begun = 0
        self._count_begun = count_begun
        self.on_opened: Callable[[int, Item], None] = lambda number, item: None  # noqa: ARG005
        """Called with each WebSocket that says its first word, and :attr:`on_closed` with its number at its end."""
        self.on_closed: Callable[[int], None] = lambda number: None  # noqa: ARG005

    def exchange(self, head: Callable[[], Head]) -> RelayedExchange | None:
        """A new exchange; None where the line is congested and it cannot be recorded."""
        return None if self._refuse() else RelayedExchange(self, next(self._numbers), head)

    def socket(self, head: Callable[[], Head]) -> RelayedSocket | None:
        """A new WebSocket; None where the line is congested and it cannot be recorded."""
        return None if self._refuse() else RelayedSocket(self, next(self._numbers), head)

    def put(self, item: Item) -> None:
        """Note one happening, and see to it that it is handed over within a tick."""
        self.items.append(item)
        if not self._armed:
            self._armed = True
            self._call_later(self._tick, self.flush)

    def begun(self, item: Item) -> None:
        """Note a beginning: from now on taps append without a word, and every tick looks for what they left."""
        self._open += 1
        self._begun += 1
        self._count_begun(self._begun)
        self.put(item)

    def ended(self, item: Item) -> None:
        """Note the end of what had begun."""
        self._open -= 1
        self.put(item)

    def unsent(self) -> int:
        """How many exchanges have begun that were not handed over yet."""
        return sum(item[0] == BEGIN for item in self.items)

    def seen(self, seen: HostSeen) -> None:
        """Tell of a tunnel or a refused handshake."""
        self.put((SEEN, 0, seen.at, seen))

    def stats(self, counters: dict[str, Any], at: float) -> None:
        """Tell what this process counts (see :mod:`aitap.observe.proxy_stats`)."""
        self.put((STATS, 0, at, counters))

    def passed(self, passed: Passed) -> None:
        """Tell of a request to an AI host that is no call of a model."""
        self.put((PASSED, 0, passed.ended_at, passed))

    def flush(self) -> None:
        """Hand over what has gathered."""
        self._armed = self._open > 0
        if self._armed:
            self._call_later(self._tick, self.flush)
        for number, (pieces, ahead) in self._gathering.items():
            if pieces:
                self.items.append((PIECES, number, monotonic() + ahead, pieces[:]))
                pieces.clear()
        if self.items:
            # The list stays the same object: taps hold its append.
            items = self.items[:]
            self.items.clear()
            self._line.send(items)

    def gather(self, number: int, pieces: list[bytes], ahead: float) -> None:
        """Hand over what this list has, once a tick, until :meth:`gathered`. It stays the same object, too.

        ``ahead`` is how far the exchange's clock is ahead of ``time.monotonic``.
        """
        self._gathering[number] = pieces, ahead

    def gathered(self, number: int, at: float) -> None:
        """The stream is over: what its list still has comes before its end."""
        pieces, _ = self._gathering.pop(number, ((), 0.0))
        if pieces:
            self.items.append((PIECES, number, at, pieces))

    def faulted(self, where: str) -> None:
        """Our own mistake, called from an ``except``: told the first time, counted always."""
        self.faults += 1
        if self.faults == 1:
            logger.exception("aitap: %s failed; the traffic is not affected, the record is incomplete", where)

    def _refuse(self) -> bool:
        if not self._line.congested:
            return False
        if not self.refused:
            logger.error("aitap: the recorder is too far behind; exchanges pass unrecorded until it has caught up")
        self.refused += 1
        return True


class RelayedExchange:
    """One request and its response, as the hooks see them."""

    __slots__ = ("_ahead", "_head", "_number", "_relay")

    def __init__(self, relay: Relay, number: int, head: Callable[[], Head]) -> None:
        self._relay = relay
        self._number = number
        self._head: Callable[[], Head] | None = head
        self._ahead = now() - monotonic()

    def now(self) -> float:
        """Epoch seconds by the clock of this exchange."""
        return monotonic() + self._ahead

    @property
    def number(self) -> int:
        """By which the recorder knows it."""
        return self._number

    def begin(self, body: bytes, at: float) -> None:
        """The request is whole."""
        if self._head is not None:
            head, self._head = self._head(), None
            self._relay.begun((BEGIN, self._number, at, head, body))

    def note(self, metadata: dict[str, Any], at: float) -> None:
        """Add to the record's metadata what only the proxy knows; after :meth:`begin`."""
        if self._head is None:
            self._relay.put((NOTE, self._number, at, metadata))

    def connected(self, started_at: float, ready_at: float, at: float, *, reused: bool) -> None:
        """How the connection to the provider came about; after :meth:`begin`."""
        if self._head is None:
            self._relay.put((CONNECTED, self._number, at, started_at, ready_at, reused))

    def respond(self, status: int, headers: Any, at: float) -> None:
        """The response's head; ``headers`` are mitmproxy's raw fields."""
        self._relay.put((RESPOND, self._number, at, status, headers))

    def tap(self) -> Callable[[bytes], bytes]:
        """A function that notes each piece of the response body on its way to the client and gives it back as it is."""
        tap = _tap(self._relay, self._number, self._ahead)
        next(tap)
        return tap.send

    def end(self, at: float, *, failure: str | None = None, cancelled: bool = False) -> None:
        """The exchange is over, one way or the other."""
        if self._head is None:
            self._relay.gathered(self._number, at)
            self._relay.ended((END, self._number, at, failure, cancelled))


def _tap(relay: Relay, number: int, ahead: float) -> Generator[bytes, bytes, None]:
    """Runs for every chunk of every stream: no call that can be spared, and nothing may be raised.

    A generator, since to resume one costs half of what a call of a function does.
    """
    append = relay.items.append
    data = yield b""
    for _ in range(SINGLY):
        try:
            append((DATA, number, monotonic() + ahead, data))
        except Exception:  # noqa: BLE001 - logged there
            relay.faulted("tap")
        data = yield data
    pieces: list[bytes] = []
    relay.gather(number, pieces, ahead)
    gather = pieces.append
    while True:
        try:
            gather(data)
        except Exception:  # noqa: BLE001 - logged there
            relay.faulted("tap")
        data = yield data


class RelayedSocket:
    """One WebSocket, as the hooks see it."""

    __slots__ = ("_head", "_number", "_relay")

    def __init__(self, relay: Relay, number: int, head: Callable[[], Head]) -> None:
        self._relay = relay
        self._number = number
        self._head: Callable[[], Head] | None = head

    def message(self, content: bytes, at: float, *, from_client: bool) -> None:
        """One whole message, inflated and joined by mitmproxy."""
        if self._head is not None:
            head, self._head = self._head(), None
            opened = (OPEN, self._number, at, head)
            self._relay.put(opened)
            self._relay.on_opened(self._number, opened)
        self._relay.put((MESSAGE, self._number, at, content, from_client))

    def note(self, metadata: dict[str, Any], at: float) -> None:
        """Add to the metadata of the response that was asked for last; after :meth:`message`."""
        if self._head is None:
            self._relay.put((NOTE, self._number, at, metadata))

    def close(self, at: float, *, by_client: bool) -> None:
        """The connection is over, with or without a close frame."""
        if self._head is None:
            self._relay.put((CLOSE, self._number, at, by_client))
            self._relay.on_closed(self._number)
