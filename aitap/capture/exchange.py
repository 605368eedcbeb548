"""An HTTP exchange: what happens to it, and what it makes of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aitap.capture.headers import Headers
from aitap.capture.recording import Recording, RequestHead

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitap.capture.pipeline import Pipeline
    from aitap.record import Interception

__all__ = ["Exchange"]


class _Begun(msgspec.Struct, frozen=True):
    body: bytes


class _Responded(msgspec.Struct, frozen=True):
    status: int
    headers: Any


class _Noted(msgspec.Struct, frozen=True):
    metadata: dict[str, Any]


class _Connected(msgspec.Struct, frozen=True):
    started_at: float
    ready_at: float
    reused: bool


class _Ended(msgspec.Struct, frozen=True):
    failure: str | None = None
    cancelled: bool = False
    interrupted: bool = False


class Exchange:
    """One request and its response. The first methods say what happened; they only put it into the pipeline."""

    __slots__ = ("_head", "_over", "_pipeline", "_recording")

    def __init__(self, pipeline: Pipeline, head: Callable[[], RequestHead]) -> None:
        self._pipeline = pipeline
        self._head = head
        self._recording: Recording | None = None
        self._over = False

    @property
    def record_id(self) -> str | None:
        """The id of the record that is being made; None where none is."""
        return None if self._recording is None else self._recording.record.id

    def begin(self, body: bytes, at: float) -> None:
        """The request is whole."""
        self._pipeline.put((self, _Begun(body), at))

    def note(self, metadata: dict[str, Any], at: float) -> None:
        """What the record's metadata shall say besides."""
        self._pipeline.put((self, _Noted(metadata), at))

    def connected(self, started_at: float, ready_at: float, at: float, *, reused: bool) -> None:
        """How the connection to the provider came about."""
        self._pipeline.put((self, _Connected(started_at, ready_at, reused), at))

    def respond(self, status: int, headers: Any, at: float) -> None:
        """The response's head; ``headers`` are raw fields, read later."""
        self._pipeline.put((self, _Responded(status, headers), at))

    def feed(self, data: bytes, at: float) -> None:
        """A piece of the response body, which came at ``at``."""
        self._pipeline.put((self, data, at))

    def end(self, at: float, *, failure: str | None = None, cancelled: bool = False) -> None:
        """The exchange is over, one way or the other."""
        self._pipeline.put((self, _Ended(failure, cancelled), at))

    # Called by the pipeline

    def step(self, what: Any, at: float) -> None:
        """See :class:`aitap.capture.pipeline.Source`."""
        recording = self._recording
        if what.__class__ is bytes:
            if recording is not None:
                recording.feed(what, at)
        elif what.__class__ is _Responded:
            if recording is not None:
                recording.respond(what.status, Headers(what.headers))
        elif what.__class__ is _Begun:
            if not self._over:
                self._begin(what.body, at)
        elif what.__class__ is _Noted:
            if recording is not None:
                recording.record.metadata.update(what.metadata)
        elif what.__class__ is _Connected:
            if recording is not None:
                wire = recording.record.wire
                wire.connect_started_at, wire.connected_at = what.started_at, what.ready_at
                wire.connection_reused = what.reused
        elif recording is not None:
            # Where this raises, the recording is still ours to be abandoned.
            record = recording.end(at, failure=what.failure, cancelled=what.cancelled, interrupted=what.interrupted)
            self._recording, self._over = None, True
            self._ended(recording, record)

    def stop(self, at: float) -> None:
        """See :class:`aitap.capture.pipeline.Source`."""
        self.step(_Ended(interrupted=True), at)

    def abandon(self, at: float) -> None:
        """See :class:`aitap.capture.pipeline.Source`."""
        recording, self._recording = self._recording, None
        self._over = True
        if recording is not None and not recording.doubtful:
            self._pipeline.closed(recording, recording.unreadable(at))

    def _begin(self, body: bytes, at: float) -> None:
        recording = self._recording = Recording(self._pipeline.environment, self._head())
        recording.begin(body, at)
        if recording.doubtful:
            # No call of a model after all; nobody has heard of it.
            self._recording = None
            self._over = True
        else:
            self._pipeline.opened(recording, self, at)

    def _ended(self, recording: Recording, record: Interception) -> None:
        self._pipeline.closed(recording, record)
