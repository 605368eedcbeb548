"""The fetching of an answer by the id of its response: a record where it says, for the first time, how that ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitap.capture.exchange import Exchange
from aitap.capture.recording import Recording

if TYPE_CHECKING:
    from aitap.record import Interception

__all__ = ["Fetched"]


class Fetched(Exchange):
    """A request for what has become of a response (see :mod:`aitap.capture.background`).

    Nobody hears of it before its end, and then only if it tells something that was not known.
    """

    @property
    def record_id(self) -> str | None:
        """None: nothing is promised to be recorded of it."""
        return None

    def abandon(self, at: float) -> None:  # noqa: ARG002 - see :class:`aitap.capture.pipeline.Source`
        """Whoever asks next may be understood."""
        if self._recording is not None:
            self._pipeline.on_decided(self._recording.record.id, None)
        self._recording, self._over = None, True

    def _begin(self, body: bytes, at: float) -> None:  # noqa: ARG002 - it asks nothing of a model
        head = self._head()
        self._recording = Recording(self._pipeline.environment, head)
        self._recording.begin(b"", at)
        self._recording.record.streaming = "stream=true" in head.query.lower()
        self._pipeline.on_awaited(self._recording.record.id)

    def _ended(self, recording: Recording, record: Interception) -> None:
        lineage = record.lineage
        own_id = lineage.answer_id if recording.tells else None
        self._pipeline.on_decided(record.id, own_id)
        if own_id is None:
            return
        record.id = own_id
        lineage.previous_response_id = lineage.background
        # The model has been at it since long before this was asked.
        record.time_to_first_token = None
        self._pipeline.closed(recording, record)
