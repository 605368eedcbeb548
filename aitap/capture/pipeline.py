"""From the event loop to the decoding thread and on to the writer.

Theory of operation. Hooks run on mitmproxy's event loop, where every microsecond delays every stream.
So a hook appends one tuple to a deque and is done. A timer of the loop, armed by the first append,
wakes the decoding thread some milliseconds later; it takes everything that has gathered, decodes it
and hands finished records to a sink. The thread is never woken more than once a tick, however many
chunks pass, and an idle proxy does not wake at all.

An exchange that outlives the flush interval is announced as ``in_flight``, so that a crash leaves a
trace of it; a shorter one is recorded once, whole.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from aitap.capture.recording import Environment, Recording, RequestHead

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitap.record import Interception

__all__ = ["Exchange", "Pipeline", "Sink"]

logger = logging.getLogger(__name__)

TICK = 0.02
"""Seconds from the first byte to its decoding; short against a flush interval, long against a chunk."""


class Sink(Protocol):
    """Takes records; storage's writer is one."""

    def submit(self, record: Interception) -> bool:
        """Take a record without blocking; False where it had to be dropped (and was counted)."""
        ...


class _Ended(msgspec.Struct, frozen=True):
    failure: str | None = None
    cancelled: bool = False
    interrupted: bool = False


class _Responded(msgspec.Struct, frozen=True):
    status: int
    headers: Any


_BEGIN = object()


class Exchange:
    """One request and its response as the hooks see them: they only append."""

    __slots__ = ("body", "ended", "head", "pipeline", "recording")

    def __init__(self, pipeline: Pipeline, head: Callable[[], RequestHead]) -> None:
        self.pipeline = pipeline
        self.head = head
        self.body = b""
        self.recording: Recording | None = None
        self.ended = False

    def begin(self, body: bytes, at: float) -> None:
        """The request is whole."""
        self.body = body
        self.pipeline.put((self, _BEGIN, at))

    def respond(self, status: int, headers: Any, at: float) -> None:
        """The response's head; ``headers`` are mitmproxy's raw fields, read later."""
        self.pipeline.put((self, _Responded(status, headers), at))

    def tap(self, data: bytes) -> bytes:
        """A piece of the response body on its way to the client: noted and given back as it is."""
        if data:
            self.pipeline.put((self, data, time.time()))
        return data

    def end(self, at: float, *, failure: str | None = None, cancelled: bool = False) -> None:
        """The exchange is over, one way or the other. Only the first call counts."""
        if not self.ended:
            self.ended = True
            self.pipeline.put((self, _Ended(failure, cancelled), at))


def header_map(fields: Any) -> dict[str, str]:
    """Raw header fields by lower-case name; of a repeated one the first counts."""
    found: dict[str, str] = {}
    for name, value in fields:
        found.setdefault(name.decode("latin-1").lower(), value.decode("utf-8", "replace"))
    return found


class Pipeline:
    """Owns the decoding thread. :meth:`put` is called on the event loop, everything else of an exchange there."""

    def __init__(
        self,
        environment: Environment,
        sink: Sink,
        *,
        announce_after: float,
        call_later: Callable[..., Any] | None = None,
    ) -> None:
        self.decode_errors = 0
        self._environment = environment
        self._sink = sink
        self._announce_after = announce_after
        self._call_later = call_later
        self._inbox: deque[tuple[Exchange, Any, float]] = deque()
        self._armed = False
        self._wake = threading.Event()
        self._stopping = False
        self._open: dict[Exchange, float] = {}
        self._unannounced: deque[tuple[float, Exchange]] = deque()
        self._thread = threading.Thread(target=self._run, name="aitap-decoder", daemon=True)

    def start(self) -> None:
        """Begin to decode."""
        self._thread.start()

    def put(self, item: tuple[Exchange, Any, float]) -> None:
        """Queue one happening; never blocks."""
        self._inbox.append(item)
        if not self._armed:
            self._armed = True
            if self._call_later is None:
                self._fire()
            else:
                self._call_later(TICK, self._fire)

    def _fire(self) -> None:
        self._armed = False
        self._wake.set()

    def close(self, timeout: float) -> bool:
        """Decode what is queued, end what is open as interrupted, stop; False where ``timeout`` seconds were not enough."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(max(self._unannounced[0][0] - time.time(), 0.001) if self._unannounced else None)
            self._wake.clear()
            self._drain()
            self._announce()
        self._drain()
        now = time.time()
        for exchange in list(self._open):
            self._handle(exchange, _Ended(interrupted=True), now)

    def _drain(self) -> None:
        inbox = self._inbox
        while inbox:
            exchange, what, at = inbox.popleft()
            self._handle(exchange, what, at)

    def _handle(self, exchange: Exchange, what: Any, at: float) -> None:
        recording = exchange.recording
        try:
            if what.__class__ is bytes:
                if recording is not None:
                    recording.feed(what, at)
            elif what is _BEGIN:
                self._begin(exchange, at)
            elif recording is None:
                pass
            elif what.__class__ is _Responded:
                recording.respond(what.status, header_map(what.headers))
            else:
                self._end(exchange, recording, what, at)
        except Exception:  # noqa: BLE001 - logged with its traceback in _broken
            self._broken(exchange, at)

    def _begin(self, exchange: Exchange, at: float) -> None:
        body, exchange.body = exchange.body, b""
        recording = exchange.recording = Recording(self._environment, exchange.head())
        self._open[exchange] = at
        self._unannounced.append((at + self._announce_after, exchange))
        recording.begin(body, at)

    def _end(self, exchange: Exchange, recording: Recording, how: _Ended, at: float) -> None:
        self._open.pop(exchange, None)
        record = recording.end(at, failure=how.failure, cancelled=how.cancelled, interrupted=how.interrupted)
        exchange.recording = None
        self._sink.submit(record)

    def _broken(self, exchange: Exchange, at: float) -> None:
        """Our own mistake: the traffic is long gone on its way; the record says that it could not be read."""
        self.decode_errors += 1
        recording, exchange.recording = exchange.recording, None
        self._open.pop(exchange, None)
        if recording is None:
            logger.exception("aitap: a request could not be read and is not recorded")
            return
        logger.exception("aitap: interception %s could not be read to its end", recording.record.id)
        record = recording.record
        record.ended_at = at
        record.duration = max(at - record.started_at, 0.0)
        record.outcome = "failed"
        record.error_type = "unknown"
        record.error_message = "the recorder could not read this exchange; the traffic was not affected"
        self._sink.submit(record)

    def _announce(self) -> None:
        now = time.time()
        while self._unannounced and (self._unannounced[0][0] <= now or self._unannounced[0][1].recording is None):
            exchange = self._unannounced.popleft()[1]
            if exchange.recording is not None:
                self._sink.submit(exchange.recording.snapshot())
