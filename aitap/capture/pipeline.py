"""From what happened on the wire to finished records.

Theory of operation. Whatever happens (a request is whole, a chunk came, a socket closed) is put into the
pipeline, and :meth:`Pipeline.drain` gives each happening to the source it belongs to: an HTTP exchange, a
socket. Sources decode, and hand their records to a sink. There is no thread and no clock in here: who owns
the pipeline says when, the recorder process as frames come in, ``aitap ingest`` as it reads.

An exchange that outlives the flush interval is announced as ``in_flight``, so that a crash leaves a
trace of it; a shorter one is recorded once, whole.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitap.capture.environment import Environment
    from aitap.capture.recording import Recording
    from aitap.record import Interception

__all__ = ["Pipeline", "Sink", "Source"]

logger = logging.getLogger(__name__)


class _Unread(Exception):  # noqa: N818 - stands in the log for another one
    pass


class Sink(Protocol):
    """Takes records; storage's writer is one."""

    def submit(self, record: Interception) -> bool:
        """Take a record without blocking; False where it had to be dropped (and was counted)."""
        ...


class Source(Protocol):
    """Something on the wire that happens piece by piece: an HTTP exchange, a socket. Stepped by the pipeline."""

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
    """Carries happenings to their sources and records to the sink. ``announce_after`` is in seconds.

    With None nothing is ever announced: saved traffic is over already.
    """

    def __init__(self, environment: Environment, sink: Sink, *, announce_after: float | None) -> None:
        self.environment = environment
        self.decode_errors = 0
        self.on_opened: Callable[[str], None] = lambda record_id: None  # noqa: ARG005
        """Called when a record has begun, with its id."""
        self.on_awaited: Callable[[str], None] = lambda name: None  # noqa: ARG005
        """Called when something has begun that may turn out to be a record, with a name for it."""
        self.on_decided: Callable[[str, str | None], None] = lambda name, record_id: None  # noqa: ARG005
        """Called when that is known: with the id of the record, which is begun then, or None."""
        self.inbox: deque[tuple[Source, Any, float]] = deque()
        self._sink = sink
        self._announce_after = announce_after
        self._open: dict[Recording, Source] = {}
        self._unannounced: deque[tuple[float, Recording]] = deque()

    def put(self, item: tuple[Source, Any, float]) -> None:
        """Queue one happening: its source, what it is, and when it was (epoch seconds)."""
        self.inbox.append(item)

    def drain(self) -> None:
        """Decode what is queued."""
        inbox = self.inbox
        while inbox:
            source, what, at = inbox.popleft()
            try:
                source.step(what, at)
            except Exception as error:  # noqa: BLE001 - logged in _failed
                self._failed(source, at, error)

    def announce(self, *, all_open: bool = False) -> float | None:
        """Submit what has lasted long enough as in flight; seconds until there is more to announce, or None.

        With ``all_open``, what has just begun, too.
        """
        now = time.time()
        while self._unannounced and (
            all_open
            # A clock that was set back would have it wait for hours.
            or not 0 < self._unannounced[0][0] - now <= (self._announce_after or 0.0)
            or self._unannounced[0][1] not in self._open
        ):
            recording = self._unannounced.popleft()[1]
            if recording in self._open:
                self._sink.submit(recording.snapshot())
        return max(self._unannounced[0][0] - now, 0.001) if self._unannounced else None

    def open_records(self) -> list[Interception]:
        """What goes on now, as far as it is known. For any thread; only to be looked at."""
        return [recording.record for recording in list(self._open)]

    def close(self) -> None:
        """Decode what is queued and end what is open as interrupted."""
        self.drain()
        now = time.time()
        for source in list(dict.fromkeys(self._open.values())):
            self._guarded(source, source.stop, now)

    # Called by sources

    def opened(self, recording: Recording, source: Source, at: float) -> None:
        """A recording has begun; it will be announced if it lasts."""
        self.on_opened(recording.record.id)
        self._open[recording] = source
        if self._announce_after is not None:
            self._unannounced.append((at + self._announce_after, recording))

    def closed(self, recording: Recording, record: Interception) -> None:
        """A recording is over and this is what came of it."""
        if self._open.pop(recording, None) is None:
            self.on_opened(record.id)  # nobody has heard of it until now
        self._sink.submit(record)

    def _guarded(self, source: Source, call: Callable[[float], None], at: float) -> None:
        try:
            call(at)
        except Exception as error:  # noqa: BLE001 - logged in _failed
            self._failed(source, at, error)

    def _failed(self, source: Source, at: float, error: Exception) -> None:
        """Our own mistake: the traffic is long on its way; the record says that it could not be read."""
        self.decode_errors += 1
        environment = self.environment
        if environment.redactor is not None or environment.capture == "minimal":
            # The words of an error may hold some of what could not be read.
            error = _Unread(type(error).__name__).with_traceback(error.__traceback__)
        logger.error("aitap: an exchange could not be read to its end; the traffic is not affected", exc_info=error)
        source.abandon(at)
