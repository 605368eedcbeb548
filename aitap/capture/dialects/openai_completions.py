"""OpenAI's older Completions (``POST /v1/completions``), as vLLM, DeepSeek and many others still speak it.

Protocol facts are OpenAI's public API reference ("Completions"): a text to go on with instead of messages, and in the
answer ``text`` instead of a message; all else is as in Chat Completions. A ``suffix``, or the marks that models were
taught for it, make it the gap in the midst of a text, which an editor has filled in: no person asked for that.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from aitap.capture.dialects.openai_chat import OpenAIChat
from aitap.capture.wire.jsontext import as_dict, as_list, value_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aitap.capture.dialects.chat_answer import ChatDecoder
    from aitap.capture.facts import RequestFacts

__all__ = ["OpenAICompletions", "is_gap"]

_chat = OpenAIChat()
_GAP = re.compile(r"<[|\uff5c]?(?:fim[_\u2581\W]|PRE>|SUF>)|\[SUFFIX\]|<fim_prefix>", re.IGNORECASE)


def is_gap(prompt: str) -> bool:
    """Whether a text has the marks of one in the midst of which is a gap."""
    return _GAP.search(prompt) is not None


class OpenAICompletions:
    """The dialect ``openai.completions``; its request is read as a chat of one message."""

    name = "openai.completions"

    def request(self, body: bytes, path: str) -> RequestFacts:
        asked = as_dict(value_of(body))
        prompt = asked.get("prompt")
        # Several are asked at once; one that is given in tokens cannot be read.
        texts = [prompt] if isinstance(prompt, str) else [text for text in as_list(prompt) if isinstance(text, str)]
        messages = [{"role": "user", "content": [{"type": "text", "text": text} for text in texts]}] if texts else []
        kept = {key: asked[key] for key in ("model", "stream", "max_tokens", "user", "metadata") if asked.get(key)}
        facts = _chat.request(msgspec.json.encode({**kept, "messages": messages}), path)
        if asked.get("suffix") or any(map(is_gap, texts)):
            facts.body_ids["suffix"] = "given"
        return facts

    def decoder(self, path: str, headers: Mapping[str, str], *, keep_text: bool = False) -> ChatDecoder:
        return _chat.decoder(path, headers, keep_text=keep_text)
