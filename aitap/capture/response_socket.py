"""The Responses API over a WebSocket: many responses on one connection, one interception for each.

The client sends ``{"type": "response.create", ...}`` with the usual body; the server answers with the
objects an event stream would carry, one a frame (OpenAI, "WebSocket mode"). The headers are those of
the handshake; what changes from turn to turn stands in the frame's ``client_metadata`` and wins over
them.
"""

from __future__ import annotations

import msgspec

from aitap.capture.web_socket import WebSocket
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, value_of

__all__ = ["Socket"]


class _Frame(msgspec.Struct):
    type: str = ""
    client_metadata: msgspec.Raw = msgspec.Raw(b"")


_frame = msgspec.json.Decoder(_Frame)

_LAST = ("response.completed", "response.incomplete", "response.failed", "response.cancelled", "error")


class Socket(WebSocket):
    """One connection in the language of ``openai.responses``. Answers go to the requests in their order."""

    def from_client(self, content: bytes, at: float) -> None:
        """See :class:`WebSocket`."""
        frame: _Frame | None = jsontext.split(content, _frame)
        if frame is None or frame.type != "response.create":
            return
        recording = self.begin(self._headers(frame), at, at)
        recording.begin(content, at)
        recording.record.streaming = True
        recording.respond(101, {}, messages=True)

    def _headers(self, frame: _Frame) -> dict[str, str]:
        """Those of the handshake, with what the frame says about this turn."""
        headers = dict(self.head.headers)
        for name, value in as_dict(value_of(frame.client_metadata)).items():
            if isinstance(value, str) and value:
                headers[name.lower()] = value
        headers.pop("content-encoding", None)
        return headers

    def from_server(self, content: bytes, at: float) -> None:
        """See :class:`WebSocket`."""
        if not self._open:
            return
        frame: _Frame | None = jsontext.split(content, _frame)
        recording = self._open[0]
        recording.message(b"" if frame is None else frame.type.encode(), content, at)
        if frame is not None and frame.type in _LAST:
            self.end(recording, at)
