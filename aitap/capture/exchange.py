"""An HTTP exchange: what the hooks see of it, and its steps on the decoding thread."""

from __future__ import annotations

from time import time as now
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.capture.headers import Headers
from aitap.capture.recording import Recording, RequestHead

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitap.capture.pipeline import Pipeline

__all__ = ["Exchange"]


class _Begun(msgspec.Struct, frozen=True):
    body: bytes


class _Responded(msgspec.Struct, frozen=True):
    status: int
    headers: Any


class _Ended(msgspec.Struct, frozen=True):
    failure: str | None = None
    cancelled: bool = False
    interrupted: bool = False


class Exchange:
    """One request and its response. The hooks call the first methods, which only append to the pipeline."""

    __slots__ = ("_append", "_head", "_over", "_pipeline", "_recording")

    def __init__(self, pipeline: Pipeline, head: Callable[[], RequestHead]) -> None:
        self._pipeline = pipeline
        self._append = pipeline.inbox.append
        self._head = head
        self._recording: Recording | None = None
        self._over = False

    def begin(self, body: bytes, at: float) -> None:
        """The request is whole."""
        self._pipeline.put((self, _Begun(body), at))

    def respond(self, status: int, headers: Any, at: float) -> None:
        """The response's head; ``headers`` are mitmproxy's raw fields, read later."""
        self._pipeline.put((self, _Responded(status, headers), at))

    def tap(self, data: bytes) -> bytes:
        """A piece of the response body on its way to the client: noted and given back as it is."""
        # Runs for every chunk of every stream: no call that can be spared.
        if data:
            self._append((self, data, now()))
            if not self._pipeline.armed:
                self._pipeline.arm()
        return data

    def end(self, at: float, *, failure: str | None = None, cancelled: bool = False) -> None:
        """The exchange is over, one way or the other."""
        self._pipeline.put((self, _Ended(failure, cancelled), at))

    # On the decoding thread

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
        elif recording is not None:
            self._recording = None
            self._over = True
            record = recording.end(at, failure=what.failure, cancelled=what.cancelled, interrupted=what.interrupted)
            self._pipeline.closed(recording, record)

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
