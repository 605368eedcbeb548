"""What every WebSocket has that carries responses of a model: its happenings, its open recordings, its end.

The headers are those of the handshake. A socket may live for hours: nothing is kept of a response that
is over, and a client that never waits for an answer does not fill memory.
"""

from __future__ import annotations

import zlib
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.capture.recording import Recording
from aitap.record import tick_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aitap.capture.pipeline import Pipeline
    from aitap.capture.recording import RequestHead

__all__ = ["MOST_OPEN", "WebSocket"]

MOST_OPEN = 64
"""So many responses may be open on a socket."""
_NAMED = 1 << 32
"""More than there are in one moment; the names are beyond."""


class _Message(msgspec.Struct, frozen=True):
    content: bytes
    from_client: bool


class _Noted(msgspec.Struct, frozen=True):
    metadata: dict[str, Any]


class _Closed(msgspec.Struct, frozen=True):
    by_client: bool
    interrupted: bool = False


class WebSocket:
    """One WebSocket. The first methods are called as things happen, and only put it into the pipeline.

    A language of its own overrides :meth:`from_client` and :meth:`from_server`, which begin recordings and
    end them, by :meth:`begin` and :meth:`end`.
    """

    def __init__(self, pipeline: Pipeline, head: Callable[[], RequestHead]) -> None:
        self._pipeline = pipeline
        self._make_head = head
        self._head: RequestHead | None = None
        self._open: deque[Recording] = deque()
        self._broken = False
        self.own_id: Callable[[float, int], str] = lambda at, order: ""  # noqa: ARG005
        """The id of the record that begins at a moment, as one of several; empty where the environment gives ids."""
        self._last_begun = (0.0, 0)

    def message(self, content: bytes, at: float, *, from_client: bool) -> None:
        """One whole message, inflated and joined by mitmproxy."""
        self._pipeline.put((self, _Message(content, from_client), at))

    def note(self, metadata: dict[str, Any], at: float) -> None:
        """What the record of the response that was asked for last shall say besides."""
        self._pipeline.put((self, _Noted(metadata), at))

    def close(self, at: float, *, by_client: bool) -> None:
        """The connection is over, with or without a close frame."""
        self._pipeline.put((self, _Closed(by_client), at))

    # Called by the pipeline

    def step(self, what: Any, at: float) -> None:
        """See :class:`aitap.capture.pipeline.Source`."""
        if self._broken:
            return
        if what.__class__ is _Closed:
            self.over(at, cancelled=what.by_client, interrupted=what.interrupted)
        elif what.__class__ is _Noted:
            if self._open:
                self._open[-1].record.metadata.update(what.metadata)
        elif what.from_client:
            self.from_client(what.content, at)
        else:
            self.from_server(what.content, at)

    def stop(self, at: float) -> None:
        """See :class:`aitap.capture.pipeline.Source`."""
        self.step(_Closed(by_client=False, interrupted=True), at)

    def abandon(self, at: float) -> None:
        """See :class:`aitap.capture.pipeline.Source`."""
        self._broken = True
        while self._open:
            recording = self._open.popleft()
            self._pipeline.closed(recording, recording.unreadable(at))

    # For those that know the language

    def from_client(self, content: bytes, at: float) -> None:
        """The client said something."""
        raise NotImplementedError

    def from_server(self, content: bytes, at: float) -> None:
        """The provider said something."""
        raise NotImplementedError

    def over(self, at: float, *, cancelled: bool, interrupted: bool) -> None:
        """The connection is over; what is still open ends with it."""
        while self._open:
            self.end(self._open[0], at, cancelled=cancelled, interrupted=interrupted)

    @property
    def head(self) -> RequestHead:
        """The handshake."""
        if self._head is None:
            self._head = self._make_head()
        return self._head

    def begin(self, headers: Mapping[str, str], started_at: float, at: float, *, name: str = "") -> Recording:
        """A response is asked for; it is recorded from now on, ``headers`` being those that hold for it.

        What has a ``name`` on this socket, of the provider's, may begin at a moment long past.
        """
        if len(self._open) >= MOST_OPEN:
            self.end(self._open[0], at)
        head = msgspec.structs.replace(
            self.head, headers=headers, started_at=started_at, record_id=self._id_at(at, name)
        )
        recording = Recording(self._pipeline.environment, head)
        self._open.append(recording)
        self._pipeline.opened(recording, self, at)
        return recording

    def _id_at(self, at: float, name: str) -> str:
        if name:
            return self.own_id(at, _NAMED + zlib.crc32(name.encode("utf-8", "surrogatepass")))
        last, order = self._last_begun
        # An id tells moments apart as finely as it has room for; what is not later than the last is of its moment.
        self._last_begun = moment, order = (at, 0) if tick_of(at) > tick_of(last) else (last, order + 1)
        return self.own_id(moment, order)

    def end(
        self,
        recording: Recording,
        at: float,
        *,
        failure: str | None = None,
        cancelled: bool = False,
        interrupted: bool = False,
    ) -> None:
        """A response is over, or will never be."""
        if not (cancelled or interrupted):
            failure = failure or "the connection was closed before the response was complete"
        record = recording.end(at, failure=failure, cancelled=cancelled, interrupted=interrupted)
        self._open.remove(recording)
        self._pipeline.closed(recording, record)
