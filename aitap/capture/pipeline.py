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

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitap.capture.recording import Environment, Recording
    from aitap.record import Interception

__all__ = ["TICK", "Pipeline", "Sink", "Source"]

logger = logging.getLogger(__name__)

TICK = 0.05
"""Seconds from the first byte to its decoding; short against a flush interval, long against a chunk."""

_SLICE = 0.001
_REST = 0.00005
"""Decoding works for so long (s) before it lets the event loop run for at least so long."""


class Sink(Protocol):
    """Takes records; storage's writer is one."""

    def submit(self, record: Interception) -> bool:
        """Take a record without blocking; False where it had to be dropped (and was counted)."""
        ...


class Source(Protocol):
    """Something on the wire that happens piece by piece: an HTTP exchange, a socket. Stepped on the decoding thread."""

    def step(self, what: Any, at: float) -> None:
        """One happening, in the order in which the hooks saw them."""
        ...

    def stop(self, at: float) -> None:
        """The proxy stops: whatever is open is interrupted."""
        ...

    def abandon(self, at: float) -> None:
        """A step raised: end what is open as unreadable. Later happenings are ignored."""
        ...


class Pipeline:
    """Owns the decoding thread. :meth:`put` is called on the event loop, everything else of a source there."""

    def __init__(
        self,
        environment: Environment,
        sink: Sink,
        *,
        announce_after: float,
        call_later: Callable[..., Any] | None = None,
    ) -> None:
        self.environment = environment
        self.decode_errors = 0
        self._sink = sink
        self._announce_after = announce_after
        self._call_later = call_later
        self.inbox: deque[tuple[Source, Any, float]] = deque()
        self.armed = False
        self._wake = threading.Event()
        self._stopping = False
        self._open: dict[Recording, Source] = {}
        self._unannounced: deque[tuple[float, Recording]] = deque()
        self._thread = threading.Thread(target=self._run, name="aitap-decoder", daemon=True)

    def start(self) -> None:
        """Begin to decode."""
        self._thread.start()

    def put(self, item: tuple[Source, Any, float]) -> None:
        """Queue one happening; never blocks."""
        self.inbox.append(item)
        if not self.armed:
            self.arm()

    def arm(self) -> None:
        """See to it that the thread wakes within a tick."""
        self.armed = True
        if self._call_later is None:
            self._fire()
        else:
            self._call_later(TICK, self._fire)

    def _fire(self) -> None:
        self.armed = False
        self._wake.set()

    def drain(self) -> None:
        """Decode what is queued here and now, and announce nothing: for saved traffic, which nobody waits for.

        Instead of :meth:`start`, not beside it.
        """
        self._drain()
        self._unannounced.clear()

    def close(self, timeout: float) -> bool:
        """Decode what is queued, end what is open as interrupted, stop; False if ``timeout`` seconds did not do."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    # Called by sources, on the decoding thread

    def opened(self, recording: Recording, source: Source, at: float) -> None:
        """A recording has begun; it will be announced if it lasts."""
        self._open[recording] = source
        self._unannounced.append((at + self._announce_after, recording))

    def closed(self, recording: Recording, record: Interception) -> None:
        """A recording is over and this is what came of it."""
        self._open.pop(recording, None)
        self._sink.submit(record)

    # The thread

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(max(self._unannounced[0][0] - time.time(), 0.001) if self._unannounced else None)
            self._wake.clear()
            self._drain()
            self._announce()
        self._drain()
        now = time.time()
        for source in list(dict.fromkeys(self._open.values())):
            self._guarded(source, source.stop, now)

    def _drain(self) -> None:
        inbox = self.inbox
        rested = time.perf_counter()
        while inbox:
            source, what, at = inbox.popleft()
            try:
                source.step(what, at)
            except Exception:  # noqa: BLE001 - logged in _failed
                self._failed(source, at)
            if time.perf_counter() - rested > _SLICE and not self._stopping:
                # The interpreter's lock goes to the event loop now, not when the switch interval is over.
                time.sleep(_REST)
                rested = time.perf_counter()

    def _guarded(self, source: Source, call: Callable[[float], None], at: float) -> None:
        try:
            call(at)
        except Exception:  # noqa: BLE001 - logged in _failed
            self._failed(source, at)

    def _failed(self, source: Source, at: float) -> None:
        """Our own mistake: the traffic is long on its way; the record says that it could not be read."""
        self.decode_errors += 1
        logger.exception("aitap: an exchange could not be read to its end; the traffic is not affected")
        source.abandon(at)

    def _announce(self) -> None:
        now = time.time()
        while self._unannounced and (self._unannounced[0][0] <= now or self._unannounced[0][1] not in self._open):
            recording = self._unannounced.popleft()[1]
            if recording in self._open:
                self._sink.submit(recording.snapshot())
