"""Claude on Vertex AI: Anthropic's Messages under Google's paths.

The body is Anthropic's with ``anthropic_version`` and without the model, which stands in the path
(``/publishers/anthropic/models/MODEL:streamRawPredict``), as does whether it streams; only to count
tokens, where the path names no model, does the body name one (Anthropic's reference, "Claude on Vertex AI").
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from aitap.capture.dialects.anthropic_messages import AnthropicMessages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aitap.capture.dialects.anthropic_answer import MessageDecoder
    from aitap.capture.facts import RequestFacts

__all__ = ["VertexAnthropic"]

_TARGET = re.compile(r"/models/([^/:]+):(\w+)$")


class VertexAnthropic:
    """``anthropic.messages`` with the model in the path."""

    name = AnthropicMessages.name

    def __init__(self) -> None:
        self._messages = AnthropicMessages()

    def request(self, body: bytes, path: str) -> RequestFacts:
        facts = self._messages.request(body, path)
        if match := _TARGET.search(unquote(path)):
            facts.model = facts.model or match[1]
            facts.streaming = facts.streaming or match[2].startswith("stream")
        return facts

    def decoder(self, path: str, headers: Mapping[str, str], *, keep_text: bool = False) -> MessageDecoder:
        return self._messages.decoder(path, headers, keep_text=keep_text)
