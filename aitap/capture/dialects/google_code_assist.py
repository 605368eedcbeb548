"""Code Assist, what the Gemini CLI speaks after a Google login: ``generateContent`` in an envelope.

The request is ``{"model", "project", "user_prompt_id", "request": {...}}`` and every answer
``{"response": {...}, "traceId"}``, streamed or not; errors stand outside the envelope. Paths are
``/v1internal:METHOD``. Facts are those of the Gemini CLI's own published source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from aitap.capture.dialects.google_answer import AnswerDecoder
from aitap.capture.dialects.google_generate_content import GoogleGenerateContent, read_request
from aitap.capture.facts import RequestFacts
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_str, value_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GoogleCodeAssist"]

Raw = msgspec.Raw
_NONE = Raw(b"")


class _Envelope(msgspec.Struct):
    model: Raw = _NONE
    user_prompt_id: Raw = _NONE
    request: Raw = _NONE


class _Inner(msgspec.Struct, rename="camel"):
    model: Raw = _NONE
    session_id: Raw = _NONE
    session_id_: Raw = msgspec.field(default=_NONE, name="session_id")


_envelope = msgspec.json.Decoder(_Envelope)
_inner = msgspec.json.Decoder(_Inner)


class GoogleCodeAssist:
    """``google.generate_content`` in Code Assist's envelope."""

    name = GoogleGenerateContent.name

    def request(self, body: bytes, path: str) -> RequestFacts:
        envelope: _Envelope | None = jsontext.split(body, _envelope)
        if envelope is None:
            return RequestFacts()
        inner: _Inner = (jsontext.split(envelope.request, _inner) if envelope.request else None) or _Inner()
        facts = read_request(envelope.request)
        model = as_str(value_of(envelope.model)) or as_str(value_of(inner.model)) or ""
        facts.model = model.removeprefix("models/")
        facts.streaming = ":stream" in path
        if session := as_str(value_of(inner.session_id_)) or as_str(value_of(inner.session_id)):
            facts.body_ids["request.session_id"] = session
        if prompt := as_str(value_of(envelope.user_prompt_id)):
            facts.body_ids["user_prompt_id"] = prompt
        return facts

    def decoder(self, path: str, headers: Mapping[str, str], *, keep_text: bool = False) -> AnswerDecoder:  # noqa: ARG002
        return AnswerDecoder(wrapped=True, keep_text=keep_text)
